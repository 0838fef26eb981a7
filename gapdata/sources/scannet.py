"""ScanNet v2: a data set's folder, and one scene of it as a :class:`gapdata.sources.base.Scan`.

A scene's folder holds ``<scene>.sens``, ``<scene>.txt``, the mesh ``<scene>_vh_clean_2.ply``, its over-segmentation
``<scene>_vh_clean_2.0.010000.segs.json`` and ``<scene>.aggregation.json``. The test scans have neither of the last
two, and their ``.txt`` has no ``axisAlignment``. Where the ``.sens`` was not kept, the frames extracted from it serve
as well: in the scene's folder, or under ``posed_images/`` or ``scannet_frames_25k/`` beside ``scans/``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.taxonomy import EMPTY_LABEL_MAP, LABEL_MAP_NAME, LabelMap, read_label_map
from gapdata.errors import GapDataError, SourceError, UsageError
from gapdata.geometry.camera import Intrinsics, is_rigid
from gapdata.sources.base import Annotation, Scan, SceneObject
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.layouts import Layout, find_frames, listing_digest
from gapdata.sources.sens import SensReader

SCENE_ID = re.compile(r"scene\d{4}_\d{2}")
SCAN_FOLDERS = ("scans", "scans_test")
FRAME_FOLDERS = ("posed_images", "scannet_frames_25k")
"""Folders of extracted frames, the denser first."""
SPLIT_FILES = {"train": "scannetv2_train.txt", "val": "scannetv2_val.txt", "test": "scannetv2_test.txt"}
DUPLICATED_SCENE, FIRST_DUPLICATE = "scene0217_00", 31
"""In this scene every object stands twice, the second time from objectId 31 on (ScanNet issue 51)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetDataset:
    """A ScanNet download: its scenes, their splits and the label map. Each scene is read from its ``.sens`` or, where
    it has none, from extracted frames (:mod:`gapdata.sources.layouts`)."""

    name: ClassVar[str] = "scannet"

    root: Path
    scene_directories: Mapping[str, Path]
    splits: Mapping[str, str]
    label_map: LabelMap
    frame_directories: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Where else frames of a scene lie, the preferred one first."""

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> ScanNetDataset:
        """Find the scenes under the download's root (``scans/``, ``scans_test/``, ``posed_images/``,
        ``scannet_frames_25k/``) or in a folder that holds them directly.

        Raises:
            UsageError: the folder does not exist or holds no scene.
        """
        root = Path(root)
        if not root.is_dir():
            raise UsageError("is no directory", path=root, cure="give the folder of the ScanNet download")
        parents = [folder for name in (*SCAN_FOLDERS, *FRAME_FOLDERS) if (folder := root / name).is_dir()] or [root]
        found: dict[str, list[Path]] = {}
        for parent in parents:
            for entry in os.scandir(parent):
                if entry.is_dir() and SCENE_ID.fullmatch(entry.name):
                    found.setdefault(entry.name, []).append(Path(entry.path))
        directories = {scene: places[0] for scene, places in sorted(found.items())}
        if not directories:
            raise UsageError(
                "holds no ScanNet scene",
                path=root,
                cure="expected folders such as scans/scene0000_00 with scene0000_00.sens inside",
            )
        label_file = _first_existing(root / LABEL_MAP_NAME, root.parent / LABEL_MAP_NAME)
        return cls(
            root=root,
            scene_directories=directories,
            splits=_read_splits(root, directories),
            label_map=EMPTY_LABEL_MAP if label_file is None else read_label_map(label_file),
            frame_directories={scene: tuple(places[1:]) for scene, places in found.items() if len(places) > 1},
        )

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """All scenes, sorted."""
        return tuple(self.scene_directories)

    def split(self, scene_id: str) -> str:
        """``train``, ``val`` or ``test`` by the split files (a scene under ``scans_test/`` is test), else
        ``unknown``."""
        return self.splits.get(scene_id, "unknown")

    def sens_path(self, scene_id: str) -> Path:
        """Where the scene's ``.sens`` is expected."""
        return self.scene_directories[scene_id] / f"{scene_id}.sens"

    def kind(self, scene_id: str) -> str:
        """``sens``, the name of the layout of extracted frames, or ``missing``."""
        if self.sens_path(scene_id).is_file():
            return "sens"
        frames = self._frames(scene_id)
        return "missing" if frames is None else frames[1].name

    def labels(self, label: str) -> dict[str, str]:
        """The names of a raw category, see :meth:`gapdata.annotations.taxonomy.LabelMap.labels`."""
        return self.label_map.labels(label)

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene: its ``.sens``, or else its extracted frames.

        Raises:
            SourceError: neither is there, or what is there is damaged.
        """
        frames = None if self.sens_path(scene_id).is_file() else self._frames(scene_id)
        if frames is None:
            return ScanNetScan(self.scene_directories[scene_id], self.label_map)
        return ExtractedScan(scene_id, *frames, beside=SceneFiles(self._annotation_directory(scene_id)))

    def unreadable_digest(self, scene_id: str) -> str:
        """The size of the ``.sens``, or the names and sizes of the extracted frames."""
        frames = None if self.sens_path(scene_id).is_file() else self._frames(scene_id)
        if frames is not None:
            return f"unreadable, {listing_digest(frames[0])}"
        path = self.sens_path(scene_id)
        return f"unreadable, {path.stat().st_size if path.is_file() else -1} bytes"

    def _frames(self, scene_id: str) -> tuple[Path, Layout] | None:
        return find_frames((self.scene_directories[scene_id], *self.frame_directories.get(scene_id, ())))

    def _annotation_directory(self, scene_id: str) -> Path:
        """Where the scene's ``.txt`` and ``.aggregation.json`` are: its own folder, or that under ``scans/`` beside the
        folder of frames that was named."""
        home = self.scene_directories[scene_id]
        beside = [home.absolute().parent.parent / name / scene_id for name in SCAN_FOLDERS]
        names = (f"{scene_id}.aggregation.json", f"{scene_id}.txt")
        places = (place for place in (home, *beside) if any((place / name).is_file() for name in names))
        return next(places, home)


class ScanNetScan:
    """One ScanNet scene, its frames in a ``.sens``."""

    def __init__(self, directory: Path, label_map: LabelMap = EMPTY_LABEL_MAP) -> None:
        self.directory = directory
        self.scene_id = directory.name
        self.label_map = label_map
        self.files = SceneFiles(directory)
        with _blaming(self.scene_id):
            self.sens = SensReader(directory / f"{self.scene_id}.sens")

    def __enter__(self) -> ScanNetScan:
        return self

    def __exit__(self, *_: object) -> None:
        self.sens.close()

    @property
    def path(self) -> Path:
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
    def depth_to_color(self) -> NDArray[np.float64]:
        """The depth extrinsics of the ``.sens``. The released images are registered (ScanNet issues 2 and 92), so it
        is the identity there; ``colorToDepthExtrinsics`` of the ``.txt`` describes the raw device and must not be
        applied again."""
        return np.linalg.inv(self.sens.color_extrinsics) @ self.sens.depth_to_color

    @property
    def depth_units_per_metre(self) -> float:
        return self.sens.depth_units_per_metre

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        return self.sens.camera_to_world

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        with _blaming(self.scene_id):
            return self.sens.color(frame, reduction)

    def depth(self, frame: int) -> NDArray[np.uint16]:
        with _blaming(self.scene_id):
            return self.sens.depth(frame)

    def digest(self) -> str:
        """SHA-256 that changes when the scene's files do: the ``.sens`` header and index (every pose, timestamp and
        size), the small text files whole, the mesh and its segments by their size. Payloads are not read."""
        return hashlib.sha256(self.sens.index_bytes + self.files.digest_input()).hexdigest()

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


class SceneFiles:
    """What a scene's folder holds besides its frames. Each file is read when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scene_id = directory.name

    def digest_input(self) -> bytes:
        """What changes when these files do: the small text files whole, the mesh and its segments by their size."""
        parts = []
        for suffix in (".txt", ".aggregation.json"):
            path = self.directory / f"{self.scene_id}{suffix}"
            parts.append(path.read_bytes() if path.is_file() else b"missing")
        for suffix in ("_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json"):
            path = self.directory / f"{self.scene_id}{suffix}"
            parts.append(str(path.stat().st_size if path.is_file() else -1).encode())
        return b"".join(parts)

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The ``key = value`` lines of ``<scene>.txt``; empty where the file is missing."""
        path = self.directory / f"{self.scene_id}.txt"
        if not path.exists():
            return {}
        lines = (line.partition("=") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
        return {key.strip(): value.strip() for key, separator, value in lines if separator}

    @cached_property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """(4, 4) unaligned to axis-aligned world, or ``None`` where ``<scene>.txt`` has none.

        Raises:
            SourceError: the entry is there but is no rigid 4x4 matrix.
        """
        text = self.metadata.get("axisAlignment")
        if text is None:
            return None
        try:
            matrix = np.array([float(value) for value in text.split()]).reshape(4, 4)
        except ValueError:
            matrix = np.full((4, 4), np.nan)
        if not is_rigid(matrix):
            path = self.directory / f"{self.scene_id}.txt"
            raise SourceError("axisAlignment is no rigid 4x4 matrix", path=path, scene=self.scene_id)
        return matrix

    def annotation(self) -> Annotation | None:
        """The labelled mesh; ``None`` for a scene without ``.aggregation.json``.

        Raises:
            SourceError: one of mesh, segments and aggregation is missing beside the others, damaged, or does not fit
            the others.
        """
        aggregation_path = self.directory / f"{self.scene_id}.aggregation.json"
        if not aggregation_path.exists():
            return None
        mesh_path = self.directory / f"{self.scene_id}_vh_clean_2.ply"
        vertices, faces, colors = _read_mesh(mesh_path, self.scene_id)
        segments_path = self.directory / f"{self.scene_id}_vh_clean_2.0.010000.segs.json"
        segments = _field(segments_path, self.scene_id, "segIndices", list)
        try:
            segment_of_vertex = np.array(segments, dtype=np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceError(
                f"segIndices are no integers: {error}", path=segments_path, scene=self.scene_id
            ) from error
        if segment_of_vertex.shape != (len(vertices),):
            problem = f"has {len(segments)} segment indices for {len(vertices)} vertices of {mesh_path.name}"
            raise SourceError(problem, path=segments_path, scene=self.scene_id, cure="download both files again")
        groups = _field(aggregation_path, self.scene_id, "segGroups", list)
        objects, notes = _read_objects(groups, segment_of_vertex, self.scene_id, aggregation_path)
        return Annotation(vertices=vertices, faces=faces, colors=colors, objects=objects, notes=notes)


class _blaming:
    """Adds the scene's id to source errors that pass through: a reader knows its file, not whose it is."""

    def __init__(self, scene_id: str) -> None:
        self.scene_id = scene_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GapDataError) and error.scene is None:
            error.scene = self.scene_id


