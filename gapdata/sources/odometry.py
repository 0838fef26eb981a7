"""Read ``odometry.csv`` of Stray Scanner: one row a frame with its moment, its pose and, since 2023, its camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.text import decode_text
from gapdata.runtime.counting import counted
from gapdata.sources.timed_scan import TimedRows, poses_of_rows

POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
CAMERA = ("fx", "fy", "cx", "cy")
TIME, FRAME = "timestamp", "frame"
ABSENT = 1 << 20
"""The place of a column that is not there, beyond those of any row."""
SHOWN = 60  # characters of a line in a message


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Odometry:
    """The rows of the file."""

    table: TimedRows
    numbers: NDArray[np.int64]  # (n,) the number of each row's frame, which names its images
    notes: dict[str, int]


def parse_odometry(data: bytes) -> Odometry:
    """Read the file; cells may have blanks around them and may be empty.

    Poses are camera to world in metres with OpenCV axes already, intrinsics are pixels of the video. Rows of older
    files have no intrinsics. A last row that is cut off is left out: the app was closed while it wrote.

    Raises:
        ValueError: a column is missing, or a row is damaged; the line is named.
    """
    lines = decode_text(data, tolerant=True).split("\n")
    header = [name.strip().lower() for name in lines[0].split(",")]
    missing = [name for name in (TIME, *POSE) if name not in header]
    if missing:
        raise ValueError(f"has no column {missing[0]} in its first line: {lines[0].strip()[:SHOWN]!r}")
    columns = [header.index(name) if name in header else ABSENT for name in (TIME, *POSE, *CAMERA, FRAME)]
    needed = max(columns[: 1 + len(POSE)])
    rows: list[list[float]] = []
    numbers: list[int] = []
    notes: dict[str, int] = {}
    written = [(number, line.split(",")) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    for number, cells in written:
        if len(cells) <= needed:
            if number == written[-1][0]:
                notes["row_cut_off"] = 1
                break
            raise ValueError(f"line {number} has {counted(len(cells), 'value')}, expected {len(header)}")
        try:
            rows.append([float(cells[column]) for column in columns[:-1]])
        except (ValueError, IndexError):
            rows.append([_value(cells, column, number) for column in columns[:-1]])
        numbers.append(_frame(cells, columns[-1], number, len(rows) - 1))
    if not rows:
        raise ValueError("has no row")
    values = np.array(rows)
    if len(set(numbers)) < len(numbers):
        twice = next(frame for place, frame in enumerate(numbers) if frame in numbers[:place])
        raise ValueError(f"has two rows of frame {twice}")
    poses, wrong = poses_of_rows(values[:, 1:4], values[:, 4:8])
    if wrong:
        notes["pose_not_a_rotation"] = wrong
    table = TimedRows(seconds=values[:, 0], intrinsics=values[:, 8:], poses=poses)
    return Odometry(table=table, numbers=np.array(numbers), notes=notes)


def _value(cells: list[str], column: int, line: int) -> float:
    """Return the number in a column; NaN for an empty cell and a column that is not there."""
    text = cells[column].strip() if column < len(cells) else ""
    try:
        return float(text) if text else float("nan")
    except ValueError as error:
        raise ValueError(f"line {line} has {text[:SHOWN]!r}, which is not a number") from error


def _frame(cells: list[str], column: int, line: int, row: int) -> int:
    """Return the number of a row's frame; without that column, rows are counted."""
    if column == ABSENT:
        return row
    text = cells[column].strip() if column < len(cells) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= MAX_FRAME_ID):
        raise ValueError(f"line {line} has {text[:SHOWN]!r}, which is not the number of a frame")
    return int(text)
