"""All questions of chosen tasks about a record, each with its name, its type and what its answer was rounded from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gapdata.export.items import QUESTION_OF_TASK
from gapdata.records.expressions import conversations
from gapdata.records.schema import Record
from gapdata.records.views import KIND_OF_TASK
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.tasks import conversation as given
from gapdata.tasks.chat import IMAGE, Question
from gapdata.tasks.questions import left_out, questions
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.question_index import QuestionIndex, question_index
from gapdata.tasks.task import QuestionOptions

VIEW_OF_TASK: Mapping[str, str] = {task: KIND_OF_TASK.get(name, "clip") for name, task in QUESTION_OF_TASK.items()}
"""The kind of view of the tasks that are about one kind only."""
PLACEHOLDERS = (IMAGE, "<video>", "<audio>")
"""Words that trainers replace with media wherever they stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedQuestion:
    """One question about a record as a line of an export."""

    key: str
    task: str
    """A key of :data:`gapdata.tasks.questions.TASKS`."""
    index: int
    """Its place among those of its task about this record."""
    type: str
    """The form of a spatial question, the benchmark's name of a published one; else the task."""
    question: Question
    value: float | None = None
    """Of a spatial question the figure that decides the answer, unrounded."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, in plain values."""
    given_id: str = ""
    """Its name in the file that it is from."""

    @property
    def id(self) -> str:
        """A name that no other question of the build has."""
        return self.given_id or f"{self.task}/{self.key}/{self.index}"


Lost = Counter[str]


def record_questions(
    record: Record,
    tasks: Collection[str],
    options: QuestionOptions,
    seed: int = 0,
    written: QuestionIndex | None = None,
) -> Iterator[tuple[str, list[ExportedQuestion], Lost]]:
    """Yield the questions of each task about a record, and how many things are not asked about, by reason.

    Captions of evaluation splits point at the detector's proposal, as in the published evaluation.

    Args:
        record: with its members.
        tasks: names of :data:`gapdata.tasks.questions.TASKS`.
        options: how questions are asked.
        seed: of all random choices, together with the record's key.
        written: the file whose spatial questions are taken instead of drawn ones.

    Raises:
        UsageError: the file has changed, or has a question that does not fit the record.
        ShardError: an expression of the record is malformed or contradicts it.
    """
    for task in tasks:
        if task not in KINDS:
            asked, lost = _described(record, task, options, seed)
            yield task, *_without_placeholders(asked, len(record), lost)
    kinds = {name: kind for name, kind in KINDS.items() if name in tasks}
    if written is not None:
        by_kind = {name: list[ExportedQuestion]() for name in kinds}
        for index, item in enumerate(written.about(record, kinds)):
            by_kind[item.question.kind].append(_spatial(record, item.question, index, item.id))
        yield from ((name, items, Counter()) for name, items in by_kind.items())
    elif kinds:
        for kind, items, refused in spatial_questions(record, options, seed, kinds):
            yield kind.name, [_spatial(record, item, index) for index, item in enumerate(items)], refused


def written_questions(build: ShardReader, path: Path | None) -> QuestionIndex | None:
    """Return the questions of a file of ``gapdata questions``, all about records of a build; ``None`` without a file.

    Raises:
        UsageError: it cannot be read, or has a question about another record.
    """
    if path is None:
        return None
    written = question_index(path)
    written.refuse_others(set(build.keys))
    return written


def _described(record: Record, task: str, options: QuestionOptions, seed: int) -> tuple[list[ExportedQuestion], Lost]:
    """Return the questions of a task that is not spatial."""
    if task == "conversation":
        return _told(record)
    if record.view != VIEW_OF_TASK.get(task, record.view):
        return [], Counter()
    if task == "detection" and not record.has_instances and not record.objects:
        return [], Counter({"the scan has no annotation": 1})
    if task == "captioning" and record.split != "train":
        options = replace(options, caption_point="proposal")
    found = questions(record, task, options, generator_for(seed, "export", record.key))
    lost = Counter(left_out(record, task, options))
    return [
        ExportedQuestion(key=record.key, task=task, index=index, type=task, question=question)
        for index, question in enumerate(found)
    ], lost


def _told(record: Record) -> tuple[list[ExportedQuestion], Lost]:
    """Return other people's questions about the record, verbatim."""
    found, lost = [], Counter[str]()
    for index, item in enumerate(conversations(record)):
        if item.question.count(IMAGE) != len(record):
            lost["the question does not have one image placeholder for each frame"] += 1
            continue
        about = {name: value for name, value in item.to_fields().items() if name in SAID}
        question, kind = given.render(record, item), item.question_type or item.task
        found.append(
            ExportedQuestion(
                key=record.key, task="conversation", index=index, type=kind, question=question, about=about
            )
        )
    return found, lost


SAID = ("benchmark", "answers", "options", "id", "source")
"""What an exported line repeats of a conversation's origin."""


def _spatial(record: Record, item: SpatialQuestion, index: int, given_id: str = "") -> ExportedQuestion:
    known = {"options": item.options, "object_ids": item.object_ids, "names": item.names, "frames": item.frames}
    about: dict[str, Any] = {"margin": item.margin, **{name: list(value) for name, value in known.items() if value}}
    return ExportedQuestion(
        key=record.key,
        task=item.kind,
        index=index,
        type=item.form or item.kind,
        question=item.to_question(len(record)),
        value=item.value,
        about=about,
        given_id=given_id,
    )


def _without_placeholders(
    asked: list[ExportedQuestion], frames: int, lost: Lost
) -> tuple[list[ExportedQuestion], Lost]:
    """Leave out questions whose own words hold a placeholder: trainers would look for another image."""
    kept = []
    for item in asked:
        text, answer = item.question.text, item.question.answer
        foreign = any(word in text.replace(IMAGE, "", frames) or word in answer for word in PLACEHOLDERS)
        if foreign:
            lost["its words hold a placeholder such as <image>"] += 1
        else:
            kept.append(item)
    return kept, lost
