"""Read a capture whose frames are listed one by one, each with its files, its camera and its pose.

Polycam, 3D Scanner App and nerfstudio write such lists. Their formats say which files and numbers belong to a frame.
The rest is the same for all: images, sizes, depth scale and notes are those of
:class:`gapdata.sources.extracted.ExtractedScan`; each frame has its own intrinsics, which are brought to the size of
its image where they were stated for another size of the same shape.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import kind_of_failure
from gapdata.files.folders import by_lower_case, file_names, in_any_case
from gapdata.files.json_text import decode_json
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.sources.camera_files import IDENTITY, Calibration
from gapdata.sources.color_files import color_size
from gapdata.sources.extracted import DEFAULT_DEPTH_UNITS, ExtractedScan
from gapdata.sources.frame_files import FrameFiles
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.gray_files import decode_gray
from gapdata.sources.layouts import COLOR_ENDINGS, DEPTH_ENDINGS, Layout, Naming
from gapdata.sources.orientation import same_shape

MAX_JSON_BYTES = 1 << 20
CENTRAL = (0.25, 0.75)
"""Shares of the image between which a principal point lies; elsewhere the calibration is of another image."""
LONGEST = 100.0
"""Focal length in sides of the image, from which on it is not of a camera."""
Y_UP_TO_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""(4, 4) from ARKit's world, y against gravity, to a world with z up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptureFrame:
    """What a capture says about one frame; files are paths relative to its folder."""

    color: str
    depth: str
    confidence: str = ""  # empty where there is none
    mask: str = ""
    intrinsics: tuple[float, float, float, float]  # fx fy cx cy, pixels of an image of ``size``, first centre at 0
    size: tuple[int, int] | None  # (width, height); None for that of the image
    pose: NDArray[np.float64]  # (4, 4) camera to world, metres, OpenCV axes; NaN where it is not known


class CaptureScan(ExtractedScan):
    """A capture with a list of frames.

    A subclass defines :meth:`_list_frames` and, if its frames have a lens, a world with a known vertical or confidence,
    :meth:`_lens`, :attr:`axis_alignment` and :meth:`_as_confidence`.
    """

    depth_units_stated: float = DEFAULT_DEPTH_UNITS
    """Units of depth per metre that the format says, unless the user says otherwise."""

    def __init__(self, scene_id: str, directory: Path, name: str, reading: FrameReading) -> None:
        layout = Layout(
            name=name,
            color=Naming(endings=COLOR_ENDINGS),
            depth=Naming(endings=DEPTH_ENDINGS),
            raw_indices=False,
        )
        self.listed: dict[int, CaptureFrame] = {}
        """Frames by raw index."""
        self._cameras: dict[int, Intrinsics] = {}
        self._noted: Counter[str] = Counter()
        self._color_size = (0, 0)
        super().__init__(scene_id, directory, layout, reading=reading)
        self._confidence_of = {frame.depth: frame.confidence for frame in self.listed.values()}

    @abstractmethod
    def _list_frames(self) -> dict[int, CaptureFrame]:
        """Return the frames that have colour, depth and a camera, by raw index; count all others with :meth:`note`.

        Raises:
            SourceError: there are none, or a list cannot be read.
        """

    def _lens(self) -> Lens | None:
        """Return the lens of all frames; by default there is none."""
        return None

    def _as_confidence(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a stored confidence image (H, W) as 0 low, 1 medium and 2 high; by default it is stored so."""
        return image

    def note(self, name: str, count: int = 1) -> None:
        """Count a defect that was met and handled."""
        self._noted[name] += count

    def _said(self, what: str) -> str:
        """Return that a capture has no complete frame, and what was noted about those that it has."""
        counts = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in sorted(self._noted.items()))
        return f"has no complete {what}" + (f" ({counts})" if counts else "")

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a frame, pixels of its image."""
        return self._cameras.get(frame, self.color_intrinsics)

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame: depth is registered to colour."""
        return self.color_camera(frame).resized(self.depth_intrinsics.width, self.depth_intrinsics.height)

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return how sure the sensor is, (H, W) uint8 0 to 2; ``None`` for a frame without such an image."""
        name = self._confidence_of.get(self.files.depth.get(frame, ""), "")
        if not name:
            return None
        size = self.depth_intrinsics.width, self.depth_intrinsics.height
        return self._as_confidence(self._gray(name, frame, size))

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return the stored mask of a frame, (H, W) uint8: 0 or 255; ``None`` for a frame without one."""
        name = self.listed[frame].mask if frame in self.listed else ""
        if not name:
            return None
        mask = self._gray(name, frame, (self.color_intrinsics.width, self.color_intrinsics.height))
        return np.where(mask > 127, 255, 0).astype(np.uint8)

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what :class:`ExtractedScan` notes, and what the format does."""
        return {**super().notes, **dict(sorted(self._noted.items()))}

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with what was noted."""
        facts = super().describe_frames()
        facts["frames"]["missing"] = dict(self.notes)
        return facts

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the list, and names and sizes of all images."""
        digest = hashlib.sha256(super().digest(masks=masks).encode())
        for name in sorted(name for frame in self.listed.values() for name in (frame.confidence, frame.mask) if name):
            try:
                digest.update(os.fsencode(f"{name} {os.stat(self.path / name).st_size}\n"))
            except OSError as error:
                problem = f"cannot be examined: {error.strerror}"
                raise kind_of_failure(error)(problem, path=self.path / name, scene=self.scene_id) from error
        return digest.hexdigest()

    def _find_files(self) -> FrameFiles:
        listed = self._list_frames()
        beyond = [frame for frame in listed if frame > MAX_FRAME_ID]
        if beyond:
            raise self._damage(f"has a frame {beyond[0]}, but raw indices are at most {MAX_FRAME_ID}", self.path)
        frames = sorted(listed)
        self._color_size = self._first_header({frame: listed[frame].color for frame in frames}, frames, color_size)
        for frame in frames:
            entry = listed[frame]
            if entry.size is not None and not same_shape(entry.size, self._color_size):
                said, found = (f"{size[0]}x{size[1]}" for size in (entry.size, self._color_size))
                problem = f"has intrinsics for images of {said}, but the images are {found}"
                raise self._damage(
                    problem, self.path / entry.color, frame, "leave out images that were cropped or turned"
                )
            camera = self._camera_of(entry)
            if camera is None:
                self.note("frame_with_impossible_intrinsics")
            else:
                self.listed[frame], self._cameras[frame] = entry, camera
        if not self.listed:
            fx, fy, cx, cy = listed[frames[0]].intrinsics
            size = f"{self._color_size[0]}x{self._color_size[1]}"
            problem = f"has impossible intrinsics: fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g} for images of {size}"
            raise self._damage(problem, self.path, frames[0])
        rescaled = sum(entry.size not in (None, self._color_size) for entry in self.listed.values())
        if rescaled:
            self.note("intrinsics_of_another_size", rescaled)
        return FrameFiles(
            color={frame: entry.color for frame, entry in self.listed.items()},
            depth={frame: entry.depth for frame, entry in self.listed.items()},
            pose=None,
        )

    def _camera_of(self, entry: CaptureFrame) -> Intrinsics | None:
        """Return the camera of a frame's image; ``None`` where the numbers cannot be its camera."""
        fx, fy, cx, cy = entry.intrinsics
        width, height = entry.size or self._color_size
        camera = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height)
        central = all(CENTRAL[0] < at / side < CENTRAL[1] for at, side in ((camera.cx, width), (camera.cy, height)))
        if not (camera.plausible and central and max(fx, fy) < LONGEST * max(width, height)):
            return None
        return camera if (width, height) == self._color_size else camera.resized(*self._color_size)

    def _read_calibration(self, path: Path) -> Calibration:
        """Return the median of the frames' cameras."""
        values = [(camera.fx, camera.fy, camera.cx, camera.cy) for camera in self._cameras.values()]
        fx, fy, cx, cy = np.median(values, axis=0)
        return Calibration(
            color=np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]),
            lens=self._lens(),
            depth_to_color=IDENTITY,
            color_size=self._color_size,
            depth_units_per_metre=self.depth_units_stated,
        )

    def _read_poses(self, frames: list[int]) -> NDArray[np.float64]:
        poses = np.full((self.frame_count, 4, 4), np.nan)
        for frame in frames:
            poses[frame] = self.listed[frame].pose
        return poses

    def _gray(self, name: str, frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        path, data = self._image({frame: name}, frame)
        try:
            return decode_gray(data, size)
        except ValueError as error:
            raise self._damage(str(error), path, frame) from error

    def _names_in(self, folder: str) -> dict[str, str]:
        """Return the paths of a folder's files below the capture, by lower-case name; none of a missing folder."""
        place = in_any_case(self.path, folder) if folder else self.path
        try:
            found = by_lower_case(file_names(place))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            problem = f"cannot be listed: {error.strerror}"
            raise kind_of_failure(error)(problem, path=place, scene=self.scene_id) from error
        below = f"{place.relative_to(self.path).as_posix()}/" if folder else ""
        return {name: below + stored for name, stored in found.items()}

    def _json(self, name: str, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
        """Return a JSON object, and let the digest have its bytes.

        Raises:
            SourceError: it cannot be read, or is something else.
        """
        data = self._read(self.path / name, limit)
        self._texts.update(b"%d " % len(data) + data)
        try:
            value = decode_json(data)
        except ValueError as error:
            raise self._damage(str(error), self.path / name) from error
        if not isinstance(value, dict):
            raise self._damage(f"is a {type(value).__name__}, expected a JSON object", self.path / name)
        return value


def y_up_pose(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ARKit's camera to world, (3, 4) or (4, 4) with OpenGL axes, as (4, 4) with OpenCV axes."""
    pose = np.eye(4)
    pose[: len(rows)] = rows
    pose[:, 1:3] *= -1
    return pose
