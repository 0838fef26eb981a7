"""Evaluate a model: ask the questions that have no answer yet, then score all answers.

In memory, or in a directory that keeps the answers, so that the same command goes on::

    OUT/asked.json                   what the predictions belong to
    OUT/predictions/part-000.jsonl   a line for each question, a file for each worker
    OUT/report.json  OUT/report.md   the scores
    OUT/geometry/<treatment>/...     the answers without geometry, or with another one (gapmodel/audit)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.records.schema import Record, ViewKind
from gapdata.runtime.counting import counted
from gapdata.shards.records import Records
from gapdata.tasks.predictions import BENCHMARKS, Asking
from gapdata.tasks.questions import TASKS as TRAINED
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import SpatialQuestion
from gapmodel.evaluation.answering import Answerer, missing
from gapmodel.evaluation.asking import (
    LANGUAGE_TASKS,
    TASKS,
    TaskQuestions,
    first_frames,
    positions,
    spread,
    task_questions,
)
from gapmodel.evaluation.authors_view import View, load_for_view
from gapmodel.evaluation.benchmark_asking import benchmark_tasks
from gapmodel.evaluation.benchmark_results import score_benchmark
from gapmodel.evaluation.predictions import PredictionFile, fingerprint_of_files, read_answers, settle
from gapmodel.evaluation.results import Evaluation, TaskResult
from gapmodel.evaluation.scoring import score_task
from gapmodel.evaluation.spatial_asking import spatial_tasks, spatial_view
from gapmodel.evaluation.spatial_results import score_spatial
from gapmodel.evaluation.tasks import expand
from gapmodel.evaluation.written_asking import written_tasks
from gapmodel.inspection.geometry_treatments import Treatment
from gapmodel.model_directory import RECIPE_FILE
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe, spatial_types, stored_data_recipe

MODEL_FILES = ("config.json", "*.safetensors", "gap_processor.json", "tokenizer.json")
TREATED_FOLDER = "geometry"
BASELINE_RECORDS = 2000
"""Constant answers are taken from at most this many training records."""
AUTHORS_SCENE_TASKS = ("grounding", "grounding_frame", "captioning")
"""What the authors ask about views of a whole scene."""
AUTHORS_TAXONOMY = "embodiedscan"
"""Their files name objects as EmbodiedScan does."""
TRAINED_AS = {"grounding_two_stage": "grounding_frame"}
"""The training task whose options a task is asked with, where it has another name."""

Askings = Callable[[str], Asking]
"""How the questions of a task are put."""


def model_data_recipe(directory: Path, task: str | None = None) -> DataRecipe:
    """Read how a model was asked during training: the frames of a view, detection's convention and limits.

    Of a mixture the part that asks ``task`` counts, if there is one. A checkpoint of the authors has no recipe and is
    asked in their words.
    """
    wanted = TRAINED_AS.get(task or "", task)
    if not (directory / RECIPE_FILE).is_file():
        known = wanted if wanted is not None and wanted in TRAINED else "pointmap"
        kind: ViewKind = "scene" if known in AUTHORS_SCENE_TASKS else "clip"
        return DataRecipe(task=known, view=kind, wording="gap", taxonomy=AUTHORS_TAXONOMY)
    fields = json.loads((directory / RECIPE_FILE).read_text(encoding="utf-8"))
    data = fields["data"]
    parts = [stored_data_recipe(data | part) for part in fields.get("mixture", {}).values()]
    asks = (part for part in parts if wanted in (part.task, *spatial_types(part)))
    return next(asks, None) or stored_data_recipe(data)


def asking_of(directory: Path, task: str, split: str, view: View = "own") -> Asking:
    """Return how a model's held-out questions of a task are put: as it was trained, as far as its recipe says.

    In the authors' view they are put in the authors' words, about all frames of a view; names and angles stay those of
    the training.
    """
    recipe = model_data_recipe(directory, task)
    asking = asking_as_trained(recipe, split)
    if view == "authors" and task in TASKS:
        return replace(asking, frames=0, options=replace(asking.options, wording="gap"))
    if task not in KINDS:
        return asking
    kind = spatial_view(KINDS[task], recipe.view if task in spatial_types(recipe) else None)
    return replace(asking, language_view=kind, frames=0)


def asking_as_trained(recipe: DataRecipe, split: str) -> Asking:
    """Return how held-out questions are put: as in training, but each mark alone and the frames in their order."""
    spoken = recipe.task not in ("pointmap", "detection")
    return Asking(
        split=split,
        view="clip" if spoken else recipe.view,
        language_view=recipe.view if spoken else "scene",
        frames=recipe.frames,
        options=replace(question_options(recipe), marks=1),
    )


def asked_tasks(
    reader: Records,
    askings: Askings,
    tasks: Sequence[str],
    limit: int | None = None,
    *,
    optional: bool = False,
    written: Path | None = None,
) -> list[TaskQuestions]:
    """Return the questions of several tasks.

    Args:
        reader: the build.
        askings: how the questions of each task are put.
        tasks: names; those of :data:`gapmodel.evaluation.tasks.GROUPS` stand for several, and make all ``optional``.
        limit: at most this many questions of each task.
        optional: leave out tasks without questions in the split, as long as one task has some.
        written: the file whose spatial questions are asked, instead of drawn ones.

    Raises:
        UsageError: the split has no question of a task that must be asked, or of any task, or the file is of another
            build.
    """
    named, grouped = expand(tasks)
    optional = optional or grouped
    kinds, benchmarks = ([task for task in named if task in group] for group in (KINDS, BENCHMARKS))
    if written is None:
        spatial = spatial_tasks(reader, askings, kinds, limit)
    else:
        spatial = written_tasks(reader, askings, kinds, limit, written)
    swept = [*spatial, *benchmark_tasks(reader, askings, benchmarks, limit)]
    together = {task.task: task for task in swept}
    found = [together.get(task) or task_questions(reader, askings(task), task, limit) for task in named]
    empty = [task for task in found if not task.asked]
    if empty and (not optional or len(empty) == len(found)):
        reasons = ", ".join(sorted({reason for task in empty for reason in task.left_out})) or "no record of it has any"
        raise UsageError(
            f"split {empty[0].asking.split} has no questions for {', '.join(task.task for task in empty)}: {reasons}",
            cure="evaluate on scenes with annotation, or name other tasks",
        )
    return [task for task in found if task.asked]


def answer_share(
    directory: Path,
    reader: Records,
    questions: Sequence[TaskQuestions],
    out: Path,
    *,
    belongs: Mapping[str, Any],
    share: tuple[int, int] = (0, 1),
    batch_size: int = 32,
    device: str = "cpu",
    treatments: Sequence[Treatment | None] = (None,),
    view: View = "own",
) -> None:
    """Answer a worker's share of the questions that have no answer in ``out``, with each treatment of geometry.

    The model is loaded only if there are such questions, and nothing is written before it is loaded.

    Args:
        directory: the model's.
        reader: the build.
        questions: all of them.
        out: the evaluation's directory.
        belongs: what its predictions belong to (:func:`belongings`).
        share: (rank, workers).
        batch_size: questions answered at once.
        device: where the model runs.
        treatments: what is done to the model's geometry; ``None`` leaves it as it is.
        view: what is shown and said to the model.

    Raises:
        UsageError: another process answers this worker's share, or ``out`` has predictions that belong elsewhere.
    """
    waiting = [item for item in treatments if missing(questions, read_answers(answers_folder(out, item)))]
    if not waiting:
        return
    model, processor = load_for_view(directory, view)
    model.eval().to(device)
    for treatment in waiting:
        folder = answers_folder(out, treatment)
        settle(folder, treated_belongings(belongs, treatment))
        with PredictionFile(folder, share[0], build=reader.fingerprint) as file:
            answerer = Answerer(
                model=model,
                processor=processor,
                reader=reader,
                batch_size=batch_size,
                texts=read_answers(folder),
                keeper=file,
                share=share,
                treatment=treatment,
            )
            for task in questions:
                answerer.answer(task)


def answers_folder(out: Path, treatment: Treatment | None) -> Path:
    """Return the folder that keeps an evaluation's answers with a treatment of geometry."""
    return out if treatment is None else out / TREATED_FOLDER / treatment.name


