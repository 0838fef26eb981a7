"""Find the scenes of a ScanNet++ download, their splits and the benchmark's map of labels.

Scenes are folders named by ten hexadecimal digits, in ``data/`` of the download or directly in the folder that is
named. A scene has the iPhone's stream in ``iphone/``, the DSLR's stills in ``dslr/`` and the mesh in ``scans/``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from gapdata.annotations.categories import category_table, embodiedscan_name
from gapdata.annotations.label_tables import folded, labels_by_table
from gapdata.errors import FileError, UsageError
from gapdata.files.given_file import read_text
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, absolute, file_in, subfolders
from gapdata.runtime.choices import check_choice
from gapdata.runtime.counting import counted
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.scannetpp.annotation import GROUPS, SceneMesh
from gapdata.sources.scannetpp.dslr import FOLDER as DSLR
from gapdata.sources.scannetpp.dslr import DslrScan
from gapdata.sources.scannetpp.failures import DOWNLOAD
from gapdata.sources.scannetpp.frame_images import COLOR_FOLDER, COLOR_VIDEOS, find_images
from gapdata.sources.scannetpp.iphone import FOLDER as IPHONE
from gapdata.sources.scannetpp.iphone import IphoneScan, PoseSource
from gapdata.sources.split_lists import twice_listed
from gapdata.sources.stamps import Stamps, stamps_of

Camera = Literal["auto", "iphone", "dslr"]
SCENE_ID = re.compile(r"[0-9a-f]{10}")
SPLITS = {
    "nvs_sem_train": "train",
    "nvs_sem_val": "val",
    "nvs_test": "test",
    "sem_test": "test",
    "nvs_test_small": "test",
    "nvs_test_iphone": "test",
}
"""The split of each list in ``splits/``, that of held-out scenes last."""
TABLE = "scannetpp"
MAP = "metadata/semantic_benchmark/map_benchmark.csv"
MAP_COLUMNS = ("class", "semantic_map_to")
NOT_MAPPED = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetPlusPlus(Dataset):
    """A ScanNet++ download."""

    name: ClassVar[str] = "scannetpp"

    camera: Camera = "auto"
    """Whose frames are read; ``auto`` takes the iPhone's where there are any."""
    poses: PoseSource = "arkit"
    """Which poses of the iPhone are read."""
    splits: Mapping[str, str] = field(default_factory=dict, repr=False)
    benchmark: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    """The benchmark's name of each label; ``None`` for labels that it drops."""

    def split(self, scene_id: str) -> str:
        """Return the split by the lists in ``splits/``."""
        return self.splits.get(scene_id, "unknown")

    def kind(self, scene_id: str) -> str:
        """Return ``iphone-video``, ``iphone-frames``, ``dslr``, or ``missing``."""
        home = self.scene_directories[scene_id]
        try:
            found = find_images(file_in(home, IPHONE), COLOR_VIDEOS, COLOR_FOLDER) if self.camera != "dslr" else None
            if found is not None:
                return "iphone-video" if found.name in COLOR_VIDEOS else "iphone-frames"
            return "dslr" if self.camera != "iphone" and file_in(home, DSLR).is_dir() else "missing"
        except PermissionError:
            return "missing"

    def _reads_dslr(self, scene_id: str) -> bool:
        return self.camera == "dslr" or self.kind(scene_id) == "dslr"

    def annotated(self, scene_id: str) -> bool:
        """Return whether ``segments_anno.json`` is there, and may be looked at."""
        try:
            return file_in(file_in(self.scene_directories[scene_id], "scans"), GROUPS).is_file()
        except PermissionError:
            return False

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a label by taxonomy.

        The project's table has the benchmark's classes and some more; the benchmark's map leads further labels to
        them. A label that is a name of EmbodiedScan or ScanNet200 itself has that name.
        """
        target = self.benchmark.get(label) or label
        own, mapped = labels_by_table(TABLE, label), labels_by_table(TABLE, target)
        names = {"embodiedscan": embodiedscan_name(label) or embodiedscan_name(target)}
        if folded(label) in category_table("scannet200").values():
            names["scannet200"] = folded(label)
        found = own if len(own) > 1 else {**mapped, "raw": label}
        return {**{taxonomy: name for taxonomy, name in names.items() if name}, **found}

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene: the iPhone's stream, or the DSLR's stills where these are wanted or alone.

        Raises:
            UsageError: there is no such scene.
            SourceError: its frames are missing or damaged.
        """
        directory = self.directory(scene_id)
        mesh = SceneMesh(scene_id, directory, self.dropped_labels)
        if self._reads_dslr(scene_id):
            return DslrScan(scene_id, directory, mesh)
        return IphoneScan(scene_id, directory, mesh, self.poses)

    @property
    def dropped_labels(self) -> frozenset[str]:
        """Return the labels that the benchmark's map drops."""
        return frozenset(label for label, target in self.benchmark.items() if target is None)

    def stamps(self, scene_id: str) -> Stamps:
        """Return the stamps of the files of the camera that is read, and of the mesh."""
        home = self.scene_directories[scene_id]
        frames = file_in(home, DSLR if self._reads_dslr(scene_id) else IPHONE)
        return {**stamps_of([frames], nested=True), **stamps_of([file_in(home, "scans")])}

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line each where no list names the scenes, several name one, or the benchmark's map is missing."""
        lines: list[str] = []
        if not splits_given and all(self.split(scene_id) == "unknown" for scene_id in scene_ids):
            lines.append(
                f"note: no list in splits/ in or above {self.root} names these scenes, so their split is 'unknown';"
                " training and evaluation look for train and val unless told otherwise"
            )
        where = f"split in or above {self.root}"
        lines += twice_listed(scene_ids, self.in_two_splits, where)
        if not self.benchmark and any(map(self.annotated, scene_ids)):
            lines.append(
                f"note: {MAP} is not in or above {self.root}, so spellings that the benchmark unites stay apart, and"
                " labels that it drops are kept"
            )
        return tuple(lines)

    def describe_labels(self) -> dict[str, Any]:
        """Return the number of rows of the benchmark's map."""
        return {"label_map": len(self.benchmark)}


