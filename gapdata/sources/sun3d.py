"""Read sequences of SUN3D (``--rgbd``): stamped images, depth whose bits are rotated, one file of all poses.

A folder has ``image/<frame>-<microseconds>.jpg``, ``depth/<frame>-<microseconds>.png``, ``intrinsics.txt`` (3x3) and
``extrinsics/<date>.txt``, of which the newest counts: three rows of four numbers for each colour image, camera to
world, OpenCV axes, metres.

- Depth is 16 bits, rotated left by three: millimetres are ``(v >> 3) | (v << 13)``. Below 8.19 m the three lowest bits
  are therefore 0; an image where they are not was never rotated and is refused. Who has such images says so by
  ``--depth-scale``, and they are read as they are.
- A frame is a colour image with the depth image that is nearest in time; its raw index is its moment on a clock of
  30 Hz. Where the world's vertical lies is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.files.natural_order import natural_key
from gapdata.files.numbers import parse_numbers
from gapdata.runtime.counting import counted
from gapdata.sources.camera_files import MAX_TRAJECTORY_BYTES, parse_intrinsics
from gapdata.sources.capture_frames import CaptureFrame, CaptureScan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.raw_clock import on_raw_clock
from gapdata.sources.time_pairs import pair_by_time

FOLDERS = ("image", "depth", "extrinsics")
INTRINSICS = "intrinsics.txt"
NAME = re.compile(r"(\d{1,9})-(\d{1,18})\.(?:jpe?g|png)", re.ASCII)
TICKS_PER_SECOND = 1_000_000
ROTATION = 3
"""Bits."""
NUMBERS = 12
"""Of one pose."""
MOST_FAR = 0.5
"""Share of an image's readings that may lie beyond 8.19 m."""


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has images, depth, and a folder of poses beside one calibration."""
    return {*FOLDERS, INTRINSICS} <= names.keys() and (place / names["extrinsics"]).is_dir()


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> Sun3dScan:
    """Open a sequence.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    return Sun3dScan(scene_id, place, "sun3d", reading)


class Sun3dScan(CaptureScan):
    """A sequence of SUN3D."""

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image in millimetres, (H, W) uint16, 0 without a value.

        Raises:
            SourceError: it is damaged, or was never rotated.
        """
        stored = super().depth(frame)
        if self.reading is not None and self.reading.depth_units_per_metre is not None:
            return stored
        try:
            return rotated_back(stored)
        except ValueError as error:
            cure = "if depth is in plain millimetres, pass --depth-scale 1000"
            raise self._damage(str(error), self.path / self.files.depth[frame], frame, cure) from error

    def _list_frames(self) -> dict[int, CaptureFrame]:
        stamped = {kind: self._stamped(kind) for kind in ("image", "depth")}
        poses = self._poses(stamped["image"])
        fx, fy, cx, cy = self._intrinsics()
        times = [{path: (_seconds(stamp),) for path, (_, stamp) in kind.items()} for kind in stamped.values()]
        pairs = pair_by_time(times[0], times[1])
        assert pairs is not None  # all stamps are seconds
        partners = {color: depth for depth, color in pairs.partners.items()}
        colors = [path for path in stamped["image"] if path in partners]
        self._count("frame_without_depth", len(stamped["image"]) - len(colors))
        self._count("depth_file_of_no_frame", len(stamped["depth"]) - len(colors))
        if not colors:
            raise self._damage(self._said("frame"), self.path, cure="give image/ and depth/ of one recording")
        places = on_raw_clock([stamped["image"][path][1] for path in colors], TICKS_PER_SECOND)
        return {
            place: CaptureFrame(
                color=path,
                depth=partners[path],
                intrinsics=(fx, fy, cx, cy),
                size=None,
                pose=poses[path],
            )
            for place, path in zip(places, colors, strict=True)
        }

    def _stamped(self, kind: str) -> dict[str, tuple[int, int]]:
        """Return number and stamp in microseconds of the files of a folder, by their paths, in time."""
        found = {path: NAME.fullmatch(name) for name, path in self._names_in(kind).items()}
        named = {path: (int(match[1]), int(match[2])) for path, match in found.items() if match is not None}
        self._count(f"{kind}_file_without_stamp", len(found) - len(named))
        if not named:
            problem = f"has no file such as {kind}/0000001-000000033369.png"
            raise self._damage(problem, self.path, cure="name files by frame and microseconds, as SUN3D does")
        return dict(sorted(named.items(), key=lambda item: (item[1][1], item[0])))

    def _poses(self, images: Mapping[str, tuple[int, int]]) -> dict[str, NDArray[np.float64]]:
        """Return the pose of each image, by its path."""
        files = sorted((name for name in self._names_in("extrinsics") if name.endswith(".txt")), key=natural_key)
        if not files:
            raise self._damage("has no file of poses in extrinsics/", self.path, cure="download extrinsics/*.txt")
        self._count("older_poses_left_out", len(files) - 1)
        place = self.path / self._names_in("extrinsics")[files[-1]]
        poses = self._parsed(parse_extrinsics, place, MAX_TRAJECTORY_BYTES)
        order = sorted(images, key=lambda path: images[path])  # by the frame's number
        if len(poses) == len(order):
            return dict(zip(order, poses, strict=True))
        if len(poses) >= images[order[-1]][0] and images[order[0]][0] >= 1:
            return {path: poses[images[path][0] - 1] for path in order}
        raise self._damage(
            f"has {counted(len(poses), 'pose')} for {counted(len(order), 'image')} up to number {images[order[-1]][0]}",
            place,
            cure="give one pose for each colour image",
        )

    def _intrinsics(self) -> tuple[float, float, float, float]:
        matrix = self._parsed(parse_intrinsics, self.path / self._names_in("")[INTRINSICS]).color
        fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        return fx, fy, cx, cy

    def _count(self, name: str, count: int) -> None:
        if count:
            self.note(name, count)


def rotated_back(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return millimetres (H, W) uint16 of SUN3D's depth.

    Raises:
        ValueError: it was never rotated.
    """
    low = np.uint16((1 << ROTATION) - 1)
    odd = np.count_nonzero(stored & low)
    if odd > MOST_FAR * np.count_nonzero(stored):
        share = odd / np.count_nonzero(stored)
        raise ValueError(f"has depth whose bits are not rotated, as SUN3D's are ({share:.0%} of its readings)")
    return np.asarray((stored >> ROTATION) | (stored << (16 - ROTATION)), dtype=np.uint16)


def parse_extrinsics(data: bytes) -> NDArray[np.float64]:
    """Read all poses of a file, three rows of four numbers each, (N, 4, 4) camera to world.

    Raises:
        ValueError: a word is not a number, or there are too few or too many.
    """
    values = parse_numbers(data)
    if not len(values) or len(values) % NUMBERS:
        raise ValueError(f"has {counted(len(values), 'number')}, expected {NUMBERS} for each pose")
    poses = np.tile(np.eye(4), (len(values) // NUMBERS, 1, 1))
    poses[:, :3] = values.reshape(-1, 3, 4)
    return poses


def _seconds(microseconds: int) -> str:
    return f"{microseconds // TICKS_PER_SECOND}.{microseconds % TICKS_PER_SECOND:06d}"
