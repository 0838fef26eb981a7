"""Stage 2, 3D video object detection: all visible objects, as oriented boxes in the camera of the first frame.

The wording and the answer's exact bytes are VG-LLM's and GAP-MLLM's. Their published prompt asks for ``"box_3d"`` while
their answer says ``"bbox_3d"``. Ours says ``bbox_3d`` in both; ``wording`` selects theirs
(:mod:`gapdata.tasks.wordings`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import EulerConvention, rotation_from_euler
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks.box_text import BOX_KEYS, nine_numbers, read_box, rounded
from gapdata.tasks.chat import IMAGE, Question, Unparsable, entries, fenced_list, image_placeholders, read_json
from gapdata.tasks.labels import is_background, object_label
from gapdata.tasks.task import DEFAULT, QuestionOptions, Task
from gapdata.tasks.wordings import Wording, box_format, convention_of

INSTRUCTION = (
    "Detect the 3D bounding boxes in the camera coordinate system of the first frame.\n"
    'Output a json list where each entry contains the object name in "label" and its 3D bounding box in "{key}".\n'
)
PROMPT = INSTRUCTION.format(key="bbox_3d") + box_format("consistent")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextBox:
    """A box as text carries it: centre and full size in metres, first camera, and three angles in radians."""

    label: str
    values: tuple[float, ...]  # (9,)

    def rotation(self, convention: EulerConvention) -> NDArray[np.float64]:
        """Return the (3, 3) matrix that the three angles mean in ``convention``."""
        return rotation_from_euler(np.array(self.values[6:]), convention)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionAnswer:
    """The usable boxes of an answer, and how many entries were not usable."""

    boxes: tuple[TextBox, ...]
    rejected: int = 0


def targets(record: Record, options: QuestionOptions = DEFAULT) -> tuple[ViewObject, ...]:
    """Return the objects that a detector should report, in the order in which they come into sight.

    An object counts when at least one frame shows ``min_visible_pixels`` of it (and at least one pixel) and its label
    is not background (:func:`gapdata.tasks.labels.is_background`). ``max_objects`` keeps those that cover the most
    pixels over the view. ``taxonomy`` and ``missing_label`` choose the label.
    """
    enough = max(options.min_visible_pixels, 1)
    kept = []
    for item in record.objects:
        label = object_label(item, options.taxonomy, options.missing_label)
        if label is not None and not is_background(label) and max(item.visible_pixels, default=0) >= enough:
            kept.append(item)
    if options.max_objects is not None:
        largest = sorted(kept, key=lambda item: (-sum(item.visible_pixels), item.object_id))[: options.max_objects]
        kept = [item for item in kept if item in largest]
    return tuple(sorted(kept, key=lambda item: _first_sight(item, enough)))


def _first_sight(item: ViewObject, min_visible_pixels: int) -> int:
    return next(frame for frame, count in enumerate(item.visible_pixels) if count >= min_visible_pixels)


def text_box(item: ViewObject, options: QuestionOptions = DEFAULT) -> TextBox:
    """Return an object's box as nine numbers, unrounded, under the label that the options choose."""
    label = object_label(item, options.taxonomy, options.missing_label)
    return TextBox(label=item.label if label is None else label, values=nine_numbers(item.box, options.angles))


def render(record: Record, options: QuestionOptions = DEFAULT) -> Question:
    """Return the detection question about a whole view.

    A view without targets is answered with an empty list.
    """
    return Question(
        text=question_text(len(record), options.wording),
        answer=answer_text(text_box(item, options) for item in targets(record, options)),
    )


def question_text(frames: int, wording: Wording = "consistent") -> str:
    """Return the question about ``frames`` frames.

    VG-LLM's second version puts a line break after every placeholder.
    """
    convention_of(wording)
    key = "box_3d" if wording in ("gap", "vgllm_v1") else "bbox_3d"
    images = (IMAGE + "\n") * frames if wording == "vgllm_v2" else image_placeholders(frames)
    return images + INSTRUCTION.format(key=key) + box_format(wording)


def answer_text(boxes: Iterable[TextBox]) -> str:
    """Return the answer, byte for byte as in VG-LLM's and GAP-MLLM's files; like theirs, it may hold ``-0.0``."""
    return fenced_list({"label": box.label, "bbox_3d": rounded(box.values)} for box in boxes)


def parse(text: str) -> DetectionAnswer | Unparsable:
    """Read a model's answer: a list of entries, single entries one after another, or a list that was cut off.

    Entries without a text label and nine finite numbers (sizes not negative) are left out and counted. Never raises.
    """
    values = read_json(text)
    if not values:
        return Unparsable("no JSON list")
    found = entries(values, ("label", *BOX_KEYS))
    if not found:
        empty = any(value == [] for value in values)
        return DetectionAnswer(boxes=()) if empty else Unparsable("no entry with a label and nine finite numbers")
    boxes = [box for entry in found if (box := _entry(entry)) is not None]
    if not boxes:
        return Unparsable("no entry with a label and nine finite numbers")
    return DetectionAnswer(boxes=tuple(boxes), rejected=len(found) - len(boxes))


def _entry(entry: dict[str, Any]) -> TextBox | None:
    values, label = read_box(entry), entry.get("label")
    return TextBox(label=label, values=values) if isinstance(label, str) and values is not None else None


TASK = Task(
    name="detection",
    about="objects",
    render=lambda record, options, rng: [render(record, options)],
    parse=parse,
    varied=True,
    count=lambda objects, options: 1,
)
