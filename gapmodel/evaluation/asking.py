"""The held-out questions of a build, in their order, with the records that they are about.

A question's id (:func:`gapdata.tasks.predictions.question_id`) follows from the build and from how it is asked, so
predictions can be kept by id, and an interrupted evaluation knows what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gapdata.records.expressions import Expression, descriptions
from gapdata.records.keys import around_key
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.shards.records import Records
from gapdata.tasks import captioning, detection, grounding, grounding_box, grounding_frame, pointmap
from gapdata.tasks.chat import Question
from gapdata.tasks.detection import TextBox
from gapdata.tasks.predictions import Asking, question_id
from gapdata.tasks.questions import obstacle
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.given_records import GivenRecord, GivenRecords

Item = TypeVar("Item")

TASKS = ("pointmap", "detection", "grounding", "grounding_two_stage", "captioning")
"""The tasks of the paper; the points of ``pointmap`` are also scored together, scene by scene. Types of spatial
questions are tasks of their own (:mod:`gapmodel.evaluation.spatial_asking`)."""
LANGUAGE_TASKS = TASKS[2:]
AROUND = 9
"""A second stage sees this many frames before and after the chosen one, as in GAP-MLLM's inference."""
TOKENS = {"pointmap": 64, "grounding": 160, "grounding_frame": 48, "grounding_box": 128, "captioning": 256}
"""Longest answer of each kind of question; for detection it grows with the largest number of boxes in a view."""
TOKENS_PER_BOX = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that is put to the model."""

    id: str
    kind: str  # a key of TOKENS, "detection", or a type of spatial question
    index: int  # of the record in the build
    key: str  # the record's
    number: int  # of the prompt or the description within the record
    question: Question
    tokens: int  # longest answer
    order: tuple[int, ...] = ()  # frames of the record that are shown, in this order; empty for all
    spatial: SpatialQuestion | None = None  # of a spatial question: its provenance, by which it is scored


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuestions:
    """One task's questions, the records that they are about, and counts of what is left out, by reason."""

    task: str
    asking: Asking
    asked: tuple[Asked, ...]
    records: dict[int, Record]  # by index, without their images
    left_out: dict[str, int]
    missed: tuple[tuple[int, int], ...] = ()  # captioning: (record, description) of objects without a proposal


def task_questions(reader: Records, asking: Asking, task: str, limit: int | None = None) -> TaskQuestions:
    """Return the questions of one task, at most ``limit``, spread evenly; none where the split has nothing to ask.

    Raises:
        UsageError: the task is unknown.
        ShardError: a record cannot be read or contradicts itself.
    """
    check_choice("task", task, TASKS)
    records = {index: _known(reader.without_images(index), asking, task) for index in positions(reader, asking, task)}
    if task == "pointmap":
        asked = [item for index, record in records.items() for item in _pointmap(index, record, asking)]
        return _chosen(task, asking, asked, records, limit)
    if task == "detection":
        tokens = 16 + TOKENS_PER_BOX * (2 * max((len(truth(r, asking)) for r in records.values()), default=0) + 2)
        asked = [_detection(index, record, asking, tokens) for index, record in records.items()]
        return _chosen(task, asking, asked, records, limit)
    return _language(task, records, asking, limit)


def positions(reader: Records, asking: Asking, task: str) -> list[int]:
    """Return the positions of the records that a task is asked about."""
    kinds = (asking.language_view, asking.view) if task in LANGUAGE_TASKS else (asking.view,)
    for kind in kinds:
        if found := reader.select(split=asking.split, view=kind):
            return found
    return []


def truth(record: Record, asking: Asking) -> list[TextBox]:
    """Return the boxes that a detector should report, unrounded; of other people's rows theirs."""
    if isinstance(record, GivenRecord):
        return list(record.true_boxes)
    options = asking.options
    found = detection.targets(record, options)
    return [detection.text_box(item, options) for item in found]


def around_views(reader: Records) -> Mapping[str, int]:
    """Return the positions of the build's views around a frame, by their keys."""
    if isinstance(reader, GivenRecords):
        return reader.around
    return {reader.keys[index]: index for index in reader.select(view="around")}


def second_stage(
    reader: Records, around: Mapping[str, int], first: Asked, record: Record, frame: int, asking: Asking
) -> Asked:
    """Return the second of two grounding questions, about a view that begins with a frame of the first one's record.

    If the build has the view around that frame (``<scene>-around-<frame id>``, :func:`around_views`), it is shown; else
    the frames of the record itself: the chosen one, up to nine that follow it and up to nine before it, nearest first.
    """
    key = around_key(record.scene_id, record.frame_ids[frame])
    expression = descriptions(record)[first.number]
    index = around.get(key)
    after, before = range(frame, len(record)), range(frame - 1, -1, -1)
    order = () if index is not None else (*after[: AROUND + 1], *before[:AROUND])
    frames = len(order) if index is None else len(reader.without_images(index))
    return Asked(
        id=second_id(first, frame),
        kind="grounding_box",
        index=first.index if index is None else index,
        key=record.key if index is None else key,
        number=first.number,
        question=Question(text=grounding_box.question_text(frames, expression, asking.options.wording), answer=""),
        tokens=TOKENS["grounding_box"],
        order=order,
    )


