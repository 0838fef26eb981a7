"""Read ``transforms.json`` of nerfstudio and the many tools that write it, with depth, ``--rgbd``.

- ``frames[]`` have ``file_path``, ``depth_file_path`` and ``transform_matrix`` (camera to world, OpenGL axes), and may
  have ``mask_path`` (0 where a pixel does not show the scene). Paths are below the folder; the ending of an image may
  be left out. The number in a frame's name is its raw index (:mod:`gapdata.sources.frame_numbering`).
- ``fl_x fl_y cx cy w h`` and the lens stand in the file or in each frame. ``camera_model`` is a pinhole, OpenCV's model
  or its fisheye (:mod:`gapdata.sources.lens_fields`); others, such as ``EQUIRECTANGULAR``, are refused by name.
- The first pixel's centre is at 0.5 in this format, so that half a pixel is taken off ``cx`` and ``cy``.
- Depth is in millimetres unless ``depth_unit_scale_factor`` says otherwise, and may be smaller than its image.
- Poses of COLMAP have any scale. A few frames are compared when the scan is opened; if they agree only with another
  scale, or with none, the scan is refused unless the user states the unit (:mod:`gapdata.sources.pose_scale`).
- ``applied_transform`` and ``applied_scale`` are in the poses already. The vertical is known where ``up`` says it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.checked_values import finite, number, numbers, text
from gapdata.files.natural_order import natural_key
from gapdata.geometry.lens import Lens
from gapdata.runtime.counting import counted
from gapdata.sources.capture_frames import CaptureFrame, CaptureScan, y_up_pose
from gapdata.sources.extracted import DEFAULT_DEPTH_UNITS
from gapdata.sources.frame_numbering import number_frames
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.layouts import COLOR_ENDINGS, DEPTH_ENDINGS
from gapdata.sources.lens_fields import parse_lens
from gapdata.sources.pose_scale import find_pose_scale

LIST = "transforms.json"
MAX_LIST_BYTES = 1 << 27
PIXEL_CENTRE = 0.5
OWN_POSES = ("pose", "poses", "trajectory.log", "traj.txt", "trajectory.txt", "poses.txt", "groundtruth.txt")
"""Entries of a folder of frames that do not need the list."""
NOT_OF_THE_LENS = frozenset(
    ("frames", "file_path", "depth_file_path", "mask_path", "transform_matrix", "fl_x", "fl_y", "cx", "cy", "w", "h")
)
MAX_PATH = 1000
SCALE_CURE = "if positions are in metres pass --pose-units 1, else the metres of one unit"


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has the list, and no poses of another layout."""
    return LIST in names and not any(name in names for name in OWN_POSES)


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> NerfstudioScan:
    """Open a capture.

    Raises:
        SourceError: its frames are missing or damaged, or its positions are not in metres.
    """
    scan = NerfstudioScan(scene_id, place, "nerfstudio", reading)
    if not reading.units_stated:
        scan.check_scale()
    return scan


