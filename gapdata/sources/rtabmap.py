"""Read what ``rtabmap-export --images_id --poses_camera --poses_format 11 map.db`` writes (``--rgbd``).

``map_rgb/<id>.jpg``, ``map_depth/<id>.png`` (millimetres), ``map_calib/<id>.yaml`` and ``map_camera_poses.txt`` with
lines ``stamp tx ty tz qx qy qz qw id``; the name before the first underscore may be missing. With ``--images`` instead
of ``--images_id`` files are named by their stamps.

- A frame's raw index is its moment on a clock of 30 Hz (:mod:`gapdata.sources.raw_clock`): nodes of a map are about a
  second apart. Each has its own intrinsics. Depth may be smaller than colour.
- Poses are camera to world with OpenCV axes, if they were exported with ``--poses_camera``. With ``--poses`` they are
  those of the robot, x forward, and nothing in the numbers says so. They are read as written, and a note is left where
  the file's name does not say ``camera_poses``. ``gapdata inspect --poses`` finds it out, and ``--axes ros`` says that
  rows are the robot: each is then moved to the camera by the ``local_transform`` of its calibration.
- Versions before 2024 wrote a ``camera_matrix`` whose rows were shifted; the projection matrix stands in for it.
- The map's z axis points up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.folders import by_lower_case, entries
from gapdata.files.numbers import number_lines
from gapdata.geometry.camera import is_rigid
from gapdata.geometry.lens import Lens
from gapdata.geometry.pose_convention import OURS, TO_AXES
from gapdata.sources.camera_files import MAX_TEXT_BYTES, MAX_TRAJECTORY_BYTES
from gapdata.sources.capture_frames import CaptureFrame, CaptureScan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.lens_fields import parse_lens
from gapdata.sources.opencv_yaml import parse_opencv_yaml
from gapdata.sources.pose_files import poses_from_quaternions
from gapdata.sources.raw_clock import on_raw_clock
from gapdata.sources.stamped_poses import parse_pose_rows

CALIBRATIONS = "calib"
KINDS = ("rgb", "depth", CALIBRATIONS)
ENDINGS = (".yaml", ".yml")
POSES = ("camera_poses.txt", "poses.txt")
"""What the poses of the camera are called, and what those of the robot are; the first counts."""
NODE_NAME = re.compile(rb"^camera_name:[^\n]*$", re.MULTILINE)
LENS_FIELDS = ("distortion_model", "distortion_coefficients")
ROBOT = "ros"
SHAPE = "stamp tx ty tz qx qy qz qw"
TICKS_PER_SECOND = 1_000_000
LONGEST_STAMP = Decimal(10) ** 12  # seconds
EXPORT = "export with rtabmap-export --images_id --poses_camera --poses_format 11"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeCamera:
    """The calibration file of one node."""

    intrinsics: tuple[float, float, float, float]  # fx fy cx cy, pixels
    size: tuple[int, int] | None  # (width, height)
    lens: Lens | None
    camera_to_robot: NDArray[np.float64] | None  # (4, 4) metres; None where the file does not say
    mended: bool
    """Whether the camera matrix was taken from the projection matrix."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodePose:
    """A row of the poses."""

    stamp: Decimal  # seconds
    node: int | None
    pose: NDArray[np.float64]  # (4, 4) as written


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder has images, depth and a calibration of each, under one name."""
    prefix = _prefix(names)
    return prefix is not None and any(
        entry.name.lower().endswith(ENDINGS) for entry in entries(place / names[f"{prefix}{CALIBRATIONS}"])
    )


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> RtabmapScan:
    """Open an export.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    of_robot = reading.convention.axes == ROBOT
    if of_robot:
        reading = replace(reading, convention=replace(reading.convention, axes=OURS.axes))
    return RtabmapScan(scene_id, place, reading, of_robot=of_robot)


