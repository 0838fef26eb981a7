"""``gapdata inspect``: what a ``.sens`` file, a scene, a dataset, a build or one of its records holds, as plain
values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from gapdata.engine.report import read_report
from gapdata.engine.report_text import format_report
from gapdata.errors import SourceError, UsageError
from gapdata.files.storage import Location, absolute
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.records.schema import Record
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.shards.splits import format_tars, read_splits
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.registry import open_found


def inspect_path(path: Location, key: str | None = None) -> tuple[dict[str, Any], str]:
    """The facts about ``path`` and the same as text for a terminal.

    Raises:
        UsageError: the path does not exist or is nothing that can be inspected.
    """
    if not path.exists():
        raise UsageError("does not exist", path=path)
    if key is not None or (path / PLAN_NAME).exists():
        if key is None:
            report, tars = read_report(path), read_splits(path)
            lines = [f"  tars of {split}: {format_tars(names)}" for split, names in (tars or {}).items()]
            return report | {"splits": tars}, "\n".join([format_report(report), *lines])
        from gapdata.shards.reader import ShardReader

        facts = describe_record(ShardReader(path)[key])
    else:
        with _scan_or_dataset(path) as found:
            facts = found.describe()
    return facts, format_facts(facts)


def inspect_poses(path: Location) -> tuple[dict[str, Any], str]:
    """Return whether the frames of each scan agree, and what the mistake is where they do not; a line a scan.

    Raises:
        UsageError: the path does not exist or holds no scans.
        SourceError: the one scan that it is cannot be read, or has no pose that can be used.
    """
    if not path.exists():
        raise UsageError("does not exist", path=path)
    with _scan_or_dataset(path) as found:
        return _pose_facts(found) if isinstance(found, Scan) else _poses_of_scenes(found)


@contextmanager
def _scan_or_dataset(path: Location) -> Iterator[Scan | Dataset]:
    """Open what lies at a place; a data set that is one scene, lying there itself, as its scan."""
    found = open_found(path)
    if isinstance(found, Dataset) and absolute(path) in map(absolute, found.scene_directories.values()):
        found = found.open_scan(found.scene_ids[0])
    with found if isinstance(found, Scan) else nullcontext(found) as opened:
        yield opened


def _poses_of_scenes(dataset: Dataset) -> tuple[dict[str, Any], str]:
    if len(dataset.scene_ids) == 1:
        with dataset.open_scan(dataset.scene_ids[0]) as scan:
            return _pose_facts(scan)
    scenes: dict[str, Any] = {}
    for scene_id in dataset.scene_ids:
        try:
            with dataset.open_scan(scene_id) as scan:
                scenes[scene_id] = diagnose_poses(scan).to_facts()
        except SourceError as error:
            scenes[scene_id] = {"verdict": "unreadable", "cure": error.cure, "text": error.problem}
    lines = [f"{scene_id}: {facts['text']}" for scene_id, facts in scenes.items()]
    return {"path": str(dataset.root), "scenes": scenes}, "\n".join(lines)


def _pose_facts(scan: Scan) -> tuple[dict[str, Any], str]:
    facts = diagnose_poses(scan).to_facts()
    return {"path": str(scan.path), "scene_id": scan.scene_id, **facts}, f"{scan.scene_id}: {facts['text']}"


def describe_record(record: Record) -> dict[str, Any]:
    """A record: its JSON fields without the matrices, and what its masks and depth hold."""
    depth = np.stack([record.depth(frame) for frame in range(len(record))])
    annotated = any(name.endswith("instance.png") for name in record.members)
    seen = {
        item.object_id: int(
            max(np.count_nonzero(record.instances(frame) == item.object_id + 1) for frame in range(len(record)))
        )
        for item in (record.objects if annotated else ())
    }
    return {
        "key": record.key,
        "scene_id": record.scene_id,
        "split": record.split,
        "view": record.view,
        "frame_ids": list(record.frame_ids),
        "image_size": list(record.image_size),
        "depth_m": {
            "nearest": round(float(depth[depth > 0].min()), 3) if (depth > 0).any() else None,
            "farthest": round(float(depth.max()), 3),
        },
        "quality": dict(record.quality),
        "objects": [
            {
                "object_id": item.object_id,
                "label": item.label,
                "size": list(item.size),
                "most_visible_pixels": seen.get(item.object_id, 0),
            }
            for item in record.objects
        ],
        "prompts": [
            {"index": p.index, "frame": p.frame, "pixel": list(p.pixel), "label": p.label, "point": list(p.point)}
            for p in record.prompts
        ],
        "members": {name: len(data) for name, data in record.members.items()},
    }


def format_facts(facts: dict[str, Any], indent: str = "") -> str:
    """Nested facts as aligned lines."""
    width = max((len(name) for name in facts), default=0)
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and value and any(isinstance(inner, dict) for inner in value.values()):
            lines += [f"{indent}{name}", format_facts(value, indent + "  ")]
        elif isinstance(value, dict):
            lines.append(f"{indent}{name:<{width}}  {', '.join(f'{k} {v}' for k, v in value.items()) or 'none'}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}")
            lines += [f"{indent}  {', '.join(f'{k} {v}' for k, v in item.items())}" for item in value]
        else:
            lines.append(f"{indent}{name:<{width}}  {value}")
    return "\n".join(lines)
