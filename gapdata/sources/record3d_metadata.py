"""Read the ``metadata`` of a recording of Record3D: cameras, poses and moments of all frames.

Matrices are column by column, poses are ``qx qy qz qw tx ty tz``, camera to world with OpenGL axes in metres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.files.checked_values import number, numbers
from gapdata.files.text import decode_text
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.pose_convention import TO_AXES, in_opencv_axes
from gapdata.sources.orientation import same_shape
from gapdata.sources.raw_clock import RATE
from gapdata.sources.timed_scan import TimedRows, poses_of_rows

MAX_METADATA_BYTES = 1 << 26
MAX_ROWS = 1 << 20
STILL = 1e-3  # radians, metres: a first pose that is nearer to the identity is the identity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What the metadata state."""

    rows: TimedRows  # with intrinsics for images of ``size``
    size: tuple[int, int] | None  # (width, height) that intrinsics are for; None where it is not stated
    depth_size: tuple[int, int] | None  # likewise, of depth images
    vertical_known: bool  # whether the world has y up, and is not that of the first camera
    notes: dict[str, int] = field(default_factory=dict)

    def rows_for(self, size: tuple[int, int]) -> TimedRows:
        """Return the rows with intrinsics for images of ``size``: exports of high quality are larger than stated.

        Raises:
            ValueError: such images have another shape.
        """
        if self.size is None or self.size == size:
            return self.rows
        if not same_shape(self.size, size):
            stated, found = (f"{width}x{height}" for width, height in (self.size, size))
            raise ValueError(f"has metadata for images of {stated}, but its images are {found}")
        scaled = self.rows.intrinsics.copy()
        for values in scaled:
            fx, fy, cx, cy = values.tolist()
            camera = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=self.size[0], height=self.size[1]).resized(*size)
            values[:] = camera.fx, camera.fy, camera.cx, camera.cy
        return replace(self.rows, intrinsics=scaled)

    def depth_size_for(self, color: tuple[int, int], pixels: int) -> tuple[int, int]:
        """Return (width, height) of depth images with a number of pixels, which have the shape of colour's.

        Raises:
            ValueError: there is none, or another size is stated.
        """
        if self.depth_size is not None:
            if self.depth_size[0] * self.depth_size[1] != pixels:
                stated = f"{self.depth_size[0]}x{self.depth_size[1]}"
                raise ValueError(f"states depth of {stated}, but its depth images have {pixels} pixels")
            return self.depth_size
        width = round((pixels * color[0] / color[1]) ** 0.5)
        height = pixels // max(width, 1)
        if not pixels or width * height != pixels or not same_shape((width, height), color):
            raise ValueError(f"has depth images of {pixels} pixels, which have not the shape of {color[0]}x{color[1]}")
        return width, height


def parse_metadata(data: bytes) -> Recording:
    """Read the metadata.

    Raises:
        ValueError: it is not JSON, or lacks the cameras or the poses.
    """
    try:
        fields = json.loads(decode_text(data))
    except RecursionError as error:
        raise ValueError("has metadata that are nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"has metadata that are not valid JSON, as if they were cut off: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("has metadata that are not a JSON object")
    listed = fields.get("poses")
    count = len(listed) if isinstance(listed, list) else 0
    values = numbers(listed, (count, 7)) if 0 < count <= MAX_ROWS else None
    if values is None:
        raise ValueError("has metadata without poses of seven numbers: share a recording of the LiDAR camera")
    notes: dict[str, int] = {}
    poses = _poses(values, fields.get("initPose"), notes)
    rows = TimedRows(seconds=_seconds(fields, count, notes), intrinsics=_intrinsics(fields, count, notes), poses=poses)
    return Recording(
        rows=rows,
        size=_size(fields, "w", "h"),
        depth_size=_size(fields, "dw", "dh"),
        vertical_known="vertical_not_known" not in notes,
        notes=notes,
    )


def _poses(values: NDArray[np.float64], initial: Any, notes: dict[str, int]) -> NDArray[np.float64]:
    """Return poses (n, 4, 4) with OpenCV axes of rows (n, 7)."""
    found, wrong = poses_of_rows(values[:, 4:], values[:, :4])
    if wrong:
        notes["pose_not_a_rotation"] = wrong
    known = np.isfinite(found).all(axis=(1, 2))
    if len(values) > 1 and known.any() and np.ptp(values[known], axis=0).max() == 0:
        raise ValueError("has the same pose for all frames: the selfie camera records no poses")
    repeated = int((np.abs(np.diff(values, axis=0)).max(axis=1) == 0).sum())
    if repeated:
        notes["pose_equal_to_the_one_before"] = repeated
    first = numbers(initial, (7,))
    moved = np.full((4, 4), np.nan) if first is None else poses_of_rows(first[None, 4:], first[None, :4])[0][0]
    if np.isfinite(moved).all() and np.abs(moved - np.eye(4)).max() > STILL:
        found = moved @ found
        notes["pose_moved_by_init_pose"] = len(found)
    elif initial and not np.isfinite(moved).all():
        notes["init_pose_not_usable"] = 1
    if known.any() and np.abs(found[known][0] - np.eye(4)).max() <= STILL:
        notes["vertical_not_known"] = 1
    return in_opencv_axes(found, TO_AXES["opengl"])


def _seconds(fields: dict[str, Any], count: int, notes: dict[str, int]) -> NDArray[np.float64]:
    """Return the moment of each frame, (n,) seconds."""
    stamps = numbers(fields.get("frameTimestamps"), (count,))
    if stamps is not None:
        return stamps
    if fields.get("frameTimestamps"):
        notes["time_stamps_not_usable"] = 1
    rate = number(fields.get("fps"))
    if rate is None or rate <= 0:
        notes["frame_rate_not_stated"] = 1
        rate = RATE
    return np.arange(count) / rate


def _intrinsics(fields: dict[str, Any], count: int, notes: dict[str, int]) -> NDArray[np.float64]:
    """Return fx fy cx cy of each frame, (n, 4) pixels.

    Raises:
        ValueError: there are none.
    """
    for width, columns in ((4, (0, 1, 2, 3)), (9, (0, 4, 6, 7))):
        each = numbers(fields.get("perFrameIntrinsicCoeffs"), (count, width))
        if each is not None:
            return each[:, columns]
    if fields.get("perFrameIntrinsicCoeffs"):
        notes["intrinsics_of_frames_not_usable"] = 1
    shared = numbers(fields.get("K"), (9,))
    if shared is None:
        raise ValueError("has metadata without the nine numbers K of its camera")
    return np.tile(shared[[0, 4, 6, 7]], (count, 1))


def _size(fields: dict[str, Any], width: str, height: str) -> tuple[int, int] | None:
    """Return a size (width, height); ``None`` where it is not stated."""
    sides = [number(fields.get(name)) for name in (width, height)]
    if any(side is None or not 1 <= side <= 1 << 16 or side != int(side) for side in sides):
        return None
    return int(sides[0] or 0), int(sides[1] or 0)
