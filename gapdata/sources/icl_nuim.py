"""Read ICL-NUIM, the synthetic rooms with a handheld camera's path, in their TUM-compatible form (``--rgbd``).

A folder has ``rgb/<n>.png``, ``depth/<n>.png`` (5000 units a metre), ``associations.txt`` with lines ``n depth/n.png n
rgb/n.png``, and ``livingRoom0.gt.freiburg`` or ``traj0.gt.freiburg`` with lines ``n tx ty tz qx qy qz qw``. The first
column is the number of a frame, not a time. Image 0 has no pose, and in the office image 1 has none, either.

- The camera is published: fx 481.2, fy 480, cx 319.5, cy 239.5 of 640x480. Its fy is given as -480, which belongs to
  images whose first row is at the bottom; those of this form have it at the top.
- Poses are of a left-handed world with y up. Ours are their mirror image, ``S P S`` with ``S = diag(1, -1, 1)``: read
  as they are, a trajectory is mirrored against its images. Axes that the user names (``--axes``) count instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import COMMENT
from gapdata.files.text import decode_text
from gapdata.geometry.pose_convention import OURS
from gapdata.sources.camera_files import MAX_TRAJECTORY_BYTES
from gapdata.sources.capture_frames import CaptureFrame, CaptureScan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.pose_files import poses_from_quaternions
from gapdata.sources.stamped_poses import parse_pose_rows
from gapdata.sources.tum import path_below

TRUTH = ".gt.freiburg"
ASSOCIATIONS = "associations.txt"
CAMERA, SIZE = (481.2, 480.0, 319.5, 239.5), (640, 480)
LEFT_HANDED = "unity"
DEPTH_UNITS = 5000.0
Y_DOWN_TO_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""(4, 4) from the mirrored world, in which y points down, to one with z up."""


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has images and a file of poses with the name that ICL-NUIM gives it."""
    return {"rgb", "depth"} <= names.keys() and any(name.endswith(TRUTH) for name in names)


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> IclScan:
    """Open a sequence.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    if reading.convention.axes == OURS.axes:
        reading = replace(reading, convention=replace(reading.convention, axes=LEFT_HANDED))
    return IclScan(scene_id, place, "icl-nuim", reading)


class IclScan(CaptureScan):
    """A sequence of ICL-NUIM."""

    depth_units_stated = DEPTH_UNITS

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix to a world with z up, (4, 4); ``None`` where the user says that poses are otherwise."""
        told = self.reading.convention if self.reading is not None else OURS
        return Y_DOWN_TO_Z_UP if told.axes == LEFT_HANDED else None

    def _list_frames(self) -> dict[int, CaptureFrame]:
        names = self._names_in("")
        truths = sorted(name for name in names if name.endswith(TRUTH))
        if len(truths) > 1:
            cure = "keep the one that belongs to the images"
            raise self._damage(f"has both {names[truths[0]]} and {names[truths[1]]}", self.path, cure=cure)
        poses = self._parsed(parse_numbered_poses, self.path / names[truths[0]], MAX_TRAJECTORY_BYTES)
        stored = {kind: self._names_in(kind) for kind in ("rgb", "depth")}
        pairs = self._pairs(stored, names.get(ASSOCIATIONS))
        found = {
            frame: CaptureFrame(
                color=color,
                depth=depth,
                intrinsics=CAMERA,
                size=SIZE,
                pose=poses.get(frame, np.full((4, 4), np.nan)),
            )
            for frame, (color, depth) in sorted(pairs.items())
        }
        if not found:
            raise self._damage(self._said("frame"), self.path, cure="unpack rgb/ and depth/ beside the poses")
        self._count("frame_without_pose", len(found.keys() - poses.keys()))
        self._count("pose_of_no_frame", len(poses.keys() - found.keys()))
        return found

    def _pairs(self, stored: Mapping[str, Mapping[str, str]], listed: str | None) -> dict[int, tuple[str, str]]:
        """Return colour and depth of each frame by its number: as associations.txt has them, or else by name."""
        on_disk = {path.lower(): path for names in stored.values() for path in names.values()}
        if listed is None:
            numbers = {kind: _numbered(names) for kind, names in stored.items()}
            shared = numbers["rgb"].keys() & numbers["depth"].keys()
            self._count("frame_without_depth", len(numbers["rgb"].keys() - shared))
            self._count("frame_without_color", len(numbers["depth"].keys() - shared))
            return {number: (numbers["rgb"][number], numbers["depth"][number]) for number in shared}
        rows = self._parsed(parse_associations, self.path / listed, MAX_TRAJECTORY_BYTES)
        files = {number: [on_disk.get(path.lower()) for path in pair] for number, pair in rows.items()}
        found = {number: (color, depth) for number, (color, depth) in files.items() if color and depth}
        self._count("listed_but_missing", len(files) - len(found))
        return found

    def _count(self, name: str, count: int) -> None:
        if count:
            self.note(name, count)


def parse_numbered_poses(data: bytes) -> dict[int, NDArray[np.float64]]:
    """Read lines ``n tx ty tz qx qy qz qw``: poses (4, 4) as they are written, by the number of their frame.

    Raises:
        ValueError: a line has another form, or two have one number; the line is named.
    """
    rows = parse_pose_rows(data, "n tx ty tz qx qy qz qw")
    poses = poses_from_quaternions(np.array([row.values for row in rows]))
    found: dict[int, NDArray[np.float64]] = {}
    for row, pose in zip(rows, poses, strict=True):
        if not row.stamp.isascii() or not row.stamp.isdigit():
            raise ValueError(f"line {row.number} begins with {row.stamp}, expected the number of a frame")
        if int(row.stamp) in found:
            raise ValueError(f"line {row.number} is a second pose of frame {row.stamp}")
        found[int(row.stamp)] = pose
    return found


def parse_associations(data: bytes) -> dict[int, tuple[str, str]]:
    """Read ``associations.txt``: the paths of colour and depth by the number of the colour image.

    A line is ``n depth/n.png n rgb/n.png``, or has the two halves the other way round.

    Raises:
        ValueError: a line has another form, or two have one number; the line is named.
    """
    found: dict[int, tuple[str, str]] = {}
    for number, line in enumerate(COMMENT.sub("", decode_text(data, tolerant=True)).split("\n"), start=1):
        words = line.replace("\\", "/").split()
        if not words:
            continue
        halves = {path.split("/")[0].lower(): (n, path) for n, path in zip(words[::2], words[1::2], strict=False)}
        if len(words) != 4 or halves.keys() != {"rgb", "depth"}:
            raise ValueError(f"line {number} is {line.strip()[:60]!r}, expected n depth/n.png n rgb/n.png")
        name, color = halves["rgb"]
        if not name.isascii() or not name.isdigit() or len(name) > 9:
            raise ValueError(f"line {number} has {name[:20]!r}, expected the number of a frame")
        try:
            pair = path_below(color), path_below(halves["depth"][1])
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from error
        if int(name) in found:
            raise ValueError(f"line {number} lists frame {name} again")
        found[int(name)] = pair
    return found


def _numbered(names: Mapping[str, str]) -> dict[int, str]:
    return {int(found[1]): path for name, path in names.items() if (found := re.fullmatch(r"(\d{1,9})\.png", name))}
