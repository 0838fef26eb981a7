"""Compute with oriented boxes: centre, full size and a rotation matrix; Euler angles only with a named convention.

Data sets read nine numbers (centre, size, three angles a, b, c) in two ways, and the two give different boxes:

* ``extrinsic_zxy``: ``R = Ry(c) @ Rx(b) @ Rz(a)``, scipy's lower-case ``"zxy"``; VG-LLM's first data and GAP-MLLM's
sample.
* ``intrinsic_zxy``: ``R = Rz(a) @ Rx(b) @ Ry(c)``, scipy's and pytorch3d's ``"ZXY"``; EmbodiedScan, Open3D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapdata.geometry.camera import transform
from gapdata.runtime.choices import check_choice

EulerConvention = Literal["extrinsic_zxy", "intrinsic_zxy"]

EQUAL_AREA = 1.02
"""Factor by which the ground area of another box around an object may be larger for it to be as good."""
_Rectangles = tuple[NDArray[np.float64], ...]
_CORNER_SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
BOX_EDGES = np.array([(a, a | bit) for bit in (4, 2, 1) for a in range(8) if not a & bit])
"""The pairs of a box's corners (:func:`box_corners`) that an edge joins, (12, 2): their positions differ in one bit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrientedBox:
    """A box in some frame, metres."""

    center: NDArray[np.float64]  # (3,)
    size: NDArray[np.float64]  # (3,) full extents along the box's own axes
    rotation: NDArray[np.float64]  # (3, 3) box axes to the frame

    def transformed(self, matrix: NDArray[np.floating]) -> OrientedBox:
        """Return the same box in another frame, through a rigid (4, 4) transform."""
        return OrientedBox(
            center=transform(matrix, self.center), size=self.size, rotation=matrix[:3, :3] @ self.rotation
        )

    @property
    def corners(self) -> NDArray[np.float64]:
        """The eight corners, (8, 3) metres, in the frame that the box is in."""
        return box_corners(self.center, self.size, self.rotation)


def box_corners(center: ArrayLike, size: ArrayLike, rotation: ArrayLike) -> NDArray[np.float64]:
    """Return the eight corners (..., 8, 3) of boxes; the last axis of the box varies fastest."""
    local = _CORNER_SIGNS * np.asarray(size, dtype=np.float64)[..., None, :]
    return np.asarray(
        local @ np.swapaxes(np.asarray(rotation, dtype=np.float64), -1, -2) + np.asarray(center)[..., None, :]
    )


def rotation_from_euler(angles: ArrayLike, convention: EulerConvention) -> NDArray[np.float64]:
    """Convert angles (..., 3) = (a, b, c) in radians to rotation matrices (..., 3, 3)."""
    values = np.asarray(angles, dtype=np.float64)
    rz, rx, ry = _axis_rotation(values[..., 0], 2), _axis_rotation(values[..., 1], 0), _axis_rotation(values[..., 2], 1)
    _check_convention(convention)
    return ry @ rx @ rz if convention == "extrinsic_zxy" else rz @ rx @ ry


def euler_from_rotation(rotation: ArrayLike, convention: EulerConvention) -> NDArray[np.float64]:
    """Convert rotation matrices (..., 3, 3) to angles (..., 3) = (a, b, c) in radians.

    b lies in [-pi/2, pi/2], and c is 0 at the poles.
    """
    _check_convention(convention)
    matrix = np.asarray(rotation, dtype=np.float64)
    if convention == "extrinsic_zxy":
        # Ry(c) Rx(b) Rz(a) transposed is Rz(-a) Rx(-b) Ry(-c): one decomposition serves both.
        return -euler_from_rotation(np.swapaxes(matrix, -1, -2), "intrinsic_zxy") + 0.0
    level = np.hypot(matrix[..., 2, 0], matrix[..., 2, 2])
    b = np.arctan2(matrix[..., 2, 1], level)
    pole = level < 1e-9
    a = np.where(
        pole,
        np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0]),
        np.arctan2(-matrix[..., 0, 1], matrix[..., 1, 1]),
    )
    c = np.where(pole, 0.0, np.arctan2(-matrix[..., 2, 0], matrix[..., 2, 2]))
    return np.stack([a, b, c], axis=-1)