def treated_belongings(belongs: Mapping[str, Any], treatment: Treatment | None) -> dict[str, Any]:
    """Return what the answers with a treatment belong to."""
    return {**belongs} if treatment is None else {**belongs, "geometry": dataclasses.asdict(treatment)}


def score_directory(reader: Records, questions: Sequence[TaskQuestions], out: Path, seed: int = 0) -> Evaluation:
    """Score the predictions in ``out``.

    Raises:
        UsageError: some questions have no answer yet.
    """
    texts = read_answers(out)
    lacking = missing(questions, texts)
    if lacking:
        raise UsageError(
            f"{counted(lacking, 'question')} without an answer yet", path=out, cure="run the same command again"
        )
    return score(reader, questions, texts, seed)


def score(reader: Records, questions: Sequence[TaskQuestions], texts: Mapping[str, str], seed: int = 0) -> Evaluation:
    """Score all tasks: a pure function of the records and the texts."""
    results: dict[str, TaskResult] = {}
    spatial = [task for task in questions if task.task in KINDS]
    benchmarks = {task.task: score_benchmark(task, texts, seed) for task in questions if task.task in BENCHMARKS}
    for task in questions:
        if task.task not in (*KINDS, *BENCHMARKS):
            for result in score_task(task, texts, seed=seed, training=known_records(reader, task)):
                results[result.task] = result
    split = questions[0].asking.split if questions else ""
    found = score_spatial(spatial, texts, known_questions(reader, spatial), seed)
    return Evaluation(split=split, tasks=results, spatial=found, benchmarks=benchmarks)


def known_questions(reader: Records, tasks: Sequence[TaskQuestions]) -> dict[str, list[SpatialQuestion]]:
    """Return spatial questions about training scenes for constant answers, by type."""
    askings = {task.task: replace(task.asking, split="train") for task in tasks}
    found = spatial_tasks(reader, askings.__getitem__, list(askings))
    return {task.task: [item.spatial for item in task.asked if item.spatial is not None] for task in found}


def known_records(reader: Records, task: TaskQuestions) -> list[Record]:
    """Return training records for a constant answer; none for tasks without one."""
    if task.task in LANGUAGE_TASKS:
        return []
    found = spread(positions(reader, replace(task.asking, split="train"), task.task), BASELINE_RECORDS)
    return [first_frames(reader.without_images(index), task.asking.frames) for index in found]


def belongings(directory: Path, reader: Records, askings: Askings, view: View = "own") -> dict[str, Any]:
    """Return what predictions belong to: the bytes of the model, the records of the build, and the way of asking."""
    seen = {} if view == "own" else {"view": view}
    records = hashlib.sha256("\n".join(reader.keys).encode()).hexdigest()
    asking = {task: dataclasses.asdict(askings(task)) for task in (*TASKS, *KINDS, *BENCHMARKS)}
    model = fingerprint_of_files(directory, MODEL_FILES)
    return {"model": model, "build": reader.fingerprint, "records": records, "asking": asking, **seen}
