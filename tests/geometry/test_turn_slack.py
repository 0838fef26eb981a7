"""Around something round there are several smallest boxes, and how far they differ is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry.boxes import turn_slack, upright_box, upright_box_and_slack


def prism(corners: int, radius: float, turn: float = 0.0) -> np.ndarray:
    """The corners of an upright prism, (n, 3) metres."""
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    plan = radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.concatenate([np.column_stack([plan, np.full(corners, z)]) for z in (0.0, 0.5)])


@given(st.floats(0, np.pi), st.floats(0.1, 2), st.floats(0.1, 2))
def test_a_block_has_one_smallest_box(turn: float, length: float, width: float) -> None:
    plan = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length, width] / 2
    turned = plan @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = np.concatenate([np.column_stack([turned, np.full(4, z)]) for z in (0.0, 1.0)])
    assert turn_slack(points) == pytest.approx((0.0, 0.0), abs=1e-5)


@given(st.floats(0, np.pi), st.floats(0.05, 2))
def test_a_box_about_something_round_could_be_turned(turn: float, radius: float) -> None:
    reach, side = turn_slack(prism(24, radius, turn))
    # At 45 degrees from each other, the corner of one box lies before the side of the other.
    assert reach == pytest.approx((2**0.5 - 1) * radius, rel=0.15)
    assert side == pytest.approx(0.0, abs=0.01 * radius)


def test_of_two_boxes_that_are_as_small_the_longest_sides_may_differ() -> None:
    # A triangle with a right angle fits a square corner, or lies along its longest side.
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0.1]], dtype=np.float64)
    assert upright_box(points).size.max() in (pytest.approx(1.0), pytest.approx(2**0.5))
    assert turn_slack(points)[1] == pytest.approx(2**0.5 - 1, abs=1e-5)


def test_box_and_slack_are_the_same_found_together() -> None:
    points = np.random.default_rng(4).normal(size=(50, 3)) * (2, 1, 1)
    (box, slack), alone = upright_box_and_slack(points), upright_box(points)
    assert slack == turn_slack(points)
    for found, expected in zip(
        (box.center, box.size, box.rotation), (alone.center, alone.size, alone.rotation), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 1]])])
def test_a_point_and_a_line_have_no_slack(points: np.ndarray) -> None:
    assert turn_slack(points) == (0.0, 0.0)
