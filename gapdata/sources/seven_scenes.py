"""Read frames of 7-Scenes (``--rgbd``), whose depth is not registered to colour.

A folder ``seq-01`` has ``frame-000000.color.png``, ``.depth.png`` (millimetres, 65535 where there is none) and
``.pose.txt``. The data set states one camera, fx 585 with the centre at (320, 240): that of the depth sensor, of which
are the poses, too. Colour was seen by another camera beside it. A pixel of depth lies up to 20 pixels from the pixel of
colour that shows the same place.

- Frames as they were released have no intrinsics file. They are read with ``MEASURED``, which we found on real frames
  (redkitchen): the colour camera, and its place, with which the edges of depth fall on those of colour. The pose of the
  colour camera follows from it.
- An intrinsics file counts instead. If it states 7-Scenes' depth camera and no other, as that of tsdf-fusion's sample
  does, both cameras are taken for that one, a note counts the frames, and the build says so in a line. A file with
  ``depth`` and ``depth_to_color`` states both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.depth_scales import NO_READING
from gapdata.sources.camera_files import Calibration, parse_intrinsics
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.intrinsics_files import find_intrinsics
from gapdata.sources.layouts import SEVEN_SCENES, Layout

SIZE = (640, 480)
DEPTH_MATRIX = np.array([[585.0, 0.0, 320.0], [0.0, 585.0, 240.0], [0.0, 0.0, 1.0]])
COLOR_MATRIX = np.array([[525.0, 0.0, 320.0], [0.0, 525.0, 240.0], [0.0, 0.0, 1.0]])
DEPTH_TO_COLOR = np.array([[1.0, 0, 0, -0.025], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # metres
MEASURED = Calibration(
    color=COLOR_MATRIX,
    depth=DEPTH_MATRIX,
    depth_to_color=DEPTH_TO_COLOR,
    color_size=SIZE,
    depth_size=SIZE,
    depth_units_per_metre=1000.0,
)
WITHOUT_CAMERAS = replace(SEVEN_SCENES, info=None)
RELEASED = re.compile(r"seq-?\d{1,3}", re.IGNORECASE)
FIRST = ("frame-000000.color.png", "frame-000000.color.jpg")
UNREGISTERED = (
    "depth of 7-Scenes is not registered to colour, and the intrinsics file states its depth camera only, so that "
    "depth lies up to 20 pixels off; what fits real frames is intrinsics.json with "
    '{"fx": 525, "fy": 525, "cx": 320, "cy": 240, "depth": {"fx": 585, "fy": 585, "cx": 320, "cy": 240}, '
    '"depth_to_color": [1, 0, 0, -0.025, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}'
)


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder is a sequence as it was released, without a file of cameras."""
    return RELEASED.fullmatch(place.name) is not None and FIRST[0] in names and "_info.txt" not in names


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> SevenScenesScan:
    """Open a sequence as it was released.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    found = find_intrinsics(scene_id, (place, place.parent))
    return SevenScenesScan(scene_id, place, WITHOUT_CAMERAS, shared_intrinsics=found, reading=reading)


def is_seven_scenes(layout: Layout) -> bool:
    """Return whether frames have 7-Scenes' names and no file of cameras of their own."""
    return layout.name == SEVEN_SCENES.name and layout.info is None


def is_unregistered(place: Path, root: Path) -> bool:
    """Return whether one intrinsics file states 7-Scenes' depth camera for colour, too.

    Nothing is listed but the folder of such frames; one that cannot be read is not one.
    """
    if not any((place / name).is_file() for name in FIRST):
        return False
    try:
        found = find_intrinsics(place.name, (place, root))
        return found is not None and _of_depth_only(parse_intrinsics(found.read_bytes()))
    except (SourceError, OSError, ValueError):
        return False  # opening the scan says what is wrong


class SevenScenesScan(ExtractedScan):
    """Frames with the names of 7-Scenes; see :class:`gapdata.sources.extracted.ExtractedScan`."""

    _registered: bool
    """Whether both cameras are known."""
    _measured: bool = False

    def __init__(
        self,
        scene_id: str,
        directory: Path,
        layout: Layout,
        *,
        shared_intrinsics: Path | None = None,
        reading: FrameReading | None = None,
    ) -> None:
        super().__init__(scene_id, directory, layout, shared_intrinsics=shared_intrinsics, reading=reading)
        if not np.array_equal(self.depth_to_color, np.eye(4)):
            self.camera_to_world = self.camera_to_world @ np.linalg.inv(self.depth_to_color)

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what :class:`ExtractedScan` notes, and how the depth of all frames lies on colour."""
        count = int(self.present.sum())
        measured = {"depth_registered_by_a_measured_calibration": count} if self._measured else {}
        unregistered = {} if self._registered else {"depth_not_registered_to_color": count}
        return {**super().notes, **measured, **unregistered}

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16, 0 without a value."""
        stored = super().depth(frame)
        return np.where(stored == NO_READING, 0, stored).astype(np.uint16)

    def _read_calibration(self, path: Path) -> Calibration:
        self._measured = path == self.path
        if self._measured:
            self._texts.update(repr(MEASURED).encode())
            self._registered = True
            return MEASURED
        found = super()._read_calibration(path)
        self._registered = not _of_depth_only(found)
        return found


def _of_depth_only(calibration: Calibration) -> bool:
    """Return whether one camera is stated, that of 7-Scenes' depth sensor."""
    return calibration.depth is None and np.array_equal(calibration.color[:3, :3], DEPTH_MATRIX)
