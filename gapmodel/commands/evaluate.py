"""``gapmodel evaluate``: ask a model the held-out questions of a build and score its answers, our way and the authors'.

Predictions and report are kept in ``--out``; the same command goes on where it was stopped. It runs as it is, in a Ray
job, or under torchrun.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdata.commands.argument_types import local, place, positive
from gapdata.errors import UsageError
from gapdata.runtime.ray_job import refuse_temporary_places
from gapdata.runtime.terminal import say, say_result
from gapmodel.commands.training_extra import require_training_extra

if TYPE_CHECKING:
    from gapdata.shards.records import Records
    from gapmodel.evaluation.asking import TaskQuestions
    from gapmodel.evaluation.authors_view import View
    from gapmodel.evaluation.question_source import QuestionSource
    from gapmodel.evaluation.tasks import TaskChoice
    from gapmodel.evaluation.workers import EvaluationJob
    from gapmodel.inspection.geometry_treatments import Treatment

HELP = "Score a model on held-out scenes."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--shards", type=place, metavar="BUILD", help="a build of `gapdata build-shards`")
    parser.add_argument(
        "--conversations",
        type=local,
        metavar="FILE",
        help="instead: an evaluation file of GAP-MLLM or VG-LLM (.json, .jsonl), asked verbatim",
    )
    parser.add_argument(
        "--images", type=local, metavar="DIR", help="the folder that the paths in --conversations are relative to"
    )
    parser.add_argument(
        "--proposals",
        type=local,
        metavar="FILE",
        help="scannet_val_pred_box.json: also score grounding in --conversations with each box replaced by the "
        "proposal that overlaps it most",
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", type=local, metavar="DIR", help="a model directory, or the run that wrote it")
    model.add_argument(
        "--gap-mllm", type=local, metavar="DIR", help="instead: a checkpoint that GAP-MLLM's authors released"
    )
    parser.add_argument(
        "--view",
        choices=("own", "authors"),
        help="what is shown and said to the model: the frames and texts of its training (own, the default), or those "
        "of the authors' inference scripts (authors, the default of --gap-mllm)",
    )
    parser.add_argument(
        "--out",
        type=local,
        metavar="DIR",
        help="where predictions and report go (default: evaluation/<split>-<fingerprint> beside the model)",
    )
    parser.add_argument("--split", default="val", help="split of the records to ask about (default: val)")
    parser.add_argument(
        "--task",
        metavar="NAMES",
        help="tasks to ask, with commas between them: pointmap, detection, grounding, grounding_two_stage, captioning "
        "(all: these five), types of spatial questions, such as distance (spatial: all types; see `gapdata "
        "questions`), or vsi-bench, spar-bench, scanqa, sqa3d (benchmarks: all four; their questions that the build "
        "holds). conversation asks those of a build verbatim, as is done without --task where a split holds nothing "
        "else. Default: what the model was taught. Tasks without questions in the split are left out",
    )
    parser.add_argument(
        "--questions",
        type=local,
        metavar="FILE",
        help="ask exactly the spatial questions of a file of `gapdata questions BUILD --out FILE`, of the tasks that "
        "are asked (default: questions drawn from the build)",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="at most N questions of each task, spread over the scenes (default: all; 500 of each spatial type)",
    )
    parser.add_argument(
        "--batch-size", type=positive, default=32, metavar="N", help="questions answered at once (default: 32)"
    )
    parser.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="processes that answer, started by Ray (default: 1, this process)",
    )
    parser.add_argument(
        "--compat",
        choices=("both", "none", "gap"),
        default="both",
        help="scores to show: this project's and the authors' (both, the default), this project's (none), or the "
        "authors' (gap)",
    )
    parser.add_argument(
        "--geometry",
        metavar="NAMES",
        help="ask the same questions again without the model's geometry, and say what it contributes: own,zeroed,"
        "strange,shuffled (none, another place's, that of other frames), blind (no visual token), or all",
    )
    parser.add_argument(
        "--geometry-levels", action="store_true", help="do each of --geometry to each fusion level alone, too"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap intervals (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Answer what has no answer yet, score all answers, print the table, and return the exit status."""
    require_training_extra()
    from gapmodel.audit.run import refuse_one_place
    from gapmodel.evaluation.authors_view import view_facts
    from gapmodel.evaluation.given_asking import given_remarks
    from gapmodel.evaluation.predictions import settle
    from gapmodel.evaluation.question_source import question_source
    from gapmodel.evaluation.report import as_dict, as_table, write_report
    from gapmodel.evaluation.run import score_directory
    from gapmodel.evaluation.tasks import remarks
    from gapmodel.evaluation.workers import wait_for_all

    refuse_temporary_places({"--out": str(options.out or "")})
    source = question_source(
        options.shards, options.conversations, options.images, options.proposals, options.task, options.split
    )
    source = replace(source, written=options.questions)
    reader = source.open()
    choice, job = _job(options, source, reader)
    questions = job.questions(reader)
    job.refuse_others()
    refuse_one_place(reader, questions, [item for item in job.treatments if item is not None])
    if not _answer(job, questions, options.workers):
        return 0
    wait_for_all(questions, job.folders)
    settle(job.out, job.belongs)
    asked = [task.task for task in questions]
    said = [*remarks(choice, asked, questions[0].asking.split), *given_remarks(reader)]
    scores = score_directory(reader, questions, job.out, options.seed)
    results = replace(
        scores,
        taught=choice.taught,
        remarks=tuple(said),
        view=view_facts(job.view),
        left_out=getattr(reader, "left_out", {}),
    )
    write_report(results, job.out, options.compat)
    facts, text = as_dict(results), as_table(results, options.compat)
    if audit := _audit(job, reader, questions, options.seed):
        facts, text = facts | {"geometry": audit[0]}, f"{text}\n\n{audit[1]}"
    say_result(facts, f"{text}\n\nkept in {job.out}", as_json=options.json)
    return 0