def open_folder(root: Location, *, scannetpp_camera: str = "auto", scannetpp_poses: str = "arkit") -> ScanNetPlusPlus:
    """Open a download, or a folder that holds scenes directly.

    Args:
        root: the folder.
        scannetpp_camera: whose frames are read: ``iphone``, ``dslr``, or ``auto`` for the iPhone's where there are any.
        scannetpp_poses: of the iPhone: ``arkit`` for all frames, ``colmap`` for the exact ones of some.

    Raises:
        UsageError: the folder does not exist or holds no scene, an option is unknown, or a list cannot be read.
    """
    check_choice("camera", scannetpp_camera, get_args(Camera))
    check_choice("source of poses", scannetpp_poses, get_args(PoseSource))
    if not root.is_dir():
        raise UsageError(
            "is a file" if root.exists() else "is not a directory", path=root, cure="give the folder of the download"
        )
    parent = file_in(root, "data")
    parent = parent if parent.is_dir() else root
    directories = {place.name: place for place in subfolders(parent) if SCENE_ID.fullmatch(place.name)}
    scenes = {name: place for name, place in directories.items() if _is_scene(place)}
    if not scenes:
        raise UsageError("holds no ScanNet++ scene", path=root, cure=_where_scenes_are(root, len(directories)))
    named_in = _named_splits(root, scenes)
    return ScanNetPlusPlus(
        root=root,
        scene_directories=scenes,
        camera=scannetpp_camera,  # type: ignore[arg-type]
        poses=scannetpp_poses,  # type: ignore[arg-type]
        splits={scene: named[-1] for scene, named in named_in.items()},
        in_two_splits={scene: named for scene, named in named_in.items() if len(set(named)) > 1},
        benchmark=_benchmark_map(root),
    )


def open_found(place: Location) -> ScanNetPlusPlus | Scan:
    """Open a download, a folder of scenes, or a scene's folder.

    Raises:
        UsageError: the place is something else.
        SourceError: the scene is missing frames or damaged.
    """
    scene_id = absolute(place).name
    if SCENE_ID.fullmatch(scene_id) and place.is_dir() and _is_scene(place):
        benchmark = _benchmark_map(absolute(place).parent)
        alone = ScanNetPlusPlus(root=place, scene_directories={scene_id: place}, benchmark=benchmark)
        return alone.open_scan(scene_id)
    return open_folder(place)


def parse_benchmark_map(text: str) -> dict[str, str | None]:
    """Read ``map_benchmark.csv``: the benchmark's name of each label.

    An empty cell keeps the label, ``None`` drops it.

    Raises:
        ValueError: a column is missing.
    """
    table = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = names
    lacking = [name for name in MAP_COLUMNS if name not in names]
    if lacking:
        raise ValueError(f"lacks the column {', '.join(lacking)}; its first line is {','.join(names)[:100]!r}")
    found: dict[str, str | None] = {}
    try:
        for row in table:
            label, target = (row["class"] or "").strip(), (row["semantic_map_to"] or "").strip()
            if label:
                found[label] = None if target == NOT_MAPPED else target or label
    except csv.Error as error:
        raise ValueError(f"line {table.line_num + 1} is not a row of a table: {error}") from error
    return found


def _is_scene(place: Location) -> bool:
    return any(file_in(place, name).is_dir() for name in (IPHONE, DSLR, "scans"))


def _where_scenes_are(root: Location, named: int) -> str:
    """Return what to do about a folder without scenes."""
    if SCENE_ID.fullmatch(root.name) and _is_scene(root):
        return f"it is a scene itself: give the folder that holds it, with --scenes {root.name}"
    if named:
        return (
            f"its {counted(named, 'folder')} with a scene's name hold neither {IPHONE}/, {DSLR}/ nor scans/: {DOWNLOAD}"
        )
    return f"expected folders such as data/036bce3393 with {IPHONE}/, {DSLR}/ or scans/ inside"


def _named_splits(root: Location, scenes: Mapping[str, Location]) -> dict[str, tuple[str, ...]]:
    """Return every split that a list gives a scene, ``train`` first."""
    named_in: dict[str, tuple[str, ...]] = {}
    for name, split in SPLITS.items():
        place = _in_or_above(root, f"splits/{name}.txt")
        if place is not None:
            listed = {line.strip() for line in read_text(place, UsageError).split("\n")}
            for scene in scenes.keys() & listed:
                named_in[scene] = (*named_in.get(scene, ()), split)
    return named_in


def _benchmark_map(root: Location) -> dict[str, str | None]:
    place = _in_or_above(root, MAP)
    if place is None:
        return {}
    try:
        return parse_benchmark_map(read_text(place))
    except ValueError as error:
        raise FileError(str(error), path=place, cure=f"download it again: {DOWNLOAD}") from error


def _in_or_above(root: Location, name: str) -> Location | None:
    """Return a file in the folder that was named or in the one above it; ``None`` where it is in neither."""
    folder, _, own = name.rpartition("/")
    for home in dict.fromkeys((root, root.parent)):
        place = file_in(home / folder, own) if isinstance(home, ObjectPath) else file_in(file_in(home, folder), own)
        if place.is_file():
            return place
    return None
