"""The categories that synthetic scenes use, as rows of ScanNet's ``scannetv2-labels.combined.tsv``.

``categories.tsv`` is the table as it is written, without the counts. Its numbers and class names are ScanNet's own for
these categories (``id`` as in the ScanNet200 benchmark's list of valid class ids).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table of this package: tab-separated columns, their names in the first line."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """The numbers of a raw category."""

    id: int
    nyu40: int


_TABLE = read_table(Path(__file__).with_suffix(".tsv"))
CATEGORIES: Mapping[str, Category] = {
    row["raw_category"]: Category(id=int(row["id"]), nyu40=int(row["nyu40id"])) for row in _TABLE
}
"""By raw category."""


def labels_table(counts: Mapping[str, int]) -> str:
    """Return the text of the table, the most frequent category first; ``counts`` are instances by raw category."""
    rows = [row | {"count": str(counts.get(row["raw_category"], 0))} for row in _TABLE]
    rows.sort(key=lambda row: (-int(row["count"]), int(row["id"])))
    lines = [list(_TABLE[0]), *(list(row.values()) for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)
