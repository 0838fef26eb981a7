"""Read the TUM RGB-D layout (TUM, Bonn): lists of images and poses with time stamps, ``--rgbd``.

``rgb.txt`` and ``depth.txt`` have lines ``stamp path``, ``groundtruth.txt`` has lines ``stamp tx ty tz qx qy qz qw``:
seconds, metres, camera to world, OpenCV axes. Comments (``#``), blank lines and lines before the first stamp are left
out, because copies of the lists lose the ``#`` of a heading. Paths are below the scene's folder.

- A frame is a colour image; its raw index is its place in time. The nearest depth image is paired with it, once and
  within the limit of :mod:`gapdata.sources.time_pairs`.
- Its pose is interpolated between the poses before and after it, which may be ``LONGEST_GAP`` apart; in a longer gap,
  and before the first and after the last pose, the frame has no pose. No pose stands in for its neighbour.
- Depth has 5000 units a metre unless the user or an intrinsics file says otherwise.
- The camera is that of the intrinsics file. Without one, a folder with ``freiburg1``, ``freiburg2`` or ``freiburg3`` in
  its name, or ``rgbd_bonn_`` at its beginning, has the published camera of that data set.

The published lens belongs to colour and depth alike. The data sets say that each depth pixel lies on the colour pixel
of the same place, and the colour images are as the lens made them; if only colour were undone, the two would no longer
lie on each other. ORB-SLAM also looks depth up at the pixel before its lens is undone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import kind_of_failure
from gapdata.files.folders import by_lower_case, file_names, in_any_case
from gapdata.files.numbers import COMMENT, DECIMAL_COMMA
from gapdata.files.text import decode_text
from gapdata.geometry.lens import Lens
from gapdata.runtime.counting import counted
from gapdata.sources.camera_files import IDENTITY, MAX_TRAJECTORY_BYTES, Calibration, parse_intrinsics
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_files import FrameFiles
from gapdata.sources.layouts import COLOR_ENDINGS, DEPTH_ENDINGS, Layout, Naming
from gapdata.sources.stamped_poses import (
    LONGEST_GAP,
    STAMP,
    StampedPoses,
    interpolate_poses,
    parse_pose_rows,
    sorted_in_time,
    stamped_poses,
)
from gapdata.sources.time_pairs import TimePairs, pair_by_time

LISTS = frozenset(("rgb.txt", "depth.txt"))
POSES = "groundtruth.txt"
TUM_LISTS = Layout(
    name="tum-lists",
    color=Naming(folder="rgb", endings=COLOR_ENDINGS),
    depth=Naming(folder="depth", endings=DEPTH_ENDINGS),
    trajectory=POSES,
    raw_indices=False,
)
DEPTH_UNITS = 5000.0
SUSPECT = ("..", "./", "//", "\0")
"""What no path has that needs a closer look."""
SIZE = (640, 480)
PUBLISHED: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    r"(?i).*freiburg1(?!\d)": ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    r"(?i).*freiburg2(?!\d)": ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    r"(?i).*freiburg3(?!\d)": ((535.4, 539.2, 320.1, 247.6), ()),
    r"(?i)rgbd_bonn_": (
        (542.822841, 542.576870, 315.593520, 237.756098),
        (0.039903, -0.099343, -0.000730, -0.000144, 0.0),
    ),
}
"""By the beginning of a scene's name, fx fy cx cy (pixels of 640x480 images) and the lens, k1 k2 p1 p2 k3."""


