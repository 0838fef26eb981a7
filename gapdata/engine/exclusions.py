"""The table of losses: everything of the sources that is not in the shards, by reason, with how much and where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"(?<!\b[A-Za-z])-?\d+(\.\d+)?")
"""What differs between two of a kind; the digit of a name such as k1 does not."""
FRAME_LOSSES = {"lost_tracking": "no pose", "empty_depth": "nearly without depth"}


def table_of_losses(scenes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per reason, from the scene outcomes of commit records: ``reason``, ``what`` was lost (frames, views,
    descriptions, conversations or scenes), ``count``, in how many ``scenes``, and the ``first`` of them.

    Quarantined items count as one reason where their problems differ in numbers only.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for scene in scenes:
        seen = set()
        for what, reason, count in _losses(scene):
            row = rows.setdefault(
                (what, reason), {"reason": reason, "what": what, "count": 0, "scenes": 0, "first": scene["scene_id"]}
            )
            row["count"] += count
            row["scenes"] += (what, reason) not in seen
            seen.add((what, reason))
    return [rows[key] for key in sorted(rows)]


def format_losses(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as lines of text, columns aligned."""
    if not rows:
        return ["nothing was lost"]
    head = ("lost", "what", "scenes", "first", "why")
    cells = [head] + [(str(row["count"]), row["what"], str(row["scenes"]), row["first"], row["reason"]) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head) - 1)]
    return ["  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]) for line in cells]


def _losses(scene: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for name, reason in FRAME_LOSSES.items():
        if scene[name]:
            yield "frames", reason, scene[name]
    for reason, count in scene["dropped_views"].items():
        yield "views", reason.replace("_", " "), count
    for what in ("descriptions", "conversations"):
        for reason, count in scene[f"dropped_{what}"].items():
            yield what, reason, count
    for item in scene["quarantined"]:
        yield "scenes" if item["key"] is None else "views", NUMBER.sub("#", item["problem"]), 1
