"""The authors' overlap: pytorch3d's numbers, frozen; where it equals the exact one, and where its tolerances show."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.geometry.overlap import paired_iou, stack_boxes
from gapdata.tasks.box_text import box_of
from gapmodel.evaluation.authors_overlap import authors_iou, corners_of, differences, refused

FROZEN = [
    ((-1.033, 0.918, -0.18, 1.389, 1.444, 1.034, -1.877, 2.628, 1.971), None, 0.852197),
    ((-1.055, -0.502, -1.582, 1.322, 1.796, 1.544, -1.029, -2.787, 0.125), None, 0.683057),
    ((0.261, 0.476, 0.593, 0.903, 1.337, 0.565, 2.926, 1.202, 1.603), None, 0.756110),
    (
        (-0.306, 0.685, 0.022, 1.021, 0.66, 1.953, 0.896, 1.769, 0.356),
        (-0.338, 0.694, 0.046, 0.992, 0.568, 2.027, 0.892, 1.778, 0.363),
        0.705920,
    ),
    (
        (-0.723, -1.515, -0.912, 1.218, 0.639, 1.693, -2.734, 1.997, -0.261),
        (-0.7, -1.492, -0.923, 1.292, 0.596, 1.737, -2.725, 1.991, -0.264),
        0.938780,
    ),
    (
        (-0.649, 1.46, -0.319, 1.438, 0.817, 1.583, -0.588, 0.0, 0.0),
        (-0.612, 1.46, -0.302, 1.362, 0.905, 1.531, -0.585, -0.005, 0.012),
        0.469269,
    ),
    (
        (-0.825, 0.648, -0.101, 1.529, 1.587, 1.026, -2.118, 0.0, 0.0),
        (-0.834, 0.715, -0.034, 1.575, 1.522, 1.124, -2.151, 0.019, -0.019),
        0.617126,
    ),
]
"""Two boxes (the second is the first one rounded to two decimals where there is none), and what pytorch3d's CPU code
says of them; all are at least 0.05 from the exact overlap, and do not depend on the last bits of their corners."""


def exact(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return paired_iou(*(stack_boxes([box_of(row, "intrinsic_zxy") for row in rows]) for rows in (first, second)))


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    spans = [(-1.0, 1.0)] * 3 + [(0.3, 1.6)] * 3 + [(-3.1, 3.1)] * 3
    return np.stack([rng.uniform(*span, count) for span in spans], axis=1)


@pytest.mark.parametrize(("first", "second", "iou"), FROZEN)
def test_it_has_the_numbers_of_pytorch3d(
    first: tuple[float, ...], second: tuple[float, ...] | None, iou: float
) -> None:
    other = np.array(first).round(2) if second is None else np.array(second)
    found = authors_iou(corners_of([first]), corners_of(other[None]))
    assert found == pytest.approx(iou, abs=2e-5)
    assert abs(found - exact(np.array([first]), np.array([other]))) > 0.05


def test_it_is_the_exact_overlap_where_no_faces_or_edges_are_nearly_parallel() -> None:
    rng = np.random.default_rng(0)
    first, second = random_boxes(rng, 600), random_boxes(rng, 600)
    turns = [np.stack([box_of(row, "intrinsic_zxy").rotation for row in rows]) for rows in (first, second)]
    cosines = np.abs(np.einsum("pji,pjk->pik", *turns))
    apart = ((cosines < 0.999) & (cosines > 0.03)).all(axis=(1, 2))
    theirs = authors_iou(corners_of(first), corners_of(second))
    assert apart.sum() > 300
    np.testing.assert_allclose(theirs[apart], exact(first, second)[apart], atol=1e-5)
    assert (theirs[apart] > 0.05).sum() > 50


def test_equal_and_axis_aligned_boxes_are_exact_too() -> None:
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 100)
    np.testing.assert_allclose(authors_iou(corners_of(boxes), corners_of(boxes)), 1.0, atol=1e-5)
    boxes[:, 6:] = 0
    grid = boxes.round(1)
    moved = grid + np.concatenate([rng.integers(-3, 4, (100, 3)) / 10, np.zeros((100, 6))], axis=1)
    np.testing.assert_allclose(authors_iou(corners_of(grid), corners_of(moved)), exact(grid, moved), atol=1e-5)


def test_boxes_that_are_nearly_parallel_get_other_scores_than_the_exact_ones() -> None:
    found = differences(400, seed=3)
    rounded = found["rounded to two decimals, as answers are"]
    assert rounded[0] > 0.97
    assert 0.1 < rounded[2] < 0.2  # a true box against its own rounding
    assert found["within 10 cm and half a degree"][3] > 0.2
    assert found["within 10 cm and 9 degrees"][2] < 1e-5


def test_a_sign_of_a_size_means_nothing_but_to_which_way_faces_are_halved() -> None:
    rng = np.random.default_rng(2)
    first = random_boxes(rng, 50)
    second = first + rng.normal(0, 0.1, first.shape)
    mirrored = second * np.array([1, 1, 1, -1, 1, -1, 1, 1, 1])
    plain = authors_iou(corners_of(first), corners_of(second))
    turned = authors_iou(corners_of(first), corners_of(mirrored))
    assert (np.abs(turned - plain) < 1e-4).mean() > 0.95
    assert (plain > 0.2).any()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({3: 0.0}, True),
        ({3: 0.01, 4: 0.019}, True),
        ({3: 0.01, 4: 0.021}, False),
        ({0: float("nan")}, True),
        ({4: float("inf")}, True),
        ({0: 1e30}, True),
        ({5: -1.0}, False),
    ],
)
def test_boxes_that_pytorch3d_refuses_overlap_nothing(changes: dict[int, float], wrong: bool) -> None:
    values = np.array([0.1, 0.2, 0.3, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    values[list(changes)] = list(changes.values())
    corners = corners_of(values[None])
    assert refused(corners).tolist() == [wrong]
    if wrong:
        assert authors_iou(corners, corners).tolist() == [0.0]


def test_no_pairs_and_boxes_far_apart_overlap_nothing() -> None:
    assert len(authors_iou(corners_of(np.zeros((0, 9))), corners_of(np.zeros((0, 9))))) == 0
    one = np.array([0.0, 0, 0, 1, 1, 1, 0, 0, 0])
    there = one + np.array([5.0, 0, 0, 0, 0, 0, 0.3, 0, 0])
    assert authors_iou(corners_of(one[None]), corners_of(there[None])).tolist() == [0.0]
