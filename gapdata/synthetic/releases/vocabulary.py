"""The names of objects (``vocabulary.tsv``): nouns, categories that a noun may also mean, EmbodiedScan's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gapdata.synthetic.categories import read_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A word for a category. ``family`` are the raw categories that a reader may take it for."""

    word: str
    plural: str
    family: frozenset[str]


def _nouns(row: Mapping[str, str]) -> tuple[Noun, ...]:
    family = frozenset({row["raw_category"], *filter(None, row["mistaken_for"].split(", "))})
    words = filter(None, row["nouns"].split(", "))
    return tuple(Noun(word=word, plural=_plural(word), family=family) for word in words)


def _plural(word: str) -> str:
    head, of, rest = word.partition(" of ")
    if of:
        return f"{_plural(head)} of {rest}"
    if word.endswith("shelf"):
        return f"{word[:-1]}ves"
    if word.endswith(("x", "sh", "ch", "s")):
        return f"{word}es"
    return f"{word}s"


_TABLE = read_table(Path(__file__).with_suffix(".tsv"))
NOUNS: Mapping[str, tuple[Noun, ...]] = {row["raw_category"]: _nouns(row) for row in _TABLE if row["nouns"]}
"""By raw category; those without a noun (walls, floors, ceilings, door frames) are never referred to."""
EMBODIEDSCAN: Mapping[str, str] = {row["raw_category"]: row["embodiedscan"] for row in _TABLE}
"""EmbodiedScan's name of a raw category."""

_ABSENT = ("object", "bag", "basket", "bench", "bicycle", "blanket", "stairs")
CATEGORY_IDS: Mapping[str, int] = {
    name: number for number, name in enumerate(sorted({*EMBODIEDSCAN.values(), *_ABSENT}), start=1)
}
"""``metainfo.categories``: ids count from 1, and not every category occurs."""
