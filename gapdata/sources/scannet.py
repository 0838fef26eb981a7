"""ScanNet v2: a data set's folder, and one scene of it as a :class:`gapdata.sources.base.Scan`.

A scene's folder holds ``<scene>.sens``, ``<scene>.txt``, the mesh ``<scene>_vh_clean_2.ply``, its over-segmentation
``<scene>_vh_clean_2.0.010000.segs.json`` and ``<scene>.aggregation.json``. The test scans have neither of the last
two, and their ``.txt`` has no ``axisAlignment``. Where the ``.sens`` was not kept, the frames extracted from it serve
as well: in the scene's folder, or under ``posed_images/`` or ``scannet_frames_25k/`` beside ``scans/``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.taxonomy import EMPTY_LABEL_MAP, LABEL_MAP_NAME, LabelMap, read_label_map
from gapdata.errors import UsageError
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, file_in, location, subfolders
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.sources.base import Annotation, Scan
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.images import is_color_jpeg
from gapdata.sources.layouts import Layout, find_frames, listing_digest
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.scene_files import SceneFiles, naming_scene
from gapdata.sources.sens import SensReader
from gapdata.sources.split_lists import read_split_list
from gapdata.sources.stamps import Stamps, stamps_of

SCENE_ID = re.compile(r"scene\d{4}_\d{2}")
SCAN_FOLDERS = ("scans", "scans_test")
FRAME_FOLDERS = ("posed_images", "scannet_frames_25k")
"""Folders of extracted frames, the denser first."""
SPLIT_FILES = {"train": "scannetv2_train.txt", "val": "scannetv2_val.txt", "test": "scannetv2_test.txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetDataset:
    """A ScanNet download: its scenes, their splits and the label map. Each scene is read from its ``.sens`` or, where
    it has none, from extracted frames (:mod:`gapdata.sources.layouts`).
    """

    name: ClassVar[str] = "scannet"

    root: Location
    scene_directories: Mapping[str, Location]
    splits: Mapping[str, str]
    label_map: LabelMap
    frame_directories: Mapping[str, tuple[Location, ...]] = field(default_factory=dict)
    """Where else frames of a scene lie, the preferred one first."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Nothing: a folder with a scene's name is a scene, whatever is wrong with it."""
    in_two_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the split files say of a scene that several name; the last one counts, which is held out."""

    @classmethod
    def open(cls, root: str | os.PathLike[str] | ObjectPath) -> ScanNetDataset:
        """Find the scenes under the download's root (``scans/``, ``scans_test/``, ``posed_images/``,
        ``scannet_frames_25k/``) or in a folder that holds them directly.

        Raises:
            UsageError: the folder does not exist or holds no scene, or a split file is not a list of scenes.
        """
        root = location(root)
        if not root.is_dir():
            cure = "give the folder of the ScanNet download"
            raise UsageError("is a file" if root.exists() else "is no directory", path=root, cure=cure)
        parents = [folder for name in (*SCAN_FOLDERS, *FRAME_FOLDERS) if (folder := root / name).is_dir()] or [root]
        found: dict[str, list[Location]] = {}
        for parent in parents:
            for folder in subfolders(parent):
                if SCENE_ID.fullmatch(folder.name):
                    found.setdefault(folder.name, []).append(folder)
        directories = {scene: places[0] for scene, places in sorted(found.items())}
        if not directories:
            raise UsageError("holds no ScanNet scene", path=root, cure=_where_scenes_are(root))
        claimed = _claimed_splits(root, directories)
        label_file = _first_existing(root / LABEL_MAP_NAME, root.parent / LABEL_MAP_NAME)
        return cls(
            root=root,
            scene_directories=directories,
            splits={scene: claims[-1] for scene, claims in claimed.items()},
            in_two_splits={scene: claims for scene, claims in claimed.items() if len(set(claims)) > 1},
            label_map=EMPTY_LABEL_MAP if label_file is None else read_label_map(label_file),
            frame_directories={scene: tuple(places[1:]) for scene, places in found.items() if len(places) > 1},
        )

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """All scenes, sorted."""
        return tuple(self.scene_directories)

    def split(self, scene_id: str) -> str:
        """``train``, ``val`` or ``test`` by the split files (a scene under ``scans_test/`` is test), else
        ``unknown``.
        """
        return self.splits.get(scene_id, "unknown")

    def sens_path(self, scene_id: str) -> Location:
        """Where the scene's ``.sens`` is expected."""
        return file_in(self.scene_directories[scene_id], f"{scene_id}.sens")

    def kind(self, scene_id: str) -> str:
        """``sens``, the name of the layout of extracted frames, or ``missing``."""
        if self._has_sens(scene_id):
            return "sens"
        frames = self._frames(scene_id)
        return "missing" if frames is None else frames[1].name

    def annotated(self, scene_id: str) -> bool:
        """Return whether the scene's ``.aggregation.json`` is there, and may be looked at."""
        try:
            return file_in(self._annotation_directory(scene_id), f"{scene_id}.aggregation.json").is_file()
        except PermissionError:
            return False

    def _has_sens(self, scene_id: str) -> bool:
        """Whether there is a ``.sens``; one that may not even be looked at counts, so that opening it says why."""
        try:
            return self.sens_path(scene_id).is_file()
        except PermissionError:
            return True

    def labels(self, label: str) -> dict[str, str]:
        """The names of a raw category, see :meth:`gapdata.annotations.taxonomy.LabelMap.labels`."""
        return self.label_map.labels(label)

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene: its ``.sens``, or else its extracted frames.

        Raises:
            SourceError: neither is there, or what is there is damaged.
        """
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        if frames is None:
            return ScanNetScan(self.scene_directories[scene_id], self.label_map)
        return ExtractedScan(scene_id, *frames, beside=SceneFiles(self._annotation_directory(scene_id)))

    def stamps(self, scene_id: str) -> Stamps:
        """Return those of the ``.sens`` and what belongs to it by name, or of extracted frames and annotation."""
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        beside = stamps_of([self._annotation_directory(scene_id)], wanted=lambda name: name.startswith(scene_id))
        return beside if frames is None else {**stamps_of([frames[0]], nested=True), **beside}

    def unreadable_digest(self, scene_id: str) -> str:
        """The size of the ``.sens``, or the names and sizes of the extracted frames."""
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        if frames is not None:
            return f"unreadable, {listing_digest(frames[0])}"
        path = self.sens_path(scene_id)
        return f"unreadable, {_size(path)} bytes"

    def _frames(self, scene_id: str) -> tuple[Path, Layout] | None:
        """Extracted frames are looked for on disk only: in a store, thousands of small objects are no source."""
        places = (self.scene_directories[scene_id], *self.frame_directories.get(scene_id, ()))
        return find_frames(place for place in places if isinstance(place, Path))

    def _annotation_directory(self, scene_id: str) -> Location:
        """Where the scene's ``.txt`` and ``.aggregation.json`` are: its own folder, or that under ``scans/`` beside the
        folder of frames that was named.
        """
        home = self.scene_directories[scene_id]
        if isinstance(home, ObjectPath):
            return home
        beside = [home.absolute().parent.parent / name / scene_id for name in SCAN_FOLDERS]
        names = (f"{scene_id}.aggregation.json", f"{scene_id}.txt")
        places = (place for place in (home, *beside) if any(file_in(place, name).is_file() for name in names))
        return next(places, home)


def open_folder(root: Location) -> ScanNetDataset:
    """See :meth:`gapdata.sources.registry.SourceModule.open_folder`."""
    return ScanNetDataset.open(root)


class ScanNetScan:
    """One ScanNet scene, its frames in a ``.sens``: that of the folder's name, or ``sens``."""

    def __init__(
        self, directory: Location, label_map: LabelMap = EMPTY_LABEL_MAP, sens: Location | None = None
    ) -> None:
        self.directory = directory
        self.scene_id = directory.name if sens is None else sens.name.removesuffix(".sens")
        self.label_map = label_map
        self.files = SceneFiles(directory)
        with naming_scene(self.scene_id):
            self.sens = SensReader(sens or file_in(directory, f"{self.scene_id}.sens"))

    def __enter__(self) -> ScanNetScan:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()
        self.sens.close()

    @property
    def path(self) -> Location:
        return self.sens.path

    @property
    def frame_count(self) -> int:
        return len(self.sens)

    @property
    def present(self) -> NDArray[np.bool_]:
        return np.ones(len(self.sens), dtype=bool)

    @property
    def notes(self) -> Mapping[str, int]:
        return {}

    @property
    def color_intrinsics(self) -> Intrinsics:
        return self.sens.color_intrinsics

    @property
    def depth_intrinsics(self) -> Intrinsics:
        return self.sens.depth_intrinsics

    @property
    def color_lens(self) -> Lens | None:
        return self.sens.color_lens

    @property
    def depth_lens(self) -> Lens | None:
        return self.sens.depth_lens

    @property
    def depth_to_color(self) -> NDArray[np.float64]:
        """The depth extrinsics of the ``.sens``. The released images are registered (ScanNet issues 2 and 92), so it
        is the identity there; ``colorToDepthExtrinsics`` of the ``.txt`` describes the raw device and must not be
        applied again.
        """
        return np.asarray(np.linalg.inv(self.sens.color_extrinsics) @ self.sens.depth_to_color)

    @property
    def depth_units_per_metre(self) -> float:
        return self.sens.depth_units_per_metre

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        return self.sens.camera_to_world

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        with naming_scene(self.scene_id):
            return self.sens.color(frame, reduction)

    def color_jpeg(self, frame: int) -> bytes | None:
        if self.sens.color_compression != "jpeg":
            return None
        with naming_scene(self.scene_id):
            data = self.sens.color_bytes(frame)
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        with naming_scene(self.scene_id):
            return self.sens.depth(frame)

    def mask_archive(self) -> MaskArchive:
        """See :meth:`SceneFiles.mask_archive`."""
        return self.files.mask_archive()

    def digest(self, *, masks: bool = False) -> str:
        """SHA-256 that changes when the scene's files do: the ``.sens`` header and index (every pose, timestamp and
        size), and :meth:`SceneFiles.digest_input`. Payloads are not read.
        """
        return hashlib.sha256(self.sens.index_bytes + self.files.digest_input(masks=masks)).hexdigest()

    @property
    def metadata(self) -> dict[str, str]:
        """See :attr:`SceneFiles.metadata`."""
        return self.files.metadata

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """See :attr:`SceneFiles.axis_alignment`."""
        return self.files.axis_alignment

    def annotation(self) -> Annotation | None:
        """See :meth:`SceneFiles.annotation`."""
        return self.files.annotation()


