"""The registry of all tasks: what a record can be asked, and what it cannot be asked, with the reason.

A task is one file with a :class:`gapdata.tasks.task.Task` and one row of :data:`TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gapdata.records.expressions import Expression, conversations, descriptions
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.tasks import captioning, conversation, detection, grounding, grounding_box, grounding_frame, pointmap
from gapdata.tasks.chat import Question
from gapdata.tasks.spatial.kinds import KINDS, task_of
from gapdata.tasks.task import QuestionOptions, Task

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        pointmap.TASK,
        detection.TASK,
        grounding_frame.TASK,
        grounding_box.TASK,
        grounding.TASK,
        captioning.TASK,
        conversation.TASK,
        *map(task_of, KINDS.values()),
    )
}


def task_named(name: str) -> Task:
    """Return a task by its name.

    Raises:
        UsageError: the task is unknown.
    """
    check_choice("task", name, TASKS)
    return TASKS[name]


def questions(record: Record, task: str, options: QuestionOptions, rng: np.random.Generator) -> list[Question]:
    """Return all questions of one task about a record, in the record's order.

    Args:
        record: without or with its members; no question needs them.
        task: its name.
        options: how it is asked.
        rng: shares out the prompts of questions with several marks.

    Raises:
        UsageError: the task is unknown.
        ShardError: an expression of the record is malformed or contradicts it.
    """
    return task_named(task).render(record, options, rng)


def count_askable(record: Record, task: str) -> int:
    """Count the prompts, objects, descriptions or conversations of a record that a task asks about.

    Raises:
        UsageError: the task is unknown.
        ShardError: an expression of the record is malformed.
    """
    about = task_named(task).about
    if about == "descriptions":
        return len(descriptions(record))
    if about == "conversations":
        return len(conversations(record))
    return len(record.prompts if about == "prompts" else record.objects)


def left_out(record: Record, task: str, options: QuestionOptions) -> dict[str, int]:
    """Count what a task does not ask about although the record holds it, by reason.

    Raises:
        UsageError: the task is unknown.
        ShardError: as for :func:`questions`.
    """
    rule = task_named(task).left_out
    return {} if rule is None else dict(sorted(rule(record, options).items()))


def obstacle(record: Record, item: Expression, task: str, options: QuestionOptions) -> str | None:
    """Return why a record cannot be asked about a description, or ``None`` where it can."""
    rule = task_named(task).obstacle
    return None if rule is None else rule(record, item, options)
