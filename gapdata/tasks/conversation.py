"""Somebody's question and answer about the frames of a view, verbatim, so that published JSON files train unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gapdata.errors import ShardError
from gapdata.prompts.colored_shapes import shape_pixels
from gapdata.records.expressions import Conversation, conversations
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.tasks import captioning, detection, grounding, grounding_box, grounding_frame, pointmap
from gapdata.tasks.chat import IMAGE, Mark, Question, Unparsable, image_placeholders
from gapdata.tasks.task import Task

PARSERS: Mapping[str, Callable[[str], Any]] = {
    "recons": pointmap.parse,
    "det": detection.parse,
    "scanrefer1": grounding_frame.parse,
    "scanrefer2": grounding_box.parse,
    "scanrefer": grounding.parse,
    "scan2cap": captioning.parse,
}
"""Readers of answers to the tasks of GAP-MLLM's and VG-LLM's files, by the task's name in a conversation."""


def render(record: Record, conversation: Conversation) -> Question:
    """Return the conversation as it stands, with GAP-MLLM's cross where its file marks a pixel, and SPAR's shapes.

    A benchmark's question about a whole scan follows the frames of the view, whatever their number.

    Raises:
        ShardError: the numbers of placeholders and of frames differ, or it marks a frame or a pixel that the view does
            not have.
    """
    where = f"record {record.key}: conversation {conversation.index} of {conversation.source}"
    found = conversation.question.count(IMAGE)
    if not found and conversation.benchmark is not None:
        return Question(text=image_placeholders(len(record)) + conversation.question, answer=conversation.answer)
    if found != len(record):
        raise ShardError(
            f"{where} has {counted(found, 'image placeholder')} for {counted(len(record), 'frame')}",
            cure="build the shards again",
        )
    marks = tuple(
        _mark((frame, *pixel), record, where, number)
        for frame, color, place in conversation.marks
        for number, pixel in shape_pixels(color, tuple(map(round, place))).items()
    )
    if conversation.mark is not None:
        marks = (_mark(conversation.mark, record, where),)
    return Question(text=conversation.question, answer=conversation.answer, marks=marks)


def _mark(mark: tuple[int, float, float], record: Record, where: str, number: int = 0) -> Mark:
    frame, u, v = mark[0], round(mark[1]), round(mark[2])
    if not (0 <= frame < len(record) and 0 <= u < record.image_size[0] and 0 <= v < record.image_size[1]):
        raise ShardError(
            f"{where} marks pixel ({u}, {v}) of frame {frame}, which the view does not have",
            cure="build the shards again",
        )
    return Mark(frame=frame, pixel=(u, v), number=number)


def parse(task: str, text: str) -> Any:
    """Read a model's answer to a conversation of ``task`` as that task's typed answer, or as :class:`Unparsable`.

    Never raises. Tasks that are not in :data:`PARSERS` do not have typed answers.
    """
    reader = PARSERS.get(task)
    return Unparsable(f"answers to the task {task} are not parsed") if reader is None else reader(text)


TASK = Task(
    name="conversation",
    about="conversations",
    render=lambda record, options, rng: [render(record, item) for item in conversations(record)],
    parse=str,
)
