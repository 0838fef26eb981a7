"""Read ScanNet v2: the folder of a download, and one of its scenes.

A scene's folder holds ``<scene>.sens``, ``<scene>.txt``, the mesh ``<scene>_vh_clean_2.ply``, its over-segmentation
``<scene>_vh_clean_2.0.010000.segs.json`` and ``<scene>.aggregation.json``. The test scans lack the last two files, and
their ``.txt`` lacks ``axisAlignment``. Without a ``.sens``, frames that were extracted from it are read: in the scene's
folder, or under ``posed_images/`` or ``scannet_frames_25k/`` beside ``scans/``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.taxonomy import EMPTY_LABEL_MAP, LABEL_MAP_NAME, LabelMap, read_label_map
from gapdata.errors import UsageError
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, file_in, location, subfolders
from gapdata.sources.base import Annotation, Dataset, Scan
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.layouts import Layout, find_frames
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.scene_files import SceneFiles
from gapdata.sources.sens_scan import SensScan
from gapdata.sources.split_lists import read_split_list, twice_listed
from gapdata.sources.stamps import Stamps, listing_digest, stamps_of

SCENE_ID = re.compile(r"scene\d{4}_\d{2}")
SCAN_FOLDERS = ("scans", "scans_test")
FRAME_FOLDERS = ("posed_images", "scannet_frames_25k")
"""Folders of extracted frames, the denser first."""
SPLIT_FILES = {"train": "scannetv2_train.txt", "val": "scannetv2_val.txt", "test": "scannetv2_test.txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetDataset(Dataset):
    """A ScanNet download: its scenes, their splits and the label map.

    A scene is read from its ``.sens`` or else from extracted frames (:mod:`gapdata.sources.layouts`). Every folder with
    a scene's name is a scene, so none is passed over.
    """

    name: ClassVar[str] = "scannet"

    splits: Mapping[str, str] = field(default_factory=dict, repr=False)
    label_map: LabelMap = field(default=EMPTY_LABEL_MAP, repr=False)
    frame_directories: Mapping[str, tuple[Location, ...]] = field(default_factory=dict, repr=False)
    """Further folders with frames of a scene, the preferred one first."""

    @classmethod
    def open(cls, root: str | os.PathLike[str] | ObjectPath) -> ScanNetDataset:
        """Find the scenes of a download, or of a folder that holds scenes directly.

        Args:
            root: the folder that holds ``scans/``, ``scans_test/``, ``posed_images/`` or ``scannet_frames_25k/``, or
                the scenes themselves.

        Raises:
            UsageError: the folder does not exist or holds no scene, or a split file is not a list of scenes.
        """
        root = location(root)
        if not root.is_dir():
            cure = "give the folder of the ScanNet download"
            raise UsageError("is a file" if root.exists() else "is not a directory", path=root, cure=cure)
        parents = [folder for name in (*SCAN_FOLDERS, *FRAME_FOLDERS) if (folder := root / name).is_dir()] or [root]
        found: dict[str, list[Location]] = {}
        for parent in parents:
            for folder in subfolders(parent):
                if SCENE_ID.fullmatch(folder.name):
                    found.setdefault(folder.name, []).append(folder)
        directories = {scene: places[0] for scene, places in sorted(found.items())}
        if not directories:
            raise UsageError("holds no ScanNet scene", path=root, cure=_where_scenes_are(root))
        named_in = _named_splits(root, directories)
        label_file = _first_existing(root / LABEL_MAP_NAME, root.parent / LABEL_MAP_NAME)
        return cls(
            root=root,
            scene_directories=directories,
            splits={scene: named[-1] for scene, named in named_in.items()},
            in_two_splits={scene: named for scene, named in named_in.items() if len(set(named)) > 1},
            label_map=EMPTY_LABEL_MAP if label_file is None else read_label_map(label_file),
            frame_directories={scene: tuple(places[1:]) for scene, places in found.items() if len(places) > 1},
        )

    def split(self, scene_id: str) -> str:
        """Return the split by the split files; ``test`` for another scene under ``scans_test/``, else ``unknown``."""
        return self.splits.get(scene_id, "unknown")

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the scene's number, which all scans of a place have in common: ``scannet scene0000``."""
        return (f"scannet {scene_id.partition('_')[0]}",)

    def sens_path(self, scene_id: str) -> Location:
        """Return where the scene's ``.sens`` is expected."""
        return file_in(self.scene_directories[scene_id], f"{scene_id}.sens")

    def kind(self, scene_id: str) -> str:
        """Return ``sens``, the name of the layout of extracted frames, or ``missing``."""
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
        """Return whether there is a ``.sens``; one that may not be looked at counts, so that opening it says why."""
        try:
            return self.sens_path(scene_id).is_file()
        except PermissionError:
            return True

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a raw category, see :meth:`gapdata.annotations.taxonomy.LabelMap.labels`."""
        return self.label_map.labels(label)

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene: its ``.sens``, or else its extracted frames.

        Raises:
            UsageError: there is no such scene.
            SourceError: both are missing, or the one that is read is damaged.
        """
        directory = self.directory(scene_id)
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        if frames is None:
            return ScanNetScan(directory)
        return ExtractedScan(scene_id, *frames, beside=SceneFiles(self._annotation_directory(scene_id)))

    def stamps(self, scene_id: str) -> Stamps:
        """Return the stamps of the ``.sens`` and of the files with the scene's name, or of the frames and these."""
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        beside = stamps_of([self._annotation_directory(scene_id)], wanted=lambda name: name.startswith(scene_id))
        return beside if frames is None else {**stamps_of([frames[0]], nested=1), **beside}

    def unreadable_digest(self, scene_id: str) -> str:
        """Return the size of the ``.sens``, or a hash of the names and sizes of the extracted frames."""
        frames = None if self._has_sens(scene_id) else self._frames(scene_id)
        if frames is not None:
            return f"unreadable, {listing_digest(frames[0])}"
        path = self.sens_path(scene_id)
        return f"unreadable, {_size(path)} bytes"

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line each where no split file names the scenes, several name one, or the label map is missing."""
        lines: list[str] = []
        if not splits_given and all(self.split(scene_id) == "unknown" for scene_id in scene_ids):
            lines.append(
                f"note: none of {', '.join(SPLIT_FILES.values())} in or above {self.root} names these scenes, so their"
                " split is 'unknown'; training and evaluation look for train and val unless told otherwise"
            )
        where = f"split file in or above {self.root}"
        lines += twice_listed(scene_ids, self.in_two_splits, where)
        if not self.label_map.rows and any(map(self.annotated, scene_ids)):
            lines.append(
                f"note: {LABEL_MAP_NAME} is not in or above {self.root}, so objects have their raw names only; the"
                " evaluation lists need it"
            )
        return tuple(lines)

    def describe_labels(self) -> dict[str, Any]:
        """Return the number of rows of the label map."""
        return {"label_map": len(self.label_map.rows)}

    def _frames(self, scene_id: str) -> tuple[Path, Layout] | None:
        """Find extracted frames, on disk only: from a store, thousands of small objects are too slow to read."""
        places = (self.scene_directories[scene_id], *self.frame_directories.get(scene_id, ()))
        return find_frames(place for place in places if isinstance(place, Path))

    def _annotation_directory(self, scene_id: str) -> Location:
        """Return the folder with the scene's ``.txt`` and ``.aggregation.json``: its own, or that under ``scans/``."""
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


