"""Under which terms scans may be used: those of their data set, or what the user wrote into its folder.

``terms.txt`` in the folder that the user names, or in the one above it, has the terms in its first line, and in
another line ``redistributable`` where images may be given to others. It outranks what the registries say, because a
folder in ScanNet's form need not be ScanNet's: rooms of one's own, or synthetic ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.given_file import read_text
from gapdata.files.storage import Location
from gapdata.sources.captures import CAPTURES
from gapdata.sources.known_layouts import LAYOUTS
from gapdata.sources.registry import SOURCES
from gapdata.sources.source_facts import SourceFacts

TERMS_NAME = "terms.txt"
LONGEST = 300
"""Characters of a user's own terms that are kept."""


def facts_of(source: str, kind: str) -> SourceFacts:
    """Return what the registries say of scans.

    Args:
        source: the name of a data set's row in :data:`gapdata.sources.registry.SOURCES`.
        kind: how its frames are stored (:meth:`gapdata.sources.base.Dataset.kind`), a capture or a layout.
    """
    if source in SOURCES and SOURCES[source].captures:
        return CAPTURES.get(kind) or LAYOUTS.get(kind) or SOURCES[source]
    return SOURCES.get(source, SourceFacts(title=source))


def terms_table(scans: Iterable[tuple[str, str]], own: SourceFacts | None = None) -> list[dict[str, Any]]:
    """Return the terms of some scenes, a row for each kind of scans: its title, terms, and number of scenes.

    Args:
        scans: source and kind of each scene, as :func:`facts_of` takes them.
        own: what the user says instead (:func:`own_terms`).
    """
    rows: dict[str, dict[str, Any]] = {}
    for source, kind in scans:
        facts = own or facts_of(source, kind)
        title = facts.title or source
        row = {"title": title, "terms": facts.terms, "redistributable": facts.redistributable, "scenes": 0}
        rows.setdefault(title, row)["scenes"] += 1
    return [rows[title] for title in sorted(rows)]


def own_terms(root: Location) -> SourceFacts | None:
    """Return what ``terms.txt`` in or above a folder says; ``None`` without one.

    Raises:
        UsageError: it cannot be read, or is empty.
    """
    for place in (root / TERMS_NAME, root.parent / TERMS_NAME):
        if not place.is_file():
            continue
        lines = [line.strip() for line in read_text(place, UsageError).split("\n") if line.strip()]
        if not lines:
            raise UsageError("is empty", path=place, cure="write the terms of use into its first line, or remove it")
        shared = "redistributable" in (line.lower() for line in lines[1:])
        return SourceFacts(title=f"these scans, as {TERMS_NAME} says", terms=lines[0][:LONGEST], redistributable=shared)
    return None


def terms_lines(rows: object) -> list[str]:
    """Return the rows of :func:`terms_table` as lines; none of what a report of somebody else's may hold instead."""
    known = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return [f"{row['title']}: {row['terms']}" for row in known if row.keys() >= {"title", "terms"}]
