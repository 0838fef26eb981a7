"""Visual grounding in two stages (GAP-MLLM), the second: the described object's box in the chosen frame's camera.

The view is the chosen frame followed by its neighbours (an ``around`` view), so the chosen camera is the first one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gapdata.records.expressions import Expression
from gapdata.records.schema import Record
from gapdata.tasks.box_text import BOX_KEYS, nine_numbers, read_box, rounded
from gapdata.tasks.chat import Question, Unparsable, entries, image_placeholders, read_json
from gapdata.tasks.grounding import sentence
from gapdata.tasks.targets import camera_box, described
from gapdata.tasks.task import DEFAULT, QuestionOptions, described_task, no_box
from gapdata.tasks.wordings import Wording, box_format

INSTRUCTION = (
    "Localize the object described in the text.\n"
    "Text: {text}\n"
    'Output a JSON dictionary with the matched object\'s 3D bounding box in "bbox_3d" '
    "in the camera coordinate system of the first frame.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxAnswer:
    """The nine numbers (9,) of a box in the first frame's camera."""

    values: tuple[float, ...]


def render(record: Record, expression: Expression, options: QuestionOptions = DEFAULT) -> Question:
    """Return the question for a described object's box in the camera of the view's first frame.

    Theirs ends with a line break, ours does not. VG-LLM does not ask this; its wordings give GAP-MLLM's text with their
    own names and convention of the angles.

    Raises:
        ShardError: the record does not list the object, or it lacks a box of that kind.
    """
    box = camera_box(record, described(record, expression), 0, options.boxes)
    answer = answer_text(nine_numbers(box, options.angles))
    return Question(text=question_text(len(record), expression, options.wording), answer=answer)


def question_text(frames: int, expression: Expression, wording: Wording = "consistent") -> str:
    """Return the question about ``frames`` frames; it does not need the truth, so any view can be asked."""
    text = INSTRUCTION.format(text=sentence(expression)) + box_format(wording)
    return image_placeholders(frames) + text + ("" if wording == "consistent" else "\n")


def answer_text(values: Sequence[float]) -> str:
    """Return the answer, in the form of VG-LLM's one-pass answer without its frame."""
    return "```json\n\t" + json.dumps({"bbox_3d": rounded(values)}) + "\n```"


def parse(text: str) -> BoxAnswer | Unparsable:
    """Read a model's answer; the first entry with a readable box counts. Never raises."""
    found = [entry for entry in entries(read_json(text), BOX_KEYS) if any(key in entry for key in BOX_KEYS)]
    if not found:
        return Unparsable("no JSON object with the key bbox_3d")
    values = next((values for entry in found if (values := read_box(entry)) is not None), None)
    return Unparsable("bbox_3d is not nine finite numbers") if values is None else BoxAnswer(values=values)


TASK = described_task("grounding_box", render, parse, no_box, in_first_frame=True)
