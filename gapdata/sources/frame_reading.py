"""Facts that a user adds to a folder of frames: how poses were written, for which frames, and the unit of depth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.pose_convention import OURS, PoseConvention
from gapdata.sources.frame_files import FrameFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReading:
    """How frames are read; the default is what :mod:`gapdata.sources.rgbd` documents."""

    convention: PoseConvention = OURS
    depth_units_per_metre: float | None = None  # overrides what the intrinsics file says
    pose_shift: int = 0  # frames after a frame with which its pose is stored
    depth_shift: int = 0  # the same for its depth image
    units_stated: bool = False
    """Whether the user said the unit of the poses, so that it is not doubted; it changes no frame."""

    def digest_input(self) -> bytes:
        """Return bytes that differ between readings; empty for the default."""
        facts = asdict(self)
        del facts["units_stated"]
        return (
            b"" if replace(self, units_stated=False) == FrameReading() else json.dumps(facts, sort_keys=True).encode()
        )

    def depth_moved(self, files: FrameFiles) -> FrameFiles:
        """Return the files of frames with their depth images moved; frames at one end then lack depth."""
        if not self.depth_shift:
            return files
        frames = sorted(files.depth)
        places = {frame: place + self.depth_shift for place, frame in enumerate(frames)}
        depth = {frame: files.depth[frames[place]] for frame, place in places.items() if 0 <= place < len(frames)}
        return replace(files, depth=depth)

    def poses(self, written: NDArray[np.float64], frames: list[int]) -> NDArray[np.float64]:
        """Return poses of the frames, (N, 4, 4) camera_to_world in metres with OpenCV axes, NaN where one is missing.

        Args:
            written: (N, 4, 4), by raw index.
            frames: raw indices of the frames that exist, ascending.
        """
        if self.pose_shift:
            places = np.arange(len(frames)) + self.pose_shift
            inside = (places >= 0) & (places < len(frames))
            moved = np.full_like(written, np.nan)
            order = np.array(frames)
            moved[order[inside]] = written[order[places[inside]]]
            written = moved
        return self.convention.camera_to_world(written)


AS_DOCUMENTED = FrameReading()