def axis_aligned_box(points: NDArray[np.floating]) -> OrientedBox:
    """Return the box along the axes around points (N, 3).

    Of an object's vertices *after* axis alignment it is ScanRefer's and Scan2Cap's ground truth; the box of the
    unaligned vertices, turned afterwards, is a different and larger one.
    """
    values = np.asarray(points, dtype=np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    return OrientedBox(center=(low + high) / 2, size=high - low, rotation=np.eye(3))


def upright_box(points: NDArray[np.floating]) -> OrientedBox:
    """Return the smallest box around points (N, 3) that stands upright on the z axis, by its ground area.

    One side of the smallest enclosing rectangle lies on an edge of the convex hull (Freeman and Shapira 1975), so
    every hull edge is tried. Of the equivalent yaw angles the one in (-45, 45] degrees is returned.
    """
    return _smallest(points, _rectangles(points))


def upright_box_and_slack(points: NDArray[np.floating]) -> tuple[OrientedBox, tuple[float, float]]:
    """Return what :func:`upright_box` and :func:`turn_slack` return for points (N, 3), in little more time than one."""
    rectangles = _rectangles(points)
    return _smallest(points, rectangles), _slack(points, rectangles)


def _smallest(points: NDArray[np.floating], rectangles: _Rectangles) -> OrientedBox:
    axes, low, high, origin = rectangles
    best = int(np.argmin(np.prod(high - low, axis=-1)))
    bottom, top = float(points[:, 2].min()), float(points[:, 2].max())
    middle = axes[best].T @ ((low[best] + high[best]) / 2) + origin
    rotation = np.eye(3)
    rotation[:2, :2] = axes[best].T
    return OrientedBox(
        center=np.array([middle[0], middle[1], (bottom + top) / 2]),
        size=np.array([*(high[best] - low[best]), top - bottom]),
        rotation=rotation,
    )


def turn_slack(points: NDArray[np.floating]) -> tuple[float, float]:
    """Return how far the box of :func:`upright_box` could as well lie elsewhere, because another one is as small.

    Around something round, or with as many corners as one likes, there are upright boxes of the same ground area at
    several yaw angles; which is the smallest is decided by the last digit of the points (N, 3).

    Returns:
        The metres by which a side of any box of nearly the same ground area lies elsewhere, in any direction, and the
        metres by which its longest side is longer or shorter. Both are 0 where there is one smallest box.
    """
    return _slack(points, _rectangles(points))


def _slack(points: NDArray[np.floating], rectangles: _Rectangles) -> tuple[float, float]:
    axes, low, high, _ = rectangles
    area = np.prod(high - low, axis=-1)
    best, equal = int(np.argmin(area)), np.flatnonzero(area <= EQUAL_AREA * area.min())
    half, middle = (high - low) / 2, np.einsum("eak,ea->ek", axes, (low + high) / 2)
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    # How far a rectangle reaches in a direction: its middle, and half of each side, seen from there.
    reach = middle[equal] @ ways.T + np.einsum("ea,eaw->ew", half[equal], np.abs(axes[equal] @ ways.T))
    height = float(np.ptp(points[:, 2]))
    longest = np.maximum(2 * half[equal].max(axis=-1), height)
    place = int(np.flatnonzero(equal == best)[0])
    return float(np.abs(reach - reach[place]).max()), float(np.abs(longest - longest[place]).max())


def _rectangles(points: NDArray[np.floating]) -> _Rectangles:
    """Return the rectangles around points (N, 3), seen from above, that have a side on an edge of the convex hull.

    Returns:
        Of each of E, its two axes (E, 2, 2), the lowest and the highest coordinates along them (E, 2), and the origin
        (2,) that these are counted from.
    """
    import cv2

    ground = np.asarray(points, dtype=np.float64)[:, :2]
    origin = ground.mean(axis=0)
    hull = cv2.convexHull((ground - origin).astype(np.float32))[:, 0, :].astype(np.float64)
    edges = np.roll(hull, -1, axis=0) - hull
    yaw = np.arctan2(edges[:, 1], edges[:, 0]) if len(hull) > 2 else np.zeros(1)
    yaw = np.mod(yaw + np.pi / 4, np.pi / 2) - np.pi / 4
    axes = np.stack([np.stack([np.cos(yaw), np.sin(yaw)], -1), np.stack([-np.sin(yaw), np.cos(yaw)], -1)], axis=1)
    along = np.einsum("eak,pk->eap", axes, ground - origin if len(hull) <= 2 else hull)
    low, high = along.min(axis=-1), along.max(axis=-1)
    return axes, low, high, origin


def aligned_iou(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the intersection over union (N, M) of boxes along common axes, (N, 6) and (M, 6) centre and size."""
    a, b = np.asarray(one, dtype=np.float64)[:, None], np.asarray(other, dtype=np.float64)[None]
    low = np.maximum(a[..., :3] - a[..., 3:] / 2, b[..., :3] - b[..., 3:] / 2)
    high = np.minimum(a[..., :3] + a[..., 3:] / 2, b[..., :3] + b[..., 3:] / 2)
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = np.prod(a[..., 3:], axis=-1) + np.prod(b[..., 3:], axis=-1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _axis_rotation(angle: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return right-handed rotations (..., 3, 3) about one coordinate axis."""
    matrix = np.zeros((*np.shape(angle), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[..., axis, axis] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -np.sin(angle)
    return matrix


def _check_convention(convention: str) -> None:
    check_choice("Euler convention", convention, get_args(EulerConvention))
