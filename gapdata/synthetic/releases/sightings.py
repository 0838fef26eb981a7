"""The objects that the frames of a scan truly see, and some pixels with known points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.render import camera_rays, cast
from gapdata.synthetic.scene import RELEASES, Scene, generator

EVERY = 10
"""Raw frames from one annotated frame to the next, as EmbodiedScan extracts them."""
SEEN_SHARE = 1 / 5000
"""The share of a frame's pixels (251 of 1296x968) from which an object counts as visible."""
PICKS = 4  # pixels kept of every frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A pixel with an exactly known point."""

    pixel: tuple[int, int]  # (u, v) of the colour image as it is written
    depth: float  # z-depth, metres
    object_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One annotated frame: every tenth raw frame that has a pose."""

    frame_id: int
    camera_to_world: NDArray[np.float64]  # (4, 4) unaligned, in six decimals
    pixels: dict[int, int]  # by id of the objects that are visible
    picks: tuple[Pick, ...]


@dataclass(slots=True)
class Sightings:
    """The annotated frames of a scene, gathered while it is rendered."""

    scene: Scene
    camera: Intrinsics
    frames: list[Sighting] = field(default_factory=list)

    def add(self, frame_id: int, pose: NDArray[np.float64], object_ids: NDArray[np.int32]) -> None:
        """Add a frame with its pose and its object ids (H, W), -1 none; all but every tenth are passed over."""
        if frame_id % EVERY:
            return
        counts = np.bincount(object_ids.reshape(-1) + 1, minlength=len(self.scene.labels) + 1)[1:]
        seen = np.flatnonzero(counts >= max(1, SEEN_SHARE * object_ids.size))
        self.frames.append(
            Sighting(
                frame_id=frame_id,
                camera_to_world=np.round(pose, 6),
                pixels={int(k): int(counts[k]) for k in seen},
                picks=self._picks(frame_id, pose, object_ids, seen),
            )
        )

    def _picks(
        self, frame_id: int, pose: NDArray[np.float64], object_ids: NDArray[np.int32], seen: NDArray[np.int64]
    ) -> tuple[Pick, ...]:
        """Pick a pixel on each of a few objects, whatever their size; walls and floors are objects, too."""
        if not len(seen):
            return ()
        rng = generator(self.scene.seed, self.scene.index, RELEASES, 0, frame_id)
        chosen = rng.permutation(seen)[:PICKS]
        places = [rng.choice(np.flatnonzero(object_ids.reshape(-1) == k)) for k in chosen]
        rays = camera_rays(self.camera, pose).reshape(-1, 6)[places]
        depth = cast(self.scene, rays).distance
        width = object_ids.shape[1]
        return tuple(
            Pick(pixel=(int(at % width), int(at // width)), depth=float(z), object_id=int(k))
            for at, z, k in zip(places, depth, chosen, strict=True)
        )
