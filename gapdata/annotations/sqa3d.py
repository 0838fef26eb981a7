"""Read SQA3D's questions, each asked from a described situation in a scene.

Its release has two files for each split: questions (one object with ``questions``: ``scene_id, situation,
alternative_situation, question, question_id``) and annotations (one with ``annotations``: ``question_id, answers``
``[{answer, answer_confidence, answer_id}], position, rotation``), which belong together by ``question_id``. Files of
others have both in one list. The situation is told first, then the question. Alternative situations "might be
ambiguous" (its ``localization.md``) and are not used; position and rotation are what the text describes, and are not
told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.benchmark import (
    MAX_ANSWERS,
    SHORT_ANSWER,
    BenchmarkQuestion,
    Questions,
    asked,
    question_id,
    texts,
)
from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.kept_rows import LeftOut, fields_of, keep_rows
from gapdata.annotations.report import FileReport, Tally
from gapdata.annotations.rows import annotation_rows
from gapdata.errors import FileError
from gapdata.files.json_items import json_items
from gapdata.files.storage import Location

KIND, ANSWERS_KIND = "SQA3D", "SQA3D's answers"
COLUMNS = ("scene_id", "situation", "question", "question_id", "answers")
BEGINNINGS = ("what", "is", "how", "can", "which")
OTHERS = "others"
"""The types by which SQA3D's scores are divided: how the question begins (also "isn't"), or this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SituatedAnswers:
    """The answers of one annotations file."""

    path: Location
    by_id: Mapping[str, tuple[str, ...]]
    tally: Tally
    """The answers that cannot be used; :func:`report_of_answers` adds the others."""


def read_sqa3d(
    path: Location, scene_ids: Collection[str] | None = None, answers: Mapping[str, tuple[str, ...]] | None = None
) -> Questions:
    """Read a file of questions and keep the scenes named (all by default).

    Args:
        path: a list of questions with their answers, or the release's file of questions.
        scene_ids: scenes to keep.
        answers: of the release's files of annotations, by the question's id; ``None``: the questions have them.

    Raises:
        FileError: the file cannot be read, or is neither JSON nor Parquet.
    """
    rows = annotation_rows(path, COLUMNS) if answers is None else _listed(path, "questions")
    return keep_rows(path, KIND, rows, lambda row, index: _question(row, path.name, index, answers), scene_ids)


def read_answers(path: Location) -> SituatedAnswers:
    """Read the release's file of annotations.

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    tally, found = Tally(), dict[str, tuple[str, ...]]()
    for index, row in enumerate(_listed(path, "annotations")):
        try:
            fields = fields_of(row)
            number = question_id(fields.get("question_id"))
            if number in found:
                raise LeftOut("repeated_question", number)
            found[number] = _answers(fields.get("answers"))
        except LeftOut as left_out:
            tally.ignore(left_out.reason, index, left_out.value)
    return SituatedAnswers(path=path, by_id=found, tally=tally)


def report_of_answers(answers: SituatedAnswers, used: Mapping[str, str]) -> FileReport:
    """Return the report of a file of annotations.

    Args:
        answers: the file.
        used: the scene of each question that was taken, by its id.
    """
    for number in answers.by_id:
        if number in used:
            answers.tally.take(used[number])
        else:
            answers.tally.ignore("answer_without_a_question_that_is_taken", number)
    return answers.tally.report(path=answers.path, kind=ANSWERS_KIND, split=named_split(answers.path))


def _listed(path: Location, name: str) -> Iterator[Any]:
    """Yield the entries of the one list of a file.

    Raises:
        FileError: the file does not consist of one object with that list.
    """
    whole = next(json_items(path), None)
    if not isinstance(whole, dict) or not isinstance(whole.get(name), list):
        raise FileError(f"lacks the list {name}", path=path, cure="download it again")
    yield from whole[name]


def _question(row: Any, source: str, index: int, answers: Mapping[str, tuple[str, ...]] | None) -> BenchmarkQuestion:
    fields = fields_of(row)
    scene_id = scene_of_name(fields.get("scene_id"))
    situation, question = asked(fields.get("situation"), "situation"), asked(fields.get("question"))
    number = question_id(fields.get("question_id"))
    if scene_id is None:
        raise LeftOut("no_scene_id", fields.get("scene_id"))
    if answers is not None and number not in answers:
        raise LeftOut("question_without_answer", number)
    accepted = _answers(fields.get("answers")) if answers is None else answers[number]
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark="sqa3d",
        question=f"{situation} {question} {SHORT_ANSWER}",
        answer=accepted[0],
        answers=accepted,
        question_type=_type(question),
        id=number,
        source=source,
        index=index,
    )


def _type(question: str) -> str:
    start = question.lstrip().lower()
    return next((word for word in BEGINNINGS if start.startswith(word)), OTHERS)


def _answers(value: Any) -> tuple[str, ...]:
    """Return accepted answers: objects with an ``answer``, as in the release, or texts.

    Raises:
        LeftOut: there is none, or one is something else.
    """
    if value in (None, [], ""):
        raise LeftOut("question_without_answer")
    listed = value if isinstance(value, list) else [value]
    bare = [item.get("answer") if isinstance(item, dict) else item for item in listed]
    return texts(bare, "answers_are_not_texts", MAX_ANSWERS)
