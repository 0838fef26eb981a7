"""The table of exclusions: which parts of the sources are not in the shards, by reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"(?<!\b[A-Za-z])-?\d+(\.\d+)?")
"""Numbers, which may differ between two problems of one kind. The digit of a name such as k1 belongs to the name."""
EXCLUDED_FRAMES = {"lost_tracking": "no pose", "empty_depth": "nearly without depth"}


def table_of_exclusions(scenes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each reason, from the scene outcomes of commit records.

    Returns:
        Rows of ``reason``, ``what`` was excluded (frames, views, descriptions, conversations or scenes), ``count``, in
        how many ``scenes``, and the ``first`` of them. Quarantined items have one reason where their problems differ in
        numbers only.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for scene in scenes:
        seen = set()
        for what, reason, count in _exclusions(scene):
            row = rows.setdefault(
                (what, reason), {"reason": reason, "what": what, "count": 0, "scenes": 0, "first": scene["scene_id"]}
            )
            row["count"] += count
            row["scenes"] += (what, reason) not in seen
            seen.add((what, reason))
    return [rows[key] for key in sorted(rows)]


def format_exclusions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table as lines of text with aligned columns."""
    if not rows:
        return ["nothing was lost"]
    head = ("lost", "what", "scenes", "first", "why")
    cells = [head] + [(str(row["count"]), row["what"], str(row["scenes"]), row["first"], row["reason"]) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head) - 1)]
    return ["  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]) for line in cells]


def _exclusions(scene: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for name, reason in EXCLUDED_FRAMES.items():
        if scene[name]:
            yield "frames", reason, scene[name]
    for reason, count in scene["dropped_views"].items():
        yield "views", reason.replace("_", " "), count
    for what in ("descriptions", "conversations"):
        for reason, count in scene[f"dropped_{what}"].items():
            yield what, reason, count
    for item in scene["quarantined"]:
        yield "scenes" if item["key"] is None else "views", NUMBER.sub("#", item["problem"]), 1
