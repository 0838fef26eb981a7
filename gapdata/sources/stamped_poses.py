"""Poses with time stamps, and what the pose is at the moment of a frame.

Readers of trajectories (TUM's quaternions, ARKitScenes' rotation vectors, a phone's table) make :class:`StampedPoses`
of their rows. A frame's pose is interpolated between the poses before and after it; where these are too far apart, and
before the first and after the last pose, it has none: no pose stands in for its neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import number_lines, numbers_of
from gapdata.runtime.counting import counted
from gapdata.sources.pose_files import UNIT_LENGTH, rotations_from_quaternions
from gapdata.sources.time_pairs import read_stamps

LONGEST_GAP = 0.05
"""Most seconds between two poses of which a frame's is interpolated: TUM's come every 10 ms, with holes of 0.11 s."""
SAME_MOMENT = 1e-4
"""Seconds from a frame to a pose that is taken as it is where none is interpolated: stamps may have four decimals."""
STAMP = re.compile(r"\s*([-+]?\d{1,20}(?:\.\d{0,30})?(?:[eE][-+]?\d\d?)?)(?=[\s,;]|$)")
"""The first word of a row, after blanks."""
SMALL_ANGLE = 1e-6  # radians between unit quaternions, below which the chord is the arc

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StampedPoses:
    """The poses of a trajectory, ascending in time; :func:`stamped_poses` makes them of rows in any order."""

    stamps: tuple[str, ...]
    translations: NDArray[np.float64]  # (N, 3) metres
    quaternions: NDArray[np.float64]  # (N, 4) qx qy qz qw of length 1; NaN where tracking was lost
    repeated: int = 0
    """How many rows are left out because an earlier one has the same stamp."""

    def inverted(self) -> StampedPoses:
        """Return camera_to_world poses of world_to_camera ones, or the other way round.

        Invert before interpolating: a camera moves straight in the world, not the world straight in the camera.
        """
        conjugate = self.quaternions * np.array([-1.0, -1.0, -1.0, 1.0])
        translations = -np.einsum("nij,nj->ni", rotations_from_quaternions(conjugate), self.translations)
        return StampedPoses(
            stamps=self.stamps, translations=translations, quaternions=conjugate, repeated=self.repeated
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseRow:
    """A line ``stamp tx ty tz qx qy qz qw`` of a trajectory, and what follows."""

    number: int  # of the line, from 1 on
    stamp: str
    values: NDArray[np.float64]  # (7,) tx ty tz qx qy qz qw, metres
    rest: tuple[str, ...]


def parse_pose_rows(data: bytes, shape: str = "stamp tx ty tz qx qy qz qw") -> list[PoseRow]:
    """Read the rows of a trajectory; headings before the first one need not be marked as comments.

    Args:
        data: the file.
        shape: names of the columns, the first eight of which are these.

    Raises:
        ValueError: it has no such line, another line follows the first, or a quaternion is not a rotation; the line is
            named.
    """
    rows: list[PoseRow] = []
    for number, line in number_lines(data):
        words = line.split()
        if not STAMP.match(line):
            if rows:
                raise ValueError(f"line {number} does not begin with a time stamp: {line.strip()[:60]!r}")
            continue
        if len(words) != len(shape.split()):
            raise ValueError(f"line {number} has {counted(len(words), 'value')}, expected {shape}")
        try:
            values = numbers_of(" ".join(words[1:8]))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        rows.append(PoseRow(number=number, stamp=words[0], values=values, rest=tuple(words[8:])))
    if not rows:
        raise ValueError(f"has no line {shape}")
    wrong = _first_wrong(np.array([row.values[3:] for row in rows]))
    if wrong is not None:
        raise ValueError(f"line {rows[wrong[0]].number} has {wrong[1]}")
    return rows


def stamped_poses(
    stamps: Sequence[str], translations: NDArray[np.float64], quaternions: NDArray[np.float64]
) -> StampedPoses:
    """Return rows of a trajectory ascending in time, one of each moment, with quaternions of length 1.

    Args:
        stamps: the N time stamps as written: seconds, or whole numbers of a smaller unit since 1970.
        translations: (N, 3) metres.
        quaternions: (N, 4) qx qy qz qw; their length may differ from 1 by ``UNIT_LENGTH``. Rows that are not finite
            mean lost tracking.

    Raises:
        ValueError: the stamps are not times, or a quaternion is not a rotation; its stamp is named.
    """
    if (wrong := _first_wrong(quaternions)) is not None:
        raise ValueError(f"has at {stamps[wrong[0]]} {wrong[1]}")
    ordered = sorted_in_time(stamps, range(len(stamps)))
    rows = np.concatenate([translations, quaternions], axis=1)[[row for _, row in ordered]]
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return StampedPoses(
        stamps=tuple(stamp for stamp, _ in ordered),
        translations=rows[:, :3],
        quaternions=rows[:, 3:] / np.linalg.norm(rows[:, 3:], axis=1, keepdims=True),
        repeated=len(stamps) - len(ordered),
    )


def _first_wrong(quaternions: NDArray[np.float64]) -> tuple[int, str] | None:
    """Return the first of (N, 4) that is not a rotation, and what is wrong with it; those not finite do not count."""
    lengths = np.linalg.norm(quaternions, axis=1)
    wrong = np.flatnonzero(np.abs(lengths - 1) > UNIT_LENGTH)  # false where it is not finite
    if not len(wrong) or not np.isfinite(lengths[wrong]).any():
        return None
    first = int(wrong[np.isfinite(lengths[wrong])][0])
    return first, f"a quaternion of length {lengths[first]:.3g}, expected 1"


def quaternions_from_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quaternions qx qy qz qw, (N, 4), of rotation vectors (N, 3): axis times angle in radians."""
    angles = np.linalg.norm(vectors, axis=1, keepdims=True)
    # sin(a / 2) / a as NumPy's sinc, sin(pi x) / (pi x), which knows the limit at 0.
    return np.concatenate([vectors * np.sinc(angles / (2 * np.pi)) / 2, np.cos(angles / 2)], axis=1)


