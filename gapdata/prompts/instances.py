"""Instance masks: which annotated object every pixel of a frame shows.

There are two routes, and a recipe chooses: :class:`InstanceRenderer` casts rays onto the labelled mesh,
:class:`gapdata.prompts.projected.ProjectedInstances` reads the projections that ScanNet publishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Annotation

FLATNESS = np.float32(0.01)
"""Twist of inverse depth over a cell, as a share of it, up to which its four corners count as lying on one plane."""
STEEPEST_RATIO = np.float32(1.1)
"""Ratio of depths within a cell beyond which it is no single surface."""


class InstanceMasks(Protocol):
    """Either route."""

    @property
    def notes(self) -> Mapping[str, int]:
        """What was met and handled so far, by name, with how often."""
        ...

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """(H, W) uint16 object id + 1, 0 where none.

        Args:
            frame: raw index.
            camera: of the stored frame.
            camera_to_world: (4, 4) in the scan's world.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid.

        Raises:
            SourceError: the frame's mask is missing or damaged.
        """
        ...


class InstanceRenderer:
    """Casts a ray through every pixel of a posed camera onto a scene's labelled mesh (Open3D's ray casting).

    A face carries the object id that at least two of its three vertices carry, else that of its first.

    Args:
        annotation: the labelled mesh.
        tolerance: metres by which mesh and sensor depth may differ before the pixel is taken to show something that
            the mesh lacks (a person, a moved chair) and is left without an object.
        relative_tolerance: the same as a share of the depth; the larger of the two holds.
    """

    def __init__(self, annotation: Annotation, tolerance: float, relative_tolerance: float) -> None:
        import open3d as o3d

        self._tensor = o3d.core.Tensor
        self._scene = o3d.t.geometry.RaycastingScene()
        vertices = o3d.core.Tensor(annotation.vertices)
        faces = o3d.core.Tensor(annotation.faces.astype(np.uint32))
        self._scene.add_triangles(vertices, faces)
        self._face_ids = _face_object_ids(annotation)
        self._tolerance = tolerance
        self._relative_tolerance = relative_tolerance

    @property
    def notes(self) -> Mapping[str, int]:
        return {}

    def render(
        self, frame: int, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """(H, W) uint16 object id + 1, 0 where none.

        Args:
            frame: not needed here.
            camera: of the stored frame.
            camera_to_world: (4, 4) in the mesh's world.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid; such pixels cannot be checked and
                keep the mesh's object.
        """
        mesh_depth, ids = self._cast_image(camera, camera_to_world)
        margin = np.maximum(self._tolerance, self._relative_tolerance * depth)
        contradicted = (depth > 0) & ~(np.abs(mesh_depth - depth) <= margin)
        return np.where(contradicted, 0, ids + 1).astype(np.uint16)

    def _cast_image(
        self, camera: Intrinsics, camera_to_world: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """z-depth of the mesh, (H, W) metres, 0 where nothing is hit, and the object id there, -1 where none.

        Every second pixel of every second row is cast first. Where the four of them that enclose a cell lie on one
        plane of one object, the pixels between get that object and the plane's depth; all others are cast. That is a
        third of the rays in a room; only what is thinner than two pixels can be missed.
        """
        directions = _rays(camera) @ camera_to_world[:3, :3].T.astype(np.float32)
        origin = camera_to_world[:3, 3].astype(np.float32)
        depth = np.zeros((camera.height, camera.width), dtype=np.float32)
        ids = np.full(depth.shape, -1, dtype=np.int32)
        pending = np.ones(depth.shape, dtype=bool)
        depth[::2, ::2], ids[::2, ::2] = self._cast(origin, directions[::2, ::2])
        pending[::2, ::2] = False
        flat, inverse = _flat_cells(depth[::2, ::2], ids[::2, ::2])
        rows, columns = flat.shape
        owner = ids[: 2 * rows : 2, : 2 * columns : 2]
        a, right, below = inverse[:-1, :-1], inverse[:-1, 1:], inverse[1:, :-1]
        for top, left, between in ((0, 1, (a + right) / 2), (1, 0, (a + below) / 2), (1, 1, (right + below) / 2)):
            inside = (slice(top, top + 2 * rows, 2), slice(left, left + 2 * columns, 2))
            np.divide(1.0, between, out=depth[inside], where=flat)
            ids[inside] = np.where(flat, owner, -1)
            pending[inside] &= ~flat
        depth[pending], ids[pending] = self._cast(origin, directions[pending])
        return depth, ids

    def _cast(
        self, origin: NDArray[np.float32], directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """z-depth and object id (...) along directions (..., 3)."""
        rays = np.empty((*directions.shape[:-1], 6), dtype=np.float32)
        rays[..., :3], rays[..., 3:] = origin, directions
        hits = self._scene.cast_rays(self._tensor(rays))
        # Directions have z = 1 in the camera, so the distance along them is z-depth.
        distance, face = hits["t_hit"].numpy(), hits["primitive_ids"].numpy()
        hit = np.isfinite(distance)
        ids = self._face_ids[np.where(hit, face, np.uint32(0))]
        return np.where(hit, distance, np.float32(0)), np.where(hit, ids, np.int32(-1))


def _flat_cells(depth: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which 2x2 cells lie on one plane of one object, (h - 1, w - 1), and inverse depth (h, w), 0 where none."""
    inverse = np.zeros_like(depth)
    np.divide(1.0, depth, out=inverse, where=depth > 0)
    a, b, c, d = inverse[:-1, :-1], inverse[:-1, 1:], inverse[1:, :-1], inverse[1:, 1:]
    one_object = (ids[:-1, :-1] == ids[:-1, 1:]) & (ids[:-1, :-1] == ids[1:, :-1]) & (ids[:-1, :-1] == ids[1:, 1:])
    low, high = np.minimum(np.minimum(a, b), np.minimum(c, d)), np.maximum(np.maximum(a, b), np.maximum(c, d))
    straight = np.abs(a - b - c + d) <= FLATNESS * low
    return one_object & (low > 0) & straight & (high <= low * STEEPEST_RATIO), inverse


@lru_cache(maxsize=4)
def _rays(camera: Intrinsics) -> NDArray[np.float32]:
    rays = camera.rays().astype(np.float32)
    rays.flags.writeable = False
    return rays


def _face_object_ids(annotation: Annotation) -> NDArray[np.int32]:
    """(T,) int32 object id of every face, -1 where none."""
    corner = annotation.vertex_object_ids()[annotation.faces]
    return np.where(corner[:, 1] == corner[:, 2], corner[:, 1], corner[:, 0])


def visible_pixels(masks: NDArray[np.uint16]) -> dict[int, tuple[int, ...]]:
    """Pixels that each object shows in each frame of (F, H, W) masks: object id -> (F,) counts; only objects that are
    seen."""
    counts = np.stack([np.bincount(mask.ravel(), minlength=int(masks.max()) + 1) for mask in masks])
    seen = np.flatnonzero(counts[:, 1:].any(axis=0))
    return {int(object_id): tuple(int(count) for count in counts[:, object_id + 1]) for object_id in seen}
