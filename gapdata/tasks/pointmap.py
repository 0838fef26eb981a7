"""Stage 1, geometry-aligned pre-training: the label at a marked pixel, and its point in metres.

GAP-MLLM (arXiv 2603.16461) marks one pixel of one frame with a red cross and asks for its semantic label and its
point in the camera of the first frame. The authors published the answer's key (``pointmap``), its form (a dictionary
in a JSON fence) and its metric, but not the wording of the question; this one is ours. Several pixels can be asked
about at once: then each cross has a colour and a number (:mod:`gapdata.prompts.marks`), and the answer is a list whose
entries name their mark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gapdata.errors import ShardError, UsageError
from gapdata.prompts.marks import MAX_MARKS
from gapdata.records.schema import Prompt, Record
from gapdata.runtime.counting import counted
from gapdata.tasks.box_text import rounded
from gapdata.tasks.chat import (
    Mark,
    Question,
    Unparsable,
    entries,
    fenced_list,
    finite_numbers,
    image_placeholders,
    read_json,
    whole_number,
)
from gapdata.tasks.labels import label_of
from gapdata.tasks.task import DEFAULT, QuestionOptions, Task

WITH_LABEL = (
    'What is at the red cross ("label"), and where is it in the first camera, [x, y, z] in metres ("pointmap")?\n'
    "Output a JSON dictionary."
)
WITHOUT_LABEL = (
    'Where is the red cross in the first camera, [x, y, z] in metres ("pointmap")?\nOutput a JSON dictionary.'
)
SEVERAL_WITH_LABEL = (
    'What is at each of the {count} numbered crosses ("label"), and where is it in the first camera, '
    '[x, y, z] in metres ("pointmap")?\n'
    'Output a JSON list with one entry for each cross, its number in "mark".'
)
SEVERAL_WITHOUT_LABEL = (
    'Where is each of the {count} numbered crosses in the first camera, [x, y, z] in metres ("pointmap")?\n'
    'Output a JSON list with one entry for each cross, its number in "mark".'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointmapAnswer:
    """A point in metres, first camera, and the label where one was given."""

    point: tuple[float, float, float]
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPoints:
    """The usable answers to a question about several marks, by the mark's number, and how many were not usable."""

    points: Mapping[int, PointmapAnswer]
    rejected: int = 0


def render(record: Record, prompt: Prompt, options: QuestionOptions = DEFAULT) -> Question:
    """Return the question that marks ``prompt.pixel`` of ``prompt.frame``.

    A prompt without label asks for the point alone.
    ``taxonomy`` asks for that name of the prompt's object instead of the prompt's own label; where the object does not
    have one, ``missing_label`` decides (``drop`` asks for the point alone).

    Raises:
        ShardError: the prompt names a frame that the record does not have.
    """
    answer = answer_of(record, prompt, options)
    return Question(
        text=image_placeholders(len(record)) + (WITHOUT_LABEL if answer.label is None else WITH_LABEL),
        answer=answer_text(answer),
        marks=(Mark(frame=prompt.frame, pixel=prompt.pixel),),
    )


def render_several(record: Record, prompts: Sequence[Prompt], options: QuestionOptions = DEFAULT) -> Question:
    """Return one question about all of ``prompts``, numbered from 1 in their order.

    A single prompt is asked about by :func:`render`.
    Labels are asked for where every prompt has one: a question that asks for a label is never answered without.

    Raises:
        ShardError: a prompt names a frame that the record does not have.
        UsageError: ``prompts`` is empty, or longer than there are marks to tell apart.
    """
    if not 1 <= len(prompts) <= MAX_MARKS:
        raise UsageError(
            f"a question has {counted(len(prompts), 'mark')}, it can have 1 to {MAX_MARKS}", cure="lower data.marks"
        )
    if len(prompts) == 1:
        return render(record, prompts[0], options)
    answers = [answer_of(record, prompt, options) for prompt in prompts]
    if any(answer.label is None for answer in answers):
        answers = [PointmapAnswer(point=answer.point, label=None) for answer in answers]
    text = SEVERAL_WITHOUT_LABEL if answers[0].label is None else SEVERAL_WITH_LABEL
    return Question(
        text=image_placeholders(len(record)) + text.format(count=len(prompts)),
        answer=several_answer_text(dict(enumerate(answers, start=1))),
        marks=tuple(
            Mark(frame=prompt.frame, pixel=prompt.pixel, number=number)
            for number, prompt in enumerate(prompts, start=1)
        ),
    )


