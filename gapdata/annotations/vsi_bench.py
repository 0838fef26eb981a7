"""Read VSI-Bench's questions: ``test.jsonl`` or ``test-*.parquet`` of the Hub, whole, debiased or pruned.

A row has ``id, dataset, scene_name, question_type, question, ground_truth, options``. ``dataset`` is ``scannet``,
``arkitscenes`` or ``scannetpp``, ``scene_name`` the name of its video, which is our scene id for each of them.
``options`` (``A. chair``) belong to the types that are answered by a letter, and ``ground_truth`` is always text.

The question is worded as the benchmark's harness does it (lmms-eval, ``tasks/vsibench``: ``vsibench_doc_to_text`` and
the defaults of its template): a sentence before it, options on lines of their own, and a request for the form of the
answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from gapdata.annotations.benchmark import (
    MAX_OPTIONS,
    BenchmarkQuestion,
    Questions,
    asked,
    letter,
    number_text,
    question_id,
    texts,
)
from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.kept_rows import LeftOut, fields_of, keep_rows
from gapdata.annotations.rows import annotation_rows
from gapdata.files.storage import Location

KIND = "VSI-Bench"
COLUMNS = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth", "options")
NUMBER_TYPES = frozenset({"object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation"})
LETTER_TYPES = frozenset(
    {
        *("object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard"),
        *("object_rel_distance", "route_planning", "obj_appearance_order"),
    }
)
DATA_SETS = ("scannet", "arkitscenes", "scannetpp")
BEFORE = "These are frames of a video."
AFTER_NUMBER = "Please answer the question using a single word or phrase."
AFTER_LETTER = "Answer with the option's letter from the given choices directly."
OPTION_CHARACTERS = 1000


def read_vsi_bench(path: Location, scene_ids: Collection[str] | None = None) -> Questions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read, or is neither JSON nor Parquet.
    """
    data_sets = Counter[str]()

    def read(row: Any, index: int) -> BenchmarkQuestion:
        name = fields_of(row).get("dataset")
        data_sets[name if name in DATA_SETS else "unknown"] += 1
        return _question(row, path.name, index)

    found = keep_rows(path, KIND, annotation_rows(path, COLUMNS), read, scene_ids)
    notes = {"questions by data set": ", ".join(f"{name} {count}" for name, count in sorted(data_sets.items()))}
    return replace(found, report=replace(found.report, notes=notes))


def _question(row: dict[str, Any], source: str, index: int) -> BenchmarkQuestion:
    scene_id = scene_of_name(row.get("scene_name"))
    if scene_id is None:
        raise LeftOut("no_scene_name", row.get("scene_name"))
    kind, question = row.get("question_type"), asked(row.get("question"))
    options: tuple[str, ...] = ()
    if isinstance(kind, str) and kind in LETTER_TYPES:
        options = texts(row.get("options"), "options_are_not_texts", MAX_OPTIONS, OPTION_CHARACTERS)
        answer = letter(row.get("ground_truth"), options)
        lines = (BEFORE, question, "Options:", *options, AFTER_LETTER)
    elif isinstance(kind, str) and kind in NUMBER_TYPES:
        answer = number_text(row.get("ground_truth"))
        lines = (BEFORE, question, AFTER_NUMBER)
    else:
        raise LeftOut("unknown_question_type", kind)
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark="vsi-bench",
        question="\n".join(lines),
        answer=answer,
        answers=(answer,),
        options=options,
        question_type=kind,
        id=question_id(row.get("id")),
        source=source,
        index=index,
    )
