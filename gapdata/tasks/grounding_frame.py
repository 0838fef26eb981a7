"""Visual grounding in two stages (GAP-MLLM), the first: the frame that shows a described object best."""

from __future__ import annotations

import json

from gapdata.records.expressions import Expression
from gapdata.records.schema import Record
from gapdata.tasks.chat import Question, Unparsable, entries, read_json, whole_number
from gapdata.tasks.grounding import numbered_images, sentence
from gapdata.tasks.targets import described
from gapdata.tasks.task import DEFAULT, QuestionOptions, described_task
from gapdata.tasks.wordings import Wording, convention_of

THEIRS = (
    "Localize the first clear frame in the video showing the object described in the text.\n"
    "Text: {text}\n"
    'Output a JSON dictionary with the frame index in "frame".\n'
)
OURS = (
    "Localize the frame in the video that shows the object described in the text best.\n"
    "Text: {text}\n"
    'Output a JSON dictionary with the frame index in "frame".'
)


def render(record: Record, expression: Expression, options: QuestionOptions = DEFAULT) -> Question:
    """Return the question for the frame that shows the most pixels of a described object.

    VG-LLM does not ask this; both of its wordings give GAP-MLLM's text.

    Raises:
        ShardError: the record does not list the object, or no frame shows it.
    """
    convention_of(options.wording)
    answer = answer_text(described(record, expression).best_frame())
    return Question(text=question_text(len(record), expression, options.wording), answer=answer)


def question_text(frames: int, expression: Expression, wording: Wording = "consistent") -> str:
    """Return the question about ``frames`` frames; it does not need the truth, so any view can be asked."""
    text = (OURS if wording == "consistent" else THEIRS).format(text=sentence(expression))
    return f"{numbered_images(frames)}\n{text}"


def answer_text(frame: int) -> str:
    """Return the answer, in the form of VG-LLM's one-pass answer without its box."""
    return "```json\n\t" + json.dumps({"frame": frame}) + "\n```"


def parse(text: str, frames: int | None = None) -> int | Unparsable:
    """Read a model's answer: a position in the view, less than ``frames`` where that is given. Never raises.

    GAP-MLLM's evaluation takes frame 0 for an answer that it cannot read; that is for the caller to do.
    """
    found = [entry["frame"] for entry in entries(read_json(text), ("frame",)) if "frame" in entry]
    if not found:
        return Unparsable("no JSON object with the key frame")
    frame = whole_number(found[0], frames)
    return Unparsable("frame is not a position in the view") if frame is None else frame


TASK = described_task("grounding_frame", render, parse)
