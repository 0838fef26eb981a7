"""Describe a record as plain values, for ``gapdata inspect``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gapdata.prompts.instances import visible_pixels
from gapdata.records.schema import Record


def describe_record(record: Record) -> dict[str, Any]:
    """Return the JSON fields of a record without its matrices, and figures of its masks and depth."""
    depth = np.stack([record.depth(frame) for frame in range(len(record))])
    masks = [record.instances(frame) for frame in range(len(record))] if record.has_instances else []
    seen = visible_pixels(np.stack(masks)) if masks else {}
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
                "most_visible_pixels": max(seen.get(item.object_id, (0,))),
            }
            for item in record.objects
        ],
        "prompts": [
            {"index": p.index, "frame": p.frame, "pixel": list(p.pixel), "label": p.label, "point": list(p.point)}
            for p in record.prompts
        ],
        "members": {name: len(data) for name, data in record.members.items()},
    }
