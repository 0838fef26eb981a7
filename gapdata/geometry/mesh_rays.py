"""Cast rays onto a triangle mesh, with Open3D on one thread: a build has a process for each core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics

NEAREST = np.float32(1e-6)  # metres; a nearer hit counts as this far away


class MeshRays:
    """A mesh that rays are cast at.

    Args:
        vertices: (V, 3) float32 metres, world.
        faces: (T, 3) vertices of each triangle.
    """

    def __init__(self, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
        import open3d as o3d

        self._tensor = o3d.core.Tensor
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(faces.astype(np.uint32)))

    def cast(self, rays: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
        """Return what rays hit first.

        Args:
            rays: (n, 6) origin and direction, metres, world; directions have length 1 along the camera's z, so that
                distance along them is z-depth.

        Returns:
            Z-depth, (n,) metres, infinite where nothing is hit, and the face, (n,), the largest uint32 where there is
            none.
        """
        hits = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        return np.maximum(hits["t_hit"].numpy(), NEAREST), hits["primitive_ids"].numpy()

    def depth(self, camera: Intrinsics, camera_to_world: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the z-depth of every pixel, (H, W) float32 metres, 0 where nothing is hit."""
        rays = np.empty((camera.height, camera.width, 6), dtype=np.float32)
        rays[..., :3] = camera_to_world[:3, 3]
        rays[..., 3:] = camera.rays() @ camera_to_world[:3, :3].T
        depth, _ = self.cast(rays.reshape(-1, 6))
        depth[~np.isfinite(depth)] = 0
        return depth.reshape(camera.height, camera.width)
