"""Ask what other people's rows ask, verbatim: the questions of each task that scores them."""

from __future__ import annotations

from collections.abc import Sequence

from gapdata.errors import UsageError
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.shards.records import Records
from gapdata.tasks import grounding_frame
from gapdata.tasks.chat import Question
from gapdata.tasks.predictions import Asking, question_id
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.asking import TASKS, TOKENS, TOKENS_PER_BOX, Asked, TaskQuestions, spread
from gapmodel.evaluation.given_records import TASKS_OF, GivenRecord, GivenRecords


def given_asking(reader: GivenRecords) -> Asking:
    """Return how rows are asked: in their own words, with their own convention of angles."""
    options = QuestionOptions(wording="gap", convention=reader.convention, caption_point="proposal")
    return Asking(split=reader.split, options=options)


def given_tasks(reader: GivenRecords, tasks: Sequence[str], limit: int | None = None) -> list[TaskQuestions]:
    """Return the questions of those tasks that rows ask, at most ``limit`` of each, spread over the rows.

    Raises:
        UsageError: a task is none of the paper's, or no row asks any of them.
    """
    for task in tasks:
        check_choice("task of conversations", task, TASKS)
    boxes = max((len(record.true_boxes) for record in reader.given), default=0)
    found = []
    for task in tasks:
        rows = [(index, record) for index, record in enumerate(reader.given) if task in TASKS_OF[record.kind]]
        chosen = spread(rows, limit)
        asked = tuple(_asked(task, index, record, boxes) for index, record in chosen)
        records: dict[int, Record] = dict(chosen)
        if asked:
            asking = given_asking(reader)
            found.append(TaskQuestions(task=task, asking=asking, asked=asked, records=records, left_out={}))
    if not found:
        held = ", ".join(dict.fromkeys(task for record in reader.given for task in TASKS_OF[record.kind]))
        raise UsageError(f"asks nothing of {', '.join(tasks)}", path=reader.source, cure=f"name what it asks: {held}")
    return found


def _asked(task: str, index: int, record: GivenRecord, boxes: int) -> Asked:
    kind = {"grounding_two_stage": "grounding_frame"}.get(task, task)
    numbers = {"pointmap": (1,), "detection": ()}.get(task, (0,))
    question = record.question
    if task == "grounding_two_stage" and record.kind != "scanrefer1":
        # The authors' script makes the question of the first stage out of that for both.
        text = grounding_frame.question_text(len(record), descriptions(record)[0], "gap")
        question = Question(text=text, answer="")
    return Asked(
        id=question_id(kind, record.key, *numbers),
        kind=kind,
        index=index,
        key=record.key,
        number=0,
        question=question,
        tokens=TOKENS.get(kind, 16 + TOKENS_PER_BOX * (2 * boxes + 2)),
        order=tuple(range(len(record))),
    )


def given_remarks(reader: Records) -> tuple[str, ...]:
    """Return what has to be known about rows: how many were left out and why, and what their angles are."""
    if not isinstance(reader, GivenRecords):
        return ()
    angles = f"boxes of {reader.source} are read as {reader.convention}: {reader.angles_from}"
    reasons = [f"{count} {reason}" for reason, count in reader.left_out.items()]
    turned = any(record.kind in ("det", "scanrefer", "scanrefer1") for record in reader.given)
    said = [f"rows left out of {reader.source}: {', '.join(reasons)}"] if reasons else []
    return (*said, *([angles] if turned else []))
