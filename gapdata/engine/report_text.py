"""The report of a build as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from gapdata.engine.exclusions import format_exclusions
from gapdata.engine.outcome import FAILED_FOLDER
from gapdata.engine.report import REPORT_NAME
from gapdata.runtime.counting import counted
from gapdata.sources.terms import terms_lines

SHOWN_QUARANTINED = 20


def format_report(report: dict[str, Any]) -> str:
    """Return the report as text for a terminal."""
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
    lines += [f"  terms of {line}" for line in terms_lines(report.get("terms"))]
    lines += [f"  {line}" for line in format_exclusions(report["losses"])]
    lines += [f"  {line}" for line in (*_quarantined(report["quarantined"]), *suspicions(report))]
    if not report["records"]:
        lines.append(
            f"  0 records: nothing was built from {counted(report['scenes'], 'scene')}; the lines above say why"
        )
    return "\n".join(lines)


def suspicions(report: dict[str, Any]) -> list[str]:
    """Return a line for each of the first scenes with doubtful depth or poses, with the likely cause."""
    suspects = sorted(report["suspects"], key=lambda suspect: suspect["records"])
    lines = [
        f"{item['scene_id']} {'lost frames' if item['records'] else 'gave no record'}: {item['suspicion']}"
        for item in suspects[:SHOWN_QUARANTINED]
    ]
    more = len(suspects) - SHOWN_QUARANTINED
    return [*lines, f"and {more} more of these in {REPORT_NAME}"] if more > 0 else lines


def unaligned_text(scenes: int, described: int) -> str:
    """Say how many annotated scenes lack an aligned world, and how many descriptions cannot be asked about for that."""
    cannot = f"{counted(described, 'description')} cannot be asked about with" if described else "there are no"
    cure = 'put <scene>.txt with axisAlignment beside the mesh, or train with data.boxes = "oriented"'
    return f"{counted(scenes, 'annotated scene')} without axisAlignment: {cannot} aligned boxes; {cure}"


def _listing(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _quarantined(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not items:
        return
    yield f"quarantined: {len(items)} (tracebacks in {FAILED_FOLDER}/)"
    yield from (f"  {line}" for line in _problems(items[:SHOWN_QUARANTINED]))
    if len(items) > SHOWN_QUARANTINED:
        yield f"  and {len(items) - SHOWN_QUARANTINED} more in {REPORT_NAME}"


def _problems(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each: scene or key, frame, file, problem, and its cure unless the line before ends in it."""
    said = None
    for item in items:
        frame = "" if item["frame"] is None else f", frame {item['frame']}"
        file = _file(item)
        cure = "" if item["cure"] in (None, said) else f"; {item['cure']}"
        said = item["cure"]
        yield f"{item['key'] or item['scene_id']}{frame}{file}: {item['problem']}{cure}"


def _file(item: Mapping[str, Any]) -> str:
    """Return the file's name within its scene; nothing where the whole scene is meant."""
    place = PurePath(item["path"] or "")
    if not place.suffix or place.name == item["scene_id"]:
        return ""
    return f", {place.name}"
