"""The definition of a task: a row of the registry (:mod:`gapdata.tasks.questions`) with all that is special to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gapdata.geometry.boxes import EulerConvention
from gapdata.records.expressions import Expression, descriptions
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks.chat import Question
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.targets import CaptionPoint, TargetBox, find_described, has_box
from gapdata.tasks.wordings import Wording, convention_of

About = Literal["prompts", "objects", "descriptions", "conversations", "space"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOptions:
    """How questions are asked; each task reads what concerns it."""

    wording: Wording = "consistent"
    convention: EulerConvention | None = None
    """Meaning of the three angles; ``None`` takes the wording's own."""
    taxonomy: str | None = None
    """Taxonomy of the names in pointmap, detection and questions about space; ``None`` takes the record's own labels.

    Those are what annotators wrote while they looked at the object, and mostly say more than a class, as in "office
    chair". A class would not be surer: a question about space names an object only where no other one of the scan has
    the same name in any taxonomy, or one that contains the name or is contained in it
    (:func:`gapdata.records.unique_names.means_one`)."""
    missing_label: MissingLabel = "label"
    min_visible_pixels: int = 1
    """An object is asked about if one frame shows this much of it (the first frame, for ``grounding_box``)."""
    max_objects: int | None = None
    """The largest number of objects that detection asks for."""
    marks: int = 1
    """Pixels that one pointmap question marks."""
    boxes: TargetBox = "aligned"
    """Kind of box that grounding answers with and captioning points at."""
    caption_point: CaptionPoint = "truth"
    per_kind: int = 2
    """The most questions of one spatial type about a view."""

    @property
    def angles(self) -> EulerConvention:
        """The convention in which the nine numbers of a box are written.

        Raises:
            UsageError: the wording is unknown.
        """
        return convention_of(self.wording, self.convention)


DEFAULT = QuestionOptions()


Render = Callable[[Record, QuestionOptions, np.random.Generator], list[Question]]
Obstacle = Callable[[Record, Expression, QuestionOptions], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A kind of question that records are asked."""

    name: str
    about: About
    """What a record must hold to be asked."""
    render: Render
    """All questions that a record holds, in its order."""
    parse: Callable[[str], Any]
    """A model's text as a typed answer, or :class:`gapdata.tasks.chat.Unparsable`; never raises."""
    varied: bool = False
    """Whether the questions stay true when frames are changed or mirrored; text that people wrote does not."""
    count: Callable[[int, QuestionOptions], int] | None = None
    """The number of questions for a number of prompts or objects; ``None`` where only rendering tells."""
    left_out: Callable[[Record, QuestionOptions], Mapping[str, int]] | None = None
    """How many of the things that a record holds are not asked about, by reason; ``None``: nothing is left out."""
    obstacle: Obstacle | None = None
    """Of a task about descriptions: why a record cannot be asked about one of them."""


def described_task(
    name: str,
    render: Callable[[Record, Expression, QuestionOptions], Question],
    parse: Callable[[str], Any],
    further: Callable[[Record, ViewObject, QuestionOptions], str | None] | None = None,
    *,
    in_first_frame: bool = False,
) -> Task:
    """Return a task with one question for each description of an object that the view shows.

    Args:
        name: the task's.
        render: one question.
        parse: a model's text.
        further: why a record cannot be asked about an object that it lists and shows, or ``None`` where it can.
        in_first_frame: whether the first frame has to show the object.
    """

    def obstacle(record: Record, item: Expression, options: QuestionOptions) -> str | None:
        target = find_described(record, item)
        if target is None:
            return "the view does not list the object"
        if in_first_frame and target.visible_pixels[0] < max(options.min_visible_pixels, 1):
            return "the first frame shows too little of the object"
        if max(target.visible_pixels) < max(options.min_visible_pixels, 1):
            return "no frame shows enough of the object"
        return None if further is None else further(record, target, options)

    def asked(record: Record, options: QuestionOptions, _: np.random.Generator) -> list[Question]:
        items = descriptions(record)
        return [render(record, item, options) for item in items if obstacle(record, item, options) is None]

    def left_out(record: Record, options: QuestionOptions) -> dict[str, int]:
        reasons = [obstacle(record, item, options) for item in descriptions(record)]
        return dict(Counter(reason for reason in reasons if reason is not None))

    return Task(name=name, about="descriptions", render=asked, parse=parse, left_out=left_out, obstacle=obstacle)


def no_box(record: Record, target: ViewObject, options: QuestionOptions) -> str | None:
    """Return why an object's box cannot be asked for, or ``None`` where it can."""
    return None if has_box(record, target, options.boxes) else "the object has no aligned box"
