"""Fuse a scan's depth into one cloud: its compactness tells how poses must be read, a mesh how true depth is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.sources.base import Scan

VOXEL = 0.03  # metres
GL = np.diag([1.0, -1.0, -1.0, 1.0])


def fused(scan: Scan, frames: Sequence[int], poses: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """All points of some frames, (n, 3) metres, in the scan's world, by its own poses or other ones (N, 4, 4)."""
    read = scan.camera_to_world if poses is None else poses
    clouds = []
    for frame in frames:
        depth = scan.depth(frame).astype(np.float64) / scan.depth_units_per_metre
        v, u = np.nonzero(depth)
        local = scan.depth_camera(frame).unproject(np.stack([u, v], axis=-1), depth[v, u])
        local = local @ scan.depth_to_color[:3, :3].T + scan.depth_to_color[:3, 3]
        clouds.append(local @ read[frame][:3, :3].T + read[frame][:3, 3])
    return np.concatenate(clouds)


def occupied(cloud: NDArray[np.float64]) -> int:
    """The voxels of 3 cm that hold a point."""
    return len(np.unique(np.floor(cloud / VOXEL).astype(np.int64), axis=0))


def compactness(scan: Scan, frames: Sequence[int]) -> dict[str, int]:
    """Occupied voxels if poses were camera to world or the inverse, with OpenCV's or OpenGL's axes."""
    poses, inverse = np.zeros_like(scan.camera_to_world), np.zeros_like(scan.camera_to_world)
    poses[list(frames)] = scan.camera_to_world[list(frames)]
    inverse[list(frames)] = np.linalg.inv(poses[list(frames)])
    return {
        "camera_to_world opencv": occupied(fused(scan, frames, poses)),
        "camera_to_world opengl": occupied(fused(scan, frames, poses @ GL)),
        "world_to_camera opencv": occupied(fused(scan, frames, inverse)),
        "world_to_camera opengl": occupied(fused(scan, frames, inverse @ GL)),
    }


def depth_off_mesh(
    scan: Scan, frames: Sequence[int], vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> list[float]:
    """For each frame, the median of |depth - depth of the mesh|, metres; the mesh lies in the scan's world."""
    import open3d as o3d

    caster = o3d.t.geometry.RaycastingScene(nthreads=1)
    caster.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
    medians = []
    for frame in frames:
        camera, pose = scan.depth_camera(frame), scan.camera_to_world[frame] @ scan.depth_to_color
        rays = np.empty((camera.height, camera.width, 6), dtype=np.float32)
        rays[..., :3], rays[..., 3:] = pose[:3, 3], camera.rays() @ pose[:3, :3].T
        seen = caster.cast_rays(o3d.core.Tensor(rays), nthreads=1)["t_hit"].numpy()
        depth = scan.depth(frame) / scan.depth_units_per_metre
        both = (depth > 0) & np.isfinite(seen)
        medians.append(float(np.median(np.abs(depth - seen)[both])))
    return medians
