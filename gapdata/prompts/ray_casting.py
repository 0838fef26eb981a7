"""Depth and object of every pixel of a labelled mesh, by rays through a tenth of them.

Rays go through every eighth pixel of every eighth row first. Where the four that enclose a cell lie on one plane of one
object, the pixels between are taken from that plane; other cells are halved, down to the single pixel. So large faces
cost next to nothing and borders are exact. What is smaller than a cell would fall between its rays, therefore

- every vertex of the mesh is projected, and one that lies before its cell's plane, or on it with another object,
  halves the cell: nothing with a vertex of its own is passed over;
- a cell of two pixels whose neighbour shows something else on their common edge is cast in full, and so on from cell to
  cell: what is thinner than a pixel and longer than a cell is followed along.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Annotation

FLATNESS = np.float32(0.01)
"""Twist of inverse depth over a cell, as a share of it, up to which its four corners count as lying on one plane."""
STEEPEST_RATIO = np.float32(1.1)
"""Ratio of depths within a cell beyond which it is no single surface."""
BEHIND = np.float32(0.002)
"""Share of inverse depth by which a vertex of another object may lie behind a cell's plane and still count as seen."""
BEFORE = np.float32(0.02)
"""Share of inverse depth by which a vertex of the same object may lie before a cell's plane: that bends its depth, not
its id."""
NEAR = np.float32(0.02)  # metres; vertices nearer than this are not projected
COARSEST = 8  # pixels