class RtabmapScan(CaptureScan):
    """The nodes of a map of RTAB-Map.

    Args:
        scene_id, directory, reading: see :class:`CaptureScan`.
        of_robot: whether the user says that poses are those of the robot.
    """

    def __init__(self, scene_id: str, directory: Path, reading: FrameReading, *, of_robot: bool) -> None:
        self._of_robot = of_robot
        self._lenses: list[Lens | None] = []
        super().__init__(scene_id, directory, "rtabmap", reading)
        if of_robot:
            self._texts.update(b"poses of the robot")

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity, (4, 4): the map's z axis points up (ROS REP 103 and 105)."""
        return np.eye(4)

    def _lens(self) -> Lens | None:
        return self._lenses[0]

    def _list_frames(self) -> dict[int, CaptureFrame]:
        names = self._names()
        prefix = _prefix(names) or ""
        stored = {kind: _by_stem(self._names_in(prefix + kind)) for kind in KINDS}
        poses = self._node_poses(names, prefix, stored["rgb"])
        usable: list[str] = []
        for stem in sorted(stored["rgb"], key=lambda stem: (poses[stem].stamp if stem in poses else 0, stem)):
            missing = next((kind for kind in KINDS if stem not in stored[kind]), "" if stem in poses else "pose")
            if missing:
                self.note(f"frame_without_{'calibration' if missing == CALIBRATIONS else missing}")
            else:
                usable.append(stem)
        places = on_raw_clock([int(poses[stem].stamp * TICKS_PER_SECOND) for stem in usable], TICKS_PER_SECOND)
        found: dict[int, CaptureFrame] = {}
        problems: list[SourceError] = []
        cameras = _Cameras()
        for place, stem in zip(places, usable, strict=True):
            try:
                camera = self._parsed(cameras.parse, self.path / stored["calib"][stem], MAX_TEXT_BYTES)
            except SourceError as error:
                problems.append(error)
                self.note("frame_with_damaged_calibration")
                continue
            found[place] = self._frame(stored["rgb"][stem], stored["depth"][stem], camera, poses[stem].pose)
        if not found:
            raise problems[0] if problems else self._damage(self._said("frame"), self.path, cure=EXPORT)
        if len(set(self._lenses)) > 1:
            raise self._damage(f"has {len(set(self._lenses))} different lenses; one scan has one", self.path)
        return found

    def _frame(self, color: str, depth: str, camera: NodeCamera, written: NDArray[np.float64]) -> CaptureFrame:
        self._lenses.append(camera.lens)
        if camera.mended:
            self.note("camera_matrix_from_the_projection_matrix")
        pose = written
        if self._of_robot:
            self.note("pose_moved_from_the_robot_to_its_camera")
            optical = np.eye(4)
            optical[:3, :3] = TO_AXES[ROBOT]
            pose = written @ (optical if camera.camera_to_robot is None else camera.camera_to_robot)
        return CaptureFrame(color=color, depth=depth, intrinsics=camera.intrinsics, size=camera.size, pose=pose)

    def _node_poses(self, names: Mapping[str, str], prefix: str, images: Mapping[str, str]) -> dict[str, NodePose]:
        """Return the pose of each image that has one, by the image's name without ending."""
        wanted = [*(prefix + name for name in POSES), *POSES]
        found = next((name for name in wanted if name in names), None)
        if found is None:
            expected = " or ".join(dict.fromkeys(prefix + name for name in POSES))
            raise self._damage(f"has images and calibrations, but no {expected}", self.path, cure=EXPORT)
        rows = self._parsed(parse_node_poses, self.path / names[found], MAX_TRAJECTORY_BYTES)
        if not found.endswith(POSES[0]) and not self._of_robot:
            self.note("poses_may_be_of_the_robot", len(rows))
        by_node = {str(row.node): row for row in rows if row.node is not None}
        by_stamp = {row.stamp.normalize(): row for row in rows}
        if not images.keys() <= by_node.keys():
            stems = {stem: _as_stamp(stem) for stem in images}
            stamped = {stem: by_stamp[stamp] for stem, stamp in stems.items() if stamp in by_stamp}
            if len(stamped) > len(images.keys() & by_node.keys()):
                return stamped
        return {stem: by_node[stem] for stem in images if stem in by_node}

    def _names(self) -> dict[str, str]:
        """Return what lies directly in the folder, by lower case."""
        try:
            return by_lower_case(entry.name for entry in entries(self.path))
        except OSError as error:
            problem = f"cannot be listed: {error.strerror}"
            raise kind_of_failure(error)(problem, path=self.path, scene=self.scene_id) from error


