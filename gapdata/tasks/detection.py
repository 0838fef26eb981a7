"""Stage 2, 3D video object detection: all visible objects, as oriented boxes in the camera of the first frame.

The wording and the answer's exact bytes are VG-LLM's and GAP-MLLM's, whose shipped prompt asks for ``"box_3d"`` while
its answer says ``"bbox_3d"``. Ours says ``bbox_3d`` in both; ``wording="gap"`` gives theirs. Nine numbers do not make
a box without a
convention: GAP-MLLM's sample is ``extrinsic_zxy`` (R = Ry(c) Rx(b) Rz(a)), EmbodiedScan ``intrinsic_zxy``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import background
from gapdata.geometry.boxes import EulerConvention, euler_from_rotation, rotation_from_euler
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks.chat import Question, Unparsable, finite_numbers, image_placeholders, read_json

Wording = Literal["consistent", "gap"]

DECIMALS = 2
BACKGROUND = background()
"""Labels that are no detection targets: ``manifests/categories/background.txt``."""
KEYS = ("bbox_3d", "box_3d")
PROMPT = (
    "Detect the 3D bounding boxes in the camera coordinate system of the first frame.\n"
    'Output a json list where each entry contains the object name in "label" and its 3D bounding box in "{key}".\n'
    "The 3D bounding box format should be [x_center, y_center, z_center, x_size, y_size, z_size, yaw, pitch, roll]."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBox:
    """A box as text carries it: centre and full size in metres, first camera, and three angles in radians."""

    label: str
    values: tuple[float, ...]  # (9,)

    def rotation(self, convention: EulerConvention) -> NDArray[np.float64]:
        """The (3, 3) matrix that the three angles mean in ``convention``."""
        return rotation_from_euler(np.array(self.values[6:]), convention)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionAnswer:
    """The usable boxes of an answer, and how many entries were not usable."""

    boxes: tuple[TextBox, ...]
    rejected: int = 0


def targets(record: Record, *, min_visible_pixels: int = 1, max_objects: int | None = None) -> tuple[ViewObject, ...]:
    """The objects that a detector should report, in the order in which they come into sight.

    An object counts when at least one frame shows ``min_visible_pixels`` of it and its label is no background.
    ``max_objects`` keeps those that cover the most pixels over the view.
    """
    kept = [
        item
        for item in record.objects
        if max(item.visible_pixels) >= min_visible_pixels and item.label.lower() not in BACKGROUND
    ]
    if max_objects is not None:
        largest = sorted(kept, key=lambda item: (-sum(item.visible_pixels), item.object_id))[:max_objects]
        kept = [item for item in kept if item in largest]
    return tuple(sorted(kept, key=lambda item: _first_sight(item, min_visible_pixels)))


def _first_sight(item: ViewObject, min_visible_pixels: int) -> int:
    return next(frame for frame, count in enumerate(item.visible_pixels) if count >= min_visible_pixels)


def text_box(item: ViewObject, convention: EulerConvention = "extrinsic_zxy") -> TextBox:
    """An object's box as nine numbers, unrounded."""
    angles = euler_from_rotation(np.array(item.rotation), convention)
    return TextBox(label=item.label, values=(*item.center, *item.size, *(float(angle) for angle in angles)))


def render(
    record: Record,
    *,
    wording: Wording = "consistent",
    convention: EulerConvention = "extrinsic_zxy",
    min_visible_pixels: int = 1,
    max_objects: int | None = None,
) -> Question:
    """The detection question about a whole view. A view without targets is answered with an empty list."""
    found = targets(record, min_visible_pixels=min_visible_pixels, max_objects=max_objects)
    key = "box_3d" if wording == "gap" else "bbox_3d"
    return Question(
        text=image_placeholders(len(record)) + PROMPT.format(key=key),
        answer=answer_text(text_box(item, convention) for item in found),
    )


def answer_text(boxes: Iterable[TextBox]) -> str:
    """The answer, byte for byte as in VG-LLM's and GAP-MLLM's files: Python's rounding (``-0.0`` stays), default JSON
    separators, one entry a line, and the closing fence glued to the bracket."""
    lines = (
        json.dumps({"label": box.label, "bbox_3d": [round(value, DECIMALS) for value in box.values]}) for box in boxes
    )
    return "```json\n[\n\t" + ",\n\t".join(lines) + "\n]```"


def parse(text: str) -> DetectionAnswer | Unparsable:
    """Read a model's answer: a list of entries, single entries one after another, or a list that was cut off.

    Entries without a text label and nine finite numbers with positive sizes are left out and counted. Never raises.
    """
    values = read_json(text)
    if not values:
        return Unparsable("no JSON list")
    entries: list[Any] = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
    if not entries:
        return DetectionAnswer(boxes=())
    boxes = [box for entry in entries if (box := _entry(entry)) is not None]
    if not boxes:
        return Unparsable("no entry with a label and nine finite numbers")
    return DetectionAnswer(boxes=tuple(boxes), rejected=len(entries) - len(boxes))


def _entry(entry: Any) -> TextBox | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        return None
    values = next((finite_numbers(entry[key], 9) for key in KEYS if key in entry), None)
    if values is None or min(values[3:6]) <= 0:
        return None
    return TextBox(label=entry["label"], values=values)
