"""What a build contains and what it lost: ``report.json``, and the same as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from gapdata.engine.exclusions import format_exclusions, table_of_exclusions
from gapdata.errors import ShardError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import misfit
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted

REPORT_NAME = "report.json"
SUSPECT = {"scene_id": str, "records": int, "suspicion": str}
EXCLUSION = {"reason": str, "what": str, "count": int, "scenes": int, "first": str}
QUARANTINED = {
    **{"scene_id": str, "key": (str, None), "frame": (int, None)},
    **{"path": (str, None), "problem": str, "cure": (str, None)},
}
SHAPES: dict[str, Any] = {"losses": [EXCLUSION], "quarantined": [QUARANTINED], "suspects": [SUSPECT]}
"""Of the fields of a report; all others are counts, or counts by name."""
SHOWN_QUARANTINED = 20


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


def counts_up(commits: Sequence[dict[str, Any]]) -> bool:
    """Whether a report can be compiled from commit records: one that was damaged may hold anything."""
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
    try:
        report = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            "holds no finished build (no report.json)", path=build, cure="run build-shards again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ShardError(f"cannot be read: {error}", path=path, cure="run build-shards again") from error
    counts = {name: int if value == 0 else {str: int} for name, value in compile_report([]).items()}
    problem = misfit(report, {"fingerprint": str, **counts, **SHAPES})
    if problem is not None:
        raise ShardError(f"is malformed: {problem}", path=path, cure="run build-shards again")
    return dict(report)


def is_whole(report: dict[str, Any]) -> bool:
    """Return whether there are records, nothing was quarantined, and no scene lost all its views to missing depth."""
    emptied = any(not suspect["records"] for suspect in report["suspects"])
    return bool(report["records"]) and not report["quarantined"] and not emptied


def format_report(report: dict[str, Any]) -> str:
    """The report as text for a terminal."""
    lines = [
        f"{counted(report['records'], 'record')} in {counted(report['shards'], 'shard')}, "
        f"{report['bytes'] / 1e6:.1f} MB",
        f"  from {counted(report['scenes'], 'scene')} with {counted(report['frames'], 'frame')}"
        f" ({report['lost_tracking']} without a pose, {report['empty_depth']} nearly without depth)",
        f"  splits: {_listing(report['records_by_split'])}; views: {_listing(report['records_by_view'])}",
        f"  prompts: {report['prompts']} on {counted(len(report['prompts_by_label']), 'category', 'categories')}",
    ]
    if report["objects"]:
        lines.append(
            f"  objects: {report['objects_seen']} of {report['objects']} are in a record,"
            f" {report['instances'] / max(report['view_frames'], 1):.1f} in a frame"
        )
    for what in ("descriptions", "conversations"):
        if report[what]:
            lines.append(f"  {what}: {report[f'{what}_used']} of {report[what]} are in a record")
    if report["scenes_without_annotation"]:
        lines.append(
            f"  {counted(report['scenes_without_annotation'], 'scene')} without annotation: geometry only, no prompts"
        )
    if report["scenes_unaligned"]:
        lines.append(f"  {unaligned_text(report['scenes_unaligned'], report['descriptions_unaligned'])}")
    if report["notes"]:
        lines.append(f"  noticed: {_listing(report['notes'])}")
    lines += [f"  {line}" for line in format_exclusions(report["losses"])]
    quarantined = report["quarantined"]
    if quarantined:
        lines.append(f"  quarantined: {len(quarantined)} (tracebacks in failed/)")
        lines += [f"    {line}" for line in _quarantined(quarantined[:SHOWN_QUARANTINED])]
        if len(quarantined) > SHOWN_QUARANTINED:
            lines.append(f"    and {len(quarantined) - SHOWN_QUARANTINED} more in {REPORT_NAME}")
    lines += [f"  {line}" for line in suspicions(report)]
    if not report["records"]:
        lines.append(f"  0 records: the build holds nothing of its {counted(report['scenes'], 'scene')}")
    return "\n".join(lines)


def suspicions(report: dict[str, Any]) -> list[str]:
    """Return a line for each of the first scenes that lost their frames for want of depth, with the likely reason."""
    suspects = sorted(report["suspects"], key=lambda suspect: suspect["records"])
    lines = [
        f"{item['scene_id']} {'lost frames' if item['records'] else 'gave no record'}: {item['suspicion']}"
        for item in suspects[:SHOWN_QUARANTINED]
    ]
    more = len(suspects) - SHOWN_QUARANTINED
    return [*lines, f"and {more} more of these in {REPORT_NAME}"] if more > 0 else lines


def unaligned_text(scenes: int, described: int) -> str:
    """Say that annotated scenes have no aligned world, and how many descriptions cannot be asked about for that."""
    cannot = f"{counted(described, 'description')} cannot be asked about with" if described else "they have no"
    cure = 'put <scene>.txt with axisAlignment beside the mesh, or train with data.boxes = "oriented"'
    return f"{counted(scenes, 'annotated scene')} without axisAlignment: {cannot} aligned boxes; {cure}"


def _added(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for item in counts:
        for name, count in item.items():
            if type(name) is not str or type(count) is not int:
                raise TypeError(f"a count by name is {count!r:.100}")
            total[name] += count
    return dict(sorted(total.items()))


def _listing(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _quarantined(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was set aside: scene or key, frame, file, what is wrong, and what to do where the line before does not say
    it.
    """
    said = None
    for item in items:
        frame = "" if item["frame"] is None else f", frame {item['frame']}"
        file = _file(item)
        cure = "" if item["cure"] in (None, said) else f"; {item['cure']}"
        said = item["cure"]
        yield f"{item['key'] or item['scene_id']}{frame}{file}: {item['problem']}{cure}"


def _file(item: Mapping[str, Any]) -> str:
    """The file, as it is called in its scene; nothing where the whole scene is meant."""
    place = PurePath(item["path"] or "")
    if not place.suffix or place.name == item["scene_id"]:
        return ""
    return f", {place.name}"
