"""A matrix that is not a pose is refused with the reason; one that only lost decimals is mended."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.camera import is_rigid
from gapdata.geometry.rigidity import pose_fault, without_rounding
from tests.conftest import look_from

POSE = look_from((1.25, -0.5, 1.4), 0.7, 0.3)


def scaled(*factors: float) -> NDArray[np.float64]:
    return POSE @ np.diag([*factors, 1.0])


def rounded(decimals: int) -> NDArray[np.float64]:
    return POSE.round(decimals)


def changed(row: int, column: int, value: float) -> NDArray[np.float64]:
    matrix = POSE.copy()
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (scaled(1.37, 1.37, 1.37), "the rotation is scaled: its columns have length 1.37"),
        (scaled(0.001, 0.001, 0.001), "the rotation is scaled: its columns have length 0.001"),
        (scaled(1, 1, 1.2), "the columns of the rotation have lengths 1, 1, 1.2"),
        (scaled(1, 1, -1), "the axes are left-handed (determinant -1)"),
        (POSE.T, "the last column is 0 0 0 1 and the last row is not: the matrix is transposed"),
        (changed(3, 3, 2.0), "the last row is 0 0 0 2, not 0 0 0 1"),
        (rounded(1), "the rotation is written with one decimal: R R^T deviates by"),
        (changed(0, 0, 0.123456789), "the rotation is not orthogonal: R R^T deviates by"),
        (np.diag([0.0, 0.0, 0.0, 1.0]), "the rotation has a column of zeros"),
        (np.full((4, 4), -np.inf), "the pose has numbers that are not finite, as for lost tracking"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_the_reason_is_said(matrix: NDArray[np.float64], reason: str) -> None:
    assert not is_rigid(matrix)
    fault = pose_fault(matrix)
    assert fault is not None
    assert reason in fault[1]


def test_a_pose_has_no_fault() -> None:
    assert pose_fault(POSE) is None


@pytest.mark.parametrize("decimals", [2, 3])
def test_lost_decimals_are_mended_within_what_rounding_explains(decimals: int) -> None:
    rng = np.random.default_rng(1)
    angles = rng.uniform(-3, 3, size=(200, 2))
    poses = np.stack([look_from((0.1, 0.2, 0.3), yaw, pitch / 2) for yaw, pitch in angles])
    mended, replaced = without_rounding(poses.round(decimals))
    assert is_rigid(mended).all()
    assert replaced.any()
    apart = np.linalg.norm(mended[replaced, :3, :3] - poses[replaced, :3, :3], axis=(1, 2)) / np.sqrt(2)  # small angles
    assert np.degrees(apart).max() < 0.6 * 10.0 ** (2 - decimals)
    assert (mended[:, :3, 3] == poses[:, :3, 3].round(decimals)).all()


@pytest.mark.parametrize("matrix", [scaled(1.005, 1.005, 1.005), rounded(1), scaled(1, 1, -1), np.full((4, 4), np.nan)])
def test_nothing_else_is_mended(matrix: NDArray[np.float64]) -> None:
    mended, replaced = without_rounding(matrix[None])
    assert not replaced.any()
    np.testing.assert_array_equal(mended[0], matrix)