def _read_objects(
    groups: list[Any], segment_of_vertex: NDArray[np.int64], scene_id: str, path: Path
) -> tuple[tuple[SceneObject, ...], dict[str, int]]:
    order = np.argsort(segment_of_vertex, kind="stable")
    sorted_segments = segment_of_vertex[order]
    objects: dict[int, SceneObject] = {}
    notes: dict[str, int] = {}
    for group in groups:
        try:
            object_id, label = int(group["objectId"]), str(group["label"]).strip()
            segments = np.unique(np.array(group["segments"], dtype=np.int64))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SourceError(f"a segment group is malformed: {error!r}", path=path, scene=scene_id) from error
        if scene_id == DUPLICATED_SCENE and object_id >= FIRST_DUPLICATE:
            notes["duplicated_object"] = notes.get("duplicated_object", 0) + 1
            continue
        starts = np.searchsorted(sorted_segments, segments, side="left")
        ends = np.searchsorted(sorted_segments, segments, side="right")
        parts = [order[start:end] for start, end in zip(starts, ends, strict=True)]
        vertices = np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
        if object_id in objects or not len(vertices):
            reason = "repeated_object_id" if object_id in objects else "object_without_vertices"
            notes[reason] = notes.get(reason, 0) + 1
            continue
        objects[object_id] = SceneObject(object_id=object_id, label=label, vertices=vertices)
    return tuple(objects[key] for key in sorted(objects)), notes


