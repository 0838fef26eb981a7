"""What the cameras of synthetic scans truly see, from the ray caster that rendered them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.dataset import SynthesisOptions
from gapdata.synthetic.render import camera_rays, cast, object_ids
from gapdata.synthetic.scene import Scene, build_scene
from gapdata.synthetic.trajectory import scan_poses


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a camera sees."""

    points: NDArray[np.float32]  # (H, W, 3) metres, unaligned world, NaN where nothing is hit
    depth: NDArray[np.float32]  # (H, W) z-depth in metres, NaN where nothing is hit
    object_ids: NDArray[np.int32]  # (H, W), -1 none


def scene_index(scene_id: str) -> int:
    """Return the index that a scene's name carries."""
    return int(scene_id.removeprefix("scene").partition("_")[0])


def render_truth(
    scene_id: str,
    options: SynthesisOptions,
    frame: int,
    camera: Intrinsics | None = None,
    *,
    scene: Scene | None = None,
) -> Truth:
    """Return what a frame's camera (colour unless given) truly sees, recomputed from the seed alone.

    ``scene`` spares building the scene again when many frames are asked for.
    """
    chosen = options.cameras[0] if camera is None else camera
    built = build_scene(options.seed, scene_index(scene_id)) if scene is None else scene
    pose = scan_poses(built, options.frames)[frame]
    rays = camera_rays(chosen, pose).reshape(-1, 6)
    hits = cast(built, rays)
    depth = np.where(hits.triangle >= 0, hits.distance, np.nan).astype(np.float32)
    shape = (chosen.height, chosen.width)
    points = (rays[:, :3].astype(np.float64) + depth[:, None] * rays[:, 3:].astype(np.float64)).astype(np.float32)
    return Truth(
        points=points.reshape(*shape, 3), depth=depth.reshape(shape), object_ids=object_ids(built, hits).reshape(shape)
    )
