"""Read ``lowres_wide.traj`` and find the pose of each frame.

A row is ``t rx ry rz tx ty tz``: seconds, a rotation vector in radians, metres, **world to camera**, OpenCV axes; the
world has z up. Rows come about 10 times a second, images up to 60 times.

- A frame within ``SAME_MOMENT`` of a row has that row's pose; the official loader takes these rows, too. A row serves
  only the nearest frame.
- Any other frame is interpolated between the rows before and after it, if they are at most ``LONGEST_GAP`` apart. That
  is the usual interval and a half: a hand-held camera leaves the straight line by some 5 mm meanwhile (2 m/s² over
  0.15 s), and by four times as much where one more row is missing. DUSt3R and CUT3R interpolate without a limit; the
  official loader repeats the previous pose without a word.
- No frame is interpolated over a jump: some captures jump once at the start, while tracking settles.
- Other frames have no pose. No pose stands in for its neighbour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import number_lines, numbers_of
from gapdata.runtime.counting import counted
from gapdata.sources.arkit.clock import SECOND, nearest_within
from gapdata.sources.stamped_poses import StampedPoses, poses_at_moments, quaternions_from_vectors

SAME_MOMENT = 5_000
"""Microseconds: less than half the interval of 60 Hz, so that a row within it was written for that frame."""
LONGEST_GAP = 0.15  # s
FASTEST, FASTEST_TURN = 5.0, 6.0
"""m/s and rad/s between two rows from which on they count as a jump: people carry a tablet at 0.5 m/s."""
SHORTEST = 0.05  # s between rows over which speed is measured: noise of 1 cm within a millisecond is not a jump
LATEST = 1e9  # s
COLUMNS = "t rx ry rz tx ty tz"
WIDTH = len(COLUMNS.split())
INTERPOLATED, EXACT = 1, 2
"""How good a frame's pose is; 0 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramePoses:
    """The poses of n frames."""

    camera_to_world: NDArray[np.float64]  # (n, 4, 4) metres, NaN where there is none
    rank: NDArray[np.int64]  # (n,) 0, INTERPOLATED or EXACT
    notes: Mapping[str, int]  # defects of the trajectory


def parse_trajectory(data: bytes) -> StampedPoses:
    """Read the rows of a trajectory as camera_to_world, ascending in time, one of each moment.

    Raises:
        ValueError: it has no row, or a line is not a row; the line is named.
    """
    stamps, values = _plain_rows(data) or _any_rows(data)
    _, order = np.unique(np.rint(values[:, 0] * SECOND), return_index=True)
    rows = values[order, 1:]
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return StampedPoses(
        stamps=tuple(stamps[row] for row in order.tolist()),
        translations=rows[:, 3:],
        quaternions=quaternions_from_vectors(rows[:, :3]),
        repeated=len(stamps) - len(order),
    ).inverted()


def poses_of_frames(rows: StampedPoses, stamps: NDArray[np.int64]) -> FramePoses:
    """Return the poses at the moments of frames.

    Args:
        rows: the trajectory.
        stamps: (n,) microseconds, ascending.
    """
    times = np.rint(np.array([float(stamp) for stamp in rows.stamps]) * SECOND).astype(np.int64)
    row = nearest_within(times, stamps, SAME_MOMENT)
    nearest_frame = nearest_within(stamps, times, SAME_MOMENT)
    exact = (row >= 0) & (nearest_frame[row] == np.arange(len(stamps)))
    moments = np.where(exact, times[row], stamps)
    start = times[0]
    poses, interpolated = poses_at_moments(
        rows, (times - start) / SECOND, (moments - start) / SECOND, longest_gap=LONGEST_GAP
    )
    jumps = _jumps(rows, times)
    after = np.searchsorted(times, stamps)
    over_a_jump = ~exact & np.concatenate([[False], jumps, [False]])[after]
    poses[over_a_jump] = np.nan
    known = np.isfinite(poses).all(axis=(1, 2))
    rank = np.where(exact & known, EXACT, np.where(interpolated & known, INTERPOLATED, 0))
    notes = {
        "pose_listed_again": rows.repeated,
        "pose_lost": int((~np.isfinite(rows.quaternions).all(axis=1)).sum()),
        "pose_jump": int(jumps.sum()),
    }
    return FramePoses(camera_to_world=poses, rank=rank, notes={name: count for name, count in notes.items() if count})


def _plain_rows(data: bytes) -> tuple[list[str], NDArray[np.float64]] | None:
    """Return stamps and numbers, (n, 7), of a file as it is published; ``None`` for any other one.

    It is what :func:`_any_rows` returns, in a third of the time: planning reads a trajectory of each capture.
    """
    lines = [words for line in data.split(b"\n") if (words := line.split())]
    if not lines or any(len(words) != WIDTH for words in lines):
        return None
    try:
        values = np.array([[float(word) for word in words] for words in lines])
    except ValueError:
        return None
    is_time = np.abs(values[:, 0]) < LATEST  # false for NaN
    return ([words[0].decode() for words in lines], values) if is_time.all() else None


def _any_rows(data: bytes) -> tuple[list[str], NDArray[np.float64]]:
    """Return stamps and numbers, (n, 7), of a file that an editor or a spreadsheet may have written.

    Raises:
        ValueError: it has no row, or a line is not a row; the line is named.
    """
    stamps: list[str] = []
    rows: list[NDArray[np.float64]] = []
    for number, line in number_lines(data):
        words = line.split()
        if len(words) != WIDTH:
            raise ValueError(f"line {number} has {counted(len(words), 'number')}, expected {COLUMNS}")
        try:
            values = numbers_of(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        if not abs(values[0]) < LATEST:
            raise ValueError(f"line {number} begins with {words[0]}, which is not a time in seconds")
        stamps.append(words[0])
        rows.append(values)
    if not rows:
        raise ValueError(f"has no row {COLUMNS}")
    return stamps, np.array(rows)


def _jumps(rows: StampedPoses, times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows are a jump away from the row before them, (N - 1,)."""
    seconds = np.diff(times) / SECOND
    moved = np.linalg.norm(np.diff(rows.translations, axis=0), axis=1)
    cosine = np.abs((rows.quaternions[1:] * rows.quaternions[:-1]).sum(axis=1)).clip(max=1.0)
    turned = 2 * np.arccos(cosine)
    with np.errstate(invalid="ignore"):
        near, span = seconds <= LONGEST_GAP, np.maximum(seconds, SHORTEST)
        return np.asarray(near & ((moved > FASTEST * span) | (turned > FASTEST_TURN * span)))
