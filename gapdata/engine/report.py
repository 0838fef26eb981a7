"""The report of a build, ``report.json``: what it contains, what was excluded, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gapdata.engine.exclusions import table_of_exclusions
from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import read_shaped
from gapdata.files.storage import Location

REPORT_NAME = "report.json"
SUSPECT = {"scene_id": str, "records": int, "suspicion": str}
EXCLUSION = {"reason": str, "what": str, "count": int, "scenes": int, "first": str}
QUARANTINED = {
    **{"scene_id": str, "key": (str, None), "frame": (int, None)},
    **{"path": (str, None), "problem": str, "cure": (str, None)},
}
SHAPES: dict[str, Any] = {"losses": [EXCLUSION], "quarantined": [QUARANTINED], "suspects": [SUSPECT]}
"""The shapes of a report's fields; all others are counts, or counts by name."""


def compile_report(commits: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up the commit records of all shards; every figure is the sum of what the scenes report."""
    scenes = [scene for commit in commits for scene in commit["scenes"]]
    totals = {
        name: sum(scene[name] for scene in scenes)
        for name in (
            *("frames", "lost_tracking", "empty_depth", "objects", "objects_seen", "records", "view_frames"),
            *("instances", "prompts", "descriptions", "descriptions_used", "conversations", "conversations_used"),
            "descriptions_unaligned",
        )
    }
    return {
        "shards": len(commits),
        "bytes": sum(commit["tar_bytes"] for commit in commits),
        "scenes": len(scenes),
        **totals,
        "records_by_split": _added({scene["split"]: scene["records"]} for scene in scenes),
        "records_by_view": _added({record["view"]: 1} for commit in commits for record in commit["records"]),
        "scenes_without_annotation": sum(not scene["annotated"] for scene in scenes if scene["records"]),
        "scenes_unaligned": sum(scene["unaligned"] for scene in scenes),
        "dropped_views": _added(scene["dropped_views"] for scene in scenes),
        "notes": _added(scene["notes"] for scene in scenes),
        "dropped_descriptions": _added(scene["dropped_descriptions"] for scene in scenes),
        "dropped_conversations": _added(scene["dropped_conversations"] for scene in scenes),
        "prompts_by_label": _added(scene["prompts_by_label"] for scene in scenes),
        "losses": table_of_exclusions(scenes),
        "suspects": [{name: scene[name] for name in SUSPECT} for scene in scenes if scene["suspicion"] is not None],
        "quarantined": [item for scene in scenes for item in scene["quarantined"]],
    }


def can_be_compiled(commits: Sequence[dict[str, Any]]) -> bool:
    """Return whether a report can be compiled from commit records; a damaged one may hold anything."""
    try:
        compile_report(commits)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


def write_report(build: Location, report: dict[str, Any]) -> None:
    """Write ``report.json``."""
    write_atomically(build / REPORT_NAME, json.dumps(report, indent=1).encode())


def read_report(build: Location) -> dict[str, Any]:
    """Read ``report.json``.

    Raises:
        UsageError: the build is not finished.
        ShardError: the file is damaged.
    """
    path = build / REPORT_NAME
    counts = {name: int if value == 0 else {str: int} for name, value in compile_report([]).items()}
    try:
        return dict(read_shaped(path, {"fingerprint": str, **counts, **SHAPES}, "run build-shards again"))
    except FileNotFoundError as error:
        raise UsageError(
            "holds no finished build (no report.json)", path=build, cure="run build-shards again"
        ) from error


def is_whole(report: dict[str, Any]) -> bool:
    """Return whether there are records, nothing was quarantined, and no scene lost all its views to missing depth."""
    emptied = any(not suspect["records"] for suspect in report["suspects"])
    return bool(report["records"]) and not report["quarantined"] and not emptied


def _added(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for item in counts:
        for name, count in item.items():
            if type(name) is not str or type(count) is not int:
                raise TypeError(f"the count of {name!r:.100} is {count!r:.100}, which is not a whole number")
            total[name] += count
    return dict(sorted(total.items()))
