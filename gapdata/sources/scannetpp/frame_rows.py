"""Read ``pose_intrinsic_imu.json`` of ScanNet++'s iPhone stream: a camera and a pose for each frame of the video.

The file has an object ``frame_000123`` for each frame, with a 3x3 ``intrinsic`` in pixels of the video, a 4x4
``aligned_pose`` (camera to world, OpenCV axes, metres, the mesh's world) and a ``timestamp`` in seconds. ``pose`` is
ARKit's own, in another world, and is not read. Rows may lack a field, or hold what is not a rigid pose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.checked_values import number, numbers
from gapdata.files.json_text import decode_json

FRAME = re.compile(r"frame_(\d{1,9})(?:\.\w{1,5})?")
RATE = 30.0  # Hz of raw indices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameRows:
    """What the file says of each video frame; N is one more than the largest number."""

    listed: NDArray[np.bool_]  # (N,) which have a row
    camera_to_world: NDArray[np.float64]  # (N, 4, 4) metres, NaN where a row lacks it
    matrices: NDArray[np.float64]  # (N, 3, 3) pixels, NaN where a row lacks it
    step: int
    """Video frames to one raw index, so that raw indices count 30 Hz."""
    notes: dict[str, int] = field(default_factory=dict)


def parse_rows(data: bytes) -> FrameRows:
    """Read the file.

    Raises:
        ValueError: it is not JSON, is not an object of frames, or has no frame with a camera.
    """
    content = decode_json(data)
    if not isinstance(content, dict):
        raise ValueError("is not an object of frames")
    found = {int(name[1]): row for key, row in content.items() if (name := FRAME.fullmatch(key))}
    rows = {index: row for index, row in sorted(found.items()) if isinstance(row, dict) and index <= MAX_FRAME_ID}
    count = 1 + max(rows, default=-1)
    places = np.fromiter(rows, dtype=np.int64, count=len(rows))
    poses, without_pose = _matrices([row.get("aligned_pose") for row in rows.values()], 4)
    cameras, without_camera = _matrices([row.get("intrinsic") for row in rows.values()], 3)
    if without_camera == len(rows):
        raise ValueError("has no row such as frame_000000 with a 3x3 intrinsic")
    notes = {
        "row_without_aligned_pose": without_pose,
        "row_without_intrinsic": without_camera,
        "row_that_names_no_frame": len(content) - len(rows),
        "frame_without_row": count - len(rows),
    }
    listed = np.zeros(count, dtype=bool)
    listed[places] = True
    camera_to_world, matrices = np.full((count, 4, 4), np.nan), np.full((count, 3, 3), np.nan)
    camera_to_world[places], matrices[places] = poses, cameras
    return FrameRows(
        listed=listed,
        camera_to_world=camera_to_world,
        matrices=matrices,
        step=_step(places, [row.get("timestamp") for row in rows.values()]),
        notes={name: number for name, number in notes.items() if number},
    )


def _matrices(values: Sequence[Any], side: int) -> tuple[NDArray[np.float64], int]:
    """Return the matrices of rows, (n, side, side), NaN where there is none, and how many these are."""
    try:
        # All at once takes a tenth of the time of one after the other. Texts and booleans would pass, too.
        array = np.array(values)
        if array.shape == (len(values), side, side) and array.dtype.kind in "fi":
            return array.astype(np.float64), 0
    except (ValueError, OverflowError):
        pass
    parts = [numbers(value, (side, side)) for value in values]
    missing = np.full((side, side), np.nan)
    found = np.array([missing if part is None else part for part in parts]).reshape(-1, side, side)
    return found, sum(part is None for part in parts)


def _step(places: NDArray[np.int64], stamps: Sequence[Any]) -> int:
    """Return how many video frames go to one raw index: two at 60 Hz, as the app records, unless stamps say another."""
    pairs = zip(places.tolist(), map(number, stamps), strict=True)
    known = [(place, stamp) for place, stamp in pairs if stamp is not None]
    if len(known) < 2:
        return 2
    order, seconds = np.array(known, dtype=np.float64).T
    interval = float(np.median(np.diff(seconds) / np.diff(order)))
    return max(1, round(1 / (RATE * interval))) if 1e-3 < interval < 1 else 2
