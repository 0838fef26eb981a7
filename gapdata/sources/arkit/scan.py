"""Open one capture of ARKitScenes: frames with a camera each, poses by time, boxes and mesh.

Opening lists the folders, and reads the trajectory, the small camera files and two image headers. A frame is a colour
image with depth and camera; its raw index is a tick of :mod:`gapdata.sources.arkit.clock`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.arkit.assets import find_assets
from gapdata.sources.arkit.boxes import BoxFile, parse_boxes
from gapdata.sources.arkit.cameras import camera_of, of_size, typical
from gapdata.sources.arkit.capture_files import CaptureFiles
from gapdata.sources.arkit.frames import AGAIN, find_frames
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import decode_depth, depth_kind
from gapdata.sources.gray_files import decode_gray
from gapdata.sources.images import MAX_PIXELS
from gapdata.sources.ply import Mesh, read_mesh

IMAGE_BYTES, BOX_BYTES, MESH_BYTES = 1 << 26, 1 << 28, 1 << 31
HIGHEST = 2  # confidence
HEADERS_TRIED = 16
"""Images whose headers are tried before the size counts as unknown, because some may be damaged."""
NO_MESH: Mesh = (
    np.empty((0, 3), dtype=np.float32),
    np.empty((0, 3), dtype=np.int32),
    np.empty((0, 3), dtype=np.uint8),
)


class ArkitScan(Scan):
    """One capture.

    Args:
        scene_id: its id, 8 digits.
        homes: its folders, the preferred one first (:mod:`gapdata.sources.arkit.assets`).

    Raises:
        SourceError: frames, cameras or poses are missing or cannot be used; the file is named.
        StoreError: the store fails.
    """

    def __init__(self, scene_id: str, homes: Sequence[Location]) -> None:
        self.scene_id, self.path = scene_id, homes[0]
        self._files = CaptureFiles(scene_id)
        try:
            self.assets = find_assets(homes)
        except OSError as error:
            raise self._files.failure(error, "listed", homes[0]) from error
        self.frames = find_frames(self.assets, self._files)
        self.camera_to_world = self.frames.camera_to_world
        self.frame_count = len(self.camera_to_world)
        self._row_of = {frame: row for row, frame in enumerate(self.frames.ids)}
        color = self._first_size("color", color_size)
        self._depth_size = self._first_size("depth", lambda data: depth_kind(data).size)
        self._check_depth_size(color)
        self._check_cameras(color)
        stored = typical(self.frames.cameras)
        self.color_intrinsics, self.depth_intrinsics = of_size(stored, color), of_size(stored, self._depth_size)
        self._boxes = self._box_bytes()

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Tell for each tick whether the capture has a frame there, (N,)."""
        found = np.zeros(self.frame_count, dtype=bool)
        found[list(self.frames.ids)] = True
        return found

    @property
    def notes(self) -> Mapping[str, int]:
        """Return what was left out or interpolated while matching files by time, and whether boxes were skipped."""
        try:
            skipped = self.boxes is not None and self.boxes.skipped
        except SourceError:
            skipped = False  # said by :meth:`annotation`
        return {**self.frames.notes, **({"annotation_skipped": 1} if skipped else {})}

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity, (4, 4): ARKit's world has z up in these files."""
        return np.eye(4)

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the camera of the frame's own file, at the size of colour images."""
        return self._camera(frame, self.color_intrinsics)

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the camera of the frame's own file, at the size of depth images."""
        return self._camera(frame, self.depth_intrinsics)

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image as it was held, (H, W, 3) uint8 RGB."""
        path, data = self._image("color", frame)
        expected = self.color_intrinsics.width, self.color_intrinsics.height
        try:
            size = color_size(data)
        except ValueError as error:
            raise self._files.damage(str(error), path, frame, AGAIN) from error
        if size != expected:
            problem = f"is {size[0]}x{size[1]}, but other frames are {expected[0]}x{expected[1]}"
            raise self._files.damage(problem, path, frame, AGAIN)
        image = decode_color_file(data, reduction)
        if image is None:
            raise self._files.damage("cannot be decoded", path, frame, AGAIN)
        return image

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image as it was held, (H, W) uint16 millimetres, 0 without a value."""
        path, data = self._image("depth", frame)
        try:
            return decode_depth(data, self._depth_size)
        except ValueError as error:
            raise self._files.damage(str(error), path, frame, AGAIN) from error

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return ARKit's confidence in each depth reading, (H, W) uint8 0 low, 1, 2 high; ``None`` without a file."""
        if frame not in self.frames.files.get("confidence", ()):
            return None
        path, data = self._image("confidence", frame)
        try:
            levels = decode_gray(data, self._depth_size)
        except ValueError as error:
            raise self._files.damage(str(error), path, frame, AGAIN) from error
        if levels.max() > HIGHEST:
            problem = f"has a confidence of {levels.max()}, expected 0, 1 and 2"
            raise self._files.damage(problem, path, frame, AGAIN)
        return levels

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over names and sizes of images, and texts of poses, cameras and boxes, as they were opened.

        Args:
            masks: has no effect: the data set has no projected masks.
        """
        return self._files.digest

    @cached_property
    def boxes(self) -> BoxFile | None:
        """Return the annotated boxes; ``None`` for a capture without the file.

        Raises:
            SourceError: the file is damaged.
        """
        if self._boxes is None or self.assets.boxes is None:
            return None
        try:
            return parse_boxes(self._boxes)
        except ValueError as error:
            raise self._files.damage(str(error), self.assets.boxes, cure=AGAIN) from error

    def annotation(self) -> Annotation | None:
        """Return the boxes with the mesh, which is not labelled; ``None`` where nobody annotated the capture.

        Raises:
            SourceError: the boxes or the mesh are damaged.
        """
        if self.boxes is None or self.boxes.skipped:
            return None
        vertices, faces, colors = self._mesh()
        return Annotation(
            vertices=vertices,
            faces=faces,
            colors=colors,
            objects=self.boxes.objects,
            notes={**self.boxes.notes, **({} if len(vertices) else {"without_mesh": 1})},
            duplicates=dict(self.boxes.duplicates),
        )

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with the package and the folders that are read."""
        facts = super().describe_frames()["frames"]
        folders = {kind: place.name for kind, place in self.assets.folders.items()}
        return {"frames": {"package": self.assets.package, "folders": folders, **facts}}

    def _camera(self, frame: int, typical_one: Intrinsics) -> Intrinsics:
        """Return the camera of a frame at the size of the typical one, which stands in where there is no frame."""
        if frame not in self._row_of:
            return typical_one
        stored = camera_of(self.frames.cameras[self._row_of[frame]])
        return of_size(stored, (typical_one.width, typical_one.height))

    def _check_cameras(self, color: tuple[int, int]) -> None:
        """Refuse cameras of images of another shape than colour or depth.

        Raises:
            SourceError: there are some.
        """
        sizes = np.unique(self.frames.cameras[:, :2], axis=0)
        try:
            for width, height in sizes.tolist():
                stored = Intrinsics(fx=width, fy=width, cx=0, cy=0, width=int(width), height=int(height))
                of_size(stored, color)
                of_size(stored, self._depth_size)
        except ValueError as error:
            raise self._files.damage(str(error), self.assets.folders["cameras"], cure=AGAIN) from error

    def _check_depth_size(self, color: tuple[int, int]) -> None:
        """Refuse depth of the first packages that is larger than colour: there it saw more than colour did.

        Raises:
            SourceError: it is.
        """
        folder = self.assets.folders["depth"]
        if folder.name.lower() != "lowres_depth" and self._depth_size != color:
            sizes = " and ".join(f"{width}x{height}" for width, height in (self._depth_size, color))
            problem = f"depth and colour are {sizes}, and nothing says which part of the one the other shows"
            raise self._files.damage(problem, folder, cure="download the capture again: its frames are published anew")

    def _first_size(self, kind: str, size_of: Callable[[bytes], tuple[int, int]]) -> tuple[int, int]:
        """Return (width, height) of one kind of images, by the first header that can be read."""
        first: SourceError | None = None
        for frame in self.frames.ids[:HEADERS_TRIED]:
            path, data = self._image(kind, frame)
            try:
                width, height = size_of(data)
            except ValueError as error:
                first = first or self._files.damage(str(error), path, frame, AGAIN)
                continue
            if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
                raise self._files.damage(f"has an impossible image size: {width}x{height}", path, frame, AGAIN)
            return width, height
        assert first is not None
        raise first

    def _image(self, kind: str, frame: int) -> tuple[Location, bytes]:
        name = self.frames.files[kind].get(frame)
        if name is None:
            raise self._files.damage("is not among the frames of the capture", self.path, frame)
        path = self.assets.folders[kind] / name
        return path, self._files.read(path, IMAGE_BYTES, frame)

    def _box_bytes(self) -> bytes | None:
        """Read the boxes at once, because they belong to the digest, and note the size of the mesh."""
        if self.assets.mesh is not None:
            self._files.note_size(self.assets.mesh)
        return None if self.assets.boxes is None else self._files.text(self.assets.boxes, BOX_BYTES)

    def _mesh(self) -> Mesh:
        path = self.assets.mesh
        if path is None:
            return NO_MESH
        try:
            vertices, faces, colors = read_mesh(self._files.read(path, MESH_BYTES))
        except ValueError as error:
            raise self._files.damage(f"mesh cannot be read: {error}", path, cure=AGAIN) from error
        if not len(vertices) or not len(faces) or not np.isfinite(vertices).all():
            raise self._files.damage("mesh is empty or has coordinates that are not finite", path, cure=AGAIN)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise self._files.damage("mesh has a face with a vertex that does not exist", path, cure=AGAIN)
        return vertices, faces, colors
