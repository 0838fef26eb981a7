#!/usr/bin/env python3
"""Ask a model the held-out questions of a build and print its scores beside those of answering without looking.

python pipelines/evaluate.py --shards BUILD --model DIR [--split val] [--task pointmap|detection|all] [--limit N]
[--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _entry import find_packages, run


def main() -> None:
    """Read the command line, evaluate, print."""
    parser = argparse.ArgumentParser(description="Score a model on held-out scenes.", allow_abbrev=False)
    parser.add_argument("--shards", type=Path, required=True, metavar="BUILD", help="a build of `gapdata build-shards`")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="a model directory, or the run that wrote it"
    )
    parser.add_argument("--split", default="val", help="split of the records to ask about (default: val)")
    parser.add_argument("--task", choices=("pointmap", "detection", "all"), default="all")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N questions of each task, spread over the scenes"
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="questions answered at once (default: 32)"
    )
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="write the model's texts as JSON lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args()

    from gapdata.shards.reader import ShardReader
    from gapmodel.evaluation.report import as_dict, as_table
    from gapmodel.evaluation.run import evaluate, model_data_recipe
    from gapmodel.train import load_model, model_directory

    directory = model_directory(arguments.model)
    model, processor = load_model(directory)
    results = evaluate(
        model,
        processor,
        ShardReader(arguments.shards),
        model_data_recipe(directory),
        split=arguments.split,
        tasks=("pointmap", "detection") if arguments.task == "all" else (arguments.task,),
        limit=arguments.limit,
        batch_size=arguments.batch_size,
    )
    if arguments.predictions:
        lines = (json.dumps(prediction) for prediction in results.predictions)
        arguments.predictions.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(json.dumps(as_dict(results)) if arguments.json else as_table(results, arguments.split))


if __name__ == "__main__":
    find_packages()
    run(main)
