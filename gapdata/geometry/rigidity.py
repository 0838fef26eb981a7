"""Say why a matrix is not a pose, and mend poses that were only rounded.

A rotation with numbers that were rounded to d decimals deviates: ``R @ R.T`` differs from the identity by up to
``2 * sqrt(3) * 0.5 * 10**-d`` (each entry sums three products of an error with a unit row, for both factors), 0.017 for
two decimals. The nearest rotation is then right to a quarter of a degree, which is less than trackers are off. One
decimal is not enough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import RIGID_TOLERANCE, is_rigid

ROUNDED_DECIMALS = (3, 2)
MOST_DECIMALS = 6
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
ROUNDING = 2 * np.sqrt(3) * 0.5
LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])


def without_rounding(matrices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Replace rotations that deviate because they were written with two or three decimals by the nearest rotations.

    Args:
        matrices: (N, 4, 4) poses, of which some may not be finite.

    Returns:
        (N, 4, 4), and (N,) which were replaced.
    """
    finite = np.isfinite(matrices).all(axis=(1, 2))
    candidates = np.flatnonzero(finite & ~is_rigid(matrices))
    rotation = matrices[candidates, :3, :3]
    last_row = np.abs(matrices[candidates, 3] - LAST_ROW).max(axis=-1, initial=0.0) < RIGID_TOLERANCE
    rounded = np.zeros(len(candidates), dtype=bool)
    for decimals in ROUNDED_DECIMALS:
        exact = np.abs(rotation - rotation.round(decimals)).max(axis=(1, 2), initial=0.0) < 1e-9
        rounded |= exact & (_deviation(rotation) <= ROUNDING * 10.0**-decimals)
    chosen = rounded & last_row & (np.linalg.det(rotation) > 0)
    mended = matrices.copy()
    left, _, right = np.linalg.svd(rotation[chosen])
    mended[candidates[chosen], :3, :3] = left @ right
    replaced = np.zeros(len(matrices), dtype=bool)
    replaced[candidates[chosen]] = True
    return mended, replaced


def pose_fault(matrix: NDArray[np.float64]) -> tuple[str, str, str] | None:
    """Return why a (4, 4) matrix is not a rigid pose.

    Returns:
        A name for counting, the fault in words, and what to do; ``None`` for a rigid pose.
    """
    if bool(is_rigid(matrix)):
        return None
    if not np.isfinite(matrix).all():
        return "lost_tracking", "the pose has numbers that are not finite, as for lost tracking", "leave the scene out"
    rotation, last = matrix[:3, :3], matrix[3]
    if np.abs(last - LAST_ROW).max() >= RIGID_TOLERANCE:
        if np.abs(matrix[:, 3] - LAST_ROW).max() < RIGID_TOLERANCE:
            fault = "the last column is 0 0 0 1 and the last row is not: the matrix is transposed"
            return "pose_transposed", fault, "write poses row by row"
        row = " ".join(f"{value:.4g}" for value in last)
        return "pose_last_row", f"the last row is {row}, not 0 0 0 1", "write rigid 4x4 poses"
    lengths = np.linalg.norm(rotation, axis=0)
    if lengths.min() < RIGID_TOLERANCE:
        return "pose_without_rotation", "the rotation has a column of zeros", "write rigid 4x4 poses"
    scaleless = rotation / lengths
    orthogonal = _deviation(scaleless.T) < RIGID_TOLERANCE
    if orthogonal and np.abs(lengths - 1).max() >= RIGID_TOLERANCE / 2:
        if np.ptp(lengths) < RIGID_TOLERANCE * lengths.max():
            fault = f"the rotation is scaled: its columns have length {lengths.mean():.4g}"
        else:
            fault = f"the columns of the rotation have lengths {', '.join(f'{length:.4g}' for length in lengths)}"
        return "pose_with_scale", fault, "divide each column of the rotation by its length"
    if orthogonal and np.linalg.det(rotation) < 0:
        fault = "the axes are left-handed (determinant -1)"
        return "pose_left_handed", fault, "mirror one axis of camera and world"
    fault = f"the rotation is not orthogonal: R R^T deviates by {_deviation(rotation):.2g}"
    decimals = next((d for d in range(MOST_DECIMALS) if np.abs(rotation - rotation.round(d)).max() < 1e-9), None)
    if decimals is not None and decimals < MOST_DECIMALS - 2:
        plural = "" if decimals == 1 else "s"
        written = f"the rotation is written with {NUMBERS[decimals]} decimal{plural}"
        fault = f"{written}: R R^T deviates by {_deviation(rotation):.2g}"
    return "pose_not_a_rotation", fault, "write rotations with six decimals or more"


def _deviation(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest entry (...) of ``R @ R.T`` minus the identity."""
    product = rotation @ np.swapaxes(rotation, -1, -2)
    return np.asarray(np.abs(product - np.eye(3)).max(axis=(-2, -1), initial=0.0))
