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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import kind_of_failure
from gapdata.files.folders import by_lower_case, file_names, in_any_case
from gapdata.files.numbers import COMMENT, DECIMAL_COMMA, number_lines, numbers_of
from gapdata.files.text import decode_text
from gapdata.geometry.lens import Lens
from gapdata.runtime.counting import counted
from gapdata.sources.camera_files import IDENTITY, MAX_TRAJECTORY_BYTES, Calibration, parse_intrinsics
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_files import FrameFiles
from gapdata.sources.layouts import COLOR_ENDINGS, DEPTH_ENDINGS, Layout, Naming
from gapdata.sources.pose_files import UNIT_LENGTH, pose_from_quaternion
from gapdata.sources.time_pairs import TimePairs, pair_by_time, read_stamps

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
LONGEST_GAP = 0.05
"""Most seconds between two poses of which a frame's is interpolated: TUM's come every 10 ms, with holes of 0.11 s."""
SAME_MOMENT = 1e-4
"""Seconds from a frame to a pose that is taken as it is where none is interpolated: stamps may have four decimals."""
SMALL_ANGLE = 1e-6  # radians between unit quaternions, below which the chord is the arc
STAMP = re.compile(r"\s*([-+]?\d{1,20}(?:\.\d{0,30})?(?:[eE][-+]?\d\d?)?)(?=[\s,;]|$)")
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

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StampedPoses:
    """The poses of a trajectory, ascending in time."""

    stamps: tuple[str, ...]
    translations: NDArray[np.float64]  # (N, 3) metres
    quaternions: NDArray[np.float64]  # (N, 4) qx qy qz qw of length 1, or not finite where tracking was lost
    repeated: int = 0
    """How many rows are left out because an earlier one has the same stamp."""


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
            files = _sorted_in_time(list(found.values()), list(found))
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
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\0" in file:
            raise ValueError(f"line {number} names a file outside of the scene's folder: {file[:60]}")
        rows.append((stamp[1], str(path)))
    if not rows:
        raise ValueError("has no line of a time stamp and a path")
    return rows


def parse_stamped_poses(data: bytes) -> StampedPoses:
    """Read ``groundtruth.txt``: lines ``stamp tx ty tz qx qy qz qw``.

    Quaternions are normalised; their length may differ from 1 by ``UNIT_LENGTH``.

    Raises:
        ValueError: it has no such line, another line follows the first, or a quaternion is not a rotation; the line is
            named.
    """
    stamps: list[str] = []
    rows: list[NDArray[np.float64]] = []
    for number, line in number_lines(data):
        words = line.split()
        if not STAMP.match(line):
            if rows:
                raise ValueError(f"line {number} does not begin with a time stamp: {line.strip()[:60]!r}")
            continue
        if len(words) != 8:
            raise ValueError(f"line {number} has {counted(len(words), 'value')}, expected stamp tx ty tz qx qy qz qw")
        try:
            values = numbers_of(" ".join(words[1:]))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        length = float(np.linalg.norm(values[3:]))
        if abs(length - 1) > UNIT_LENGTH:  # false where it is not finite
            raise ValueError(f"line {number} has a quaternion of length {length:.3g}, expected 1")
        stamps.append(words[0])
        rows.append(np.concatenate([values[:3], values[3:] / length]))
    if not rows:
        raise ValueError("has no line stamp tx ty tz qx qy qz qw")
    ordered = _sorted_in_time(stamps, rows)
    values = np.array([row for _, row in ordered])
    return StampedPoses(
        stamps=tuple(stamp for stamp, _ in ordered),
        translations=values[:, :3],
        quaternions=values[:, 3:],
        repeated=len(rows) - len(ordered),
    )


def interpolate_poses(known: StampedPoses, wanted: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the poses at some moments: straight between translations, along the great arc between rotations.

    Args:
        known: the trajectory.
        wanted: time stamps.

    Returns:
        (n, 4, 4) camera_to_world in metres, NaN where neighbours are missing or more than ``LONGEST_GAP`` apart, unless
        one is within ``SAME_MOMENT``; and (n,) which were interpolated.
    """
    poses = np.full((len(wanted), 4, 4), np.nan)
    interpolated = np.zeros(len(wanted), dtype=bool)
    start = _seconds(known.stamps)[0]
    times, moments = (np.array([float(at - start) for at in _seconds(kind)]) for kind in (known.stamps, wanted))
    for place, moment in enumerate(moments):
        after = int(np.searchsorted(times, moment))
        near = [at for at in (after - 1, after) if 0 <= at < len(times)]
        nearest = min(near, key=lambda at: abs(float(times[at] - moment)))
        apart = abs(float(times[nearest] - moment))
        joined = len(near) == 2 and times[after] - times[after - 1] <= LONGEST_GAP
        if apart == 0 or (apart <= SAME_MOMENT and not joined):
            row = np.concatenate([known.translations[nearest], known.quaternions[nearest]])
        elif joined:
            share = float((moment - times[after - 1]) / (times[after] - times[after - 1]))
            ends = known.translations[after - 1], known.translations[after]
            turn = _on_the_arc(known.quaternions[after - 1], known.quaternions[after], share)
            row = np.concatenate([(1 - share) * ends[0] + share * ends[1], turn])
            interpolated[place] = bool(np.isfinite(row).all())
        else:
            continue
        poses[place] = pose_from_quaternion(row)
    return poses, interpolated


def _on_the_arc(one: NDArray[np.float64], other: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the unit quaternion at a share of the shorter arc between two, (4,) qx qy qz qw."""
    other = -other if one @ other < 0 else other
    angle = 2 * np.arctan2(np.linalg.norm(one - other), np.linalg.norm(one + other))
    weights = (1 - share, share) if angle < SMALL_ANGLE else np.sin([(1 - share) * angle, share * angle])
    between = weights[0] * one + weights[1] * other
    return np.asarray(between / np.linalg.norm(between))


def _sorted_in_time(stamps: Sequence[str], rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return rows with their stamps, ascending in time, and of each stamp only the first.

    Raises:
        ValueError: the stamps are not seconds, nor whole numbers of a smaller unit since 1970.
    """
    first: dict[Decimal, tuple[str, Row]] = {}
    for time, stamp, row in zip(_seconds(stamps), stamps, rows, strict=True):
        first.setdefault(time, (stamp, row))
    return [first[time] for time in sorted(first)]


def _seconds(stamps: Sequence[str]) -> list[Decimal]:
    """Return time stamps in seconds.

    Raises:
        ValueError: they are neither seconds nor whole numbers of a smaller unit since 1970.
    """
    read = read_stamps([(stamp,) for stamp in stamps])
    if read is None or not read[1]:
        raise ValueError(f"has stamps such as {stamps[0]}, which are not times: write seconds with a decimal point")
    return read[0]


def _why_unpaired(pairs: TimePairs) -> str:
    name, (nearest, distance) = next(iter(pairs.nearest.items()))
    limit, away = pairs.said(pairs.limit), pairs.said(distance)
    return f"has no depth image within {limit} of a colour image: {nearest}, the nearest to {name}, is {away} away"
