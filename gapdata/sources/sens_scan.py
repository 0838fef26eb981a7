"""A scan whose frames are in one ``.sens`` file, with whatever name and beside whatever it lies (``--rgbd``).

BundleFusion's captures are such files, of the version that ScanNet's are. ScanNet's own scenes have annotation beside
them (:mod:`gapdata.sources.scannet`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.folders import by_lower_case, entries
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.storage import Location
from gapdata.sources.base import Scan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.images import is_color_jpeg
from gapdata.sources.layouts import recognise as recognise_layout
from gapdata.sources.scene_files import naming_scene
from gapdata.sources.sens import SensReader

ENDING = ".sens"
OF_SCANNET = (".aggregation.json", "_vh_clean_2.ply", ".segs.json")
"""Ends of names of ScanNet's annotation: ``--scannet`` reads it, too."""


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has one ``.sens``, no annotation of ScanNet, and no frames extracted from it."""
    found = [name for name in names if name.endswith(ENDING)]
    others = "depth" in names or any(name.endswith(OF_SCANNET) for name in names)
    return len(found) == 1 and not others and recognise_layout(names.values()) is None


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> SensScan:
    """Open a ``.sens`` file, or the one in a folder.

    Raises:
        SourceError: it is missing or damaged.
    """
    if place.is_dir():
        names = by_lower_case(entry.name for entry in entries(place))
        place = place / next(stored for name, stored in names.items() if name.endswith(ENDING))
    return SensScan(scene_id, place, reading=reading)


class SensScan(Scan):
    """The frames of a ``.sens`` file.

    The depth extrinsics of the file register depth to colour.

    Args:
        scene_id: for messages and keys.
        sens: the file.
        reading: what the user says about the frames; ``None`` where the source takes no such options.

    Raises:
        SourceError: the file is damaged, or depth is moved by more frames than it has.
    """

    def __init__(self, scene_id: str, sens: Location, *, reading: FrameReading | None = None) -> None:
        self.scene_id, self.reading = scene_id, reading
        with naming_scene(scene_id):
            self.sens = SensReader(sens)
        self.path = self.sens.path
        self.frame_count = len(self.sens)
        self.written_poses = self.sens.camera_to_world
        self.color_intrinsics, self.depth_intrinsics = self.sens.color_intrinsics, self.sens.depth_intrinsics
        self.color_lens, self.depth_lens = self.sens.color_lens, self.sens.depth_lens
        self.depth_to_color = np.asarray(np.linalg.inv(self.sens.color_extrinsics) @ self.sens.depth_to_color)
        told = reading or FrameReading()
        self._depth_shift = told.depth_shift
        self.present = self._with_depth()
        self.camera_to_world = told.poses(self.written_poses, np.flatnonzero(self.present).tolist())
        self.depth_units_per_metre = told.depth_units_per_metre or self.sens.depth_units_per_metre

    def _with_depth(self) -> NDArray[np.bool_]:
        """Return which frames have depth once it is moved, (N,)."""
        places = np.arange(self.frame_count) + self._depth_shift
        present = (places >= 0) & (places < self.frame_count)
        if self.frame_count and not present.any():
            self.sens.close()
            problem = f"has no frame left when depth is moved by {self._depth_shift} frames"
            raise SourceError(
                problem, path=self.path, scene=self.scene_id, cure="move it by fewer frames: --depth-shift"
            )
        return np.asarray(present)

    def close(self) -> None:
        """Close the file."""
        self.sens.close()

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """See :meth:`SensReader.color`."""
        with naming_scene(self.scene_id):
            return self.sens.color(frame, reduction)

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the stored JPEG without its tags; ``None`` where colour is stored in another way."""
        if self.sens.color_compression != "jpeg":
            return None
        with naming_scene(self.scene_id):
            data = self.sens.color_bytes(frame)
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """See :meth:`SensReader.depth`."""
        with naming_scene(self.scene_id):
            return self.sens.depth(frame + self._depth_shift)

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the index of the file: every pose, timestamp and size; payloads are not read."""
        told = b"" if self.reading is None else self.reading.digest_input()
        return hashlib.sha256(self.sens.index_bytes + told).hexdigest()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about the file."""
        return {"sens": self.sens.describe()}