def _read_mesh(path: Path, scene_id: str) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]:
    """Vertices, faces and colours in file order: segment indices refer to it, so nothing may be merged or sorted."""
    import trimesh

    if not path.exists():
        raise SourceError("is missing, though the scene has an aggregation", path=path, scene=scene_id)
    try:
        mesh = trimesh.load(path, process=False, maintain_order=True, force="mesh")
    except (ValueError, KeyError, IndexError, TypeError, EOFError, OSError) as error:
        raise SourceError(f"mesh cannot be read: {error}", path=path, scene=scene_id) from error
    vertices = np.asarray(mesh.vertices, dtype=np.float32)
    faces = np.asarray(mesh.faces, dtype=np.int32)
    if not len(vertices) or not len(faces) or not np.isfinite(vertices).all():
        raise SourceError("mesh is empty or has coordinates that are not finite", path=path, scene=scene_id)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise SourceError("mesh has a face that names a vertex which does not exist", path=path, scene=scene_id)
    return vertices, faces, np.asarray(mesh.visual.vertex_colors, dtype=np.uint8)[:, :3]


def _field(path: Path, scene_id: str, name: str, kind: type) -> Any:
    try:
        value = json.loads(path.read_bytes())[name]
    except FileNotFoundError as error:
        raise SourceError("is missing, though the scene has an aggregation", path=path, scene=scene_id) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(f"has no readable {name}: {error!r}", path=path, scene=scene_id) from error
    if not isinstance(value, kind):
        raise SourceError(f"{name} is {type(value).__name__}, expected {kind.__name__}", path=path, scene=scene_id)
    return value


def _read_splits(root: Path, directories: Mapping[str, Path]) -> dict[str, str]:
    splits = {scene: "test" for scene, directory in directories.items() if directory.parent.name == "scans_test"}
    for split, name in SPLIT_FILES.items():
        path = _first_existing(root / name, root / "Tasks" / "Benchmark" / name, root.parent / name)
        if path is not None:
            splits.update(dict.fromkeys(path.read_text(encoding="utf-8").split(), split))
    return splits


def _first_existing(*paths: Path) -> Path | None:
    return next((path for path in paths if path.exists()), None)
