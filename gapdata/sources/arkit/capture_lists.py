"""Read the lists of captures that come with ARKitScenes: which fold and which visit each belongs to.

``metadata.csv`` lies beside the folds of every download; ``3dod_train_val_splits.csv`` and ``raw_train_val_splits.csv``
lie in the repository. All have the columns ``video_id``, ``visit_id`` (``NA`` for 8 captures) and ``fold``. A visit is
one place on one day, and its captures show the same rooms.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gapdata.errors import UsageError
from gapdata.files.given_file import read_text
from gapdata.files.storage import Location, file_in
from gapdata.sources.arkit.find_captures import CAPTURE_ID, FOLDS, PACKAGES

METADATA = "metadata.csv"
SPLIT_LISTS = ("3dod_train_val_splits.csv", "raw_train_val_splits.csv")
COLUMNS = ("video_id", "visit_id", "fold")
PLACES = ("", *PACKAGES, "threedod")
"""Folders of a download or of the repository that may have the lists."""
WHOLE = re.compile(r"([0-9]+)(?:\.0*)?", re.ASCII)
"""A number, also as a table program writes it that takes a column with NA for one of floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureLists:
    """What the lists say about captures, by their ids."""

    folds: Mapping[str, frozenset[str]] = field(default_factory=dict)  # splits, more than one if lists differ
    visits: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[Location, ...] = ()


def read_capture_lists(root: Location) -> CaptureLists:
    """Read all lists in a folder, in its parts, and in the two folders above it.

    Raises:
        UsageError: one cannot be read, or a split list is something else.
    """
    folds: dict[str, set[str]] = {}
    visits: dict[str, str] = {}
    paths = list(_lists_near(root))
    for path in paths:
        for capture, visit, fold in _rows(path):
            if fold in FOLDS:
                folds.setdefault(capture, set()).add(FOLDS[fold])
            if visit is not None:
                visits[capture] = visit
    return CaptureLists(
        folds={capture: frozenset(splits) for capture, splits in folds.items()}, visits=visits, paths=tuple(paths)
    )


def _lists_near(root: Location) -> Iterable[Location]:
    folders = [root / part if part else root for part in PLACES] + [root.parent, root.parent.parent]
    seen = set()
    for folder in folders:
        if folder in seen or not folder.is_dir():
            continue
        seen.add(folder)
        for name in (METADATA, *SPLIT_LISTS):
            path = file_in(folder, name)
            if path.is_file():
                yield path


def _rows(path: Location) -> Iterable[tuple[str, str | None, str]]:
    """Yield the id, the visit and the fold of each capture of a list.

    Raises:
        UsageError: it cannot be read, or lacks a column although its name is that of a split list.
    """
    table = csv.DictReader(read_text(path, UsageError).split("\n"))
    names = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = names
    if not set(COLUMNS) <= set(names):
        if path.name.lower() == METADATA:
            return  # any tool may have written a file of that name
        lacking = ", ".join(name for name in COLUMNS if name not in names)
        raise UsageError(f"lacks the columns {lacking}", path=path, cure="copy it from ARKitScenes' repository again")
    try:
        for row in table:
            capture, visit = (_number(row[name]) for name in COLUMNS[:2])
            if capture is not None and CAPTURE_ID.fullmatch(capture):
                yield capture, visit, (row["fold"] or "").strip()
    except csv.Error as error:
        problem = f"line {table.line_num} is not a row of a table: {error}"
        raise UsageError(problem, path=path, cure="download it again") from error


def _number(text: str | None) -> str | None:
    match = WHOLE.fullmatch((text or "").strip())
    return None if match is None else match[1]
