"""AP against the definition written out over every cut-off, and its degenerate cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapmodel.evaluation.average_precision import area, average_precision


def slow_area(ranks: list[int], right: list[bool], total: int) -> float:
    """For each recall level that is reached first at some cut-off: the best precision from there on."""
    points = []
    for cut in sorted(set(ranks)):
        chosen = [hit for rank, hit in zip(ranks, right, strict=True) if rank <= cut]
        points.append((sum(chosen) / total, sum(chosen) / len(chosen)))
    value, before = 0.0, 0.0
    for recall, _ in points:
        if recall > before:
            value += (recall - before) * max(p for r, p in points if r >= recall)
            before = recall
    return value


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=30), st.integers(0, 5))
def test_area_agrees_with_every_cut_off(items: list[tuple[int, bool]], missed: int) -> None:
    ranks, right = [rank for rank, _ in items], [hit for _, hit in items]
    total = sum(right) + missed
    if total:
        expected = slow_area(ranks, right, total)
        assert area(np.array(ranks, int), np.array(right, bool), total) == pytest.approx(expected, abs=1e-12)


def test_a_case_computed_by_hand() -> None:
    # Ranked right, wrong, right of three: precision 1 up to recall 1/3, 2/3 up to 2/3.
    assert area(np.array([0, 1, 2]), np.array([True, False, True]), 3) == pytest.approx(1 / 3 + (2 / 3) / 3)
    # Equal scores enter together: the order of the views means nothing.
    assert area(np.array([0, 0]), np.array([False, True]), 1) == 0.5
    assert area(np.array([0, 0]), np.array([True, False]), 1) == 0.5


def test_a_second_prediction_of_a_box_is_wrong_even_where_another_box_is_free() -> None:
    overlaps = [np.array([[0.9, 0.3], [0.8, 0.7]])]
    assert average_precision(overlaps, 0.25) == pytest.approx(0.5)  # VOC: the second one's best box is taken
    assert average_precision(overlaps, 0.95) == 0.0


views = st.tuples(st.integers(0, 4), st.integers(0, 3)).flatmap(
    lambda shape: st.lists(
        st.lists(st.sampled_from([0.0, 0.2, 0.25, 0.3, 0.9]), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    ).map(lambda rows: np.array(rows, dtype=float).reshape(shape))
)


@settings(max_examples=150, deadline=None)
@given(st.lists(views, max_size=5))
def test_matching_and_area_agree_with_the_definition_on_any_overlaps(overlaps: list[np.ndarray]) -> None:
    """Views without predictions or true boxes, duplicates, boxes that overlap nothing: one prediction at a time."""
    ranks, right = [], []
    for overlap in overlaps:
        taken: set[int] = set()
        for place, row in enumerate(overlap.tolist()):
            best = row.index(max(row)) if row else -1
            hit = best >= 0 and row[best] >= 0.25 and best not in taken
            taken |= {best} if hit else set()
            ranks.append(place)
            right.append(hit)
    total = sum(overlap.shape[1] for overlap in overlaps)
    found = average_precision(overlaps, 0.25)
    if total:
        assert found == pytest.approx(slow_area(ranks, right, total), abs=1e-12)
    else:
        assert math.isnan(found)


def test_nothing_true_has_no_precision_and_nothing_predicted_has_none_either() -> None:
    assert math.isnan(average_precision([np.zeros((3, 0))], 0.5))
    assert math.isnan(average_precision([], 0.5))
    assert average_precision([np.zeros((0, 2))], 0.5) == 0.0
