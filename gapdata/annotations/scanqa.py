"""Read ScanQA's JSON: questions about a whole scene, each with one or more accepted answers.

The file is a list of ``{scene_id, question_id, question, answers, object_ids, object_names}`` (``ScanQA_v1.0_*.json``).
Its test files lack answers, so that nothing can be scored or learned from them here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

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
from gapdata.annotations.rows import annotation_rows
from gapdata.files.checked_values import integers
from gapdata.files.storage import Location

KIND = "ScanQA"
COLUMNS = ("scene_id", "question_id", "question", "answers", "object_ids")
MAX_OBJECTS = 1000


def read_scanqa(path: Location, scene_ids: Collection[str] | None = None) -> Questions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read, or is neither JSON nor Parquet.
    """
    return keep_rows(
        path, KIND, annotation_rows(path, COLUMNS), lambda row, index: _question(row, path.name, index), scene_ids
    )


def _question(row: Any, source: str, index: int) -> BenchmarkQuestion:
    fields = fields_of(row)
    scene_id, question = scene_of_name(fields.get("scene_id")), asked(fields.get("question"))
    if scene_id is None:
        raise LeftOut("no_scene_id", fields.get("scene_id"))
    if fields.get("answers") in (None, []):
        raise LeftOut("question_without_answer", fields.get("question_id"))
    answers = texts(fields["answers"], "answers_are_not_texts", MAX_ANSWERS)
    object_ids = integers(fields.get("object_ids") or (), MAX_OBJECTS)
    if object_ids is None:
        raise LeftOut("object_ids_are_not_integers", fields.get("object_ids"))
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark="scanqa",
        question=f"{question} {SHORT_ANSWER}",
        answer=answers[0],
        answers=answers,
        id=question_id(fields.get("question_id")),
        object_ids=object_ids,
        source=source,
        index=index,
    )
