"""Read a scene of ScanNet++ as its iPhone saw it: video, LiDAR depth, and a camera and a pose for each frame.

Video runs at 60 Hz, and raw indices count 30 Hz as those of ScanNet: raw index r is the video's frame 2r (named
``frame_000120`` for raw index 60), or 2r + 1 where the source lacks frame 2r, as folders of extracted frames and
COLMAP's poses may. Frame k of the video, image k of the depth and row k of ``pose_intrinsic_imu.json`` belong together;
a tail that one of them lacks is left out and counted. Where the end of the depth is not known beforehand (a stream, or
a file in a store), the frames behind it have empty depth.

Poses are ARKit's, moved into the mesh's world (``aligned_pose``), with a pinhole camera for each frame, or COLMAP's
(``colmap/images.txt``), which are more exact, exist for about every tenth frame, and come with the lens of the camera,
which is then undone. The world is the mesh's, with z up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput, SourceError
from gapdata.files.storage import Location, file_in
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.scannetpp.annotation import SceneMesh
from gapdata.sources.scannetpp.depth_bin import HEIGHT, WIDTH
from gapdata.sources.scannetpp.failures import AGAIN, how_to_get, naming
from gapdata.sources.scannetpp.frame_images import (
    COLOR_FOLDER,
    COLOR_VIDEOS,
    DEPTH_FILE,
    DEPTH_FOLDER,
    MASK_FOLDER,
    MASK_VIDEOS,
    ColorFolder,
    ColorVideo,
    DepthBin,
    DepthFolder,
    Masks,
    find_images,
)
from gapdata.sources.scannetpp.frame_rows import RATE, FrameRows, parse_rows
from gapdata.sources.scannetpp.iphone_poses import IphonePoses, from_colmap, from_rows, read_text

PoseSource = Literal["arkit", "colmap"]
FOLDER = "iphone"
ROWS = "pose_intrinsic_imu.json"


class IphoneScan(Scan):
    """One scene, as the iPhone saw it.

    Args:
        scene_id: the scene.
        directory: the scene's folder.
        mesh: its labelled mesh.
        poses: which poses.

    Raises:
        SourceError: colour, depth, cameras or poses are missing or damaged; a missing one names its download.
    """

    def __init__(self, scene_id: str, directory: Location, mesh: SceneMesh, poses: PoseSource = "arkit") -> None:
        self.scene_id, self.path, self._mesh, self._pose_source = scene_id, file_in(directory, FOLDER), mesh, poses
        self._color: ColorVideo | ColorFolder | None = None
        self._depth: DepthBin | DepthFolder | None = None
        self._masks: Masks | None = None
        self._texts = hashlib.sha256(f"scannetpp iphone {poses}".encode())
        try:
            self._open_images()
            self._set_frames(*self._read_poses())
        except BaseException:
            self.close()
            raise

    def _open_images(self) -> None:
        with naming(self.path, self.scene_id):
            color = find_images(self.path, COLOR_VIDEOS, COLOR_FOLDER)
            depth = find_images(self.path, (DEPTH_FILE,), DEPTH_FOLDER)
            mask = find_images(self.path, MASK_VIDEOS, MASK_FOLDER)
        if color is None:
            raise self._missing("has neither rgb.mkv, rgb.mp4 nor extracted frames in rgb/", "iphone_video_path")
        with naming(color, self.scene_id):
            self._color = ColorVideo(color) if color.name in COLOR_VIDEOS else ColorFolder(color)
        if depth is None:
            raise self._missing("has neither depth.bin nor extracted images in depth/", "iphone_depth_path")
        with naming(depth, self.scene_id):
            self._depth = DepthBin(depth) if depth.name == DEPTH_FILE else DepthFolder(depth)
        self.in_order = self._color.in_order or self._depth.in_order
        if mask is not None:
            with naming(mask, self.scene_id):
                self._masks = Masks(mask, self._color.size)

    def _read_poses(self) -> tuple[FrameRows | None, IphonePoses]:
        """Return the rows of the frames where there are any, and the poses that are used."""
        place = file_in(self.path, ROWS)
        rows = None
        if self._pose_source == "arkit" or place.is_file():
            if not place.is_file():
                raise self._missing(f"has no {ROWS}", "iphone_pose_intrinsic_imu_path")
            with naming(place, self.scene_id):
                rows = parse_rows(read_text(place, self._texts))
        assert self._color is not None
        if self._pose_source == "arkit":
            assert rows is not None
            with naming(place, self.scene_id, cure="extract the frames at the size of the video"):
                return rows, from_rows(rows, self._color.size)
        folder = file_in(self.path, "colmap")
        with naming(folder, self.scene_id):
            found = from_colmap(folder, self._color.size, self._texts)
        if found is None:
            raise self._missing("has no COLMAP poses in colmap/", "iphone_colmap_dir")
        return rows, found

    def _set_frames(self, rows: FrameRows | None, poses: IphonePoses) -> None:
        """Choose a video frame for each raw index, and set what it shows."""
        step = 2 if rows is None else rows.step
        known, self._unjoined = self._joined(poses.listed)
        if self._pose_source == "colmap":
            self._unjoined = {}  # most frames do not have such a pose
        if not known.any():
            problem = "has no frame with colour, depth, a camera and a row of its pose"
            raise SourceError(problem, path=self.path, scene=self.scene_id, cure=AGAIN)
        self.frame_count = -(-len(known) // step)
        grid = np.zeros((self.frame_count, step), dtype=bool)
        grid.ravel()[: len(known)] = known
        self.present = np.asarray(grid.any(axis=1))
        self._video_frame = np.arange(self.frame_count) * step + grid.argmax(axis=1)
        self._poses = poses
        self.camera_to_world = np.full((self.frame_count, 4, 4), np.nan)
        self.camera_to_world[self.present] = poses.camera_to_world[self._video_frame[self.present]]
        self.color_lens = self.depth_lens = poses.lens
        self.color_intrinsics = poses.typical()
        self.depth_intrinsics = self.color_intrinsics.resized(WIDTH, HEIGHT)
        self._row_notes = {} if rows is None or self._pose_source == "colmap" else {**rows.notes, **poses.notes}

    def _joined(self, listed: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """Return which video frames have all that is listed, colour and depth, (N,), and counts of what has not."""
        assert self._color is not None
        assert self._depth is not None
        counts: dict[str, int] = {}
        known = listed
        for kind, images in (("color", self._color), ("depth", self._depth)):
            there = images.among(len(known))
            counts[f"row_without_{kind}"] = int((known & ~there).sum())
            counts[f"{kind}_without_row"] = max(0, (images.count or 0) - len(known))
            known = np.where(there, known, False)
        return known, counts

    def close(self) -> None:
        """Close the scene's files."""
        for stream in (self._color, self._depth, self._masks):
            if stream is not None:
                stream.close()

    @property
    def notes(self) -> Mapping[str, int]:
        """Return how many rows lack something and which tails were left out, by name."""
        assert self._depth is not None
        cut_off = {"depth_file_cut_off": 1} if self._depth.cut_off else {}
        return {name: count for name, count in {**self._row_notes, **self._unjoined, **cut_off}.items() if count}

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity, (4, 4): the mesh's world has z up and walls along its axes."""
        return np.eye(4)

    def video_frame(self, frame: int) -> int:
        """Return the number of the video frame of a raw index.

        Raises:
            SourceError: the source does not have that frame.
        """
        if not (0 <= frame < self.frame_count and self.present[frame]):
            raise SourceError("is not among the frames of the scan", path=self.path, scene=self.scene_id, frame=frame)
        return int(self._video_frame[frame])

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a frame: its own, because the iPhone focuses again and again."""
        return self._poses.camera(self.video_frame(frame))

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame: colour's, at the size of depth."""
        return self.color_camera(frame).resized(WIDTH, HEIGHT)

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        assert self._color is not None
        place = self.video_frame(frame)
        with naming(self._color.place, self.scene_id, frame):
            return self._color.image(place, reduction)

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (192, 256) uint16 millimetres."""
        assert self._depth is not None
        place = self.video_frame(frame)
        with naming(self._depth.place, self.scene_id, frame):
            return self._depth.image(place)

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return which pixels were not made anonymous, (H, W) uint8; ``None`` without ``rgb_mask.mkv``."""
        if self._masks is None:
            return None
        place = self.video_frame(frame)
        with naming(self._masks.place, self.scene_id, frame):
            return self._masks.image(place)

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh."""
        return self._mesh.annotation()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the texts of cameras and poses, the sizes of the images, and the annotation."""
        digest = self._texts.copy()
        for stream in (self._color, self._depth, self._masks):
            if stream is None:
                continue
            with naming(stream.place, self.scene_id):
                digest.update(f"{stream.place.name} {size_of(stream.place)}\n".encode())
        digest.update(self._mesh.digest_input())
        return digest.hexdigest()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with the files that they are read from."""
        assert self._color is not None
        assert self._depth is not None
        facts = super().describe_frames()["frames"]
        files = {
            "color_file": self._color.place.name,
            "depth_file": self._depth.place.name,
            "depth_encoding": self._depth.encoding,
            "mask_file": None if self._masks is None else self._masks.place.name,
            "poses": self._pose_source,
            "raw_indices": f"{RATE:g} Hz",
        }
        return {"frames": {"path": facts.pop("path"), **files, **facts}}

    def _missing(self, problem: str, asset: str) -> MissingInput:
        return MissingInput(problem, path=self.path, scene=self.scene_id, cure=how_to_get(asset))


def size_of(place: Location) -> str:
    """Return the size of a file, or the number of files in a folder and their names' hash.

    Raises:
        OSError: it cannot be examined.
    """
    if place.is_file():
        return str(place.stat().st_size)
    names = sorted(path.name for path in place.iterdir())
    return f"{len(names)} {hashlib.sha256(chr(10).join(names).encode(errors='surrogateescape')).hexdigest()}"
