"""A capture that a table describes row by row: the moment, the camera and the pose of each of its frames.

Stray Scanner and Record3D write such tables at up to 60 Hz. A frame's raw index is its place on the clock of 30 Hz; of
several rows that fall on one tick, the nearest is its frame. Their worlds and lenses are ARKit's: y against gravity,
depth registered to colour, no distortion.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.members import Members
from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Scan
from gapdata.sources.capture_frames import CENTRAL, Y_UP_TO_Z_UP
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.images import MAX_PIXELS
from gapdata.sources.orientation import same_shape
from gapdata.sources.pose_files import UNIT_LENGTH, rotations_from_quaternions
from gapdata.sources.raw_clock import nearest_on_raw_clock

SHORTEST = 0.05
"""A focal length, as a share of the longer side, up to which intrinsics are impossible."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimedRows:
    """The n rows of a capture, in the order of the file."""

    seconds: NDArray[np.float64]  # (n,)
    intrinsics: NDArray[np.float64]  # (n, 4) fx fy cx cy, pixels of the colour image; NaN where they are not stated
    poses: NDArray[np.float64]  # (n, 4, 4) camera to world, metres, OpenCV axes; NaN where not known


class TimedScan(Scan):
    """A capture of timed rows.

    A subclass sets :attr:`members` before it calls :meth:`_set_rows`, and reads the images of a row.

    Attributes:
        members: the files that images are read from.
        row_of: the row of each frame, by raw index.
    """

    members: Members

    def __init__(self, scene_id: str, path: Location, reading: FrameReading) -> None:
        self.scene_id, self.path, self.reading = scene_id, path, reading
        self._noted: Counter[str] = Counter()
        self._texts = hashlib.sha256(reading.digest_input())

    def _set_rows(
        self, table: TimedRows, usable: NDArray[np.bool_], color_size: tuple[int, int], depth_size: tuple[int, int]
    ) -> None:
        """Set cameras, poses and the frames.

        Args:
            table: all rows.
            usable: (n,) which have all of their files.
            color_size: (width, height).
            depth_size: likewise.

        Raises:
            SourceError: no row is complete, or the cameras do not fit the images.
        """
        for what, (width, height) in (("colour", color_size), ("depth", depth_size)):
            if not 0 < width * height <= MAX_PIXELS:
                raise self._damage(f"has {what} images of {width}x{height} pixels")
        if not same_shape(color_size, depth_size):
            sizes = " and depth of ".join(f"{width}x{height}" for width, height in (color_size, depth_size))
            raise self._damage(f"has colour images of {sizes}: their aspect ratios differ")
        self._color_size, self._depth_size = color_size, depth_size
        self._intrinsics, self._poses = table.intrinsics, table.poses
        in_time = self._in_time(table.seconds)
        rows = np.flatnonzero(usable & self._with_camera(table.intrinsics) & in_time)
        if not len(rows):
            raise self._damage(f"has no complete frame{self._noted_text()}")
        nearest = nearest_on_raw_clock(table.seconds[rows], table.seconds[in_time][0])
        self.row_of = {frame: int(rows[place]) for frame, place in nearest.items()}
        frames = list(self.row_of)
        self.frame_count = max(frames) + 1
        if self.frame_count > MAX_FRAME_ID:
            raise self._damage(f"lasts for {self.frame_count:,} raw frames of 30 Hz, at most {MAX_FRAME_ID:,} are read")
        self.present = np.zeros(self.frame_count, dtype=bool)
        self.present[frames] = True
        self.written_poses = np.full((self.frame_count, 4, 4), np.nan)
        self.written_poses[frames] = table.poses[[self.row_of[frame] for frame in frames]]
        assert self.reading is not None
        self.camera_to_world = self.reading.poses(self.written_poses, frames)
        self.color_intrinsics = self._camera(np.median(table.intrinsics[rows], axis=0))
        self.depth_intrinsics = self.color_intrinsics.resized(*depth_size)

    def _with_camera(self, intrinsics: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows (n,) have intrinsics that can be those of the colour images; count the others.

        Raises:
            SourceError: none has.
        """
        sides = np.array(self._color_size)
        with np.errstate(invalid="ignore"):
            places = intrinsics[:, 2:] / sides
            central = ((places > CENTRAL[0]) & (places < CENTRAL[1])).all(axis=1)
            found = np.asarray(central & (intrinsics[:, :2] > SHORTEST * sides.max()).all(axis=1))
        if len(found) and not found.any():
            fx, fy, cx, cy = intrinsics[0]
            size = f"{self._color_size[0]}x{self._color_size[1]}"
            problem = f"has intrinsics that are not those of its images of {size}: fx {fx:g}, fy {fy:g}, cx {cx:g}, "
            raise self._damage(f"{problem}cy {cy:g}", cure="export the capture again")
        self.note("frame_with_impossible_intrinsics", int((~found).sum()))
        return found

    def _in_time(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows (n,) are later than all before them; count the others."""
        known = np.where(np.isfinite(seconds), seconds, np.nan)
        with np.errstate(invalid="ignore"):
            latest = np.fmax.accumulate(np.concatenate([[-np.inf], known]))[:-1]
            found = np.asarray(known > latest)
        self.note("row_out_of_time", int((~found).sum()))
        return found

    def _camera(self, values: NDArray[np.float64]) -> Intrinsics:
        fx, fy, cx, cy = values.tolist()
        width, height = self._color_size
        return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)

    def close(self) -> None:
        """Close the files that are open."""
        self.members.close()

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a frame."""
        return self._camera(self._intrinsics[self._row(frame)])

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame, which is colour's at the size of depth."""
        return self.color_camera(frame).resized(*self._depth_size)

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix from ARKit's world, y up, to one with z up, (4, 4)."""
        return Y_UP_TO_Z_UP

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what was met and handled, by name."""
        return dict(sorted(self._noted.items()))

    def note(self, name: str, count: int = 1) -> None:
        """Count a defect that was met and handled."""
        if count:
            self._noted[name] += count

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with what was noted."""
        facts = super().describe_frames()
        facts["frames"]["missing"] = dict(self.notes)
        return facts

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the table, and names and sizes of all images.

        Raises:
            SourceError: an image has gone since the scan was opened.
        """
        digest = self._texts.copy()
        with self._naming():
            digest.update(self.members.digest_input())
        return digest.hexdigest()

    def _row(self, frame: int) -> int:
        if frame not in self.row_of:
            raise self._damage("is not among the frames of the scan", frame)
        return self.row_of[frame]

    @contextmanager
    def _naming(self, frame: int | None = None, path: Location | None = None) -> Iterator[None]:
        """Give errors of files their place, scene and frame.

        Raises:
            SourceError: a file is damaged or cannot be read.
            StoreError: the store or the disk fails.
        """
        place = self.path if path is None else path
        try:
            yield
        except ValueError as error:
            raise SourceError(str(error), path=place, scene=self.scene_id, frame=frame) from error
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            named = error.filename if error.filename is not None else place
            raise kind_of_failure(error)(problem, path=named, scene=self.scene_id, frame=frame) from error

    def _noted_text(self) -> str:
        counts = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in sorted(self._noted.items()))
        return f" ({counts})" if counts else ""

    def _damage(self, problem: str, frame: int | None = None, cure: str | None = None) -> SourceError:
        return SourceError(problem, path=self.path, scene=self.scene_id, frame=frame, cure=cure)


def poses_of_rows(
    translations: NDArray[np.float64], quaternions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Return poses (n, 4, 4) of translations (n, 3) in metres and quaternions (n, 4) qx qy qz qw, and how many are bad.

    A pose is NaN where a number is not finite, and where the quaternion is not a rotation, which is what is counted.
    """
    lengths = np.linalg.norm(quaternions, axis=1)
    finite = np.isfinite(lengths) & np.isfinite(translations).all(axis=1)
    usable = finite & (np.abs(lengths - 1) <= UNIT_LENGTH)
    poses = np.full((len(lengths), 4, 4), np.nan)
    poses[usable] = np.eye(4)
    poses[usable, :3, :3] = rotations_from_quaternions(quaternions[usable] / lengths[usable, None])
    poses[usable, :3, 3] = translations[usable]
    return poses, int((finite & ~usable).sum())