def interpolate_poses(
    known: StampedPoses, wanted: Sequence[str], longest_gap: float = LONGEST_GAP
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the poses at some moments: straight between translations, along the great arc between rotations.

    Args:
        known: the trajectory.
        wanted: n time stamps.
        longest_gap: most seconds between two poses that are joined.

    Returns:
        (n, 4, 4) in metres, NaN where neighbours are missing or more than ``longest_gap`` apart, unless one is within
        ``SAME_MOMENT``; and (n,) which were interpolated.
    """
    start = _seconds(known.stamps)[0]
    times, moments = (np.array([float(at - start) for at in _seconds(kind)]) for kind in (known.stamps, wanted))
    return poses_at_moments(known, times, moments, longest_gap)


def poses_at_moments(
    known: StampedPoses, times: NDArray[np.float64], moments: NDArray[np.float64], longest_gap: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Do what :func:`interpolate_poses` does, with moments as numbers.

    Args:
        known: the trajectory.
        times: (N,) seconds of its rows, ascending.
        moments: (n,) seconds from the same beginning.
        longest_gap: most seconds between two poses that are joined.
    """
    place = np.searchsorted(times, moments)
    before, after = np.maximum(place - 1, 0), np.minimum(place, len(times) - 1)
    nearest = np.where(np.abs(times[before] - moments) <= np.abs(times[after] - moments), before, after)
    apart = np.abs(times[nearest] - moments)
    joined = (before < after) & (times[after] - times[before] <= longest_gap)
    as_it_is = (apart == 0) | ((apart <= SAME_MOMENT) & ~joined)
    between = joined & ~as_it_is
    rows = np.full((len(moments), 7), np.nan)
    values = np.concatenate([known.translations, known.quaternions], axis=1)
    rows[as_it_is] = values[nearest[as_it_is]]
    one, other = values[before[between]], values[after[between]]
    span = times[after[between]] - times[before[between]]
    share = ((moments[between] - times[before[between]]) / span)[:, None]
    rows[between, :3] = (1 - share) * one[:, :3] + share * other[:, :3]
    rows[between, 3:] = _on_the_arc(one[:, 3:], other[:, 3:], share)
    finite = np.isfinite(rows).all(axis=1)
    poses = np.full((len(moments), 4, 4), np.nan)
    poses[finite] = np.eye(4)
    poses[finite, :3, :3] = rotations_from_quaternions(rows[finite, 3:])
    poses[finite, :3, 3] = rows[finite, :3]
    return poses, between & finite


def _on_the_arc(
    one: NDArray[np.float64], other: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the unit quaternions (n, 4) at shares (n, 1) of the shorter arcs between two (n, 4)."""
    other = np.where((one * other).sum(axis=1, keepdims=True) < 0, -other, other)
    chords = [np.linalg.norm(side, axis=1, keepdims=True) for side in (one - other, one + other)]
    angle = 2 * np.arctan2(chords[0], chords[1])
    small = angle < SMALL_ANGLE
    # Their common factor, the sine of the angle, falls out where the length becomes 1.
    weights = [np.where(small, part, np.sin(part * angle)) for part in (1 - share, share)]
    between = weights[0] * one + weights[1] * other
    return np.asarray(between / np.linalg.norm(between, axis=1, keepdims=True))


def sorted_in_time(stamps: Sequence[str], rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return rows with their stamps, ascending in time, and of each stamp only the first.

    Raises:
        ValueError: the stamps are neither seconds nor whole numbers of a smaller unit since 1970.
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
