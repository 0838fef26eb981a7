"""Read a region of a house: the stills that show it, with their cameras and poses.

The raw images are read, as EmbodiedScan does: colour through a lens of its own for each camera, depth in 1/4000 m
aligned with it. Where a house has the undistorted images only, these are read, with the cameras of ``<house>.conf``.

The stills are not a video, so neighbours in a clip are a second apart: still i has raw index 30 i. Views that spread
over a region (``scene_views``) suit them better than clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput, SourceError
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, pinhole_behind
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.camera_files import MAX_TEXT_BYTES
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import decode_depth
from gapdata.sources.images import is_color_jpeg
from gapdata.sources.matterport3d.cameras import SHIFT, ListedStill, TripodStill, parse_camera, parse_list
from gapdata.sources.matterport3d.house_files import HouseFiles, how_to_get
from gapdata.sources.matterport3d.region_mesh import RegionMesh
from gapdata.sources.pose_files import parse_pose

SPACING = 30
"""Raw indices from one still to the next."""
RAW = ("matterport_color_images", "matterport_depth_images", "matterport_camera_poses", "matterport_camera_intrinsics")
UNDISTORTED = ("undistorted_color_images", "undistorted_depth_images", "undistorted_camera_parameters")
MAX_IMAGE_BYTES = 1 << 26
MAX_LIST_BYTES = 1 << 24
Lensed = tuple[Intrinsics, Lens | None]


class RegionScan(Scan):
    """The stills of one region.

    Args:
        scene_id: ``<house>_region<N>``.
        house: its id.
        directory: the house's folder.
        stills: those that show the region, in order.

    Raises:
        SourceError: none of them is there with depth, pose and camera; or their sizes differ.
    """

    depth_units_per_metre = SHIFT

    def __init__(self, scene_id: str, house: str, directory: Location, stills: Sequence[TripodStill]) -> None:
        self.scene_id, self.path, self.stills = scene_id, directory, tuple(stills)
        self.files = HouseFiles(house, directory, scene_id)
        self._mesh = RegionMesh(self.files, scene_id)
        self._texts = hashlib.sha256(repr(self.stills).encode())
        self._notes: dict[str, int] = {}
        self.frame_count = SPACING * (len(self.stills) - 1) + 1
        self.camera_to_world = np.full((self.frame_count, 4, 4), np.nan)
        self.present = np.zeros(self.frame_count, dtype=bool)
        self._cameras: dict[int, Lensed] = {}
        try:
            self.kinds = self._kinds()
            self._index()
        except BaseException:
            self.files.close()
            raise

    def close(self) -> None:
        """Close the archives."""
        self.files.close()

    @property
    def notes(self) -> Mapping[str, int]:
        """Return how many stills lack a file or have an unreadable pose."""
        return self._notes

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity: the camera stood level on its tripod, and the z axis points up."""
        return np.eye(4)

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the camera of a still."""
        return self._of(frame)[0]

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the camera of a still, with which its depth is aligned."""
        return self._of(frame)[0]

    def lenses(self, frame: int) -> tuple[Lens | None, Lens | None]:
        """Return the lens of a still's camera, of colour and of depth."""
        lens = self._of(frame)[1]
        return lens, lens

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        kind, name = self.kinds[0], self._still(frame).color_name
        data = self.files.read(kind, name, MAX_IMAGE_BYTES, frame)
        with self.files.naming(self._named(kind, name), frame):
            size = color_size(data)
            if size != self._size:
                raise ValueError(f"is {size[0]}x{size[1]}, expected {self._size[0]}x{self._size[1]}")
            image = decode_color_file(data, reduction)
            if image is None:
                raise ValueError("cannot be decoded")
        return image

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file without its tags."""
        data = self.files.read(self.kinds[0], self._still(frame).color_name, MAX_IMAGE_BYTES, frame)
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16, 4000 units a metre."""
        kind, name = self.kinds[1], self._still(frame).depth_name
        data = self.files.read(kind, name, MAX_IMAGE_BYTES, frame)
        with self.files.naming(self._named(kind, name), frame):
            return decode_depth(data, self._size)

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh of the region, where it was downloaded."""
        return self._mesh.annotation()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the texts that were read, names and sizes of images, and the mesh."""
        digest = self._texts.copy()
        names = [self.stills[frame // SPACING] for frame in np.flatnonzero(self.present)]
        digest.update(self.files.digest_input(self.kinds[0], [still.color_name for still in names]))
        digest.update(self.files.digest_input(self.kinds[1], [still.depth_name for still in names]))
        digest.update(self._mesh.digest_input())
        return digest.hexdigest()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about the stills, with where they are from."""
        facts = super().describe_frames()["frames"]
        stops = len({still.tripod for still in self.stills})
        return {"frames": {"images": self.kinds[0], "tripod_stops": stops, **facts}}

    def _kinds(self) -> tuple[str, ...]:
        """Return the kinds of files to read: the raw ones, or the undistorted ones where only they are complete."""
        for kinds in (RAW, UNDISTORTED):
            if all(self.files.place(kind) is not None for kind in kinds):
                return kinds
        missing = [kind for kind in RAW if self.files.place(kind) is None]
        cure = f"download it: {how_to_get(self.files.house, *missing)}"
        raise SourceError(f"has no {', '.join(missing)}", path=self.path, scene=self.scene_id, cure=cure)

    def _index(self) -> None:
        """Find the stills that are complete, and read their cameras and poses."""
        listed = self._listed_stills() if self.kinds == UNDISTORTED else None
        lensed: dict[str, Lensed] = {}
        colors, depths = self.files.names(self.kinds[0]), self.files.names(self.kinds[1])
        for place, still in enumerate(self.stills):
            frame = SPACING * place
            if still.color_name not in colors or still.depth_name not in depths:
                self._note(f"still_without_{'depth' if still.color_name in colors else 'color'}")
            elif listed is not None and still in listed:
                self._cameras[frame] = listed[still].camera, None
                self.camera_to_world[frame] = listed[still].camera_to_world
            elif listed is None and (camera := self._camera(still, frame, lensed)) is not None:
                if self._read_pose(still, frame):
                    self._cameras[frame] = camera
            else:
                self._note("still_without_camera")
        self.present[list(self._cameras)] = True
        if not self._cameras:
            counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self._notes.items())
            cure = f"download it again: {how_to_get(self.files.house, *self.kinds)}"
            problem = f"has no complete still of {len(self.stills)}: {counts}"
            raise SourceError(problem, path=self.path, scene=self.scene_id, cure=cure)
        self._set_typical()

    def _set_typical(self) -> None:
        """Set the camera of a typical still, and refuse stills of another size."""
        pinholes = [pinhole_behind(lens, camera) for camera, lens in self._cameras.values()]
        first = next(iter(self._cameras.values()))[0]
        self._size = first.width, first.height
        for frame, (camera, _) in self._cameras.items():
            if (camera.width, camera.height) != self._size:
                problem = f"is {camera.width}x{camera.height}, but the first still is {first.width}x{first.height}"
                raise SourceError(problem, path=self.path, scene=self.scene_id, frame=frame)
        fx, fy, cx, cy = np.median([(item.fx, item.fy, item.cx, item.cy) for item in pinholes], axis=0).tolist()
        typical = Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=first.width, height=first.height)
        self.color_intrinsics = self.depth_intrinsics = typical

    def _camera(self, still: TripodStill, frame: int, known: dict[str, Lensed]) -> Lensed | None:
        """Return the camera of a raw still, which the turns of a stop share; ``None`` where it has none."""
        names = self.files.names(RAW[3])
        name = next((name for name in still.camera_names if name in names), None)
        if name is not None and name not in known:
            data = self._text(RAW[3], name, frame)
            with self.files.naming(self._named(RAW[3], name), frame):
                known[name] = parse_camera(data)
                pinhole_behind(known[name][1], known[name][0])
        return None if name is None else known[name]

    def _read_pose(self, still: TripodStill, frame: int) -> bool:
        """Read the pose of a raw still, and return whether it has one."""
        names = self.files.names(RAW[2])
        name = next((name for name in still.pose_names if name in names), None)
        if name is None:
            self._note("still_without_pose")
            return False
        try:
            self.camera_to_world[frame] = parse_pose(self._text(RAW[2], name, frame))
        except ValueError:
            self._note("unreadable_pose")
        return True

    def _listed_stills(self) -> dict[TripodStill, ListedStill]:
        kind, name = UNDISTORTED[2], f"{self.files.house}.conf"
        if name not in self.files.names(kind):
            cure = f"download it: {how_to_get(self.files.house, kind)}"
            raise MissingInput(f"has no {name}", path=self.files.place(kind), scene=self.scene_id, cure=cure)
        data = self._text(kind, name, None, MAX_LIST_BYTES)
        size = self._size_of_first()
        with self.files.naming(self._named(kind, name), None):
            return {} if size is None else parse_list(data, size)

    def _size_of_first(self) -> tuple[int, int] | None:
        """Return (width, height) of the first colour image that is there."""
        kind = self.kinds[0]
        names = self.files.names(kind)
        name = next((still.color_name for still in self.stills if still.color_name in names), None)
        if name is None:
            return None
        data = self.files.read(kind, name, MAX_IMAGE_BYTES)
        with self.files.naming(self._named(kind, name), None):
            return color_size(data)

    def _text(self, kind: str, name: str, frame: int | None, limit: int = MAX_TEXT_BYTES) -> bytes:
        data = self.files.read(kind, name, limit, frame)
        self._texts.update(b"%d " % len(data) + data)
        return data

    def _named(self, kind: str, name: str) -> Location:
        place = self.files.place(kind)
        assert place is not None
        return place / name

    def _still(self, frame: int) -> TripodStill:
        if frame not in self._cameras:
            raise SourceError("is not among the stills of the region", path=self.path, scene=self.scene_id, frame=frame)
        return self.stills[frame // SPACING]

    def _of(self, frame: int) -> Lensed:
        self._still(frame)
        return self._cameras[frame]

    def _note(self, name: str) -> None:
        self._notes[name] = self._notes.get(name, 0) + 1
