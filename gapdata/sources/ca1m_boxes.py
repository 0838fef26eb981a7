"""Read ``world.gt/instances.json`` of a capture of CA-1M: the boxes of everything in the room.

The file is a list of ``{"id", "category", "position", "scale", "R"}``: centre and full edge lengths in metres, and the
rotation from the box's axes to the laser scanner's world, a matrix whose columns are the axes. ``id`` is a text that no
other file uses, so that an object's id is its place in the list. The boxes have no classes; only ``wall``, ``floor``,
``ceiling`` and ``door_frame`` say what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapdata.files.checked_values import NAME_CHARACTERS, finite, text
from gapdata.files.json_text import decode_json
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import RIGID_TOLERANCE
from gapdata.sources.base import SceneObject

STRUCTURE = frozenset({"wall", "floor", "ceiling", "door_frame"})
WITHOUT_CLASS = "object"
MAX_BOXES = 100_000
LONGEST, FARTHEST = 100.0, 1e4  # metres


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldBoxes:
    """What the file says."""

    objects: tuple[SceneObject, ...]
    notes: Mapping[str, int]  # boxes that were left out, by the name of the defect


def parse_instances(data: bytes) -> WorldBoxes:
    """Read the boxes of a capture, in the laser scanner's world.

    Raises:
        ValueError: it is not a list in JSON; the message says what it is.
    """
    items = decode_json(data)
    if not isinstance(items, list) or len(items) > MAX_BOXES:
        raise ValueError(f"is not a list of at most {MAX_BOXES:,} boxes")
    notes: Counter[str] = Counter()
    objects = []
    for place, item in enumerate(items):
        box = _box(item)
        if isinstance(box, str):
            notes[box] += 1
        else:
            label = text(item.get("category"), NAME_CHARACTERS) or WITHOUT_CLASS
            objects.append(SceneObject(object_id=place, label=label.strip(), box=box))
    return WorldBoxes(objects=tuple(objects), notes=notes)


def _box(item: Any) -> OrientedBox | str:
    """Return a box, or the name of the defect for which it is left out."""
    fields = item if isinstance(item, dict) else {}
    center, size = finite(fields.get("position"), (3,)), finite(fields.get("scale"), (3,))
    axes = finite(fields.get("R"), (3, 3))
    if center is None or size is None or axes is None:
        return "box_without_numbers"
    if not 0 < size.min() <= size.max() <= LONGEST or np.abs(center).max() > FARTHEST:
        return "box_of_impossible_size"
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGID_TOLERANCE:
        return "box_with_leaning_axes"
    # Of mirrored axes one is turned round: the box is the same, because it is symmetric in each of them.
    mirrored = axes * [1, 1, -1] if np.linalg.det(axes) < 0 else axes
    return OrientedBox(center=center, size=size, rotation=mirrored)
