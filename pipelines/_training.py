"""The command line of both training stages."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def parse_arguments(description: str, recipe: Path, *, needs_init: bool) -> argparse.Namespace:
    """Options of a training stage; ``recipe`` is the default."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--shards", type=Path, required=True, metavar="BUILD", help="a build of `gapdata build-shards`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the run's directory; DIR/model is the model"
    )
    parser.add_argument(
        "--init",
        type=Path,
        required=needs_init,
        metavar="DIR",
        help="start from this model or run instead of random weights",
    )
    parser.add_argument("--recipe", type=Path, default=recipe, metavar="FILE", help=f"default: manifests/{recipe.name}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a recipe field: train.learning_rate=1e-4",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="short for --set train.steps=N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args()


def run_stage(arguments: argparse.Namespace) -> None:
    """Train as the arguments say and print where the model is."""
    from gapdata.shards.reader import ShardReader
    from gapmodel.recipe import read_training_recipe
    from gapmodel.train import train

    steps = [] if arguments.steps is None else [f"train.steps={arguments.steps}"]
    recipe = read_training_recipe(arguments.recipe, [*arguments.set, *steps])
    outcome = train(ShardReader(arguments.shards), recipe, arguments.out, init=arguments.init)
    if arguments.json:
        fields = {name: getattr(outcome, name) for name in outcome.__slots__}
        print(json.dumps({**fields, "model_directory": str(outcome.model_directory)}))
        return
    print(
        f"{recipe.data.task}: {outcome.steps} steps, {outcome.questions} questions in {outcome.seconds:.0f} s; "
        f"loss {outcome.first_loss:.3f} -> {outcome.last_loss:.3f}\nmodel: {outcome.model_directory}"
    )
