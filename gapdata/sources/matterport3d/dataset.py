"""Read the Matterport3D download by regions, as EmbodiedScan does: ``<house>_region<N>`` is a scene.

::

    DIR/<house>/ or DIR/v1/scans/<house>/   matterport_color_images/ (or .zip), matterport_depth_images/, ...
    DIR/embodiedscan_infos_*.pkl            in or above DIR, or named with --annotations

EmbodiedScan's files say which images show a region. For houses that they do not have, ``house_segmentations/`` says in
which region each tripod stood. Boxes and names of objects come from EmbodiedScan (``objects.source = "embodiedscan"``)
or from ``region_segmentations/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from gapdata.annotations.annotation_file import AnnotationFile
from gapdata.annotations.categories import embodiedscan_name
from gapdata.annotations.embodiedscan_names import region_scene
from gapdata.errors import PASSING, SourceError, StoreError, UsageError
from gapdata.files.folders import is_litter
from gapdata.files.given_file import read_text
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location, absolute, file_in, location, subfolders
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.matterport3d.cameras import TripodStill, still_of_name
from gapdata.sources.matterport3d.house_files import HouseFiles, how_to_get, place_of
from gapdata.sources.matterport3d.region_mesh import KIND as MESHES
from gapdata.sources.matterport3d.region_mesh import RegionMesh
from gapdata.sources.matterport3d.regions import all_stills, regions_of_file, tripods_by_region
from gapdata.sources.matterport3d.scan import RAW, UNDISTORTED, RegionScan

HOUSE = re.compile(r"\b[A-Za-z0-9]{11}\b")
SCANS = ("v1/scans", "scans")
"""Where the download script puts houses, below the folder that it was given."""
INFOS = re.compile(r"embodiedscan_infos_\w+\.pkl")
LISTS = {split: f"scenes_{split}.txt" for split in ("train", "val", "test")}
LIST_FOLDERS = ("", "metadata", "tasks/benchmark")
HOUSES = "house_segmentations"
MAX_HOUSE_BYTES = 1 << 28
NAMED = 3
"""Houses that a note names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatterportDataset(Dataset):
    """The regions of the houses of a download."""

    name: ClassVar[str] = "matterport3d"

    stills: Mapping[str, tuple[TripodStill, ...]] = field(default_factory=dict, repr=False)
    splits: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By house."""

    def split(self, scene_id: str) -> str:
        """Return the split of the house by the benchmark's lists."""
        return self.splits.get(house_of(scene_id), "unknown")

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the house."""
        return (f"matterport3d house {house_of(scene_id)}",)

    def kind(self, scene_id: str) -> str:
        """Return which images there are: ``matterport`` (raw), ``undistorted``, or ``missing``."""
        house, directory = house_of(scene_id), self.scene_directories[scene_id]
        for kinds in (RAW, UNDISTORTED):
            if all(place_of(house, directory, kind) is not None for kind in kinds):
                return kinds[0].partition("_")[0]
        return "missing"

    def annotated(self, scene_id: str) -> bool:
        """Return whether the labelled mesh of the region is there."""
        files = HouseFiles(house_of(scene_id), self.scene_directories[scene_id], scene_id)
        try:
            return RegionMesh(files, scene_id).complete
        except SourceError:
            return False
        finally:
            files.close()

    def labels(self, label: str) -> dict[str, str]:
        """Return the label, which annotators chose freely, and EmbodiedScan's name of it where it has one."""
        name = embodiedscan_name(label)
        return {"raw": label} if name is None else {"raw": label, "embodiedscan": name}

    def open_scan(self, scene_id: str) -> Scan:
        """Open one region.

        Raises:
            UsageError: there is no such region.
            SourceError: its images are missing or damaged.
        """
        return RegionScan(scene_id, house_of(scene_id), self.directory(scene_id), self.stills[scene_id])

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line each where no list names the houses, and where regions have no labelled mesh."""
        lines: list[str] = []
        if not splits_given and all(self.split(scene) == "unknown" for scene in scene_ids):
            lines.append(
                f"note: none of {', '.join(LISTS.values())} is in or above {self.root}, so the split of these regions"
                " is 'unknown'; they are in tasks/benchmark/ of github.com/niessner/Matterport"
            )
        houses = sorted({house_of(scene) for scene in scene_ids})
        bare = [house for house in houses if place_of(house, self._home(house), MESHES) is None]
        if bare:
            lines.append(
                f"note: {counted(len(bare), 'house')} without {MESHES}: {few(bare, NAMED)}; objects are EmbodiedScan's"
                f' boxes then (objects.source = "embodiedscan"), or {how_to_get(bare[0], MESHES)}'
            )
        return tuple(lines)

    def describe(self) -> dict[str, Any]:
        """Return the facts about the data set, with its houses and images."""
        facts = super(MatterportDataset, self).describe()
        houses = {house_of(scene) for scene in self.scene_ids}
        return {**facts, "houses": len(houses), "images": sum(map(len, self.stills.values()))}

    def _home(self, house: str) -> Location:
        return next(place for scene, place in self.scene_directories.items() if house_of(scene) == house)


def open_folder(root: Location, *, annotations: Sequence[AnnotationFile | Location | str] = ()) -> MatterportDataset:
    """Find the regions of the houses of a download.

    Args:
        root: the folder that holds the houses, or ``v1/scans``.
        annotations: files that a build is given; EmbodiedScan's say which images show which region.

    Raises:
        UsageError: the folder holds no house, or nothing says which images show which region.
        FileError: one of EmbodiedScan's files is damaged.
    """
    houses = _houses(root)
    if not houses:
        cure = f"expected folders such as 17DRP5sb8fy with {RAW[0]} inside; {how_to_get('HOUSE', *RAW)}"
        raise UsageError("holds no house of Matterport3D", path=root, cure=cure)
    stills: dict[str, tuple[TripodStill, ...]] = {}
    for path in _infos(root, annotations):
        stills = {**regions_of_file(path), **stills}
    known = {house_of(scene) for scene in stills}
    passed_over: dict[str, str] = {}
    for house in houses.keys() - known:
        found = _own_regions(house, houses[house])
        if not found:
            passed_over[house] = f"neither EmbodiedScan's files nor {HOUSES} say which images show which region"
        stills.update(found)
    scenes = sorted((scene for scene in stills if house_of(scene) in houses), key=natural_key)
    if not scenes:
        problem = f"has {counted(len(houses), 'house')}, but nothing says which images show which region"
        cure = f"put embodiedscan_infos_*.pkl there or name it with --annotations, or {how_to_get('HOUSE', HOUSES)}"
        raise UsageError(problem, path=root, cure=cure)
    return MatterportDataset(
        root=root,
        scene_directories={scene: houses[house_of(scene)] for scene in scenes},
        stills={scene: stills[scene] for scene in scenes},
        splits=_splits(root, absolute(root).parent),
        passed_over=passed_over,
    )


def house_of(scene_id: str) -> str:
    """Return the house of a region's scene id."""
    return scene_id.partition("_")[0]


