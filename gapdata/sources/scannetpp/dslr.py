"""Read a scene of ScanNet++ as its DSLR saw it: fisheye stills, with depth cast from the scene's mesh.

``nerfstudio/transforms.json`` has the camera, the lens and the pose of each image in ``resized_images/``; without
these, ``transforms_undistorted.json`` and ``resized_undistorted_images/`` are read, which the toolkit makes. Nothing
measured depth: it is that of the mesh, so windows, mirrors and what the laser scanner missed are holes.

The stills are not a video, so neighbours in a clip are a second apart: still i, in the order of the names, has raw
index 30 i. Those that are marked ``is_bad`` keep their number and are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput, SourceError
from gapdata.files.checked_values import number, numbers, text
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.json_text import decode_json
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location, file_in
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.geometry.mesh_rays import MeshRays
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.images import is_color_jpeg
from gapdata.sources.lens_fields import parse_lens
from gapdata.sources.scannetpp.annotation import SceneMesh
from gapdata.sources.scannetpp.failures import how_to_get, naming
from gapdata.sources.scannetpp.frame_images import listed_names
from gapdata.sources.scannetpp.iphone_poses import pinhole_in_place_of, read_text

FOLDER = "dslr"
SPACING = 30
"""Raw indices from one still to the next."""
RELEASES = (
    ("transforms.json", "resized_images", "resized_anon_masks"),
    ("transforms_undistorted.json", "resized_undistorted_images", "resized_undistorted_masks"),
)
"""Transforms, images and masks of the fisheye's images, and of those that the toolkit has undistorted."""
ASSETS = ("dslr_resized_dir", "dslr_resized_mask_dir", "dslr_nerfstudio_transform_path")
KEPT = 255  # in masks
DEPTH_SIDE = 640
"""Pixels along the longer side of the depth that is cast: a little more than frames have when they are stored."""
FAR = 65.0  # metres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Still:
    """An image of the list."""

    name: str
    mask: str | None
    bad: bool
    camera_to_world: NDArray[np.float64]  # (4, 4) metres, OpenCV axes, the mesh's world; NaN where it is not a matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Stills:
    """The camera, its lens, and the images in the natural order of their names."""

    camera: Intrinsics
    lens: Lens | None
    images: tuple[Still, ...]


