"""Distances of boxes are those that alternating projections find, and are zero exactly where boxes overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry.box_distance import box_distance, distance_to_box
from gapdata.geometry.boxes import OrientedBox, rotation_from_euler

seeds = st.integers(0, 2**32 - 1)


def drawn(rng: np.random.Generator, *, upright: bool = False) -> OrientedBox:
    angles = rng.uniform(-np.pi, np.pi, 3) * ([1, 0, 0] if upright else [1, 1, 1])
    return OrientedBox(
        center=rng.uniform(-1.5, 1.5, 3),
        size=rng.uniform(0.02, 1.5, 3),
        rotation=rotation_from_euler(angles, "intrinsic_zxy"),
    )


def projected(point: np.ndarray, box: OrientedBox) -> np.ndarray:
    """Return the nearest point of a box, by clipping in its own axes."""
    local = np.clip(box.rotation.T @ (point - box.center), -box.size / 2, box.size / 2)
    return np.asarray(box.center + box.rotation @ local)


def by_projections(one: OrientedBox, other: OrientedBox) -> float:
    """Return the distance by alternating projections, which converge for convex sets (Cheney, Goldstein 1959)."""
    point = one.center
    for _ in range(2_000):
        there = projected(point, other)
        point = projected(there, one)
    return float(np.linalg.norm(point - there))


@given(seeds, st.booleans())
def test_the_distance_is_that_of_alternating_projections(seed: int, upright: bool) -> None:
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, upright=upright), drawn(rng, upright=upright)
    # Projections come near from above, slowly where faces are nearly parallel.
    expected = by_projections(one, other)
    assert box_distance(one, other) == pytest.approx(expected, abs=2e-3)
    assert box_distance(one, other) <= expected + 1e-9
    assert box_distance(other, one) == pytest.approx(box_distance(one, other), abs=1e-12)


@given(seeds)
def test_boxes_that_share_a_point_have_no_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = drawn(rng), drawn(rng)
    shared = one.center + one.rotation @ (rng.uniform(-0.499, 0.499, 3) * one.size)
    held = other.rotation @ (rng.uniform(-0.499, 0.499, 3) * other.size)
    met = OrientedBox(center=shared - held, size=other.size, rotation=other.rotation)
    assert box_distance(one, met) == 0.0


@pytest.mark.parametrize("gap", [0.0, 0.25, 2.0])
def test_a_box_inside_or_beside_another(gap: float) -> None:
    table = OrientedBox(center=np.zeros(3), size=np.array([1.6, 0.9, 0.75]), rotation=np.eye(3))
    inside = OrientedBox(center=np.array([0.1, 0.0, 0.1]), size=np.full(3, 0.2), rotation=np.eye(3))
    assert box_distance(table, inside) == 0.0  # a hollow shell of sampled points would be 0.115 m away
    beside = OrientedBox(center=np.array([0.8 + gap + 0.1, 0.0, 0.0]), size=np.full(3, 0.2), rotation=np.eye(3))
    assert box_distance(table, beside) == pytest.approx(gap, abs=1e-12)


def test_crossed_edges_are_nearest_between_their_ends() -> None:
    turn = rotation_from_euler([0.0, np.pi / 4, 0.0], "intrinsic_zxy")  # an edge along x points up
    quarter = rotation_from_euler([np.pi / 2, 0.0, 0.0], "intrinsic_zxy")
    low = OrientedBox(center=np.zeros(3), size=np.ones(3), rotation=turn)
    high = OrientedBox(center=np.array([0.0, 0.0, 2.0]), size=np.ones(3), rotation=quarter @ turn)
    assert box_distance(low, high) == pytest.approx(2.0 - np.sqrt(2), abs=1e-12)


@given(seeds)
def test_points_are_as_far_as_their_projections(seed: int) -> None:
    rng = np.random.default_rng(seed)
    box, points = drawn(rng), rng.uniform(-3, 3, (20, 3))
    expected = [np.linalg.norm(point - projected(point, box)) for point in points]
    np.testing.assert_allclose(distance_to_box(points, box), expected, atol=1e-12)