class _Cameras:
    """The cameras of files that differ in nothing but the node's name, each parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, NodeCamera] = {}

    def parse(self, data: bytes) -> NodeCamera:
        """Return the camera of a file, as :func:`parse_node_camera` does."""
        nameless = NODE_NAME.sub(b"", data, count=1)
        if nameless not in self._known:
            self._known[nameless] = parse_node_camera(data)
        return self._known[nameless]


def parse_node_poses(data: bytes) -> list[NodePose]:
    """Read poses of ``--poses_format`` 11 or 10: lines ``stamp tx ty tz qx qy qz qw`` with or without the node's id.

    Raises:
        ValueError: it is of another format, or a line is damaged or has an id again; the line is named.
    """
    width = next((len(line.split()) for _, line in number_lines(data)), 0)
    if width == 12:
        raise ValueError(f"has 12 numbers a line, without stamps: {EXPORT}")
    found: list[NodePose] = []
    nodes: set[int] = set()
    rows = parse_pose_rows(data, f"{SHAPE} id" if width != 8 else SHAPE)
    for row, pose in zip(rows, poses_from_quaternions(np.array([row.values for row in rows])), strict=True):
        stamp = Decimal(row.stamp)
        if not 0 <= stamp < LONGEST_STAMP:
            raise ValueError(f"line {row.number} has the stamp {row.stamp[:30]}, expected seconds")
        node = None
        if row.rest:
            if not re.fullmatch(r"-?\d{1,18}", row.rest[0], re.ASCII):
                raise ValueError(f"line {row.number} ends with {row.rest[0][:20]!r}, expected the id of a node")
            node = int(row.rest[0])
            if node in nodes:
                raise ValueError(f"line {row.number} is a second pose of node {node}")
            nodes.add(node)
        found.append(NodePose(stamp=stamp, node=node, pose=pose))
    return found


def parse_node_camera(data: bytes) -> NodeCamera:
    """Read a calibration file of RTAB-Map.

    Raises:
        ValueError: a field is missing, or is not what its name says; it is named.
    """
    fields = parse_opencv_yaml(data)
    matrix, mended = _matrix(fields, "camera_matrix", 9), False
    if matrix is None or not (matrix.reshape(3, 3)[2] == (0, 0, 1)).all() or matrix[3]:
        projection = _matrix(fields, "projection_matrix", 12)
        if projection is None:
            raise ValueError("has no camera_matrix whose last row is 0 0 1, and no projection_matrix")
        matrix, mended = projection.reshape(3, 4)[:, :3].reshape(-1), True
    local = _matrix(fields, "local_transform", 12)
    camera_to_robot = None
    if local is not None:
        camera_to_robot = np.eye(4)
        camera_to_robot[:3] = local.reshape(3, 4)
        if not is_rigid(camera_to_robot):
            raise ValueError("local_transform is not a rigid transform")
    about_lens: dict[str, Any] = {
        name: fields[name] for name in ("distortion_model", "distortion_coefficients") if name in fields
    }
    fx, fy, cx, cy = (float(matrix[at]) for at in (0, 4, 2, 5))
    return NodeCamera(
        intrinsics=(fx, fy, cx, cy),
        size=_size(fields),
        lens=parse_lens(about_lens, fx),
        camera_to_robot=camera_to_robot,
        mended=mended,
    )


def _matrix(fields: Mapping[str, str | list[float]], name: str, count: int) -> NDArray[np.float64] | None:
    values = fields.get(name)
    if not isinstance(values, list) or len(values) != count or not np.isfinite(values).all():
        return None
    return np.array(values)


def _size(fields: Mapping[str, str | list[float]]) -> tuple[int, int] | None:
    width, height = (str(fields.get(f"image_{side}", "0")) for side in ("width", "height"))
    if not all(re.fullmatch(r"\d{1,5}", side, re.ASCII) for side in (width, height)):
        raise ValueError(f"has images of {width[:20]}x{height[:20]}, expected whole numbers")
    return (int(width), int(height)) if int(width) and int(height) else None


def _prefix(names: Mapping[str, str]) -> str | None:
    """Return what stands before ``rgb``, ``depth`` and ``calib`` in the names of folders; ``None`` for others."""
    ends = CALIBRATIONS
    prefixes = (name.removesuffix(ends) for name in names if name == ends or name.endswith(f"_{ends}"))
    return next((prefix for prefix in sorted(prefixes) if all(prefix + kind in names for kind in KINDS)), None)


def _by_stem(names: Mapping[str, str]) -> dict[str, str]:
    return {name.rpartition(".")[0]: path for name, path in names.items()}


def _as_stamp(stem: str) -> Decimal | None:
    return Decimal(stem).normalize() if re.fullmatch(r"\d{1,12}\.\d{1,9}", stem, re.ASCII) else None
