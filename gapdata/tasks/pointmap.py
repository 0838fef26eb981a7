"""Stage 1, geometry-aligned pre-training: what is at the marked pixel, and where in metres.

GAP-MLLM (arXiv 2603.16461) marks one pixel of one frame with a red cross and asks for its semantic label and its
point in the camera of the first frame. The authors published the answer's key (``pointmap``), its form (a dictionary
in a JSON fence) and its metric, but not the wording of the question; this one is ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from gapdata.errors import ShardError
from gapdata.records.schema import Prompt, Record
from gapdata.tasks.chat import Mark, Question, Unparsable, finite_numbers, image_placeholders, read_json

DECIMALS = 2
WITH_LABEL = (
    'What is at the red cross ("label"), and where is it in the first camera, [x, y, z] in metres ("pointmap")?\n'
    "Output a JSON dictionary."
)
WITHOUT_LABEL = (
    'Where is the red cross in the first camera, [x, y, z] in metres ("pointmap")?\nOutput a JSON dictionary.'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointmapAnswer:
    """A point in metres, first camera, and the label where one was given."""

    point: tuple[float, float, float]
    label: str | None


def render(record: Record, prompt: Prompt) -> Question:
    """The question that marks ``prompt.pixel`` of ``prompt.frame``; a prompt without label asks for the point alone.

    Raises:
        ShardError: the prompt names a frame that the record does not have.
    """
    if not 0 <= prompt.frame < len(record):
        raise ShardError(f"record {record.key}: prompt {prompt.index} names frame {prompt.frame} of {len(record)}")
    text = WITHOUT_LABEL if prompt.label is None else WITH_LABEL
    return Question(
        text=image_placeholders(len(record)) + text,
        answer=answer_text(PointmapAnswer(point=prompt.point, label=prompt.label)),
        mark=Mark(frame=prompt.frame, pixel=prompt.pixel),
    )


def answer_text(answer: PointmapAnswer) -> str:
    """The answer as the model should write it, metres rounded to two decimals."""
    fields: dict[str, object] = {} if answer.label is None else {"label": answer.label}
    fields["pointmap"] = [round(value, DECIMALS) for value in answer.point]
    return f"```json\n{json.dumps(fields)}\n```"


def parse(text: str) -> PointmapAnswer | Unparsable:
    """Read a model's answer. Never raises; a label that is missing or no text becomes ``None``."""
    values = read_json(text)
    # An entry in a list of one is how models that were tuned on detection answer.
    candidates = [item for value in values for item in (value if isinstance(value, list) else [value])]
    objects = [item for item in candidates if isinstance(item, dict) and "pointmap" in item]
    if not objects:
        return Unparsable("no JSON object with the key pointmap")
    point = finite_numbers(objects[0]["pointmap"], 3)
    if point is None:
        return Unparsable("pointmap is not three finite numbers")
    label = objects[0].get("label")
    return PointmapAnswer(point=(point[0], point[1], point[2]), label=label if isinstance(label, str) else None)
