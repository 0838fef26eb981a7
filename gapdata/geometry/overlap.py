"""Compute the exact volume overlap of oriented boxes, for many pairs at once.

In the frame of B, with half extents h, the overlap of A and B is the integral of the divergence of the field
``(0, 0, clamp(z, -h_z, h_z))`` over the part of A that lies in B's upright column. The field has no flow through the
column's walls, so by the divergence theorem only the faces of A count::

    V = sum over the faces of A of  integral of clamp(z, -h_z, h_z) dx dy  over the face within the column,

where ``dx dy`` is signed by the side that the face shows. Each face is clipped by the four walls (Sutherland and
Hodgman 1974) and integrated in closed form. No face of one box is ever compared with a face of the other: a face in a
wall's plane has no extent in x and y, and the clamp is continuous where a face lies in a lid's plane. So boxes that
touch, share planes or coincide need no special case, and rounding errors stay small (the textbook way, clipping the
faces of both boxes, counts a shared face twice or never).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox

Array = NDArray[np.float64]
BoxArrays = tuple[Array, Array, Array]
"""Centres (P, 3), full extents (P, 3), rotations (P, 3, 3)."""

MAX_VERTICES = 10
"""A quadrilateral clipped by five planes has at most nine vertices."""
PAIRS_AT_ONCE = 4096
"""Pairs that are computed at once, each with 6 x 10 vertices: about 50 MB with the results of clipping."""
FAR = 1e6
"""Metres from which a coordinate or an extent is impossible in a room; its square must not overflow."""

_SIGNS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def pairwise_iou(first: list[OrientedBox], second: list[OrientedBox]) -> Array:
    """Return the intersection over union of each of ``first`` with each of ``second``, (M, N).

    It is 0 for boxes without volume.
    """
    if not first or not second:
        return np.zeros((len(first), len(second)))
    rows, columns = np.divmod(np.arange(len(first) * len(second)), len(second))
    a, b = stack_boxes(first), stack_boxes(second)
    return paired_iou(take(a, rows), take(b, columns)).reshape(len(first), len(second))


def paired_iou(a: BoxArrays, b: BoxArrays) -> Array:
    """Return the intersection over union (P,) of each box of ``a`` with the box of ``b`` at its place.

    It is 0 where a box has an extent that is not positive, or a number that is not finite or beyond a thousand
    kilometres.
    """
    iou = np.zeros(len(a[0]))
    valid = _usable(a) & _usable(b)
    overlap = intersection_volumes(*take(a, valid), *take(b, valid))
    union = a[1][valid].prod(axis=-1) + b[1][valid].prod(axis=-1) - overlap
    iou[valid] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return np.clip(iou, 0.0, 1.0)


def intersection_volumes(
    center_a: Array, size_a: Array, rotation_a: Array, center_b: Array, size_b: Array, rotation_b: Array
) -> Array:
    """Return the volumes (P,) of the intersections of P pairs of boxes.

    A pair with an extent that is not positive has volume 0.

    Args:
        center_a: (P, 3) metres.
        size_a: (P, 3) full extents, metres.
        rotation_a: (P, 3, 3) box axes to the common frame.
        center_b: (P, 3) metres.
        size_b: (P, 3) full extents, metres.
        rotation_b: (P, 3, 3) box axes to the common frame.
    """
    a, b = (center_a, size_a, rotation_a), (center_b, size_b, rotation_b)
    volumes = np.zeros(len(center_a))
    usable = np.flatnonzero(_usable(a) & _usable(b))
    reach = (np.linalg.norm(size_a[usable], axis=-1) + np.linalg.norm(size_b[usable], axis=-1)) / 2
    near = usable[np.linalg.norm(center_a[usable] - center_b[usable], axis=-1) < reach]
    for start in range(0, len(near), PAIRS_AT_ONCE):
        part = near[start : start + PAIRS_AT_ONCE]
        volumes[part] = _volumes(take(a, part), take(b, part))
    return np.maximum(volumes, 0.0)


def stack_boxes(boxes: list[OrientedBox]) -> BoxArrays:
    """Return boxes as arrays."""
    return (
        np.array([box.center for box in boxes], dtype=np.float64).reshape(-1, 3),
        np.array([box.size for box in boxes], dtype=np.float64).reshape(-1, 3),
        np.array([box.rotation for box in boxes], dtype=np.float64).reshape(-1, 3, 3),
    )


def take(boxes: BoxArrays, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> BoxArrays:
    """Return some of the boxes, by position or mask."""
    return boxes[0][chosen], boxes[1][chosen], boxes[2][chosen]


def _usable(boxes: BoxArrays) -> NDArray[np.bool_]:
    center, size, rotation = boxes
    with np.errstate(invalid="ignore"):
        inside = (np.abs(center) < FAR).all(axis=-1) & (size > 0).all(axis=-1) & (size < FAR).all(axis=-1)
    return np.asarray(inside & np.isfinite(rotation).all(axis=(-1, -2)))


def _volumes(a: BoxArrays, b: BoxArrays) -> Array:
    """Return the volumes (P,) of intersections of boxes with usable numbers."""
    # In the frame of B, centred on B: coordinates stay small and B's planes are axis-aligned.
    relative = np.swapaxes(b[2], -1, -2)
    center = np.einsum("pij,pj->pi", relative, a[0] - b[0])
    faces = _faces(center, a[1] / 2, relative @ a[2])
    half = np.repeat(b[1] / 2, 6, axis=0)
    polygon, count = np.zeros((len(faces), MAX_VERTICES, 3)), np.full(len(faces), 4)
    polygon[:, :4] = faces
    for axis in (0, 1):
        for sign in (-1.0, 1.0):
            polygon, count = _clip(polygon, count, sign * polygon[..., axis] - half[:, None, axis])
    # clamp(z, -h, h) = z - max(z - h, 0) + max(-h - z, 0)
    total = _integral(polygon, count, polygon[..., 2])
    for sign in (-1.0, 1.0):
        beyond, corners = _clip(polygon, count, half[:, None, 2] - sign * polygon[..., 2])
        total -= _integral(beyond, corners, beyond[..., 2] - sign * half[:, None, 2])
    return np.asarray(total.reshape(-1, 6).sum(axis=1))


def _faces(center: Array, half: Array, rotation: Array) -> Array:
    """Return the faces (P * 6, 4, 3) of boxes, corners counter-clockwise seen from outside."""
    faces = np.empty((len(center), 6, 4, 3))
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side, sign in enumerate((-1.0, 1.0)):
            turn = _SIGNS if sign > 0 else _SIGNS[::-1]
            middle = center + sign * rotation[:, :, axis] * half[:, None, axis]
            along_u = (turn[None, :, :1] * half[:, u, None, None]) * rotation[:, None, :, u]
            along_v = (turn[None, :, 1:] * half[:, v, None, None]) * rotation[:, None, :, v]
            faces[:, 2 * axis + side] = middle[:, None] + along_u + along_v
    return faces.reshape(-1, 4, 3)


def _clip(vertices: Array, count: NDArray[np.int64], distance: Array) -> tuple[Array, NDArray[np.int64]]:
    """Clip convex polygons (N, MAX_VERTICES, 3) of ``count`` (N,) vertices where ``distance`` (N, MAX_VERTICES) > 0."""
    slots = np.arange(MAX_VERTICES)
    real = slots < count[:, None]
    following = np.where(slots + 1 < count[:, None], slots + 1, 0)
    next_vertex = np.take_along_axis(vertices, following[..., None], axis=1)
    next_distance = np.take_along_axis(distance, following, axis=1)
    inside, next_inside = distance <= 0, next_distance <= 0
    crosses = real & (inside != next_inside)
    step = np.divide(distance, distance - next_distance, out=np.zeros_like(distance), where=crosses)
    crossing = vertices + step[..., None] * (next_vertex - vertices)
    # Each edge emits its start if inside, then its crossing; what was emitted moves to the front.
    both = np.stack([vertices, crossing], axis=2).reshape(len(vertices), 2 * MAX_VERTICES, 3)
    keep = np.stack([real & inside, crosses], axis=2).reshape(len(vertices), 2 * MAX_VERTICES)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :MAX_VERTICES]
    return np.take_along_axis(both, order[..., None], axis=1), np.minimum(keep.sum(axis=1), MAX_VERTICES)


def _integral(vertices: Array, count: NDArray[np.int64], height: Array) -> Array:
    """Integrate heights (N, MAX_VERTICES), linear on each polygon, over x and y: (N,), signed by orientation."""
    real = np.arange(MAX_VERTICES) < count[:, None]
    spokes = np.where(real[..., None], vertices[..., :2] - vertices[:, :1, :2], 0.0)
    areas = (spokes[:, 1:-1, 0] * spokes[:, 2:, 1] - spokes[:, 1:-1, 1] * spokes[:, 2:, 0]) / 2  # of a fan of triangles
    means = (height[:, :1] + height[:, 1:-1] + height[:, 2:]) / 3
    return np.asarray(np.where(real[:, 2:], areas * means, 0.0).sum(axis=1))