class TumScan(ExtractedScan):
    """One scene of lists with time stamps; see :class:`gapdata.sources.extracted.ExtractedScan`."""

    _times: list[str]
    """The stamp of each colour image, by raw index."""
    _pose_notes: Mapping[str, int]

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what :class:`ExtractedScan` notes, and how many poses were interpolated or are missing."""
        return {**super().notes, **self._pose_notes}

    def _find_files(self) -> FrameFiles:
        notes: dict[str, int] = {}
        listed = {kind: self._listed_files(kind, name, notes) for kind, name in (("color", "rgb"), ("depth", "depth"))}
        color, depth = listed["color"], listed["depth"]
        self._times = list(color.values())
        stamps = [{name: (stamp,) for name, stamp in kind.items()} for kind in (color, depth)]
        pairs = pair_by_time(stamps[0], stamps[1])
        assert pairs is not None  # both lists are of seconds
        if not pairs.partners:
            raise self._damage(_why_unpaired(pairs), self.path, cure="give lists of one recording on one clock")
        frame_of = {name: frame for frame, name in enumerate(color)}
        if strays := len(depth) - len(pairs.partners):
            notes["depth_file_of_no_frame"] = strays
        notes["depth_paired_by_time"] = len(pairs.partners)
        return FrameFiles(
            color={frame: name for name, frame in frame_of.items()},
            depth={frame_of[partner]: name for name, partner in pairs.partners.items()},
            pose=None,
            noticed=notes,
        )

    def _listed_files(self, kind: str, name: str, notes: dict[str, int]) -> dict[str, str]:
        """Return the stamps of the files of a list that exist, by their paths below the scene's folder, in time."""
        place = in_any_case(self.path, f"{name}.txt")
        rows = self._parsed(parse_list, place, MAX_TRAJECTORY_BYTES)
        listings: dict[str, tuple[str, dict[str, str]]] = {}
        found: dict[str, str] = {}
        absent: list[str] = []
        for stamp, file in rows:
            folder, _, own = file.rpartition("/")
            if folder not in listings:
                listings[folder] = self._listing(folder)
            below, names = listings[folder]
            if on_disk := names.get(own) or names.get(own.lower()):
                found.setdefault(below + on_disk, stamp)
            else:
                absent.append(file)
        if not found:
            cure = "unpack the images beside the lists"
            raise self._damage(
                f"names {counted(len(rows), 'file')}, none of which exists, such as {absent[0]}", place, cure=cure
            )
        if len(found) > MAX_FRAME_ID:
            raise self._damage(f"names {counted(len(found), 'file')}, at most {MAX_FRAME_ID:,} are read", place)
        try:
            files = sorted_in_time(list(found.values()), list(found))
        except ValueError as error:
            raise self._damage(str(error), place) from error
        counts = {"listed_but_missing": len(absent), "listed_again": len(rows) - len(absent) - len(files)}
        notes.update({f"{kind}_{what}": count for what, count in counts.items() if count})
        return {file: stamp for stamp, file in files}

    def _listing(self, folder: str) -> tuple[str, dict[str, str]]:
        """Return the beginning of the paths of a folder's files, and their names by themselves and by lower case."""
        place = in_any_case(self.path, folder) if folder else self.path
        below = f"{place.relative_to(self.path).as_posix()}/" if folder else ""
        try:
            names = file_names(place)
            return below, {**by_lower_case(names), **{name: name for name in names}}
        except (FileNotFoundError, NotADirectoryError):
            return below, {}
        except OSError as error:
            problem = f"cannot be listed: {error.strerror}"
            raise kind_of_failure(error)(problem, path=place, scene=self.scene_id) from error

    def _read_calibration(self, path: Path) -> Calibration:
        if path != self.path:
            found = self._parsed(parse_intrinsics, path)
            return found if found.depth_units_per_metre else replace(found, depth_units_per_metre=DEPTH_UNITS)
        known = next((camera for name, camera in PUBLISHED.items() if re.match(name, self.scene_id)), None)
        if known is None:
            raise self._damage(
                "has no intrinsics file, and its name does not tell the camera (freiburg1, freiburg2, freiburg3 or "
                "rgbd_bonn_...)",
                self.path,
                cure='write intrinsics.json: {"fx": ..., "fy": ..., "cx": ..., "cy": ...}',
            )
        self._texts.update(repr(known).encode())
        (fx, fy, cx, cy), coefficients = known
        return Calibration(
            color=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
            lens=Lens(name="OPENCV", coefficients=coefficients) if coefficients else None,
            depth_to_color=IDENTITY,
            color_size=SIZE,
            depth_units_per_metre=DEPTH_UNITS,
        )

    def _read_trajectory(self, frames: list[int]) -> NDArray[np.float64]:
        """Return poses of ``frames``, (n, 4, 4), NaN where the trajectory has a hole."""
        place = in_any_case(self.path, POSES)
        if not place.exists():
            cure = "add it, with lines: stamp tx ty tz qx qy qz qw"
            raise self._damage(f"has rgb.txt and depth.txt, but no {POSES}", self.path, cure=cure)
        known = self._parsed(parse_stamped_poses, place, MAX_TRAJECTORY_BYTES)
        wanted = [self._times[frame] for frame in frames]
        poses, interpolated = interpolate_poses(known, wanted)
        without = int((~np.isfinite(poses).all(axis=(1, 2))).sum())
        if without == len(frames):
            raise self._damage(
                f"has no pose for any frame: frames are from {wanted[0]} to {wanted[-1]}, poses from "
                f"{known.stamps[0]} to {known.stamps[-1]}, and poses more than {LONGEST_GAP:g} s apart are not joined",
                place,
                cure="give the poses of this recording on its clock",
            )
        notes = {
            "pose_interpolated": int(interpolated.sum()),
            "frame_without_pose": without,
            "pose_listed_again": known.repeated,
        }
        self._pose_notes = {name: count for name, count in notes.items() if count}
        return poses


