"""Which of several walks a scan takes: the one that shows most of the room and bumps into nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.render import camera_rays, cast, object_ids
from gapdata.synthetic.scene import PATH, Scene, generator
from gapdata.synthetic.trajectory import free_floor, walk

CANDIDATES = 16
GLANCES = 7  # frames of a candidate that are looked at
SPAN = 240  # frames, over which a candidate is judged at most
PROBE = Intrinsics(fx=29.25, fy=29.25, cx=15.7, cy=11.6, width=32, height=24)
TOO_NEAR = 0.95  # m
SAFE_DISTANCE = 0.14  # m from any surface that a camera keeps
STRUCTURE = frozenset({"wall", "floor", "ceiling"})


def scan_poses(scene: Scene, frames: int) -> NDArray[np.float64]:
    """Camera-to-world (N, 4, 4) of all frames in the unaligned world, with the float32
    values that a ``.sens`` file stores.
    """
    floor = free_floor(scene.plan, scene.claims)
    to_world = np.linalg.inv(scene.axis_alignment)
    best, best_score = np.empty(0), -np.inf
    for candidate in range(CANDIDATES):
        room = walk(scene.plan, scene.claims, floor, frames, generator(scene.seed, scene.index, PATH, candidate))
        poses = (to_world @ room).astype(np.float32).astype(np.float64)
        score = _score(scene, poses)
        if score > best_score:
            best, best_score = poses, score
    return best


def clearance(scene: Scene, positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Distance (N,) in metres of points (N, 3) to the nearest surface."""
    import open3d as o3d

    query = o3d.core.Tensor(positions.astype(np.float32))
    distances: NDArray[np.float32] = scene.raycaster.compute_distance(query, nthreads=1).numpy()
    return distances


def _score(scene: Scene, poses: NDArray[np.float64]) -> float:
    """Objects in view and furniture's share of the image, summed over glances; near things and bare walls cost."""
    span = min(len(poses), SPAN)
    glances = np.linspace(0, span - 1, GLANCES).round().astype(int)
    rays = np.concatenate([camera_rays(PROBE, poses[k]).reshape(-1, 6) for k in glances])
    hits = cast(scene, rays)
    structure = np.array([label in STRUCTURE for label in scene.labels] + [False])
    ids, depth = (a.reshape(GLANCES, -1) for a in (object_ids(scene, hits), hits.distance))
    score, seen = 0.0, set()
    for view, distance in zip(ids, depth, strict=True):
        objects, counts = np.unique(view[~structure[view]], return_counts=True)
        seen |= {int(o) for o in objects[counts >= 4]}
        score += 14 * float((~structure[view]).mean()) + 0.8 * float((counts >= 4).sum())
        score -= 55 * float((distance < TOO_NEAR).mean())
    closest = float(clearance(scene, poses[:: max(1, len(poses) // 400), :3, 3]).min())
    return score + 1.5 * len(seen) - 1000 * max(0.0, SAFE_DISTANCE - closest)
