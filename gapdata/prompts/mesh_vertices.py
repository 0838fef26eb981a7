"""Project the vertices of a mesh that a camera may see.

They are kept brick by brick, so that a frame of a large scan does not touch the vertices of other rooms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Annotation

BRICK = np.float32(0.5)  # metres
RADIUS = np.float32(0.5 * 3**0.5) * BRICK
NEAR = np.float32(0.02)  # metres; vertices nearer than this are not projected


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedVertices:
    """Vertices within an image, (n,) each."""

    column: NDArray[np.float32]
    row: NDArray[np.float32]
    nearness: NDArray[np.float32]  # inverse z-depth, per metre
    value: NDArray[np.uint16]  # object id + 1, 0 where none


class MeshVertices:
    """All vertices of a labelled mesh."""

    def __init__(self, annotation: Annotation) -> None:
        lowest = annotation.vertices.min(axis=0, initial=0)
        cell = ((annotation.vertices - lowest) / BRICK).astype(np.int64)
        counts = cell.max(axis=0, initial=0) + 1
        # Only bricks that hold a vertex are kept; their number comes from the vertices', not from the room's extent.
        used, brick = np.unique((cell[:, 0] * counts[1] + cell[:, 1]) * counts[2] + cell[:, 2], return_inverse=True)
        places = np.stack([used // (counts[1] * counts[2]), used // counts[2] % counts[1], used % counts[2]], axis=1)
        self._centers = (places + 0.5).astype(np.float32) * BRICK + lowest  # (B, 3) metres, world
        order = np.argsort(brick, kind="stable")
        self._starts = np.searchsorted(brick[order], np.arange(len(used) + 1))
        self._vertices = np.ascontiguousarray(annotation.vertices[order].T)  # (3, V) metres, world
        self._values = (annotation.vertex_object_ids()[order] + 1).astype(np.uint16)

    def project(self, camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> ProjectedVertices:
        """Project the vertices between the centres of the image's outermost pixels, before the camera.

        Occlusion does not matter here.
        """
        turn = camera_to_world[:3, :3].T.astype(np.float32)
        origin = camera_to_world[:3, 3].astype(np.float32)
        fx, fy, cx, cy = map(np.float32, (camera.fx, camera.fy, camera.cx, camera.cy))
        right, below = np.float32(camera.width - 1), np.float32(camera.height - 1)
        x, y, z = turn @ (self._centers - origin).T
        met = z > NEAR - RADIUS
        for across, focal, edge in ((-x, fx, cx), (x, fx, right - cx), (-y, fy, cy), (y, fy, below - cy)):
            # Distance beyond the plane through the camera and one edge of the image.
            met &= focal * across - edge * z <= RADIUS * np.hypot(focal, edge)
        chosen = self._of_bricks(np.flatnonzero(met))
        x, y, z = turn @ (np.take(self._vertices, chosen, axis=1) - origin[:, None])
        nearness = np.float32(1) / np.maximum(z, NEAR)
        u, v = x * nearness * fx + cx, y * nearness * fy + cy
        inside = np.flatnonzero((z > NEAR) & (u >= 0) & (v >= 0) & (u < right) & (v < below))
        return ProjectedVertices(
            column=np.take(u, inside),
            row=np.take(v, inside),
            nearness=np.take(nearness, inside),
            value=np.take(self._values, np.take(chosen, inside)),
        )

    def _of_bricks(self, bricks: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the places of all vertices in the bricks."""
        starts, counts = self._starts[bricks], self._starts[bricks + 1] - self._starts[bricks]
        before = np.cumsum(counts) - counts
        return np.asarray(np.arange(counts.sum()) + np.repeat(starts - before, counts))
