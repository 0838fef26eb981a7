"""``gapmodel train``: one of the two stages, in this process, under torchrun or on Ray."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gapdata.commands.argument_types import local, positive
from gapdata.errors import UsageError
from gapdata.runtime.ray_job import refuse_temporary_places
from gapdata.runtime.terminal import say, say_result
from gapmodel.commands.training_extra import require_training_extra

if TYPE_CHECKING:
    from gapmodel.training.outcome import TrainingOutcome
    from gapmodel.training.recipe import TrainingRecipe

    Train = Callable[[argparse.Namespace, TrainingRecipe, dict[str, str], str | None], TrainingOutcome]

HELP = "Train a model: first with --stage pretrain, then with --stage finetune from the result."
STAGES = {
    "pretrain": "Stage 1: what is at the marked pixel, and where.",
    "finetune": "Stage 2: all objects that the frames show, as oriented boxes.",
}
"""What each stage teaches. Its recipe, where none is given, is ``tiny-STAGE``."""


def add_arguments(parser: argparse.ArgumentParser, stage: str | None = None) -> None:
    """Add the options of the command, or of an entry point that is for one ``stage``."""
    if stage is None:
        parser.add_argument(
            "--stage", choices=tuple(STAGES), required=True, help="pretrain (stage 1) or finetune (stage 2)"
        )
    else:
        parser.set_defaults(stage=stage)
    parser.add_argument(
        "--shards",
        action="append",
        required=True,
        metavar="[NAME=]BUILD",
        help="a build of `gapdata build-shards`; give the option again, with a name, for each further build that the "
        "recipe uses",
    )
    parser.add_argument(
        "--out", type=local, required=True, metavar="DIR", help="the run's directory; DIR/model is the model"
    )
    parser.add_argument(
        "--init",
        type=local,
        required=stage == "finetune",
        metavar="DIR",
        help="start from this model or run instead of random weights; stage finetune needs one",
    )
    parser.add_argument("--recipe", type=local, metavar="FILE", help=f"default: manifests/tiny-{stage or 'STAGE'}.toml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a recipe field: train.learning_rate=1e-4",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="short for --set train.steps=N")
    parser.add_argument(
        "--ranks",
        type=positive,
        metavar="N",
        help="processes of Ray Train (default: one for each GPU of the cluster or of this machine)",
    )
    parser.add_argument("--local", action="store_true", help="train in this process (or under torchrun), without Ray")
    parser.add_argument("--overwrite", action="store_true", help="remove what --out holds instead of going on with it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Train as the options say, print where the model is, and return the exit status."""
    require_training_extra()
    if options.stage == "finetune" and options.init is None:
        raise UsageError(
            "--stage finetune needs a model to start from", cure="give --init DIR, the --out of --stage pretrain"
        )
    builds = named_builds(options.shards)
    places = {f"--shards {name}".strip(): place for name, place in builds.items()}
    refuse_temporary_places({"--out": str(options.out), "--init": str(options.init or ""), **places})
    if _stays_here(options):
        return _run(options, builds, _train_here)
    # Before torch and the model are imported, which takes longer than a user waits for an answer.
    from gapmodel.training.ray_capacity import room_for

    with room_for(options.ranks):
        return _run(options, builds, _train_on_ray)


def named_builds(given: list[str]) -> dict[str, str]:
    """Return the places of ``NAME=BUILD`` and ``BUILD`` by name; the one without a name is ``""``.

    Raises:
        UsageError: a name is given twice.
    """
    builds: dict[str, str] = {}
    for text in given:
        name, separator, place = text.partition("=")
        if not separator or not name.isidentifier():
            name, place = "", text
        if name in builds:
            raise UsageError(f"--shards gives two builds the name {name!r}", cure="write --shards NAME=BUILD")
        builds[name] = place
    return builds


def _stays_here(options: argparse.Namespace) -> bool:
    """Return whether this process trains itself: Ray takes half a minute to start, which one process does not need."""
    if options.local or "WORLD_SIZE" in os.environ:
        return True
    if "RAY_ADDRESS" in os.environ:
        return False
    import torch

    return (options.ranks or torch.cuda.device_count()) <= 1


def _run(options: argparse.Namespace, builds: dict[str, str], train: Train) -> int:
    from gapdata.audit.leaks import leak_warnings
    from gapdata.files.storage import location
    from gapmodel.training.outcome import is_finished
    from gapmodel.training.replacing import run_to_replace

    recipe = _recipe(options, builds)
    speaks = os.environ.get("RANK", "0") == "0"
    replaces = run_to_replace(options.out, options.init, builds) if options.overwrite else None
    finished = replaces is None and is_finished(options.out)
    if speaks and not finished:
        for line in leak_warnings([location(place) for place in builds.values()]):
            say(line, error=True)
    outcome = train(options, recipe, builds, replaces)
    if speaks:
        if finished:
            say(f"{options.out}: already complete, nothing to do", error=True)
        facts = asdict(outcome) | {"model_directory": str(outcome.model_directory)}
        streams = " + ".join(stream.name for stream in recipe.streams)
        say_result(facts, f"{streams}: {outcome}", as_json=options.json)
    return 0


def _recipe(options: argparse.Namespace, builds: dict[str, str]) -> TrainingRecipe:
    """Return the recipe of the run, which has its model's preprocessing where it starts from one."""
    from gapdata.recipes.recipe_files import recipe_file
    from gapdata.recipes.toml_fields import given_values
    from gapmodel.training.loading import refuse_unmatched_builds
    from gapmodel.training.recipe import read_training_recipe
    from gapmodel.training.starting_point import as_started

    path = options.recipe or Path(f"tiny-{options.stage}")
    steps = [] if options.steps is None else [f"train.steps={options.steps}"]
    recipe = read_training_recipe(path, [*options.set, *steps])
    recipe = as_started(recipe, options.init, given_values(recipe_file(path), options.set))
    refuse_unmatched_builds(recipe, builds)
    return recipe


def _train_here(
    options: argparse.Namespace, recipe: TrainingRecipe, builds: dict[str, str], replaces: str | None
) -> TrainingOutcome:
    from gapdata.shards.reader import ShardReader
    from gapmodel.training.distributed import joined
    from gapmodel.training.loop import train
    from gapmodel.training.run import TrainingConfig

    readers = {name: ShardReader(place) for name, place in builds.items()}
    config = TrainingConfig(recipe=recipe, builds=readers, out=options.out, init=options.init, replaces=replaces)
    with joined() as ranks:
        return train(config, ranks)


def _train_on_ray(
    options: argparse.Namespace, recipe: TrainingRecipe, builds: dict[str, str], replaces: str | None
) -> TrainingOutcome:
    from gapmodel.training.ray_train import train_on_ray

    return train_on_ray(recipe, builds, options.out, options.init, ranks=options.ranks, replaces=replaces)