class MeshCaster:
    """Open3D's ray casting over one labelled mesh, on one thread: a build has a process for each core.

    A face carries the object id that at least two of its three vertices carry, else that of its first.
    """

    def __init__(self, annotation: Annotation) -> None:
        import open3d as o3d

        self._tensor = o3d.core.Tensor
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(
            o3d.core.Tensor(annotation.vertices), o3d.core.Tensor(annotation.faces.astype(np.uint32))
        )
        self._vertices = np.ascontiguousarray(annotation.vertices.T)  # (3, V) metres, world
        self._vertex_ids = annotation.vertex_object_ids()
        self._face_ids = _face_object_ids(annotation.faces, self._vertex_ids)

    def cast_image(
        self, camera: Intrinsics, camera_to_world: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """z-depth of the mesh, (H, W) metres, 0 where nothing is hit, and the object id there, -1 where none."""
        directions = _rays(camera) @ camera_to_world[:3, :3].T.astype(np.float32)
        origin = camera_to_world[:3, 3].astype(np.float32)
        inverse = np.zeros(directions.shape[:2], dtype=np.float32)
        ids = np.full(inverse.shape, -1, dtype=np.int32)
        coarse = (slice(None, None, COARSEST),) * 2
        inverse[coarse], ids[coarse] = self._cast(origin, directions[coarse])
        vertices = self._projected(camera, camera_to_world, inverse.shape)
        step = COARSEST
        while step > 1:
            grid, half = (slice(None, None, step),) * 2, step // 2
            flat = _flat_cells(inverse[grid], ids[grid])
            vertices = _halve_cells(flat, vertices, inverse[grid], ids[grid], step)
            pending = _fill_cells(flat, inverse[::half, ::half], ids[::half, ::half])
            self._cast_pending(
                pending, origin, directions[::half, ::half], inverse[::half, ::half], ids[::half, ::half]
            )
            step = half
        while _spread(flat, ids, pending):
            self._cast_pending(pending, origin, directions, inverse, ids)
        inverse, ids = inverse[: camera.height, : camera.width], ids[: camera.height, : camera.width]
        depth = np.zeros_like(inverse)
        np.divide(1.0, inverse, out=depth, where=inverse > 0)
        return depth, ids

    def _cast_pending(
        self,
        pending: NDArray[np.bool_],
        origin: NDArray[np.float32],
        directions: NDArray[np.float32],
        inverse: NDArray[np.float32],
        ids: NDArray[np.int32],
    ) -> None:
        rows, columns = np.nonzero(pending)
        inverse[rows, columns], ids[rows, columns] = self._cast(origin, directions[rows, columns])

    def _cast(
        self, origin: NDArray[np.float32], directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Inverse z-depth and object id (...) along directions (..., 3)."""
        rays = np.empty((*directions.shape[:-1], 6), dtype=np.float32)
        rays[..., :3], rays[..., 3:] = origin, directions
        hits = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        # Directions have z = 1 in the camera, so the distance along them is z-depth; a miss is at infinity.
        distance, face = hits["t_hit"].numpy(), hits["primitive_ids"].numpy()
        hit = np.isfinite(distance)
        ids = self._face_ids[np.where(hit, face, np.uint32(0))]
        return np.float32(1) / np.maximum(distance, np.float32(1e-6)), np.where(hit, ids, np.int32(-1))

    def _projected(
        self, camera: Intrinsics, camera_to_world: NDArray[np.float64], shape: tuple[int, ...]
    ) -> tuple[NDArray[Any], ...]:
        """Column, row, inverse depth and object id of the vertices within the (padded) image, (n,) each."""
        turn = camera_to_world[:3, :3].T.astype(np.float32)
        shift = (camera_to_world[:3, :3].T @ camera_to_world[:3, 3]).astype(np.float32)
        z = turn[2] @ self._vertices - shift[2]
        seen = np.flatnonzero(z > NEAR)
        inverse = np.float32(1) / z[seen]
        x, y = turn[:2] @ self._vertices[:, seen] - shift[:2, None]
        u = x * inverse * np.float32(camera.fx) + np.float32(camera.cx)
        v = y * inverse * np.float32(camera.fy) + np.float32(camera.cy)
        inside = np.flatnonzero((u >= 0) & (v >= 0) & (u < shape[1] - 1) & (v < shape[0] - 1))
        return u[inside], v[inside], inverse[inside], self._vertex_ids[seen[inside]]


def _flat_cells(inverse: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which cells of the grid (h, w) lie on one plane of one object, (h - 1, w - 1)."""
    a, b, c, d = inverse[:-1, :-1], inverse[:-1, 1:], inverse[1:, :-1], inverse[1:, 1:]
    one_object = (ids[:-1, :-1] == ids[:-1, 1:]) & (ids[:-1, :-1] == ids[1:, :-1]) & (ids[:-1, :-1] == ids[1:, 1:])
    low, high = np.minimum(np.minimum(a, b), np.minimum(c, d)), np.maximum(np.maximum(a, b), np.maximum(c, d))
    straight = np.abs(a - b - c + d) <= FLATNESS * low
    return one_object & (low > 0) & straight & (high <= low * STEEPEST_RATIO)


def _halve_cells(
    flat: NDArray[np.bool_],
    vertices: tuple[NDArray[Any], ...],
    inverse: NDArray[np.float32],
    ids: NDArray[np.int32],
    step: int,
) -> tuple[NDArray[Any], ...]:
    """Clear ``flat`` where a vertex lies before the cell's plane, or on it with another object.

    Returns:
        The vertices in cells that are not flat: only they can matter to smaller cells.
    """
    u, v, near, owner = vertices
    column, row = u / np.float32(step), v / np.float32(step)
    j, i = column.astype(np.intp), row.astype(np.intp)
    right, down = column - j, row - i
    corner = inverse[i, j]
    plane = corner + right * (inverse[i, j + 1] - corner) + down * (inverse[i + 1, j] - corner)
    odd = near > plane * np.where(owner == ids[i, j], 1 + BEFORE, 1 - BEHIND)
    flat[i[odd], j[odd]] = False
    kept = ~flat[i, j]
    return u[kept], v[kept], near[kept], owner[kept]


def _fill_cells(flat: NDArray[np.bool_], inverse: NDArray[np.float32], ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Fill the middles of flat cells in the grid of half the step, and say which of its points are yet to be cast: the
    middles of other cells and of their edges."""
    pending = np.zeros(inverse.shape, dtype=bool)
    a, right, below = inverse[:-2:2, :-2:2], inverse[:-2:2, 2::2], inverse[2::2, :-2:2]
    owner = ids[:-2:2, :-2:2]
    half = np.float32(0.5)
    for top, left, between in ((0, 1, a + right), (1, 0, a + below), (1, 1, right + below)):
        inside = (slice(top, -1, 2), slice(left, -1, 2))
        inverse[inside] = between * half
        ids[inside] = owner
        pending[inside] = ~flat
    pending[2::2, 1::2] |= ~flat
    pending[1::2, 2::2] |= ~flat
    # The last column and row belong to no cell's upper left.
    pending[-1, 1::2] = pending[1::2, -1] = True
    return pending


def _spread(flat: NDArray[np.bool_], ids: NDArray[np.int32], pending: NDArray[np.bool_]) -> bool:
    """Find cells of two pixels that were filled though the middle of an edge shows another object; they are flat no
    longer, and ``pending`` becomes what of them is to be cast. False where there is none."""
    owner = ids[:-2:2, :-2:2]
    edges = (ids[:-2:2, 1::2], ids[1::2, :-2:2], ids[2::2, 1::2], ids[1::2, 2::2])
    crossed = flat & ((edges[0] != owner) | (edges[1] != owner) | (edges[2] != owner) | (edges[3] != owner))
    if not crossed.any():
        return False
    flat &= ~crossed
    pending[:] = False
    for view in (
        pending[:-2:2, 1::2],
        pending[1::2, :-2:2],
        pending[1::2, 1::2],
        pending[2::2, 1::2],
        pending[1::2, 2::2],
    ):
        view |= crossed
    return True


@lru_cache(maxsize=4)
def _rays(camera: Intrinsics) -> NDArray[np.float32]:
    """Directions (h, w, 3) of all pixels and of some beyond the right and lower borders: whole cells and one more."""
    width, height = (-(-(side - 1) // COARSEST) * COARSEST + 1 for side in (camera.width, camera.height))
    padded = camera.cropped(0, 0, max(width, COARSEST + 1), max(height, COARSEST + 1))
    rays = padded.rays().astype(np.float32)
    rays.flags.writeable = False
    return rays


def _face_object_ids(faces: NDArray[np.int32], vertex_ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """(T,) int32 object id of every face, -1 where none."""
    corner = vertex_ids[faces]
    return np.where(corner[:, 1] == corner[:, 2], corner[:, 1], corner[:, 0])