class DslrScan(Scan):
    """One scene, as the DSLR saw it.

    Args:
        scene_id: the scene.
        directory: the scene's folder.
        mesh: its mesh, at which rays are cast.

    Raises:
        SourceError: images, cameras or the mesh are missing or damaged; a missing one names its download.
    """

    def __init__(self, scene_id: str, directory: Location, mesh: SceneMesh) -> None:
        self.scene_id, self.path, self._mesh = scene_id, file_in(directory, FOLDER), mesh
        self._texts = hashlib.sha256(b"scannetpp dslr")
        transforms, images, masks = self._find_release()
        self._images, self._masks = file_in(self.path, images), file_in(self.path, masks)
        place = file_in(file_in(self.path, "nerfstudio"), transforms)
        with naming(place, scene_id):
            self._stills = parse_transforms(read_text(place, self._texts))
            self._pinhole = pinhole_in_place_of(self._stills.lens, self._stills.camera)
        with naming(self._images, scene_id):
            self._files = frozenset(listed_names(self._images))
        with naming(self._masks, scene_id):
            self._mask_files = frozenset(listed_names(self._masks) if self._masks.is_dir() else ())
        if not mesh.has_surface():
            raise MissingInput(
                "has no mesh, from which the depth of DSLR images is cast",
                path=directory,
                scene=scene_id,
                cure=how_to_get("scan_mesh_path"),
            )
        self._set_frames()

    def _find_release(self) -> tuple[str, str, str]:
        for transforms, images, masks in RELEASES:
            there = file_in(file_in(self.path, "nerfstudio"), transforms).is_file()
            if there and file_in(self.path, images).is_dir():
                return transforms, images, masks
        problem = "has neither nerfstudio/transforms.json with resized_images/ nor their undistorted forms"
        raise MissingInput(problem, path=self.path, scene=self.scene_id, cure=how_to_get(*ASSETS))

    def _set_frames(self) -> None:
        stills = self._stills
        self.frame_count = SPACING * (len(stills.images) - 1) + 1
        self.present = np.zeros(self.frame_count, dtype=bool)
        self.camera_to_world = np.full((self.frame_count, 4, 4), np.nan)
        for place, still in enumerate(stills.images):
            if not still.bad and still.name in self._files:
                self.present[SPACING * place] = True
                self.camera_to_world[SPACING * place] = still.camera_to_world
        if not self.present.any():
            problem = f"has none of the {len(stills.images)} images that its transforms list, such as "
            raise SourceError(
                problem + stills.images[0].name, path=self._images, scene=self.scene_id, cure=how_to_get(ASSETS[0])
            )
        self.color_intrinsics, self.color_lens = stills.camera, stills.lens
        pinhole = self._pinhole
        share = min(1.0, DEPTH_SIDE / max(pinhole.width, pinhole.height))
        self.depth_intrinsics = pinhole.resized(round(pinhole.width * share), round(pinhole.height * share))

    @property
    def notes(self) -> Mapping[str, int]:
        """Return how many images are bad or missing, and for how many depth is cast, by name."""
        images = self._stills.images
        counts = {
            "bad_image": sum(still.bad for still in images),
            "frame_without_image": sum(not still.bad and still.name not in self._files for still in images),
            "depth_cast_from_mesh": int(self.present.sum()),
        }
        return {name: count for name, count in counts.items() if count}

    @property
    def axis_alignment(self) -> NDArray[np.float64]:
        """Return the identity, (4, 4): the mesh's world has z up and walls along its axes."""
        return np.eye(4)

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        place = self._images / self._still(frame).name
        with naming(place, self.scene_id, frame):
            data = self._sized(place.read_bytes())
            image = decode_color_file(data, reduction)
            if image is None:
                raise ValueError("cannot be decoded")
        return image

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file without its tags if it is a colour JPEG."""
        place = self._images / self._still(frame).name
        with naming(place, self.scene_id, frame):
            data = place.read_bytes()
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth of the mesh as a pinhole camera sees it, (H, W) uint16 millimetres, 0 where there is none.

        Raises:
            SourceError: the mesh is damaged, or the pose is not a rigid matrix.
        """
        self._still(frame)
        pose = self.camera_to_world[frame]
        if not np.isfinite(pose).all():
            problem = "has no pose, without which depth cannot be cast"
            raise SourceError(problem, path=self.path, scene=self.scene_id, frame=frame)
        metres = self._rays.depth(self.depth_intrinsics, pose)
        return np.rint(np.where(metres < FAR, metres, 0) * np.float32(1000)).astype(np.uint16)

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return which pixels were not made anonymous, (H, W) uint8; ``None`` for an image without a mask."""
        still = self._still(frame)
        if still.mask is None or still.mask not in self._mask_files:
            return None
        place = self._masks / still.mask
        with naming(place, self.scene_id, frame):
            image = decode_color_file(self._sized(place.read_bytes()))
            if image is None:
                raise ValueError("cannot be decoded")
        return np.where(image[..., 0] == KEPT, np.uint8(255), np.uint8(0))

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh."""
        return self._mesh.annotation()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the transforms, the names and sizes of images and masks, and the annotation.

        Raises:
            SourceError: an image has gone since the scan was opened.
        """
        digest = self._texts.copy()
        for still in self._stills.images:
            for folder, name in ((self._images, still.name), (self._masks, still.mask or "")):
                if name in (self._files if folder == self._images else self._mask_files):
                    with naming(folder / name, self.scene_id):
                        digest.update(f"{name} {(folder / name).stat().st_size}\n".encode())
        digest.update(self._mesh.digest_input())
        return digest.hexdigest()

    def describe_frames(self) -> dict[str, Any]:
        """Return the facts about frames and cameras, with the folder of the images and where depth is from."""
        facts = super().describe_frames()["frames"]
        files = {"layout": "dslr", "images": self._images.name, "depth_from": "the mesh"}
        return {"frames": {"path": facts.pop("path"), **files, **facts}}

    @cached_property
    def _rays(self) -> MeshRays:
        vertices, faces, _ = self._mesh.surface
        return MeshRays(vertices, faces)

    def _still(self, frame: int) -> Still:
        if not (0 <= frame < self.frame_count and self.present[frame]):
            raise SourceError("is not among the frames of the scan", path=self.path, scene=self.scene_id, frame=frame)
        return self._stills.images[frame // SPACING]

    def _sized(self, data: bytes) -> bytes:
        """Return a file of the size that the transforms state.

        Raises:
            ValueError: it has another one, or is damaged.
        """
        camera, size = self.color_intrinsics, color_size(data)
        if size != (camera.width, camera.height):
            raise ValueError(f"is {size[0]}x{size[1]}, but its transforms state {camera.width}x{camera.height}")
        return data


def parse_transforms(data: bytes) -> Stills:
    """Read ``transforms.json``: ``frames`` and ``test_frames`` alike.

    Raises:
        ValueError: it is damaged, has no image, or a lens that cannot be undone.
    """
    content = decode_json(data)
    if not isinstance(content, dict):
        raise ValueError("is not an object with frames")
    listed = [item for name in ("frames", "test_frames") for item in _list(content.get(name))]
    stills = {still.name: still for item in listed if (still := _still_of(item)) is not None}
    if not stills:
        raise ValueError("lists no image with a file_path")
    fields = {name: number(content.get(name)) for name in ("fl_x", "fl_y", "cx", "cy", "w", "h")}
    values = {name: value for name, value in fields.items() if value is not None}
    if len(values) < len(fields):
        raise ValueError(f"has no number {', '.join(fields.keys() - values.keys())}")
    # Pixels are counted from their corners, as in COLMAP.
    camera = Intrinsics(
        fx=values["fl_x"],
        fy=values["fl_y"],
        cx=values["cx"] - 0.5,
        cy=values["cy"] - 0.5,
        width=int(values["w"]),
        height=int(values["h"]),
    )
    if not camera.plausible:
        raise ValueError("has a focal length or principal point that is not that of its images")
    lens_fields = {name: value for name, value in content.items() if not isinstance(value, (list, dict))}
    ordered = sorted(stills.values(), key=lambda still: natural_key(still.name))
    return Stills(camera=camera, lens=parse_lens(lens_fields, camera.fx), images=tuple(ordered))


def in_mesh_world(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pose of an OpenCV camera in the mesh's world, (4, 4), of a nerfstudio matrix of ScanNet++.

    The toolkit swaps the first two axes of the world and turns the third over, and its cameras look along -z
    (scannetpp issue 160).
    """
    pose = matrix.copy()
    pose[2] *= -1
    pose[[0, 1]] = pose[[1, 0]]
    pose[:, 1:3] *= -1
    return pose


def _still_of(item: Any) -> Still | None:
    """Return an image of the list; ``None`` for an entry without a file."""
    name = text(item.get("file_path"), 200) if isinstance(item, dict) else None
    if name is None:
        return None
    mask = text(item.get("mask_path"), 200)
    matrix = numbers(item.get("transform_matrix"), (4, 4))
    pose = np.full((4, 4), np.nan) if matrix is None else in_mesh_world(matrix)
    return Still(name=_own(name), mask=mask and _own(mask), bad=item.get("is_bad") is True, camera_to_world=pose)


def _own(path: str) -> str:
    """Return the name of a file without folders: images are looked for by name in the listing of one folder."""
    return path.replace("\\", "/").rpartition("/")[2]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
