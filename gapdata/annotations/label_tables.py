"""Read the tables that map a data set's categories to the names of our taxonomies, in ``manifests/categories/``.

Such a table has tab-separated columns: ``name``, as :func:`folded` writes the data set's own name, and one column for
each taxonomy. An empty cell means that the taxonomy does not have a name for the category.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from gapdata.annotations.categories import (
    category_lines,
    category_list,
    category_table,
    embodiedscan_name,
    normalised,
    scanrefer_class,
)

TABLES = ("3rscan", "arkitscenes")
"""The tables that know a name which a taxonomy itself lacks, the largest one first."""
BETWEEN_WORDS = re.compile(r"[\s/_-]+")


def folded(label: str) -> str:
    """Write a label as the tables do: lower case, and one blank between words, also for ``_``, ``-`` and ``/``."""
    return BETWEEN_WORDS.sub(" ", label.lower()).strip()


@lru_cache(maxsize=32)
def label_table(table: str) -> Mapping[str, Mapping[str, str]]:
    """Return the names of each category in ``manifests/categories/<table>.tsv``: folded name -> taxonomy -> name.

    Raises:
        UsageError: the table does not exist.
    """
    heading, *lines = category_lines(f"{table}.tsv")
    _, *taxonomies = heading.split("\t")
    rows = (line.split("\t") for line in lines)
    return {
        name: {taxonomy: cell for taxonomy, cell in zip(taxonomies, cells, strict=True) if cell}
        for name, *cells in rows
    }


def labels_by_table(table: str, label: str) -> dict[str, str]:
    """Return the names of a category by taxonomy; ``raw`` is always among them, as the data set writes it.

    Args:
        table: the name of the data set's table.
        label: the data set's own name.
    """
    return {"raw": label, **label_table(table).get(folded(label), {})}


def labels_by_name(label: str) -> dict[str, str]:
    """Return the names of a category that a user chose; ``raw`` is always among them, as it is written.

    A taxonomy that has the name gives it; for others, the tables of the data sets that have it say theirs.
    """
    names: dict[str, str] = {}
    for table in reversed(TABLES):
        names |= label_table(table).get(folded(label), {})
    own = {
        "nyu40": set(category_table("nyu40").values()),
        "scannet20": set(category_table("scannet20").values()),
        "scannet200": set(category_table("scannet200").values()),
        "scanrefer18": set(category_list("scanrefer18")),
    }
    names |= {taxonomy: normalised(label) for taxonomy, known in own.items() if normalised(label) in known}
    if (name := embodiedscan_name(label)) is not None:
        names["embodiedscan"] = name
    if "nyu40" in names:
        names.setdefault("scanrefer18", scanrefer_class(names["nyu40"]))
    taxonomies = ("nyu40", "embodiedscan", "scannet20", "scannet200", "scanrefer18")
    return {"raw": label, **{taxonomy: names[taxonomy] for taxonomy in taxonomies if taxonomy in names}}
