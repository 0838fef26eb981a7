"""Numbers score as VSI-Bench scores them, to the last float."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.tasks.spatial.mra import relative_accuracy


@pytest.mark.parametrize(
    ("predicted", "truth", "score"),
    [
        (6, 4, 0.1),  # an error of exactly one half
        (2, 4, 0.1),
        (4, 5, 0.6),  # 0.2, where the fourth threshold is met or missed by the last bit
        (95, 100, 1.0),
        (105, 100, 1.0),
        (0, 3, 0.0),
        (3, 3, 1.0),
        (0, 0, 1.0),
        (0.01, 0, 0.0),
        (-1.5, -1.5, 1.0),
        (1.5, -1.5, 0.0),
        (float("nan"), 2, 0.0),
        (float("inf"), 2, 0.0),
    ],
)
def test_round_numbers_score_what_the_benchmark_gives_them(predicted: float, truth: float, score: float) -> None:
    assert relative_accuracy(predicted, truth) == pytest.approx(score)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_the_score_is_that_of_the_written_definition(predicted: float, truth: float) -> None:
    error = abs(predicted - truth) / truth
    thresholds = np.linspace(0.5, 0.95, 10)
    assert relative_accuracy(predicted, truth) == sum(error <= 1 - t for t in thresholds) / 10
    assert relative_accuracy(-predicted, -truth) == relative_accuracy(predicted, truth)


def test_many_guesses_meet_many_truths_at_once() -> None:
    scores = relative_accuracy(np.array([[1.0], [2.0]]), np.array([1.0, 2.0, 4.0]))
    assert scores.shape == (2, 3)
    assert scores[0, 0] == scores[1, 1] == 1.0
