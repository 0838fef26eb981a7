"""Read 3RScan's lists of scans: ``3RScan.json`` with references, rescans and splits, and the lists of the splits.

A place was scanned first as its *reference* and later as *rescans*, in which things have moved. The lists that come
with 3RScan's code name references only; ``3RScan.json`` says which rescans belong to them, and the split of all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.files.checked_values import finite
from gapdata.files.given_file import read_text
from gapdata.files.storage import Location, file_in
from gapdata.geometry.camera import is_rigid

SCAN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LIST_NAME = "3RScan.json"
TYPES = {"train": "train", "validation": "val", "test": "test"}
"""Our names of the splits, by those of ``3RScan.json``."""
SPLIT_FILES = {
    "train": ("train.txt", "train_scans.txt"),
    "val": ("val.txt", "val_scans.txt"),
    "test": ("test.txt", "test_scans.txt"),
}
"""The lists of references, and of all scans, by split."""
AGAIN = "download it again: http://campar.in.tum.de/public_datasets/3RScan/3RScan.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescan:
    """A later scan of a place."""

    reference: str
    to_reference: NDArray[np.float64] | None
    """(4, 4) from its world to that of the reference, metres; ``None`` where it is not a rigid transform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanList:
    """The statements of all lists."""

    references: frozenset[str] = frozenset()
    rescans: Mapping[str, Rescan] = field(default_factory=dict)
    named_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each split that a list gives a scan, ``train`` first."""

    def reference_of(self, scan_id: str) -> str | None:
        """Return the first scan of the place that a scan shows; ``None`` where no list says so."""
        if scan_id in self.rescans:
            return self.rescans[scan_id].reference
        return scan_id if scan_id in self.references else None


def read_scan_list(*folders: Location) -> ScanList:
    """Read what lies in some folders, and in ``splits/`` below each; of files of one name the first counts.

    Raises:
        UsageError: a list cannot be read, or is not one.
    """
    path = next((file for folder in folders if (file := file_in(folder, LIST_NAME)).is_file()), None)
    references, rescans, split_of = _read_json(path) if path is not None else (set(), {}, {})
    lists = {
        split: {scan for name in names for scan in _named_in(name, folders)} for split, names in SPLIT_FILES.items()
    }
    named = {scan for scans in lists.values() for scan in scans}
    in_json = {split: {scan for scan, given in split_of.items() if given == split} for split in SPLIT_FILES}
    for split, scans in lists.items():  # a list of references counts for their rescans as well
        scans |= {scan for scan, rescan in rescans.items() if rescan.reference in scans}
        in_json[split] |= scans
    every = set().union(*in_json.values())
    return ScanList(
        # Without 3RScan.json, a scan that is in a list of references is one: the lists do not tell rescans.
        references=frozenset(references) if path is not None else frozenset(named),
        rescans=rescans,
        named_in={scan: tuple(split for split in SPLIT_FILES if scan in in_json[split]) for scan in every},
    )


def _named_in(name: str, folders: tuple[Location, ...]) -> list[str]:
    """Return the scans that a list names, one on a line."""
    for folder in folders:
        for place in (file_in(folder, name), file_in(folder / "splits", name)):
            if place.is_file():
                return SCAN_ID.findall(read_text(place, UsageError).lower())
    return []


def _read_json(path: Location) -> tuple[set[str], dict[str, Rescan], dict[str, str]]:
    """Return the references, the rescans, and the split of both.

    Raises:
        UsageError: it is not a list as 3RScan publishes it.
    """
    try:
        places = json.loads(read_text(path, UsageError))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is not valid JSON: {error}", path=path, cure=AGAIN) from error
    if not isinstance(places, list):
        raise UsageError(f"is {type(places).__name__}, expected a list of places", path=path, cure=AGAIN)
    references: set[str] = set()
    rescans: dict[str, Rescan] = {}
    split_of: dict[str, str] = {}
    for number, place in enumerate(places):
        reference = _scan_id(place)
        if reference is None:
            raise UsageError(f"place {number} has no reference", path=path, cure=AGAIN)
        references.add(reference)
        split_of[reference] = split = TYPES.get(str(place.get("type")), "unknown")
        scans = place.get("scans")
        for scan in scans if isinstance(scans, list) else ():
            rescan = _scan_id(scan)
            if rescan is None:
                raise UsageError(f"place {number} ({reference}) has a scan without an id", path=path, cure=AGAIN)
            rescans[rescan] = Rescan(reference=reference, to_reference=_transform(scan.get("transform")))
            split_of[rescan] = split
    return references, rescans, split_of


def _scan_id(fields: Any) -> str | None:
    found = fields.get("reference") if isinstance(fields, dict) else None
    return found if isinstance(found, str) and SCAN_ID.fullmatch(found) else None


def _transform(numbers: Any) -> NDArray[np.float64] | None:
    """Return the (4, 4) matrix of sixteen numbers, which stand column by column; metres, although the FAQ says mm."""
    values = finite(numbers, (16,))
    matrix = None if values is None else values.reshape(4, 4).T
    return matrix if matrix is not None and is_rigid(matrix) else None
