"""Read ``<id>_3dod_annotation.json``: the oriented boxes of a capture's furniture.

``data[].segments.obbAligned`` has ``centroid``, ``axesLengths`` (full lengths) and ``normalizedAxes`` (nine numbers,
one axis in each **row**), metres, in the world of mesh and poses. ``obb`` beside it is in other units and another
frame. ``objectId`` repeats, so that an object's id is its place in ``data``. ``skipped: true`` means that nobody
annotated the capture, which is not the same as a capture without furniture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapdata.files.checked_values import finite, text
from gapdata.files.json_text import decode_json
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import RIGID_TOLERANCE
from gapdata.sources.base import SceneObject

MAX_BOXES = 10_000
LONGEST = 100.0  # metres


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFile:
    """What the file says."""

    objects: tuple[SceneObject, ...]
    skipped: bool
    """Whether nobody annotated the capture."""
    duplicates: Mapping[int, int]  # object id that is left out -> the same object, which is kept
    notes: Mapping[str, int]  # defects by name


def parse_boxes(data: bytes) -> BoxFile:
    """Read the objects of a capture; their boxes are in the world of the mesh.

    Raises:
        ValueError: it is not JSON, or lacks ``data``; the message says what it is.
    """
    content = decode_json(data)
    items = content.get("data") if isinstance(content, dict) else None
    skipped = isinstance(content, dict) and content.get("skipped") is True
    if skipped:
        return BoxFile(objects=(), skipped=True, duplicates={}, notes={})
    if not isinstance(items, list) or len(items) > MAX_BOXES:
        raise ValueError("lacks the list data of annotated objects")
    notes: Counter[str] = Counter()
    objects: list[SceneObject] = []
    duplicates: dict[int, int] = {}
    seen: dict[tuple[str, bytes], int] = {}
    for object_id, item in enumerate(items):
        found = _read(object_id, item)
        if isinstance(found, str):
            notes[found] += 1
            continue
        assert found.box is not None
        same = (found.label, np.concatenate([found.box.center, found.box.size, found.box.rotation.ravel()]).tobytes())
        original = seen.setdefault(same, object_id)
        if original != object_id:
            duplicates[object_id] = original
            notes["duplicated_object"] += 1
        else:
            objects.append(found)
    return BoxFile(objects=tuple(objects), skipped=False, duplicates=duplicates, notes=notes)


def _read(object_id: int, item: Any) -> SceneObject | str:
    """Return an object, or the name of the defect for which it is left out."""
    fields = item if isinstance(item, dict) else {}
    label = text(fields.get("label"))
    segments = fields.get("segments")
    box = segments.get("obbAligned") if isinstance(segments, dict) else None
    box = box if isinstance(box, dict) else {}
    center, size, axes = (
        finite(box.get(name), (count,)) for name, count in (("centroid", 3), ("axesLengths", 3), ("normalizedAxes", 9))
    )
    if label is None:
        return "box_without_label"
    if center is None or size is None or axes is None:
        return "box_without_numbers"
    if size.min() <= 0 or size.max() > LONGEST or np.abs(center).max() > 1e3:
        return "box_of_impossible_size"
    rotation = axes.reshape(3, 3).T.copy()
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_TOLERANCE:
        return "box_with_leaning_axes"
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1  # the same box: it is symmetric in each axis
    return SceneObject(
        object_id=object_id,
        label=label.strip(),
        box=OrientedBox(center=center, size=size, rotation=rotation),
    )
