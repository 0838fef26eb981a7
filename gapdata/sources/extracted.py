"""Read a scan with its frames in files: colour, depth and pose of each frame, and the cameras beside them.

Opening lists each folder once and reads the pose files and two image headers; an image is read when its frame is asked
for. A frame without all of its files is absent. The scan spans 0 to the largest index all the same, so that clips of
every 30th raw frame fall on the same frames as in the ``.sens``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.folders import in_any_case
from gapdata.files.image_tags import jpeg_without_metadata, orientation_tag
from gapdata.geometry.rigidity import without_rounding
from gapdata.runtime.counting import counted
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.camera_files import (
    IDENTITY,
    MAX_TEXT_BYTES,
    MAX_TRAJECTORY_BYTES,
    Calibration,
    depth_to_color,
    parse_info,
    parse_intrinsics,
    parse_matrix,
)
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import MILLIMETRES, decode_depth, depth_kind, median_depth, metres_per_unit
from gapdata.sources.frame_files import FrameFiles, list_frames
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.images import MAX_PIXELS, is_color_jpeg, reduce_image
from gapdata.sources.layouts import Layout
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.orientation import UPRIGHT, is_of_turned, same_shape, turned, turned_size
from gapdata.sources.pose_files import parse_pose, parse_trajectory
from gapdata.sources.sens import MAX_IMAGE_SIDE

Parsed = TypeVar("Parsed")
MAX_IMAGE_BYTES = 1 << 28
DEFAULT_DEPTH_UNITS = 1000.0
AGAIN = "copy or export it again"
HEADERS_TRIED = 16
"""Frames that are tried before the image size counts as unknown, because headers may be damaged."""


class AnnotationFiles(Protocol):
    """The files that may accompany frames: alignment, labelled mesh, and 2D projections of its instances.

    :class:`gapdata.sources.scene_files.SceneFiles` says what each method returns.
    """

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix to the aligned world, (4, 4)."""
        ...

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh."""
        ...

    def digest_input(self, *, masks: bool = False) -> bytes:
        """Return bytes that change when these files do."""
        ...

    def mask_archive(self) -> MaskArchive:
        """Open the 2D projections."""
        ...

    def close(self) -> None:
        """Close what was opened."""
        ...


class ExtractedScan(Scan):
    """One scene of extracted frames.

    Args:
        scene_id: for messages and keys.
        directory: the folder that the layout's paths are relative to.
        layout: how its files are named.
        beside: the annotation of the scene, if it has one.
        shared_intrinsics: the one intrinsics file of a layout without camera files.
        reading: what the user says about the frames; ``None`` where the source takes no such options. Depth has 1000
            units a metre where neither the user nor the calibration says otherwise.

    Raises:
        SourceError: no frame is complete, or cameras, poses or image headers cannot be used; the file is named.
    """

    path: Path

    def __init__(
        self,
        scene_id: str,
        directory: Path,
        layout: Layout,
        *,
        beside: AnnotationFiles | None = None,
        shared_intrinsics: Path | None = None,
        reading: FrameReading | None = None,
    ) -> None:
        told = reading or FrameReading()
        self.scene_id, self.path, self.layout, self.reading = scene_id, directory, layout, reading
        self._beside = beside
        self._texts = hashlib.sha256(layout.name.encode() + told.digest_input())
        self.files = told.depth_moved(self._find_files())
        frames = self.files.complete
        if not frames:
            moved = counted(told.depth_shift, "frame")
            problem = f"has no complete frame left when depth is moved by {moved}"
            raise self._damage(problem, directory, cure="move it by fewer frames: --depth-shift")
        named = layout.info or (layout.matrices or ("",))[0]
        calibration_path = shared_intrinsics or in_any_case(directory, named)
        calibration = self._read_calibration(calibration_path)
        self.frame_count = self._span(calibration.frame_count)
        self.present = np.zeros(self.frame_count, dtype=bool)
        self.present[frames] = True
        self.unreadable_poses: tuple[int, ...] = ()
        self.written_poses, self._rounded = without_rounding(self._read_poses(frames))
        self.camera_to_world = told.poses(self.written_poses, frames)
        self._set_cameras(frames, calibration, calibration_path)
        self._set_depth_units(frames, told.depth_units_per_metre, calibration, calibration_path)

    def _set_cameras(self, frames: list[int], calibration: Calibration, path: Path) -> None:
        """Set the cameras of the images as they are read, turned as their tags say where the calibration expects it."""
        first_color = self._first_header(self.files.color, frames, color_size)
        first_depth = self._first_header(self.files.depth, frames, lambda data: depth_kind(data).size)
        orientation = orientation_tag(self._image(self.files.color, frames[0])[1])
        centre = float(calibration.color[0, 2]), float(calibration.color[1, 2])
        self._turns_color = is_of_turned(first_color, orientation, calibration.color_size, centre)
        self._turns_depth = self._turns_color and same_shape(first_color, first_depth)
        self._tagged = orientation != UPRIGHT
        try:
            cameras = calibration.cameras(
                turned_size(first_color, orientation if self._turns_color else UPRIGHT),
                turned_size(first_depth, orientation if self._turns_depth else UPRIGHT),
            )
        except ValueError as error:
            raise self._damage(str(error), path, cure="give the intrinsics of these images") from error
        self.color_intrinsics, self.depth_intrinsics = cameras.color, cameras.depth
        self.color_lens, self.depth_lens = cameras.color_lens, cameras.depth_lens
        self.depth_to_color = calibration.depth_to_color

    def _set_depth_units(self, frames: list[int], told: float | None, calibration: Calibration, path: Path) -> None:
        """Set the depth scale: what the user or the calibration says, or millimetres for files of floats."""
        stated = (told, calibration.depth_units_per_metre, DEFAULT_DEPTH_UNITS)
        units = next(value for value in stated if value is not None)
        if not (np.isfinite(units) and units > 0):
            raise self._damage(f"has depth scale {units:g}, expected units per metre such as 1000", path)
        self._float_unit = self._unit_of_floats(frames, stated[0] if stated[0] is not None else stated[1])
        self.depth_units_per_metre = units if self._float_unit is None else MILLIMETRES
        self._scale_unused = self._float_unit == 1.0 and stated[:2] not in ((None, None), (None, 1.0), (1.0, None))

    def close(self) -> None:
        """Close the annotation."""
        if self._beside is not None:
            self._beside.close()

    @property
    def notes(self) -> Mapping[str, int]:
        """Return incomplete frames, unreadable poses, tags and rounded rotations by name, with how many there are."""
        unreadable = {"unreadable_pose": len(self.unreadable_poses)} if self.unreadable_poses else {}
        what = "turned_as_its_tag_says" if self._turns_color else "orientation_tag_left_out"
        tagged = {f"color_{what}": int(self.present.sum())} if self._tagged else {}
        rounded = {"rotation_of_few_decimals": int(self._rounded.sum())} if self._rounded.any() else {}
        floats = {"depth_scale_not_of_float_depth": 1} if self._scale_unused else {}
        return {**self.files.missing, **unreadable, **tagged, **rounded, **floats}

    @cached_property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the alignment of the annotation, (4, 4)."""
        return None if self._beside is None else self._beside.axis_alignment

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh beside the frames, or the objects that a user lists."""
        return super().annotation() if self._beside is None else self._beside.annotation()

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, turned where the calibration is of turned images, (H, W, 3) uint8 RGB."""
        path, data = self._image(self.files.color, frame)
        expected = (self.color_intrinsics.width, self.color_intrinsics.height)
        try:
            stored = color_size(data)
        except ValueError as error:
            raise self._damage(str(error), path, frame) from error
        orientation = orientation_tag(data) if self._turns_color else UPRIGHT
        found = turned_size(stored, orientation)
        if found != expected:
            size = f"{expected[0]}x{expected[1]}"
            raise self._damage(f"is {found[0]}x{found[1]}, but the first frame is {size}", path, frame)
        image = decode_color_file(data, reduction if orientation == UPRIGHT else 1)
        if image is None:
            raise self._damage("cannot be decoded", path, frame, cure=AGAIN)
        # Reduced after it is turned: sides are rounded up at their far ends.
        return image if orientation == UPRIGHT else reduce_image(turned(image, orientation), reduction)

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file without its tags if it is a colour JPEG that need not be turned."""
        data = self._image(self.files.color, frame)[1]
        if not is_color_jpeg(data) or (self._turns_color and orientation_tag(data) != UPRIGHT):
            return None
        return jpeg_without_metadata(data)

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, turned like colour where it has its shape, (H, W) uint16."""
        path, data = self._image(self.files.depth, frame)
        size = self.depth_intrinsics.width, self.depth_intrinsics.height
        orientation = orientation_tag(self._image(self.files.color, frame)[1]) if self._turns_depth else UPRIGHT
        try:
            return turned(decode_depth(data, turned_size(size, orientation), self._float_unit), orientation)
        except ValueError as error:
            raise self._damage(str(error), path, frame) from error

    def mask_archive(self) -> MaskArchive:
        """Return the 2D projections beside the frames."""
        return super().mask_archive() if self._beside is None else self._beside.mask_archive()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over layout, names and sizes of images, texts of poses and cameras, and the annotation.

        It costs one ``stat`` an image.

        Raises:
            SourceError: an image has gone since the scan was opened.
        """
        digest = self._texts.copy()
        root = os.fspath(self.path)
        try:
            for names in (self.files.color, self.files.depth):
                for _, name in sorted(names.items()):
                    digest.update(os.fsencode(f"{name} {os.stat(os.path.join(root, name)).st_size}\n"))
        except OSError as error:
            problem = f"has a file that cannot be examined: {error}"
            raise kind_of_failure(error)(problem, path=self.path, scene=self.scene_id) from error
        if self._beside is not None:
            digest.update(self._beside.digest_input(masks=masks))
        return digest.hexdigest()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with the layout and what is missing."""
        facts = super().describe_frames()["frames"]
        return {
            "frames": {
                "path": facts.pop("path"),
                "layout": self.layout.name,
                "unreadable_poses": list(self.unreadable_poses),
                "missing": self.files.missing,
                **facts,
            }
        }

    def _find_files(self) -> FrameFiles:
        """Return the files of each frame."""
        return list_frames(self.path, self.layout, self.scene_id)

    def _read_calibration(self, path: Path) -> Calibration:
        layout = self.layout
        if layout.matrices is None:
            return self._parsed(parse_intrinsics if layout.info is None else parse_info, path)
        color, depth = (self._parsed(parse_matrix, in_any_case(self.path, name)) for name in layout.matrices)
        places = [in_any_case(self.path, name) for name in layout.extrinsics or ()]
        extrinsics = [self._parsed(parse_pose, place) if os.path.lexists(place) else IDENTITY for place in places]
        try:
            registration = depth_to_color(extrinsics[0], extrinsics[1]) if extrinsics else IDENTITY
        except ValueError as error:
            raise self._damage(str(error), path) from error
        return Calibration(color=color, depth=depth, depth_to_color=registration)

    def _span(self, stated: int | None) -> int:
        """Return the number of raw indices; ``_info.txt`` may state that of the ``.sens``."""
        span = self.files.span
        return stated if stated is not None and span <= stated <= MAX_FRAME_ID else span

    def _read_poses(self, frames: list[int]) -> NDArray[np.float64]:
        poses = np.full((self.frame_count, 4, 4), np.nan)
        if self.files.pose is None:
            poses[frames] = self._read_trajectory(frames)
            return poses
        problems: dict[int, SourceError] = {}
        for frame in frames:
            path = self.path / self.files.pose[frame]
            data = self._read(path, MAX_TEXT_BYTES, frame)
            self._texts.update(b"%d %d " % (frame, len(data)) + data)
            try:
                poses[frame] = parse_pose(data)
            except ValueError as error:
                problems[frame] = self._damage(str(error), path, frame)
        if len(problems) == len(frames):
            raise problems[frames[0]]
        self.unreadable_poses = tuple(problems)
        return poses

    def _read_trajectory(self, frames: list[int]) -> NDArray[np.float64]:
        """Return poses of ``frames``, (n, 4, 4).

        The k-th pose of the file belongs to the k-th colour image or, where images are left out of the stream, to raw
        index k.
        """
        path = self.path / (self.layout.trajectory or "")
        poses = self._parsed(parse_trajectory, path, MAX_TRAJECTORY_BYTES)
        images = sorted(self.files.color)
        if len(poses) == len(images):
            return poses[np.searchsorted(images, frames)]
        if len(poses) > images[-1]:
            return poses[frames]
        raise self._damage(
            f"has {counted(len(poses), 'pose')} for {counted(len(images), 'colour image')} with indices up "
            f"to {images[-1]}",
            path,
            cure="give one pose for each image",
        )

    def _first_header(
        self, names: Mapping[int, str], frames: list[int], size_of: Callable[[bytes], tuple[int, int]]
    ) -> tuple[int, int]:
        """Return (width, height) of one kind of images, by the first header that can be read."""
        first: SourceError | None = None
        for frame in frames[:HEADERS_TRIED]:
            path, data = self._image(names, frame)
            try:
                size = size_of(data)
            except ValueError as error:
                first = first or self._damage(str(error), path, frame)
                continue
            if not all(0 < side <= MAX_IMAGE_SIDE for side in size) or size[0] * size[1] > MAX_PIXELS:
                raise self._damage(f"has an impossible image size: {size[0]}x{size[1]}", path, frame)
            return size
        assert first is not None
        raise first

    def _unit_of_floats(self, frames: list[int], stated: float | None) -> float | None:
        """Return the metres of a unit of depth files of floats, by the first file with any depth; else ``None``."""
        unit = None
        for frame in frames[:HEADERS_TRIED]:
            path, data = self._image(self.files.depth, frame)
            try:
                if not depth_kind(data).floats:
                    return unit
                unit = 1.0
                median = median_depth(data)
            except ValueError:
                continue  # damaged frames are named when they are read
            if median:
                try:
                    return metres_per_unit(median, stated)
                except ValueError as error:
                    cure = "state their units per metre: --depth-scale, or depth_scale in the intrinsics file"
                    raise self._damage(str(error), path, frame, cure) from error
        return unit

    def _parsed(self, parse: Callable[[bytes], Parsed], path: Path, limit: int = MAX_TEXT_BYTES) -> Parsed:
        data = self._read(path, limit)
        self._texts.update(b"%d " % len(data) + data)
        try:
            return parse(data)
        except ValueError as error:
            raise self._damage(str(error), path) from error

    def _image(self, names: Mapping[int, str], frame: int) -> tuple[Path, bytes]:
        if frame not in names:
            raise self._damage("is not among the frames of the scan", self.path, frame)
        path = self.path / names[frame]
        return path, self._read(path, MAX_IMAGE_BYTES, frame)

    def _read(self, path: Path, limit: int, frame: int | None = None) -> bytes:
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            raise kind_of_failure(error)(problem, path=path, scene=self.scene_id, frame=frame) from error
        if len(data) > limit:
            raise self._damage(f"is larger than {limit} bytes", path, frame, cure="check that it is the right file")
        return data

    def _damage(self, problem: str, path: Path, frame: int | None = None, cure: str | None = None) -> SourceError:
        return SourceError(problem, path=path, scene=self.scene_id, frame=frame, cure=cure)
