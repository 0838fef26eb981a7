"""Distances of clouds are those of their nearest points, however large the clouds and however many the pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry import cloud_distances as module
from gapdata.geometry.cloud_distances import CELL, cloud_distances


def clouds_of(seed: int, count: int, most: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Random clouds, their points mixed, of which each point has a cell of its own."""
    rng = np.random.default_rng(seed)
    clouds = np.concatenate([np.arange(count), rng.integers(0, count, most)]).astype(np.uint8)
    middles = rng.uniform(-2 * reach, 2 * reach, (count, 3))
    grid = np.floor(rng.uniform(-reach, reach, (len(clouds), 3)) / (4 * CELL)) * 4 * CELL
    order = rng.permutation(len(clouds))
    return (middles[clouds] + grid)[order], clouds[order]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 300), st.sampled_from([0.05, 0.6, 4.0, 20.0]))
def test_they_are_those_of_the_nearest_points(seed: int, count: int, most: int, reach: float) -> None:
    points, clouds = clouds_of(seed, count, most, reach)
    pairs = np.array(list(itertools.product(range(count), repeat=2)))
    expected = [
        np.linalg.norm(points[clouds == one][:, None] - points[clouds == other], axis=-1).min() for one, other in pairs
    ]
    np.testing.assert_allclose(cloud_distances(points, clouds, pairs), expected, rtol=1e-9, atol=1e-12)


def test_they_are_the_same_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, clouds = clouds_of(7, 5, 3000, 0.5)
    pairs = np.array(list(itertools.combinations(range(5), 2)))
    whole = cloud_distances(points, clouds, pairs)
    monkeypatch.setattr(module, "CHUNK", 50)
    np.testing.assert_array_equal(cloud_distances(points, clouds, pairs), whole)


def test_the_first_of_points_in_one_cell_counts() -> None:
    points = np.array([[0, 0, 0], [1 + 0.1 * CELL, 0, 0], [1 + 0.9 * CELL, 0, 0], [2, 0, 0]])
    clouds = np.array([0, 0, 0, 1], dtype=np.uint8)
    pairs = np.array([[0, 1]])
    assert cloud_distances(points, clouds, pairs)[0] == pytest.approx(1 - 0.1 * CELL)
    assert cloud_distances(points[[0, 2, 1, 3]], clouds, pairs)[0] == pytest.approx(1 - 0.9 * CELL)
    assert len(cloud_distances(points, clouds, pairs[:0])) == 0