def answer_of(record: Record, prompt: Prompt, options: QuestionOptions) -> PointmapAnswer:
    """Return the answer to the question about a prompt; arguments as in :func:`render`.

    Raises:
        ShardError: the prompt names a frame that the record does not have.
    """
    if not 0 <= prompt.frame < len(record):
        frames = counted(len(record), "frame")
        raise ShardError(
            f"record {record.key}: prompt {prompt.index} is in frame {prompt.frame}, the view has {frames}",
            cure="run `gapdata verify` on the build",
        )
    label = prompt.label
    if options.taxonomy is not None and prompt.object_id is not None:
        label = label_of(record, prompt.object_id, options.taxonomy, options.missing_label)
    return PointmapAnswer(point=prompt.point, label=label)


def answer_text(answer: PointmapAnswer) -> str:
    """Write the answer as the model should, metres rounded to two decimals."""
    return f"```json\n{json.dumps(_fields(answer))}\n```"


def several_answer_text(answers: Mapping[int, PointmapAnswer]) -> str:
    """Write the answer to a question about several marks, in the form of a detection answer: one entry a line."""
    return fenced_list({"mark": number, **_fields(answer)} for number, answer in answers.items())


def _fields(answer: PointmapAnswer) -> dict[str, object]:
    fields: dict[str, object] = {} if answer.label is None else {"label": answer.label}
    return {**fields, "pointmap": rounded(answer.point)}


def parse(text: str) -> PointmapAnswer | Unparsable:
    """Read a model's answer. Never raises; a label that is missing or not a text becomes ``None``."""
    found = [entry for entry in entries(read_json(text), ("pointmap",)) if "pointmap" in entry]
    if not found:
        return Unparsable("no JSON object with the key pointmap")
    return _point(found[0]) or Unparsable("pointmap is not three finite numbers")


def parse_several(text: str) -> MarkedPoints | Unparsable:
    """Read a model's answer about several marks. Never raises; of two entries for one mark the first counts.

    An entry without a mark's number or three finite numbers is left out and counted, and so is a second one.
    """
    found = entries(read_json(text), ("mark", "pointmap"))
    points: dict[int, PointmapAnswer] = {}
    for entry in found:
        number, point = whole_number(entry.get("mark")), _point(entry)
        if number is not None and point is not None:
            points.setdefault(number, point)
    if not points:
        return Unparsable("no entry with a mark and a pointmap")
    return MarkedPoints(points=points, rejected=len(found) - len(points))


def _point(entry: dict[str, Any]) -> PointmapAnswer | None:
    value, label = entry.get("pointmap"), entry.get("label")
    point = finite_numbers(list(value.values()) if isinstance(value, dict) else value, 3)
    if point is None:
        return None
    return PointmapAnswer(point=(point[0], point[1], point[2]), label=label if isinstance(label, str) else None)


def _all(record: Record, options: QuestionOptions, rng: np.random.Generator) -> list[Question]:
    # A single mark keeps the prompts' order, so that the n-th question is about the n-th prompt.
    count = len(record.prompts)
    order = list(range(count)) if options.marks == 1 else rng.permutation(count).tolist()
    groups = [order[start : start + options.marks] for start in range(0, len(order), options.marks)]
    return [render_several(record, [record.prompts[index] for index in group], options) for group in groups]


TASK = Task(
    name="pointmap",
    about="prompts",
    render=_all,
    parse=parse,
    varied=True,
    count=lambda prompts, options: -(-prompts // options.marks),
)