def _audit(
    job: EvaluationJob, reader: Records, questions: list[TaskQuestions], seed: int
) -> tuple[dict[str, Any], str] | None:
    """Return what geometry contributes, as plain types and as text; ``None`` where nobody asked."""
    from gapmodel.audit import results
    from gapmodel.audit.run import audit_directory
    from gapmodel.evaluation.workers import device_of

    treatments = [item for item in job.treatments if item is not None]
    if not treatments:
        return None
    device = device_of(0)
    audit = audit_directory(job.model, reader, questions, job.out, treatments, seed=seed, device=device, view=job.view)
    return results.as_dict(audit), results.as_table(audit)


def _job(options: argparse.Namespace, source: QuestionSource, reader: Records) -> tuple[TaskChoice, EvaluationJob]:
    """Return which tasks are asked and why, and what each worker needs to know."""
    from gapdata.tasks.predictions import BENCHMARKS
    from gapdata.tasks.spatial.kinds import KINDS
    from gapmodel.evaluation.asking import TASKS
    from gapmodel.evaluation.question_source import source_tasks
    from gapmodel.evaluation.run import asking_of, belongings
    from gapmodel.evaluation.tasks import choose_tasks
    from gapmodel.evaluation.workers import EvaluationJob
    from gapmodel.gap_mllm import gap_mllm_fields
    from gapmodel.model_directory import model_directory
    from gapmodel.questions.taught import taught_tasks

    directory = model_directory(options.model or options.gap_mllm).resolve()
    if options.gap_mllm:
        gap_mllm_fields(directory)
    view: View = options.view or ("authors" if options.gap_mllm else "own")
    choice = choose_tasks(source_tasks(source, options.task), taught_tasks(directory))
    put = source.askings(reader, lambda task: asking_of(directory, task, options.split, view))
    askings = {task: put(task) for task in (*TASKS, *KINDS, *BENCHMARKS)}
    belongs = {**belongings(directory, reader, askings.__getitem__, view), **_written(source, choice)}
    # The name tells the paper's tasks alone, so that an evaluation can be extended by the others.
    named = {**belongs, "asking": {task: belongs["asking"][task] for task in TASKS}}
    name = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:8]
    return choice, EvaluationJob(
        model=directory,
        source=source,
        out=(options.out or directory.parent / "evaluation" / f"{askings[TASKS[0]].split}-{name}").resolve(),
        belongs=belongs,
        askings=askings,
        tasks=choice.tasks,
        optional=choice.optional,
        limit=options.limit,
        batch_size=options.batch_size,
        treatments=(None, *_treatments(options, directory)),
        view=view,
    )


def _written(source: QuestionSource, choice: TaskChoice) -> dict[str, Any]:
    """Return the digest of the file of questions, where there is one: predictions belong to it.

    Raises:
        UsageError: it cannot be read, or no task asks its questions.
    """
    from gapdata.tasks.spatial.kinds import KINDS
    from gapdata.tasks.spatial.question_index import question_index

    if source.written is None:
        return {}
    if source.kind != "build" or not set(choice.tasks) & KINDS.keys():
        raise UsageError("--questions is a file of spatial questions, which no task asks", cure="add --task spatial")
    return {"questions": question_index(source.written).sha256}


def _treatments(options: argparse.Namespace, directory: Path) -> tuple[Treatment, ...]:
    """Return what is done to the model's geometry.

    Raises:
        UsageError: a name is unknown, or levels are asked for without anything to do to them.
    """
    from gapmodel.audit.run import named_treatments
    from gapmodel.inspection.geometry_treatments import model_streams

    levels = model_streams(directory) if options.geometry_levels else ()
    found = named_treatments(options.geometry or "", levels)
    if options.geometry_levels and not found:
        raise UsageError("--geometry-levels does nothing alone", cure="add --geometry strange, or other names")
    return found


def _answer(job: EvaluationJob, questions: list[TaskQuestions], workers: int) -> bool:
    """Answer what this process has to; return whether it is the one that scores, which one rank of torchrun's does."""
    from gapmodel.evaluation.answering import missing
    from gapmodel.evaluation.predictions import read_answers
    from gapmodel.evaluation.workers import answer, answer_on_ray, torchrun_share

    complete = not any(missing(questions, read_answers(folder)) for folder in job.folders)
    if (job.out / "report.json").is_file() and complete:
        say(f"{job.out}: already complete, nothing to ask", error=True)
    share = torchrun_share()
    if share is None and workers > 1:
        answer_on_ray(job, workers)
    else:
        answer(job, share or (0, 1), int(os.environ.get("LOCAL_RANK", "0")))
    return share is None or not share[0]
