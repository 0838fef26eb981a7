"""Instance masks: which annotated object every pixel of a frame shows, rendered from the labelled mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.sources.base import Annotation


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

    def render(
        self, camera: Intrinsics, camera_to_world: NDArray[np.float64], depth: NDArray[np.float32]
    ) -> NDArray[np.uint16]:
        """(H, W) uint16 object id + 1, 0 where none.

        Args:
            camera: of the stored frame.
            camera_to_world: (4, 4) in the mesh's world.
            depth: (H, W) float32 metres registered to the frame, 0 where invalid; such pixels cannot be checked and
                keep the mesh's object.
        """
        rays = np.empty((camera.height, camera.width, 6), dtype=np.float32)
        rays[..., :3] = camera_to_world[:3, 3]
        rays[..., 3:] = transform(np.block([[camera_to_world[:3, :3], np.zeros((3, 1))], [0, 0, 0, 1]]), camera.rays())
        hits = self._scene.cast_rays(self._tensor(rays))
        # Directions have z = 1 in the camera, so the distance along them is z-depth.
        mesh_depth = hits["t_hit"].numpy()
        face = hits["primitive_ids"].numpy().astype(np.int64)
        hit = np.isfinite(mesh_depth)
        ids = np.where(hit, self._face_ids[np.where(hit, face, 0)], -1)
        margin = np.maximum(self._tolerance, self._relative_tolerance * depth)
        contradicted = (depth > 0) & ~(np.abs(np.where(hit, mesh_depth, 0) - depth) <= margin)
        return np.where(contradicted, 0, ids + 1).astype(np.uint16)


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
