"""Read the 3RScan download: scans of rooms, most of them repeated after things were moved.

::

    DIR/<scan id>/  sequence.zip (or sequence/)  semseg.v2.json  labels.instances.annotated.v2.ply
    DIR/3RScan.json  DIR/splits/{train,val,test}.txt

The data set has no time stamps: clips count its frames. Scans of one place never belong to two splits by the lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gapdata.annotations.label_tables import labels_by_table
from gapdata.errors import PASSING, SourceError, StoreError, UsageError
from gapdata.files.folders import is_litter
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, absolute, file_in, subfolders
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.split_lists import twice_listed
from gapdata.sources.threerscan.labelled_mesh import LABELLED_MESH, LABELS, LabelFiles
from gapdata.sources.threerscan.scan import ARCHIVE, FOLDER, ThreeRScan
from gapdata.sources.threerscan.scan_list import LIST_NAME, SCAN_ID, SPLIT_FILES, ScanList, read_scan_list

NAMED = 3
"""Scans that a note names."""
DOWNLOAD = "python download.py -o DIR --id ID --type"
"""The script that 3RScan sends to those who signed its terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeRScanDataset(Dataset):
    """A 3RScan download; every folder that has a scan's id for its name is a scan."""

    name: ClassVar[str] = "3rscan"

    scans: ScanList = field(default_factory=ScanList, repr=False)

    @classmethod
    def open(cls, root: Location) -> ThreeRScanDataset:
        """Find the scans of a download.

        Raises:
            UsageError: the folder does not exist or holds no scan, or one of the lists cannot be read.
        """
        if not root.is_dir():
            cure = "give the folder of the 3RScan download"
            raise UsageError("is a file" if root.exists() else "is not a directory", path=root, cure=cure)
        try:
            folders = subfolders(root)
        except OSError as error:
            kind = StoreError if error.errno in PASSING else UsageError
            raise kind(f"cannot be listed: {error.strerror or error}", path=root) from error
        directories = {folder.name: folder for folder in folders if SCAN_ID.fullmatch(folder.name)}
        if not directories:
            raise UsageError("holds no scan of 3RScan", path=root, cure=_where_scans_are(root, folders))
        scans = read_scan_list(root, absolute(root).parent)
        named_in = {scan: scans.named_in[scan] for scan in directories if scan in scans.named_in}
        return cls(
            root=root,
            scene_directories=directories,
            scans=scans,
            in_two_splits={scan: named for scan, named in named_in.items() if len(named) > 1},
        )

    def split(self, scene_id: str) -> str:
        """Return the split by ``3RScan.json`` and the lists; of several the last one, which is held out."""
        return (self.scans.named_in.get(scene_id) or ("unknown",))[-1]

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the first scan of the place, where a list says it."""
        reference = self.scans.reference_of(scene_id)
        return () if reference is None else (f"3rscan place {reference}",)

    def kind(self, scene_id: str) -> str:
        """Return ``sequence.zip``, ``sequence`` or ``missing``."""
        found = self._frames(scene_id)
        return "missing" if found is None else found.name

    def annotated(self, scene_id: str) -> bool:
        """Return whether labels and a mesh for them are there."""
        return self._labels(scene_id).complete

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a label by ``manifests/categories/3rscan.tsv``; ``rio27`` are 3RScan's own classes."""
        return labels_by_table(self.name, label)

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scan.

        Raises:
            UsageError: there is no such scan.
            SourceError: its frames are missing or damaged.
        """
        directory = self.directory(scene_id)
        frames = self._frames(scene_id)
        if frames is None:
            cure = f"{DOWNLOAD} {ARCHIVE}"
            if isinstance(directory, ObjectPath):
                cure = f"upload {ARCHIVE}: from a store, thousands of small objects are too slow to read"
            raise SourceError(f"has no {ARCHIVE}", path=directory, scene=scene_id, cure=cure)
        return ThreeRScan(scene_id, frames, self._labels(scene_id), self.scans.rescans.get(scene_id))

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line each where no list names the scans, lists contradict each other, or labels are missing."""
        lines: list[str] = []
        if not splits_given and all(self.split(scan) == "unknown" for scan in scene_ids):
            lines.append(
                f"note: neither {LIST_NAME} nor splits/{SPLIT_FILES['train'][0]} is in or above {self.root}, so the"
                " split of these scans is 'unknown'; training and evaluation look for train and val unless told"
                " otherwise"
            )
        where = f"split by {LIST_NAME} and the split files in or above {self.root}"
        lines += twice_listed(scene_ids, self.in_two_splits, where, "scan", NAMED)
        # Labels of the hidden test scans are not published.
        bare = [scan for scan in scene_ids if self.split(scan) != "test" and not self.annotated(scan)]
        if bare:
            missing = self._labels(bare[0]).missing
            lines.append(
                f"note: {counted(len(bare), 'scan')} without labels: {few(bare, NAMED)}; to get them for each ID: "
                + "; ".join(f"{DOWNLOAD} {name}" for name in missing or (LABELS, LABELLED_MESH))
            )
        return tuple(lines)

    def describe(self) -> dict[str, Any]:
        """Return the facts about the data set, with how many places its scans show."""
        places = {place for scan in self.scene_ids for place in self.places(scan)}
        rescans = sum(scan in self.scans.rescans for scan in self.scene_ids)
        return {**super(ThreeRScanDataset, self).describe(), "places": len(places), "rescans": rescans}

    def _labels(self, scene_id: str) -> LabelFiles:
        return LabelFiles(scene_id, self.scene_directories[scene_id])

    def _frames(self, scene_id: str) -> Location | None:
        """Return the archive or the folder of a scan's frames; the archive counts where there are both."""
        directory = self.scene_directories[scene_id]
        archive, folder = file_in(directory, ARCHIVE), file_in(directory, FOLDER)
        if archive.is_file():
            return archive
        return folder if isinstance(folder, Path) and folder.is_dir() else None


def open_folder(root: Location) -> ThreeRScanDataset:
    """See :meth:`gapdata.sources.registry.SourceModule.open_folder`."""
    return ThreeRScanDataset.open(root)


def open_found(place: Location) -> ThreeRScanDataset | Scan:
    """Open a scan's folder, or a folder of scans.

    Raises:
        UsageError: the place is something else.
        SourceError: the scan is missing or damaged.
    """
    scan_id = absolute(place).name
    if SCAN_ID.fullmatch(scan_id) and any(file_in(place, name).exists() for name in (ARCHIVE, FOLDER, LABELS)):
        scans = read_scan_list(absolute(place).parent, absolute(place).parent.parent)
        return ThreeRScanDataset(root=place, scene_directories={scan_id: place}, scans=scans).open_scan(scan_id)
    return ThreeRScanDataset.open(place)


def _where_scans_are(root: Location, folders: Sequence[Location]) -> str:
    """Return what to do about a folder without scans, by what lies in it."""
    if SCAN_ID.fullmatch(root.name):
        return f"it is a scan itself: give the folder that holds it, with --scenes {root.name}"
    shown = [folder for folder in folders if not is_litter(folder.name)]
    for folder in shown[:NAMED]:
        if any(SCAN_ID.fullmatch(inner.name) for inner in subfolders(folder)):
            return f"did you mean {folder}?"
    held = f"; it holds {few([f'{folder.name}/' for folder in shown], NAMED)}" if shown else "; it holds no folder"
    return f"expected folders such as 531cff08-0021-28f6-8e08-ba2eeb945e09 with {ARCHIVE} inside{held}"