def parse_list(data: bytes) -> list[tuple[str, str]]:
    """Read ``rgb.txt`` or ``depth.txt``: stamps and paths with ``/``, in the order of the file.

    Raises:
        ValueError: it has no such line, or another line follows the first; the line is named.
    """
    rows: list[tuple[str, str]] = []
    for number, text in enumerate(COMMENT.sub("", decode_text(data, tolerant=True)).split("\n"), start=1):
        if comma := DECIMAL_COMMA.search(text):
            raise ValueError(f"line {number} has a decimal comma: {comma[0]}; write {comma[0].replace(',', '.')}")
        stamp = STAMP.match(text)
        file = text[stamp.end() :].strip(" \t,;\"'").replace("\\", "/") if stamp else ""
        if stamp is None or not file:
            if text.strip() and (rows or stamp):
                raise ValueError(f"line {number} is {text.strip()[:60]!r}, expected a time stamp and a path")
            continue
        try:
            path = path_below(file)
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from error
        rows.append((stamp[1], path))
    if not rows:
        raise ValueError("has no line of a time stamp and a path")
    return rows


def path_below(file: str) -> str:
    """Return a path of a list, which must lead below the scene's folder, with ``/`` and without ``.``.

    Raises:
        ValueError: it leads elsewhere.
    """
    if not file.startswith("/") and "." not in (file[:1], file[-1:]) and not any(mark in file for mark in SUSPECT):
        return file
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "\0" in file:
        raise ValueError(f"names a file outside of the scene's folder: {file[:60]}")
    return str(path)


def parse_stamped_poses(data: bytes) -> StampedPoses:
    """Read ``groundtruth.txt``: lines ``stamp tx ty tz qx qy qz qw``.

    Raises:
        ValueError: it has no such line, another line follows the first, or a quaternion is not a rotation; the line is
            named.
    """
    rows = parse_pose_rows(data)
    values = np.array([row.values for row in rows])
    return stamped_poses([row.stamp for row in rows], values[:, :3], values[:, 3:])


def _why_unpaired(pairs: TimePairs) -> str:
    name, (nearest, distance) = next(iter(pairs.nearest.items()))
    limit, away = pairs.said(pairs.limit), pairs.said(distance)
    return f"has no depth image within {limit} of a colour image: {nearest}, the nearest to {name}, is {away} away"
