"""Compute the area that a box covers in an image.

The projection of a box is the convex hull of its projected corners, as long as all are in front of the camera. A box
that reaches behind it is cut at a near plane first; then the corners no longer give the hull. One method serves both
cases: a ray that meets the cut box leaves it through exactly one face, so the faces that look away from the camera,
each cut at the near plane and at the image's borders, cover the projection once. This holds inside the box, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics

NEAR = 0.05  # metres
# Corners around the six faces of the unit cube: faces -x, +x, -y, +y, -z, +z.
_RING = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
_FACES = np.stack([np.insert(_RING, axis, side, axis=1) for axis in range(3) for side in (-0.5, 0.5)])  # (6, 4, 3)


def projected_area(
    box: OrientedBox, camera: Intrinsics, world_to_camera: NDArray[np.floating], near: float = NEAR
) -> NDArray[np.float64]:
    """Return the pixels that a box covers in each of several frames, (F,) float64.

    The area is exact: fractions of border pixels count.

    Args:
        box: in the world.
        camera: of all frames.
        world_to_camera: (F, 4, 4).
        near: metres; parts that are nearer to the camera's plane are cut off.
    """
    poses = np.asarray(world_to_camera, dtype=np.float64)
    turn = poses[:, :3, :3] @ box.rotation  # (F, 3, 3) box axes to camera
    center = poses[:, :3, :3] @ box.center + poses[:, :3, 3]
    faces = np.einsum("fij,skj->fski", turn, _FACES * box.size) + center[:, None, None, :]  # (F, 6, 4, 3)
    # Distance of the camera from each face's plane, on its inner side: positive where the face looks away. By the axes
    # and not by the corners, so that a box without thickness has one such face of the two.
    along = np.einsum("fij,fi->fj", turn, center)
    inner = np.stack([box.size / 2 - along, box.size / 2 + along], axis=-1).reshape(len(poses), 6)
    polygons = faces.reshape(-1, 4, 3)
    polygons, empty = _cut(polygons, polygons[..., 2] - near)
    z = np.maximum(polygons[..., 2:], near)
    pixels = polygons[..., :2] / z * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    # Pixel centres are whole numbers: the image reaches half a pixel further.
    for axis, side in ((0, camera.width), (1, camera.height)):
        for sign, reach in ((1.0, 0.5), (-1.0, side - 0.5)):
            pixels, outside = _cut(pixels, sign * pixels[..., axis] + reach)
            empty |= outside
    area = np.where(empty, 0.0, _polygon_area(pixels)).reshape(len(poses), 6)
    return np.asarray(np.where(inner > 0, area, 0.0).sum(axis=1))


def _cut(polygons: NDArray[np.float64], inside: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cut convex polygons (N, K, D) by a line or plane (Sutherland and Hodgman 1974).

    Args:
        polygons: corners in order; one may be repeated.
        inside: (N, K) signed distance of each corner, positive on the side that is kept.

    Returns:
        (N, K + 1, D) corners, the last one repeated to fill up, and (N,) which polygons have nothing left.
    """
    following, beyond = np.roll(polygons, -1, axis=1), np.roll(inside, -1, axis=1)
    kept, crosses = inside >= 0, (inside >= 0) != (beyond >= 0)
    share = np.divide(inside, inside - beyond, out=np.zeros_like(inside), where=crosses)
    crossing = polygons + share[..., None] * (following - polygons)
    count, corners, dimensions = polygons.shape
    candidates = np.stack([polygons, crossing], axis=2).reshape(count, 2 * corners, dimensions)
    valid = np.stack([kept, crosses], axis=2).reshape(count, 2 * corners)
    total = valid.sum(axis=1)
    order = np.argsort(~valid, axis=1, kind="stable")
    slots = np.minimum(np.arange(corners + 1), np.maximum(total - 1, 0)[:, None])
    chosen = np.take_along_axis(order, slots, axis=1)
    return np.take_along_axis(candidates, chosen[..., None], axis=1), total == 0


def _polygon_area(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area (N,) of polygons (N, K, 2), in either orientation."""
    x, y = np.moveaxis(corners, -1, 0)
    return np.asarray(np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)) / 2)
