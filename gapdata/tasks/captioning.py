"""Stage 2, dense captioning (Scan2Cap): describe the object at a point that is given in the first frame's camera.

The question is VG-LLM's and GAP-MLLM's. In training the point is the centre of the true box; in evaluation it is the
centre of the detector's proposal that overlaps the object best, and the object's descriptions are the references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.records.expressions import Expression
from gapdata.records.schema import Record, ViewObject
from gapdata.runtime.choices import check_choice
from gapdata.tasks.box_text import rounded
from gapdata.tasks.chat import MAX_CHARACTERS, Question, Unparsable, image_placeholders
from gapdata.tasks.grounding import sentence
from gapdata.tasks.targets import CaptionPoint, TargetBox, camera_box, described
from gapdata.tasks.task import DEFAULT, QuestionOptions, described_task, no_box

PROMPT = "Carefully watch the video and describe the object located at {point} in detail."
_FENCE = re.compile(r"\A```[A-Za-z]{0,16}\s|```\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionAnswer:
    """A model's description of an object."""

    text: str


def render(record: Record, expression: Expression, options: QuestionOptions = DEFAULT) -> Question:
    """Return the question for one description of an object.

    Args:
        record: the view.
        expression: the description that is the answer.
        options: the point is the centre of the true box (training) or of the best proposal (evaluation).

    Raises:
        ShardError: the record does not list the object, or lacks its box or proposal.
        UsageError: the caption point is unknown.
    """
    given = asked_point(record, described(record, expression), options.caption_point, options.boxes)
    return Question(text=question_text(len(record), given.tolist()), answer=sentence(expression))


def question_text(frames: int, point: Iterable[float]) -> str:
    """Return the question about ``frames`` frames and a point in metres, first camera."""
    return f"{image_placeholders(frames)}\n" + PROMPT.format(point=rounded(list(point)))


def asked_point(record: Record, item: ViewObject, point: CaptionPoint, boxes: TargetBox) -> NDArray[np.float64]:
    """Return the point (3,) in metres, first camera, that stands for an object in the question.

    Raises:
        ShardError: the record lacks the object's box or proposal.
        UsageError: the caption point is unknown.
    """
    check_choice("caption point", point, get_args(CaptionPoint))
    if point == "truth":
        return camera_box(record, item, 0, boxes).center
    if item.proposal is None:
        raise ShardError(
            f"record {record.key}: object {item.object_id} has no proposal",
            cure="build the shards with Mask3D's proposals among --annotations, or use caption_point = 'truth'",
        )
    return np.array(item.proposal["center"], dtype=np.float64)


def references(expressions: Iterable[Expression]) -> dict[tuple[int, str], tuple[str, ...]]:
    """Group the descriptions of each object, unchanged and in order.

    The key is (object id, object name), as in Scan2Cap's evaluation.
    """
    found: dict[tuple[int, str], list[str]] = {}
    for item in expressions:
        found.setdefault((item.object_id, item.object_name), []).append(item.text)
    return {key: tuple(texts) for key, texts in found.items()}


def metric_text(text: str) -> str:
    """Return a caption or reference in the form that VG-LLM's and GAP-MLLM's caption metrics compare.

    That is lower case, full stops and commas as words of their own, between ``sos`` and ``eos``. An empty caption gives
    ``"sos  eos"``.
    """
    return "sos " + text.replace(".", " . ").replace(",", " , ").lower() + " eos"


def parse(text: str) -> CaptionAnswer | Unparsable:
    """Read a model's caption: its text without surrounding space and Markdown fences. Never raises."""
    caption = _FENCE.sub("", text[:MAX_CHARACTERS].strip()).strip()
    return CaptionAnswer(text=caption) if caption else Unparsable("empty caption")


def _no_point(record: Record, target: ViewObject, options: QuestionOptions) -> str | None:
    if options.caption_point == "proposal":
        return "the object has no proposal" if target.proposal is None else None
    return no_box(record, target, options)


TASK = described_task("captioning", render, parse, _no_point)
