"""``gapdata inspect``: what a ``.sens`` file, a scene, a dataset, a build or one of its records holds, as plain
values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.taxonomy import EMPTY_LABEL_MAP
from gapdata.engine.report import format_report, read_report
from gapdata.errors import SourceError, UsageError
from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics, is_rigid
from gapdata.geometry.lens import Lens
from gapdata.records.codec import record_depth, record_instances
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.records.schema import Record
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.shards.splits import format_tars, read_splits
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.scannet import SCENE_ID, ScanNetDataset, ScanNetScan
from gapdata.sources.sens import VERSION, SensReader


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
    elif path.is_file():
        if path.suffix != ".sens":
            raise UsageError("is not a .sens file", path=path, cure="give a .sens file, a scene, a dataset or a build")
        with SensReader(path) as sens:
            facts = describe_sens(sens)
    else:
        facts = _describe_folder(path)
    return facts, format_facts(facts)


def inspect_poses(path: Location) -> tuple[dict[str, Any], str]:
    """Return whether the frames of each scan agree, and what the mistake is where they do not; a line a scan.

    Raises:
        UsageError: the path does not exist or holds no scans.
        SourceError: the one scan that it is cannot be read, or has no pose that can be used.
    """
    if not path.exists():
        raise UsageError("does not exist", path=path)
    if path.is_file():
        if path.suffix != ".sens":
            raise UsageError("is not a .sens file", path=path, cure="give a .sens file, a scene, or a dataset")
        with ScanNetScan(path.parent, sens=path) as scan:
            return _pose_facts(scan)
    dataset = _folder_of_scans(path)
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
    return {"path": str(path), "scenes": scenes}, "\n".join(lines)


def _pose_facts(scan: Scan) -> tuple[dict[str, Any], str]:
    facts = diagnose_poses(scan).to_facts()
    return {"path": str(scan.path), "scene_id": scan.scene_id, **facts}, f"{scan.scene_id}: {facts['text']}"


def describe_sens(sens: SensReader) -> dict[str, Any]:
    """Header and index of a ``.sens`` file; payloads are not read."""
    valid = sens.valid_poses
    return {
        "path": str(sens.path),
        "version": VERSION,
        "sensor": sens.sensor_name,
        "frames": len(sens),
        "invalid_poses": int((~valid).sum()),
        "color": {**_camera(sens.color_intrinsics, sens.color_lens), "compression": sens.color_compression},
        "depth": {
            **_camera(sens.depth_intrinsics, sens.depth_lens),
            "compression": sens.depth_compression,
            "shift": sens.depth_units_per_metre,
        },
        "imu": sens.imu_count,
        "path_length_m": _path_length(sens.camera_to_world[valid]),
    }


def describe_frames(scan: ExtractedScan) -> dict[str, Any]:
    """Extracted frames: their layout, cameras and what is missing; images are not decoded."""
    frames = np.flatnonzero(scan.present)
    valid = is_rigid(scan.camera_to_world)
    return {
        "path": str(scan.path),
        "layout": scan.layout.name,
        "frames": len(frames),
        "frame_ids": f"{frames[0]} to {frames[-1]}",
        "step": int(np.gcd.reduce(np.diff(frames))) if len(frames) > 1 else 1,
        "invalid_poses": int((scan.present & ~valid).sum()),
        "unreadable_poses": list(scan.unreadable_poses),
        "missing": scan.files.missing,
        "color": _camera(scan.color_intrinsics, scan.color_lens),
        "depth": {**_camera(scan.depth_intrinsics, scan.depth_lens), "shift": scan.depth_units_per_metre},
        "path_length_m": _path_length(scan.camera_to_world[valid]),
    }


def describe_scan(scan: Scan) -> dict[str, Any]:
    """A scene: its ``.sens`` or extracted frames, and its annotation."""
    annotation = scan.annotation()
    facts: dict[str, Any] = {"scene_id": scan.scene_id}
    if isinstance(scan, ScanNetScan):
        facts["scene_type"] = scan.metadata.get("sceneType")
    facts["axis_alignment"] = scan.axis_alignment is not None
    if isinstance(scan, ScanNetScan):
        facts["sens"] = describe_sens(scan.sens)
    elif isinstance(scan, ExtractedScan):
        facts["frames"] = describe_frames(scan)
    facts |= {"mesh": None, "objects": None}
    if annotation is not None:
        labels = [item.label for item in annotation.objects]
        facts["mesh"] = {"vertices": len(annotation.vertices), "faces": len(annotation.faces)}
        facts["objects"] = {label: labels.count(label) for label in sorted(set(labels))}
        facts["notes"] = annotation.notes
    return facts


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """A dataset: how many scenes of each split, in which files their frames are, and which have none."""
    splits = [dataset.split(scene) for scene in dataset.scene_ids]
    kinds = {scene: dataset.kind(scene) for scene in dataset.scene_ids}
    label_map = {"label_map": len(dataset.label_map.rows)} if isinstance(dataset, ScanNetDataset) else {}
    return {
        "path": str(dataset.root),
        "scenes": len(splits),
        "splits": {split: splits.count(split) for split in sorted(set(splits))},
        "source_kinds": {kind: list(kinds.values()).count(kind) for kind in sorted(set(kinds.values()))},
        **label_map,
        "without_frames": [scene for scene, kind in kinds.items() if kind == "missing"],
    }


def _describe_folder(path: Location) -> dict[str, Any]:
    """A ScanNet scene by its name, a ScanNet dataset, or frames with one intrinsics file."""
    dataset = _folder_of_scans(path)
    if path not in dataset.scene_directories.values():
        return describe_dataset(dataset)
    with dataset.open_scan(dataset.scene_ids[0]) as scan:
        return describe_scan(scan)


def _folder_of_scans(path: Location) -> ScanNetDataset | RgbdFolder:
    scene_id = path.absolute().name if isinstance(path, Path) else path.name
    if SCENE_ID.fullmatch(scene_id):
        return ScanNetDataset(root=path, scene_directories={scene_id: path}, splits={}, label_map=EMPTY_LABEL_MAP)
    try:
        return ScanNetDataset.open(path)
    except UsageError as error:
        if not isinstance(path, Path):
            raise
        try:
            return RgbdFolder.open(path)
        except UsageError as other:
            raise UsageError(f"{error.problem} and {other.problem}", path=path, cure=other.cure) from None


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


def _path_length(camera_to_world: NDArray[np.float64]) -> float:
    """Metres that the camera moves over poses (n, 4, 4)."""
    steps = np.diff(camera_to_world[:, :3, 3], axis=0)
    return round(float(np.linalg.norm(steps, axis=1).sum()), 3)


def _camera(camera: Intrinsics, lens: Lens | None) -> dict[str, Any]:
    bent = {} if lens is None else {"lens": {"name": lens.name, "coefficients": lens.coefficients, "skew": lens.skew}}
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": round(camera.fx, 4),
        "fy": round(camera.fy, 4),
        "cx": round(camera.cx, 4),
        "cy": round(camera.cy, 4),
        **bent,
    }