def second_id(first: Asked, frame: int) -> str:
    """Return the id of the second stage's question that follows a first one."""
    return question_id("grounding_box", first.key, first.number, frame)


def first_frames(record: Record, frames: int) -> Record:
    """Return the record of the first ``frames`` frames; the whole one for 0."""
    return record.subset(range(min(frames or len(record), len(record))))


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Choose at most ``limit`` of ``items``, evenly spaced, so that every scene is represented."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def _known(record: Record, asking: Asking, task: str) -> Record:
    return record if task in LANGUAGE_TASKS else first_frames(record, asking.frames)


def _chosen(
    task: str, asking: Asking, asked: Sequence[Asked], records: dict[int, Record], limit: int | None
) -> TaskQuestions:
    chosen = tuple(spread(asked, limit))
    used = {item.index for item in chosen}
    kept = {index: record for index, record in records.items() if index in used}
    return TaskQuestions(task=task, asking=asking, asked=chosen, records=kept, left_out={})


def _pointmap(index: int, record: Record, asking: Asking) -> list[Asked]:
    options = asking.options
    return [
        Asked(
            id=question_id("pointmap", record.key, prompt.index),
            kind="pointmap",
            index=index,
            key=record.key,
            number=number,
            question=pointmap.render(record, prompt, options),
            tokens=TOKENS["pointmap"],
            order=tuple(range(len(record))),
        )
        for number, prompt in enumerate(record.prompts)
    ]


def _detection(index: int, record: Record, asking: Asking, tokens: int) -> Asked:
    question = Question(text=detection.question_text(len(record), asking.options.wording), answer="")
    return Asked(
        id=question_id("detection", record.key),
        kind="detection",
        index=index,
        key=record.key,
        number=0,
        question=question,
        tokens=tokens,
        order=tuple(range(len(record))),
    )


def _language(task: str, records: dict[int, Record], asking: Asking, limit: int | None) -> TaskQuestions:
    kind = {"grounding_two_stage": "grounding_frame"}.get(task, task)
    chosen, missed, left_out = _described(task, records, asking.options)
    asked = [
        Asked(
            id=question_id(kind, records[index].key, number),
            kind=kind,
            index=index,
            key=records[index].key,
            number=number,
            question=_question(kind, records[index], descriptions(records[index])[number], asking.options),
            tokens=TOKENS[kind],
        )
        for index, number in spread(chosen, limit)
    ]
    used = {item.index for item in asked} | {index for index, _ in missed}
    return TaskQuestions(
        task=task,
        asking=asking,
        asked=tuple(asked),
        records={index: record for index, record in records.items() if index in used},
        left_out=dict(sorted(left_out.items())),
        missed=tuple(missed) if limit is None else (),
    )


def _described(
    task: str, records: dict[int, Record], options: QuestionOptions
) -> tuple[list[tuple[int, int]], list[tuple[int, int]], Counter[str]]:
    """Return the descriptions, as (record, number), that are asked about and those that lack a proposal; count others.

    Captioning asks about an object once, however many descriptions and views of its scene it has.
    """
    # The second stage asks for the box in the frame, so there must be a true one.
    asked_as = {"grounding_two_stage": "grounding"}.get(task, task)
    chosen: list[tuple[int, int]] = []
    missed: list[tuple[int, int]] = []
    left_out: Counter[str] = Counter()
    met: set[tuple[str, int, str]] = set()
    for index, record in records.items():
        for number, expression in enumerate(descriptions(record)):
            item = (record.scene_id, expression.object_id, expression.object_name)
            if task == "captioning" and item in met:
                continue
            reason = obstacle(record, expression, asked_as, options)
            if reason is None:
                chosen.append((index, number))
            elif reason == "the object has no proposal":
                missed.append((index, number))
            else:
                left_out[reason] += 1
                continue
            met.add(item)
    return chosen, missed, left_out


def _question(kind: str, record: Record, expression: Expression, options: QuestionOptions) -> Question:
    if kind == "captioning":
        return captioning.render(record, expression, options)
    render = grounding_frame.question_text if kind == "grounding_frame" else grounding.question_text
    return Question(text=render(len(record), expression, options.wording), answer="")