def _houses(root: Location) -> dict[str, Location]:
    """Return the folders of houses with images, by their ids; the root may be one itself.

    Raises:
        UsageError: the root does not exist or cannot be listed.
    """
    if not root.is_dir():
        cure = "give the folder of the Matterport3D download"
        raise UsageError("is a file" if root.exists() else "is not a directory", path=root, cure=cure)
    found: dict[str, Location] = {}
    root = absolute(root)
    try:
        if HOUSE.fullmatch(root.name) and _has_images(root):
            return {root.name: root}
        for parent in (root, *(root / name for name in SCANS)):
            for folder in subfolders(parent) if parent.is_dir() else ():
                if HOUSE.fullmatch(folder.name) and _has_images(folder):
                    found.setdefault(folder.name, folder)
    except OSError as error:
        kind = StoreError if error.errno in PASSING else UsageError
        raise kind(f"cannot be listed: {error.strerror or error}", path=root) from error
    return found


def _has_images(folder: Location) -> bool:
    return any(place_of(folder.name, folder, kinds[0]) is not None for kinds in (RAW, UNDISTORTED))


def _infos(root: Location, annotations: Iterable[AnnotationFile | Location | str]) -> list[Location]:
    """Return EmbodiedScan's files: those that are named, then those in and above the root, by name."""
    named = [item.path if isinstance(item, AnnotationFile) else location(item) for item in annotations]
    found = [path for path in named if path.suffix == ".pkl"]
    for folder in (root, file_in(root, "annotations"), absolute(root).parent):
        if folder.is_dir():
            entries: list[Location] = sorted(folder.iterdir(), key=str)
            found += [entry for entry in entries if INFOS.fullmatch(entry.name) and not is_litter(entry.name)]
    return list({str(absolute(path)): path for path in found}.values())


def _own_regions(house: str, directory: Location) -> dict[str, tuple[TripodStill, ...]]:
    """Return the stills of each region by the house's own file; of raw images that exist."""
    files = HouseFiles(house, directory, house)
    try:
        name = f"{house}.house"
        if name not in files.names(HOUSES):
            return {}
        regions = tripods_by_region(files.read(HOUSES, name, MAX_HOUSE_BYTES))
        kind = next(kinds[0] for kinds in (RAW, UNDISTORTED) if files.place(kinds[0]) is not None)
        there = {still_of_name(name) for name in files.names(kind)}
        found = {
            region_scene(house, f"region{number}"): tuple(still for still in all_stills(tripods) if still in there)
            for number, tripods in regions.items()
        }
        return {scene: stills for scene, stills in found.items() if stills}
    except SourceError as error:
        raise UsageError(error.problem, path=error.path, cure=error.cure) from error
    finally:
        files.close()


def _splits(*folders: Location) -> dict[str, str]:
    """Return the split of each house by the benchmark's lists; of several the last one, which is held out."""
    splits: dict[str, str] = {}
    for split, name in LISTS.items():
        for folder in folders:
            places = [file_in(folder if not below else folder / below, name) for below in LIST_FOLDERS]
            path = next((place for place in places if place.is_file()), None)
            if path is not None:
                splits.update(dict.fromkeys(HOUSE.findall(read_text(path, UsageError)), split))
                break
    return splits


def open_found(place: Location) -> MatterportDataset:
    """Open a folder of houses, or one house.

    Raises:
        UsageError: the place is something else.
    """
    if isinstance(place, Path) and not place.is_dir():
        raise UsageError("holds no house of Matterport3D", path=place)
    here = absolute(place)
    if not (HOUSE.fullmatch(here.name) and place.is_dir() and _has_images(here)):
        return open_folder(place)
    whole = open_folder(here.parent)
    scenes = [scene for scene in whole.scene_ids if house_of(scene) == here.name]
    return replace(
        whole,
        scene_directories={scene: whole.scene_directories[scene] for scene in scenes},
        stills={scene: whole.stills[scene] for scene in scenes},
        passed_over={},
    )
