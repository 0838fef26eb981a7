"""Category names: ScanNet's label map from its raw, free-text categories to NYU40 and others."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from gapdata.errors import SourceError
from gapdata.storage import Location

LABEL_MAP_NAME = "scannetv2-labels.combined.tsv"
SPELLINGS = {"refridgerator": "refrigerator"}
"""Copies of the label map differ in this NYU40 class; the dictionary's spelling is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """ScanNet's ``scannetv2-labels.combined.tsv``: raw category -> its other names and numbers."""

    rows: Mapping[str, Mapping[str, str]]

    def labels(self, raw_category: str) -> dict[str, str]:
        """All names of an object: ``raw`` always; ``nyu40`` where the map knows the category."""
        names = {"raw": raw_category}
        row = self.rows.get(raw_category)
        if row is not None and row.get("nyu40class"):
            nyu40 = row["nyu40class"].strip()
            names["nyu40"] = SPELLINGS.get(nyu40, nyu40)
        return names


EMPTY_LABEL_MAP = LabelMap(rows={})


def read_label_map(path: Location) -> LabelMap:
    """Read the tab-separated label map, whatever its line ends; rows with missing cells (as "furnace" has) are kept.

    Raises:
        SourceError: the file cannot be read or has no ``raw_category`` column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read: {error}", path=path) from error
    table = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if "raw_category" not in (table.fieldnames or ()):
        raise SourceError("is no ScanNet label map: it has no raw_category column", path=path)
    return LabelMap(rows={row["raw_category"]: {k: v or "" for k, v in row.items() if k} for row in table})