class NerfstudioScan(CaptureScan):
    """A capture with ``transforms.json``."""

    _values: dict[str, Any]

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix to a world with z along ``up``, (4, 4); ``None`` where the file does not say it."""
        up = finite(self._values.get("up"), (3,))
        length = 0.0 if up is None else float(np.linalg.norm(up))
        return None if up is None or length == 0 else _turned_to_z(up / length)

    def check_scale(self) -> None:
        """Compare a few frames.

        Raises:
            SourceError: they do not agree with positions in metres.
        """
        found = find_pose_scale(self)
        if found.verdict == "still":
            self.note("pose_scale_unchecked")
            return
        if found.verdict == "metres":
            return
        unit = f"{found.metres_per_unit or 0:.3g}"
        problem, cure = {
            "too few": ("has too few frames with depth to tell the scale of its positions", SCALE_CURE),
            "no scale": ("has frames that share no surface at any scale of their positions", SCALE_CURE),
            "other": (f"has positions that fit its depth only if one unit is {unit} m", f"pass --pose-units {unit}"),
        }[found.verdict]
        raise self._damage(problem, self._list_path, cure=cure)

    def _lens(self) -> Lens | None:
        return self._stated_lens

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return the stored mask of a frame, (H, W) uint8: 0 where it is 0, else 255; ``None`` without one."""
        name = self.listed[frame].mask if frame in self.listed else ""
        if not name:
            return None
        mask = self._gray(name, frame, (self.color_intrinsics.width, self.color_intrinsics.height))
        # A JPEG is not exactly 0 anywhere; other masks are 0 and 1.
        return np.where(mask > min(127, int(mask.max(initial=1)) // 2), 255, 0).astype(np.uint8)

    def _list_frames(self) -> dict[int, CaptureFrame]:
        self._list_path = self.path / self._names_in("")[LIST]
        values = self._json(self._list_path.name, MAX_LIST_BYTES)
        self._values = values
        self._folders: dict[str, dict[str, str]] = {}
        self.depth_units_stated = self._depth_units(values)
        frames = values.get("frames")
        if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
            raise self._damage("has no list of frames", self._list_path)
        listed: dict[str, dict[str, Any]] = {}
        for frame in frames:
            path = self._relative(frame, "file_path")
            if path in listed:
                self.note("frame_listed_again")
            listed.setdefault(path, frame)
        usable = {path: found for path, frame in listed.items() if (found := self._complete(path, frame)) is not None}
        if not usable:
            raise self._nothing(list(listed.values()))
        self._stated_lens = self._common_lens({path: listed[path] for path in usable})
        ids = self._numbered(listed)
        return {ids[path]: entry for path, entry in usable.items() if path in ids}

    def _numbered(self, paths: Mapping[str, object]) -> dict[str, int]:
        """Return the raw index of each frame by its path."""
        stems = {path: str(PurePosixPath(path).with_suffix("")) for path in sorted(paths, key=natural_key)}
        if len(set(stems.values())) < len(stems):
            stems = {path: path for path in stems}
        try:
            numbering = number_frames({"color": list(stems.values())}).frames["color"]
        except ValueError:  # two sets of names that could be the frames
            numbering = {}
        found = {path: numbering[stem] for path, stem in stems.items() if stem in numbering}
        if len(set(found.values())) == len(stems):
            return found
        return {path: place for place, path in enumerate(stems)}

    def _complete(self, path: str, frame: Mapping[str, Any]) -> CaptureFrame | None:
        """Return a frame with its files; ``None`` for one that lacks a file or a number, which is counted."""
        color, depth = self._file(path, COLOR_ENDINGS), ""
        if frame.get("depth_file_path") is not None:
            depth = self._file(self._relative(frame, "depth_file_path"), DEPTH_ENDINGS)
        mask = "" if frame.get("mask_path") is None else self._file(self._relative(frame, "mask_path"), COLOR_ENDINGS)
        camera = {name: number(frame.get(name, self._values.get(name))) for name in ("fl_x", "fl_y", "cx", "cy")}
        if camera["fl_y"] is None and frame.get("fl_y", self._values.get("fl_y")) is None:
            camera["fl_y"] = camera["fl_x"]
        matrix = self._matrix(frame)
        faults = {
            "frame_without_color": not color,
            "frame_without_depth": not depth,
            "frame_without_mask": not mask and frame.get("mask_path") is not None,
            "frame_with_damaged_camera": matrix is None or None in camera.values(),
        }
        if any(faults.values()) or matrix is None:
            self.note(next(name for name, holds in faults.items() if holds))
            return None
        width, height = (int(number(frame.get(name, self._values.get(name))) or 0) for name in ("w", "h"))
        fx, fy, cx, cy = (float(value or 0) for value in camera.values())
        return CaptureFrame(
            color=color,
            depth=depth,
            mask=mask,
            intrinsics=(fx, fy, cx - PIXEL_CENTRE, cy - PIXEL_CENTRE),
            size=(width, height) if min(width, height) > 0 else None,
            pose=y_up_pose(matrix),
        )

    def _matrix(self, frame: Mapping[str, Any]) -> NDArray[np.float64] | None:
        value = frame.get("transform_matrix")
        rows = numbers(value, (4, 4))
        return numbers(value, (3, 4)) if rows is None else rows

    def _nothing(self, frames: list[dict[str, Any]]) -> SourceError:
        """Return the error for a list of which no frame can be used."""
        if frames and not any("depth_file_path" in frame for frame in frames):
            cure = (
                "this engine needs depth: add depth_file_path to each frame, or export the capture with its LiDAR depth"
            )
            return self._damage(
                f"has {counted(len(frames), 'frame')} without depth_file_path", self._list_path, cure=cure
            )
        for name in ("fl_x", "cx", "cy"):
            if frames and all(number(frame.get(name, self._values.get(name))) is None for frame in frames):
                return self._damage(f"has no number {name}", self._list_path, cure=f"state {name} in pixels")
        cure = "put the files where the list says, below its folder"
        return self._damage(self._said("frame"), self._list_path, cure=cure)

    def _common_lens(self, frames: Mapping[str, Mapping[str, Any]]) -> Lens | None:
        """Return the lens of all frames.

        Raises:
            SourceError: it is not understood, or frames have different ones.
        """
        shared = {name: value for name, value in self._values.items() if name not in NOT_OF_THE_LENS}
        lenses: dict[str, Lens | None] = {}
        first: Lens | None = None
        for place, (path, frame) in enumerate(frames.items()):
            own = {name: value for name, value in frame.items() if name not in NOT_OF_THE_LENS}
            try:
                key = json.dumps(own, sort_keys=True)
                if key not in lenses:
                    fx = number(frame.get("fl_x", self._values.get("fl_x")))
                    lenses[key] = parse_lens({**shared, **own}, fx or 1.0)
            except (ValueError, RecursionError) as error:
                raise self._damage(f"{path}: {error}", self._list_path) from error
            first = lenses[key] if place == 0 else first
            if lenses[key] != first:
                problem = f"{path} has another lens than the first frame"
                raise self._damage(problem, self._list_path, cure="undistort the images (ns-process-data, colmap)")
        return first

    def _depth_units(self, values: Mapping[str, Any]) -> float:
        factor = values.get("depth_unit_scale_factor")
        if factor is None:
            return DEFAULT_DEPTH_UNITS
        metres = number(factor)
        if metres is None or not 1e-9 < metres < 1e3:
            problem = f"depth_unit_scale_factor is {factor!r:.40}, expected metres of a unit of depth such as 0.001"
            raise self._damage(problem, self._list_path)
        return 1 / metres

    def _relative(self, frame: Mapping[str, Any], field: str) -> str:
        """Return a path of the list, below its folder.

        Raises:
            SourceError: it is not one.
        """
        found = text(frame.get(field), MAX_PATH)
        if found is None:
            raise self._damage(f"has a frame without {field}", self._list_path)
        path = PurePosixPath(found.replace("\\", "/"))
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in found or ":" in path.parts[0]:
            problem = f"names a file outside of its folder: {found[:80]}"
            raise self._damage(problem, self._list_path, cure="copy the files below it, and write paths from there")
        return str(path)

    def _file(self, path: str, endings: tuple[str, ...]) -> str:
        """Return the path of a file as it is on disk, also where its ending is left out; empty if it is missing."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._names_in(folder)
        names = self._folders[folder]
        candidates = (name.lower(), *(f"{name.lower()}.{ending}" for ending in endings))
        return next((names[candidate] for candidate in candidates if candidate in names), "")


def _turned_to_z(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation (4, 4) that brings a unit vector to z by the smallest turn."""
    import cv2

    axis = np.cross(up, [0.0, 0.0, 1.0])
    sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(sine, up[2]))
    axis = axis / sine if sine > 1e-9 else np.array([1.0, 0.0, 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(axis * angle)[0]
    return matrix
