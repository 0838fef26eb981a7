"""Read ScanNet's label map, from raw, free-text categories to the names of other taxonomies.

``scannetv2-labels.combined.tsv`` has these traps, which are handled here: some copies have CRLF line ends; "furnace"
has two cells too few; "refrigerator" is "refridgerator" in some copies, which drops it from ScanRefer's classes;
several raw categories share a number and a category ("books" and "book"); a category ends in a space; and aggregation
files use labels that the map lacks.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from gapdata.annotations.categories import category_table, embodiedscan_name, scanrefer_class
from gapdata.errors import FileError
from gapdata.files.given_file import read_text
from gapdata.files.storage import Location

LABEL_MAP_NAME = "scannetv2-labels.combined.tsv"
COLUMNS = ("raw_category", "id", "category", "nyu40id", "nyu40class")
"""Columns by which ScanNet's label map is recognised."""
TAXONOMIES = ("raw", "nyu40", "scannet20", "scannet200", "scanrefer18", "embodiedscan")
"""All taxonomies in which objects have names; ``raw`` is the source's own."""
SPELLINGS = {"refridgerator": "refrigerator"}
"""NYU40 classes that copies of the label map spell in two ways, and the spelling that is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """ScanNet's label map, with the row of each raw category."""

    rows: Mapping[str, Mapping[str, str]]

    def labels(self, raw_category: str) -> dict[str, str]:
        """Return the names of an object by taxonomy.

        ``raw`` is always there. ``nyu40``, ``scanrefer18``, ``scannet20`` and ``scannet200`` need a row of the map with
        a name in that taxonomy; ``embodiedscan`` needs a name in its vocabulary
        (:func:`gapdata.annotations.categories.embodiedscan_name`).
        """
        names = {"raw": raw_category}
        row = self.rows.get(raw_category, {})
        nyu40 = self._nyu40(row)
        if nyu40 is not None:
            names["nyu40"] = nyu40
            names["scanrefer18"] = scanrefer_class(nyu40)
        known = {
            "scannet20": nyu40 if nyu40 in category_table("scannet20").values() else None,
            "scannet200": category_table("scannet200").get(row.get("id", "").strip()),
            "embodiedscan": embodiedscan_name(raw_category) or embodiedscan_name(row.get("category", "")),
        }
        return names | {taxonomy: name for taxonomy, name in known.items() if name is not None}

    @staticmethod
    def _nyu40(row: Mapping[str, str]) -> str | None:
        name = row.get("nyu40class", "").strip()
        return SPELLINGS.get(name, name) or None


EMPTY_LABEL_MAP = LabelMap(rows={})


def read_label_map(path: Location) -> LabelMap:
    """Read the tab-separated label map; rows with missing cells are kept.

    Raises:
        FileError: the file cannot be read or lacks one of ``COLUMNS``.
    """
    table = csv.DictReader(read_text(path).split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [name.strip() for name in table.fieldnames or ()]
    table.fieldnames = names
    lacking = [name for name in COLUMNS if name not in names]
    if lacking:
        which = "column" if len(lacking) == 1 else "columns"
        raise FileError(
            f"is not a ScanNet label map: it lacks the {which} {', '.join(lacking)}; its first line is"
            f" {' | '.join(names)[:100]!r}",
            path=path,
            cure=f"put ScanNet's own {LABEL_MAP_NAME} there, with tabs between its cells",
        )
    try:
        return LabelMap(rows={row["raw_category"]: {k: v or "" for k, v in row.items() if k} for row in table})
    except csv.Error as error:
        problem = f"line {table.line_num + 1} is not a row of a tab-separated table: {error}"
        raise FileError(problem, path=path, cure="download it again") from error
