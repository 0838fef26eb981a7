"""All questions that a record holds for a task, by one set of options; and what it cannot be asked, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gapdata.geometry.boxes import EulerConvention
from gapdata.records.expressions import Expression, conversations, descriptions
from gapdata.records.schema import Record
from gapdata.runtime.choices import unknown_choice
from gapdata.tasks import captioning, conversation, detection, grounding, grounding_box, grounding_frame, pointmap
from gapdata.tasks.captioning import CaptionPoint
from gapdata.tasks.chat import Question
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.targets import TargetBox, find_described, has_box
from gapdata.tasks.wordings import Wording

TASKS = ("pointmap", "detection", "grounding_frame", "grounding_box", "grounding", "captioning", "conversation")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOptions:
    """How questions are asked; each task reads what concerns it."""

    wording: Wording = "consistent"
    convention: EulerConvention | None = None
    """Meaning of the three angles; ``None`` takes the wording's own."""
    taxonomy: str | None = None
    """Whose names pointmap and detection use; ``None`` takes the record's own labels."""
    missing_label: MissingLabel = "label"
    min_visible_pixels: int = 1
    """An object that no frame shows this much of is not asked about (the first frame, for ``grounding_box``)."""
    max_objects: int | None = None
    """Detection asks for at most so many objects."""
    marks: int = 1
    """Pixels that one pointmap question marks."""
    boxes: TargetBox = "aligned"
    """Whose box grounding answers with and captioning points at."""
    caption_point: CaptionPoint = "truth"


def questions(record: Record, task: str, options: QuestionOptions, rng: np.random.Generator) -> list[Question]:
    """The record's questions of one task, in its order; ``rng`` shares out the prompts of questions with several marks.

    Raises:
        UsageError: the task is unknown.
        ShardError: an expression of the record is malformed or contradicts it.
    """
    if task == "pointmap":
        return _pointmap(record, options, rng)
    if task == "detection":
        return [
            detection.render(
                record,
                wording=options.wording,
                convention=options.convention,
                min_visible_pixels=options.min_visible_pixels,
                max_objects=options.max_objects,
                taxonomy=options.taxonomy,
                missing_label=options.missing_label,
            )
        ]
    if task == "conversation":
        return [conversation.render(record, item) for item in conversations(record)]
    ask = _asker(record, task, options)
    return [ask(item) for item in descriptions(record) if obstacle(record, item, task, options) is None]


def left_out(record: Record, task: str, options: QuestionOptions) -> dict[str, int]:
    """How many of the record's descriptions a task does not ask about, by reason; empty for the other tasks.

    Raises:
        UsageError: the task is unknown.
        ShardError: as :func:`questions`.
    """
    if task in ("pointmap", "detection", "conversation"):
        return {}
    _asker(record, task, options)
    reasons = [obstacle(record, item, task, options) for item in descriptions(record)]
    return dict(sorted(Counter(reason for reason in reasons if reason is not None).items()))


def obstacle(record: Record, item: Expression, task: str, options: QuestionOptions) -> str | None:
    """Why a record cannot be asked about a description, or ``None`` where it can."""
    target = find_described(record, item)
    if target is None:
        return "the view does not list the object"
    enough = max(options.min_visible_pixels, 1)
    if task == "grounding_box" and target.visible_pixels[0] < enough:
        return "the first frame shows too little of the object"
    if max(target.visible_pixels) < enough:
        return "no frame shows enough of the object"
    if task == "captioning" and options.caption_point == "proposal":
        return "the object has no proposal" if target.proposal is None else None
    if task != "grounding_frame" and not has_box(record, target, options.boxes):
        return "the object has no aligned box"
    return None


def _pointmap(record: Record, options: QuestionOptions, rng: np.random.Generator) -> list[Question]:
    # A single mark keeps the prompts' order, so that the n-th question is about the n-th prompt.
    count = len(record.prompts)
    order = list(range(count)) if options.marks == 1 else rng.permutation(count).tolist()
    groups = [order[start : start + options.marks] for start in range(0, len(order), options.marks)]
    return [
        pointmap.render_several(
            record,
            [record.prompts[index] for index in group],
            taxonomy=options.taxonomy,
            missing_label=options.missing_label,
        )
        for group in groups
    ]


def _asker(record: Record, task: str, options: QuestionOptions) -> Callable[[Expression], Question]:
    wording, convention, boxes = options.wording, options.convention, options.boxes
    askers: dict[str, Callable[[Expression], Question]] = {
        "grounding_frame": lambda item: grounding_frame.render(record, item, wording=wording),
        "grounding_box": lambda item: grounding_box.render(
            record, item, wording=wording, convention=convention, boxes=boxes
        ),
        "grounding": lambda item: grounding.render(record, item, wording=wording, convention=convention, boxes=boxes),
        "captioning": lambda item: captioning.render(record, item, point=options.caption_point, boxes=boxes),
    }
    if task not in askers:
        raise unknown_choice("task", task, TASKS)
    return askers[task]
