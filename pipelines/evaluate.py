#!/usr/bin/env python3
"""Ask a model the held-out questions of a build and score its answers, our way and the authors'.

python pipelines/evaluate.py --shards BUILD --model DIR [--split val] [--task pointmap,detection,...|all]
[--limit N] [--out DIR] [--workers N] [--compat both|none|gap] [--json]

Predictions and report are kept in --out; the same command goes on where it was stopped. Run it as it is, under
`ray job submit`, or under torchrun.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

from _entry import examples, find_packages, parse, run


def arguments() -> argparse.Namespace:
    """The command line."""
    from gapdata.commands.argument_types import Parser, positive

    parser = Parser(
        description="Score a model on held-out scenes.",
        epilog=examples("evaluate.py", "--shards {0}shards --model {0}runs/stage2"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--shards", required=True, metavar="BUILD", help="a build of `gapdata build-shards`")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="a model directory, or the run that wrote it"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where predictions and report go (default: evaluation/<split>-<fingerprint> beside the model)",
    )
    parser.add_argument("--split", default="val", help="split of the records to ask about (default: val)")
    parser.add_argument(
        "--task",
        metavar="NAMES",
        help="pointmap, detection, grounding, grounding_two_stage, captioning, several with commas, or all that the "
        "split has questions for (default: of these, what the model was taught)",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="at most N questions of each task, spread over the scenes"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=32, metavar="N", help="questions answered at once (default: 32)"
    )
    parser.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="processes that answer, on Ray (default: 1, this one)",
    )
    parser.add_argument(
        "--compat",
        choices=("both", "none", "gap"),
        default="both",
        help="show our scoring beside the authors' (default), ours alone (none), or theirs alone (gap)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap intervals (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parse(parser)


def main() -> None:
    """Read the command line, answer, score, print."""
    options = arguments()

    from gapdata.files.atomic import write_atomically
    from gapdata.runtime.terminal import say, say_result
    from gapdata.shards.reader import ShardReader
    from gapmodel.evaluation.answering import missing
    from gapmodel.evaluation.asking import TASKS
    from gapmodel.evaluation.predictions import read_predictions, refuse_other_evaluation, settle
    from gapmodel.evaluation.report import as_dict, as_markdown, as_table
    from gapmodel.evaluation.run import asking_as_trained, belongings, model_data_recipe, score_directory
    from gapmodel.evaluation.tasks import choose_tasks, not_asked, untaught_note
    from gapmodel.evaluation.workers import Job, answer, answer_on_ray, torchrun_share, wait_for_all
    from gapmodel.model_directory import model_directory
    from gapmodel.training.taught import taught_tasks

    reader = ShardReader(options.shards)
    reader.select(split=options.split)  # a split that no build has is refused before anything is asked
    directory = model_directory(options.model).resolve()
    choice = choose_tasks(options.task, taught_tasks(directory))
    askings = {task: asking_as_trained(model_data_recipe(directory, task), options.split) for task in TASKS}
    belongs = belongings(directory, reader, askings.__getitem__)
    name = hashlib.sha256(json.dumps(belongs, sort_keys=True).encode()).hexdigest()[:8]
    out = (options.out or directory.parent / "evaluation" / f"{options.split}-{name}").resolve()
    job = Job(
        model=directory,
        shards=str(options.shards) if "://" in options.shards else os.path.abspath(options.shards),
        out=out,
        belongs=belongs,
        askings=askings,
        tasks=choice.tasks,
        optional=choice.optional,
        limit=options.limit,
        batch_size=options.batch_size,
    )
    questions = job.questions(reader)
    asked = [task.task for task in questions]
    remarks = tuple(filter(None, (not_asked(choice, asked, options.split), untaught_note(choice, asked))))
    refuse_other_evaluation(out, belongs)
    if (out / "report.json").is_file() and not missing(questions, read_predictions(out)):
        say(f"{out}: already complete, nothing to ask", error=True)
    share = torchrun_share()
    if share is None and options.workers > 1:
        answer_on_ray(job, options.workers)
    else:
        answer(job, share or (0, 1), int(os.environ.get("LOCAL_RANK", "0")))
    if share is not None and share[0]:
        return
    wait_for_all(questions, out)
    settle(out, belongs)
    results = replace(score_directory(reader, questions, out, options.seed), taught=choice.taught, remarks=remarks)
    write_atomically(out / "report.json", (json.dumps(as_dict(results), indent=2) + "\n").encode())
    write_atomically(out / "report.md", as_markdown(results, options.compat).encode())
    say_result(as_dict(results), f"{as_table(results, options.compat)}\n\nkept in {out}", as_json=options.json)


if __name__ == "__main__":
    find_packages()
    run(main)
