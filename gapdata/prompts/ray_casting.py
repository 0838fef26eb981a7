"""Cast rays onto a labelled mesh, which give depth and object of the first hit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.sources.base import Annotation

NEAREST = np.float32(1e-6)  # metres; a nearer hit counts as this far away


class MeshCaster:
    """Open3D's ray casting over one labelled mesh, on one thread: a build has a process for each core.

    A face has the object id that at least two of its vertices have, or else the one of its first vertex.
    """

    def __init__(self, annotation: Annotation) -> None:
        import open3d as o3d

        self._tensor = o3d.core.Tensor
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(
            o3d.core.Tensor(annotation.vertices), o3d.core.Tensor(annotation.faces.astype(np.uint32))
        )
        self._face_values = _face_values(annotation)

    def cast(self, rays: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Return what rays hit first.

        Args:
            rays: (n, 6) origin and direction, metres, world; directions have length 1 along the camera's z, so that
                distance along them is z-depth.

        Returns:
            Inverse z-depth, (n,) per metre, 0 where nothing is hit, and object id + 1, (n,), 0 where there is none.
        """
        hits = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        # A miss is at infinity, and its face has the largest number: clipped, it gets the last value, which is 0.
        values = np.take(self._face_values, hits["primitive_ids"].numpy(), mode="clip")
        return np.float32(1) / np.maximum(hits["t_hit"].numpy(), NEAREST), values


def _face_values(annotation: Annotation) -> NDArray[np.uint16]:
    """Return the object id + 1 of every face, (T + 1,), 0 where none, and a last 0 for rays that hit nothing."""
    corner = annotation.vertex_object_ids()[annotation.faces]
    ids = np.where(corner[:, 1] == corner[:, 2], corner[:, 1], corner[:, 0])
    return np.append(ids + 1, 0).astype(np.uint16)
