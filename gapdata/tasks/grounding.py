"""Stage 2, visual grounding in one pass (VG-LLM): the frame that shows a described object best, and its box there.

The nine numbers are the box in the camera of the frame that the same answer names. GAP-MLLM asks in two steps instead,
:mod:`gapdata.tasks.grounding_frame` and :mod:`gapdata.tasks.grounding_box`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gapdata.records.expressions import Expression
from gapdata.records.schema import Record
from gapdata.tasks.box_text import BOX_KEYS, nine_numbers, read_box, rounded
from gapdata.tasks.chat import IMAGE, Question, Unparsable, entries, read_json, whole_number
from gapdata.tasks.targets import camera_box, described
from gapdata.tasks.task import DEFAULT, QuestionOptions, described_task, no_box
from gapdata.tasks.wordings import Wording, box_format

THEIRS = (
    "Localize the first clear frame in the video showing the object described in the text.\n"
    "Text: {text}\n"
    'Output a JSON dictionary with the frame index in "frame" and its 3D bounding box in "bbox_3d" '
    "in the frame's coordinates.\n"
)
OURS = (
    "Localize the frame in the video that shows the object described in the text best.\n"
    "Text: {text}\n"
    'Output a JSON dictionary with the frame index in "frame" and its 3D bounding box in "bbox_3d" '
    "in the camera coordinate system of that frame.\n"
) + box_format("consistent")
"""Their text asks for the first clear frame though their answer is the clearest, and does not explain the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingAnswer:
    """A position in the view, and the nine numbers (9,) of a box in that frame's camera."""

    frame: int
    values: tuple[float, ...]


def numbered_images(frames: int) -> str:
    """Return ``Frame-0: <image>Frame-1: <image>...``: the position of every frame, written before it."""
    return "".join(f"Frame-{index}: {IMAGE}" for index in range(frames))


def sentence(expression: Expression) -> str:
    """Return a description as questions and captions write it: with Python's ``capitalize``, as in all published data.

    Placeholders of frames are taken out.
    """
    return expression.text.capitalize().replace(IMAGE, "")


def render(record: Record, expression: Expression, options: QuestionOptions = DEFAULT) -> Question:
    """Return the question for a described object's best frame and its box in that frame's camera.

    Raises:
        ShardError: the record does not list the object, no frame shows it, or it lacks a box of that kind.
    """
    item, angles = described(record, expression), options.angles
    frame = item.best_frame()
    values = nine_numbers(camera_box(record, item, frame, options.boxes), angles)
    return Question(text=question_text(len(record), expression, options.wording), answer=answer_text(frame, values))


def question_text(frames: int, expression: Expression, wording: Wording = "consistent") -> str:
    """Return the question about ``frames`` frames; it does not need the truth, so any view can be asked."""
    text = (OURS if wording == "consistent" else THEIRS).format(text=sentence(expression))
    return f"{numbered_images(frames)}\n{text}"


def answer_text(frame: int, values: Sequence[float]) -> str:
    """Return the answer, byte for byte as in VG-LLM's data."""
    return "```json\n\t" + json.dumps({"frame": frame, "bbox_3d": rounded(values)}) + "\n```"


def parse(text: str, frames: int | None = None) -> GroundingAnswer | Unparsable:
    """Read a model's answer; with ``frames``, an index from there on is refused.

    The first entry with a frame and a box counts. Never raises.
    """
    found = [entry for entry in entries(read_json(text), ("frame", *BOX_KEYS)) if "frame" in entry]
    if not found:
        return Unparsable("no JSON object with the key frame")
    for entry in found:
        frame, values = whole_number(entry["frame"], frames), read_box(entry)
        if frame is not None and values is not None:
            return GroundingAnswer(frame=frame, values=values)
    if all(whole_number(entry["frame"], frames) is None for entry in found):
        return Unparsable("frame is not a position in the view")
    return Unparsable("bbox_3d is not nine finite numbers")


TASK = described_task("grounding", render, parse, no_box)
