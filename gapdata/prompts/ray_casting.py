"""Cast rays onto a labelled mesh, which give depth and object of the first hit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.mesh_rays import MeshRays
from gapdata.sources.base import Annotation


class MeshCaster:
    """Rays onto one labelled mesh.

    A face has the object id that at least two of its vertices have, or else the one of its first vertex.
    """

    def __init__(self, annotation: Annotation) -> None:
        self._rays = MeshRays(annotation.vertices, annotation.faces)
        self._face_values = _face_values(annotation)

    def cast(self, rays: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Return what rays hit first.

        Args:
            rays: (n, 6) as in :meth:`gapdata.geometry.mesh_rays.MeshRays.cast`.

        Returns:
            Inverse z-depth, (n,) per metre, 0 where nothing is hit, and object id + 1, (n,), 0 where there is none.
        """
        depth, faces = self._rays.cast(rays)
        # A miss is at infinity, and its face has the largest number: clipped, it gets the last value, which is 0.
        return np.float32(1) / depth, np.take(self._face_values, faces, mode="clip")


def _face_values(annotation: Annotation) -> NDArray[np.uint16]:
    """Return the object id + 1 of every face, (T + 1,), 0 where none, and a last 0 for rays that hit nothing."""
    corner = annotation.vertex_object_ids()[annotation.faces]
    ids = np.where(corner[:, 1] == corner[:, 2], corner[:, 1], corner[:, 0])
    return np.append(ids + 1, 0).astype(np.uint16)