def _where_scenes_are(root: Location) -> str:
    """What to do about a folder that is none of a data set: the folders above and below it are looked at."""
    if SCENE_ID.fullmatch(root.name):
        return f"it is a scene itself: give the folder that holds it, with --scenes {root.name}"
    if (root / "plan.json").exists():
        return "it is a build: give the folder of the scans that builds are made from"
    below = [folder for folder in subfolders(root) if any((folder / name).is_dir() for name in SCAN_FOLDERS)]
    if below:
        return f"did you mean {below[0]}?"
    return "expected folders such as scans/scene0000_00 with scene0000_00.sens inside"


def _claimed_splits(root: Location, directories: Mapping[str, Location]) -> dict[str, tuple[str, ...]]:
    """Every split that a file, or the folder ``scans_test``, says of each scene, ``train`` first and ``test`` last."""
    claimed: dict[str, tuple[str, ...]] = {}
    for split, name in SPLIT_FILES.items():
        path = _first_existing(root / name, root / "Tasks" / "Benchmark" / name, root.parent / name)
        if path is not None:
            for scene in dict.fromkeys(read_split_list(path)):
                claimed[scene] = (*claimed.get(scene, ()), split)
    for scene, directory in directories.items():
        if directory.parent.name == "scans_test" and scene not in claimed:
            claimed[scene] = ("test",)
    return claimed


def _first_existing(*paths: Location) -> Location | None:
    found = (file_in(path.parent, path.name) for path in paths)
    return next((path for path in found if path.exists()), None)


def _size(path: Location) -> int:
    """Bytes of a file, -1 where there is none or it may not be looked at."""
    try:
        return int(path.stat().st_size)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1
