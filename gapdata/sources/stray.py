"""Read captures of Stray Scanner: a video, depth images, and a table of poses and cameras.

``odometry.csv`` has a row for each frame (:mod:`gapdata.sources.odometry`), ``rgb.mp4`` its colour image, ``depth`` and
``confidence`` its ``000012.png`` (older: ``.npy``), in millimetres and as 0, 1 or 2. ``camera_matrix.csv`` has the
camera of the last frame, which serves for rows without their own. Poses have OpenCV axes already, unlike those of other
phone apps, in a world with y up.

A row without its depth image is absent. Frames may have been extracted from the video to ``rgb/`` instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.files.folders import by_lower_case, file_names
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.members import FolderMembers
from gapdata.files.natural_order import natural_key
from gapdata.sources.camera_files import MAX_TEXT_BYTES, MAX_TRAJECTORY_BYTES, parse_matrix
from gapdata.sources.depth_files import MILLIMETRES, DepthKind, decode_depth, depth_kind
from gapdata.sources.extracted import MAX_IMAGE_BYTES
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.gray_files import decode_gray
from gapdata.sources.images import is_color_jpeg, reduce_image
from gapdata.sources.odometry import parse_odometry
from gapdata.sources.row_colors import FileColors, RowColors, VideoColors
from gapdata.sources.timed_scan import TimedRows, TimedScan
from gapdata.sources.video_numbering import find_first_row

ODOMETRY, CAMERA = "odometry.csv", "camera_matrix.csv"
VIDEOS = ("rgb.mp4", "rgb.mov", "rgb.mkv")
IMAGES = ("depth", "confidence")
EXTRACTED = "rgb"
HIGH = 2
"""The highest confidence."""
NAMED = re.compile(r"(depth|confidence)/(\d{1,9})\.(png|npy)")
COLOR_ENDINGS = (".jpg", ".jpeg", ".png")
EXPORT = "copy the whole folder of the capture from the phone"
Parsed = TypeVar("Parsed")


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder is a capture of Stray Scanner."""
    return ODOMETRY in names and (any(video in names for video in VIDEOS) or EXTRACTED in names)


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> StrayScan:
    """Open a capture.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    return StrayScan(scene_id, place, reading)


class StrayScan(TimedScan):
    """A capture of Stray Scanner."""

    path: Path

    def __init__(self, scene_id: str, place: Path, reading: FrameReading) -> None:
        super().__init__(scene_id, place, reading)
        with self._naming():
            names = by_lower_case(file_names(place))
            self.members = FolderMembers(place, ("", *IMAGES, EXTRACTED))
        odometry = self._parsed(names[ODOMETRY], parse_odometry, MAX_TRAJECTORY_BYTES)
        self._numbers: list[int] = odometry.numbers.tolist()
        self._files = self._find_images()
        self._colors = self._find_colors(names, 1 + max(self._numbers))
        for name, count in odometry.notes.items():
            self.note(name, count)
        usable = self._complete()
        first = next((row for row, complete in enumerate(usable) if complete), None)
        if first is None:
            raise self._damage("has no depth image for any row", cure=EXPORT)
        kind = self._depth_kind(first)
        self._float_unit = 1.0 if kind.floats else None  # metres
        table = self._with_shared_camera(odometry.table, names)
        self._set_rows(table, usable, self._colors.stored.size, kind.size)
        told = reading.depth_units_per_metre
        self.depth_units_per_metre = MILLIMETRES if kind.floats or told is None else told

    def close(self) -> None:
        """Close the video."""
        super().close()
        self._colors.stored.close()

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        row = self._row(frame)
        with self._naming(frame, self._color_place):
            return reduce_image(self._colors.stored.image(self._colors.index(self._numbers[row])), reduction)

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file of an extracted frame without its tags, if it is a colour JPEG."""
        if not isinstance(self._colors.stored, FileColors):
            return None
        row = self._row(frame)
        with self._naming(frame, self._color_place):
            data = self._colors.stored.bytes_of(self._colors.index(self._numbers[row]))
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16."""
        return self._depth(self._row(frame), frame)

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return how sure the sensor is, (H, W) uint8 0 to 2; ``None`` for a frame without such an image."""
        name = self._files["confidence"].get(self._numbers[self._row(frame)])
        if name is None:
            return None
        with self._naming(frame, self.path / name):
            image = decode_gray(self.members.read(name, MAX_IMAGE_BYTES), self._depth_size)
            if image.max(initial=0) > HIGH:
                raise ValueError(f"holds {image.max()}, expected confidence from 0 to {HIGH}")
        return image

    def _find_images(self) -> dict[str, dict[int, str]]:
        """Return the depth and confidence images by the number of their frame; a PNG counts more than an array."""
        found: dict[str, dict[int, str]] = {kind: {} for kind in IMAGES}
        for name in sorted(self.members.names):
            named = NAMED.fullmatch(name.lower())
            if named is not None:
                found[named[1]][int(named[2])] = name
        return found

    def _find_colors(self, names: Mapping[str, str], rows: int) -> RowColors:
        video = next((names[name] for name in VIDEOS if name in names), None)
        self.in_order = video is not None
        self._color_place = self.path / (video or EXTRACTED)
        extracted = [name for name in self.members.names if name.startswith(f"{EXTRACTED}/")]
        files = sorted((name for name in extracted if name.lower().endswith(COLOR_ENDINGS)), key=natural_key)
        with self._naming(path=self._color_place):
            stored = FileColors(self.members, files) if video is None else VideoColors(self.path / video)
            return RowColors(stored, rows, self._find_first)

    def _complete(self) -> NDArray[np.bool_]:
        """Return which rows (n,) have depth and colour, and note what is missing."""
        numbers, depth, confidence = self._numbers, self._files["depth"], self._files["confidence"]
        usable = np.array([number in depth for number in numbers])
        self.note("frame_without_depth", int((~usable).sum()))
        self.note("depth_file_of_no_frame", len(depth.keys() - set(numbers)))
        if confidence:
            self.note("frame_without_confidence", sum(number not in confidence for number in numbers))
        else:
            self.note("scan_without_confidence")
        if self._colors.lacks_one:
            # Which of the two has none is found out when the first image is read.
            self.note("video_lacks_its_first_or_last_frame")
            usable &= np.array([0 < number < max(numbers) for number in numbers])
        return usable

    def _with_shared_camera(self, table: TimedRows, names: Mapping[str, str]) -> TimedRows:
        """Return the table with the camera of ``camera_matrix.csv`` in rows that have none."""
        without = np.asarray(~np.isfinite(table.intrinsics).all(axis=1))
        if not without.any():
            return table
        if CAMERA not in names:
            problem = f"has no {CAMERA}, and {ODOMETRY} has no fx, fy, cx and cy for each row"
            raise self._damage(problem, cure=EXPORT)
        matrix = self._parsed(names[CAMERA], parse_matrix, MAX_TEXT_BYTES)
        shared = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
        self.note("frame_with_camera_of_the_last", int(without.sum()))
        return replace(table, intrinsics=np.where(without[:, None], shared, table.intrinsics))

    def _find_first(self, image: Callable[[int], NDArray[np.uint8]]) -> int:
        """Return the number of the frame that the first colour image belongs to, 0 or 1."""
        last = max(self._numbers)
        poses = np.full((last + 1, 4, 4), np.nan)
        row_of = {number: row for row, number in enumerate(self._numbers) if number in self._files["depth"]}
        poses[list(row_of)] = self._poses[list(row_of.values())]
        return find_first_row(
            image,
            poses,
            lambda number: (
                self._depth(row_of[number], None).astype(np.float32) / np.float32(self.depth_units_per_metre)
            ),
            lambda number: self._camera(self._intrinsics[row_of[number]]).resized(*self._depth_size),
        )

    def _depth(self, row: int, frame: int | None) -> NDArray[np.uint16]:
        name = self._files["depth"][self._numbers[row]]
        with self._naming(frame, self.path / name):
            return decode_depth(self.members.read(name, MAX_IMAGE_BYTES), self._depth_size, self._float_unit)

    def _depth_kind(self, row: int) -> DepthKind:
        name = self._files["depth"][self._numbers[row]]
        with self._naming(path=self.path / name):
            return depth_kind(self.members.read(name, MAX_IMAGE_BYTES))

    def _parsed(self, name: str, parse: Callable[[bytes], Parsed], limit: int) -> Parsed:
        """Read a text of the table, and let the digest have it."""
        with self._naming(path=self.path / name):
            data = self.members.read(name, limit)
            self._texts.update(b"%d " % len(data) + data)
            return parse(data)