def open_found(place: Location) -> ScanNetDataset | Scan:
    """Open a ``.sens`` file, a scene's folder, or a folder of scenes.

    Raises:
        UsageError: the place is something else.
        SourceError: the scan is missing or damaged.
    """
    if place.is_file():
        return ScanNetScan(place.parent, sens=place)
    scene_id = place.absolute().name if isinstance(place, Path) else place.name
    if SCENE_ID.fullmatch(scene_id):
        return ScanNetDataset(root=place, scene_directories={scene_id: place}).open_scan(scene_id)
    return ScanNetDataset.open(place)


class ScanNetScan(SensScan):
    """One ScanNet scene with its frames in a ``.sens`` file.

    The released images are registered (ScanNet issues 2 and 92), so the depth extrinsics of the ``.sens`` are the
    identity; ``colorToDepthExtrinsics`` of the ``.txt`` describes the raw device and must not be applied again.

    Args:
        directory: the scene's folder.
        sens: a ``.sens`` file that the user named; by default that with the folder's name.
    """

    def __init__(self, directory: Location, *, sens: Location | None = None) -> None:
        scene_id = directory.name if sens is None else sens.name.removesuffix(".sens")
        self.files = SceneFiles(directory)
        self._alone = sens is not None
        super().__init__(scene_id, sens or file_in(directory, f"{scene_id}.sens"))

    def close(self) -> None:
        """Close the scene's files."""
        self.files.close()
        super().close()

    def mask_archive(self) -> MaskArchive:
        """See :meth:`SceneFiles.mask_archive`."""
        return self.files.mask_archive()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the index of the ``.sens`` (every pose, timestamp and size) and the other files.

        Payloads are not read; see :meth:`SceneFiles.digest_input`.
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

    def describe(self) -> dict[str, Any]:
        """Return the facts about a ``.sens`` that was named itself, or about the whole scene."""
        if self._alone:
            return self.sens.describe()
        return {"scene_id": self.scene_id, "scene_type": self.metadata.get("sceneType"), **super().describe()}


def _where_scenes_are(root: Location) -> str:
    """Return what to do about a folder without scenes, by the folders above and below it."""
    if SCENE_ID.fullmatch(root.name):
        return f"it is a scene itself: give the folder that holds it, with --scenes {root.name}"
    if (root / "plan.json").exists():
        return "it is a build: give the folder of the scans that builds are made from"
    below = [folder for folder in subfolders(root) if any((folder / name).is_dir() for name in SCAN_FOLDERS)]
    if below:
        return f"did you mean {below[0]}?"
    return "expected folders such as scans/scene0000_00 with scene0000_00.sens inside"


def _named_splits(root: Location, directories: Mapping[str, Location]) -> dict[str, tuple[str, ...]]:
    """Return every split that a file, or the folder ``scans_test``, gives each scene, ``train`` first."""
    named_in: dict[str, tuple[str, ...]] = {}
    for split, name in SPLIT_FILES.items():
        path = _first_existing(root / name, root / "Tasks" / "Benchmark" / name, root.parent / name)
        if path is not None:
            for scene in dict.fromkeys(read_split_list(path)):
                named_in[scene] = (*named_in.get(scene, ()), split)
    for scene, directory in directories.items():
        if directory.parent.name == "scans_test" and scene not in named_in:
            named_in[scene] = ("test",)
    return named_in


def _first_existing(*paths: Location) -> Location | None:
    found = (file_in(path.parent, path.name) for path in paths)
    return next((path for path in found if path.exists()), None)


def _size(path: Location) -> int:
    """Return the bytes of a file, -1 where it does not exist or may not be looked at."""
    try:
        return int(path.stat().st_size)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1
