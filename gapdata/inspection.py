"""``gapdata inspect``: what a ``.sens`` file, a scene, a dataset, a build or one of its records holds, as plain
values."""

from __future__ import annotations

from typing import Any

import numpy as np

from gapdata.engine.plan import PLAN_NAME
from gapdata.engine.report import format_report, read_report
from gapdata.errors import UsageError
from gapdata.geometry.camera import Intrinsics
from gapdata.records.codec import record_depth, record_instances
from gapdata.records.schema import Record
from gapdata.sources.scannet import SCENE_ID, ScanNetDataset, ScanNetScan
from gapdata.sources.sens import VERSION, SensReader
from gapdata.storage import Location


def inspect_path(path: Location, key: str | None = None) -> tuple[dict[str, Any], str]:
    """The facts about ``path`` and the same as text for a terminal.

    Raises:
        UsageError: the path does not exist or is nothing that can be inspected.
    """
    if not path.exists():
        raise UsageError("does not exist", path=path)
    if key is not None or (path / PLAN_NAME).exists():
        if key is None:
            report = read_report(path)
            return report, format_report(report)
        from gapdata.shards.reader import ShardReader

        facts = describe_record(ShardReader(path).record(key))
    elif path.is_file():
        if path.suffix != ".sens":
            raise UsageError("is no .sens file", path=path, cure="give a .sens file, a scene, a dataset or a build")
        with SensReader(path) as sens:
            facts = describe_sens(sens)
    elif SCENE_ID.fullmatch(path.name):
        with ScanNetScan(path) as scan:
            facts = describe_scan(scan)
    else:
        facts = describe_dataset(ScanNetDataset.open(path))
    return facts, format_facts(facts)


def describe_sens(sens: SensReader) -> dict[str, Any]:
    """Header and index of a ``.sens`` file; payloads are not read."""
    valid = sens.valid_poses
    centres = sens.camera_to_world[valid][:, :3, 3]
    return {
        "path": str(sens.path),
        "version": VERSION,
        "sensor": sens.sensor_name,
        "frames": len(sens),
        "invalid_poses": int((~valid).sum()),
        "color": {**_camera(sens.color_intrinsics), "compression": sens.color_compression},
        "depth": {
            **_camera(sens.depth_intrinsics),
            "compression": sens.depth_compression,
            "shift": sens.depth_units_per_metre,
        },
        "imu": sens.imu_count,
        "path_length_m": round(float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()), 3)
        if len(centres) > 1
        else 0.0,
    }


def describe_scan(scan: ScanNetScan) -> dict[str, Any]:
    """A scene: its ``.sens`` and its annotation."""
    annotation = scan.annotation()
    facts = {
        "scene_id": scan.scene_id,
        "scene_type": scan.metadata.get("sceneType"),
        "axis_alignment": scan.axis_alignment is not None,
        "sens": describe_sens(scan.sens),
        "mesh": None,
        "objects": None,
    }
    if annotation is not None:
        labels = [item.label for item in annotation.objects]
        facts["mesh"] = {"vertices": len(annotation.vertices), "faces": len(annotation.faces)}
        facts["objects"] = {label: labels.count(label) for label in sorted(set(labels))}
        facts["notes"] = annotation.notes
    return facts


def describe_dataset(dataset: ScanNetDataset) -> dict[str, Any]:
    """A dataset: how many scenes of each split, and which lack their ``.sens``."""
    splits = [dataset.split(scene) for scene in dataset.scene_ids]
    return {
        "path": str(dataset.root),
        "scenes": len(splits),
        "splits": {split: splits.count(split) for split in sorted(set(splits))},
        "label_map": len(dataset.label_map.rows),
        "without_sens": [scene for scene in dataset.scene_ids if not dataset.sens_path(scene).is_file()],
    }


def describe_record(record: Record) -> dict[str, Any]:
    """A record: its JSON fields without the matrices, and what its masks and depth hold."""
    depth = np.stack([record_depth(record, frame) for frame in range(len(record))])
    annotated = any(name.endswith("instance.png") for name in record.members)
    seen = {
        item.object_id: int(
            max(np.count_nonzero(record_instances(record, frame) == item.object_id + 1) for frame in range(len(record)))
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


def _camera(camera: Intrinsics) -> dict[str, Any]:
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": round(camera.fx, 4),
        "fy": round(camera.fy, 4),
        "cx": round(camera.cx, 4),
        "cy": round(camera.cy, 4),
    }
