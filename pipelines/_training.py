"""The command line of both training stages."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _entry import examples, parse


def parse_arguments(description: str, recipe: Path, *, needs_init: bool) -> argparse.Namespace:
    """Options of a training stage; ``recipe`` is the default."""
    from gapdata.commands.argument_types import positive

    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    stage = "--init {0}runs/stage1 --out {0}runs/stage2" if needs_init else "--out {0}runs/stage1"
    parser.epilog = examples(parser.prog, f"--shards {{0}}shards {stage}")
    parser.add_argument(
        "--shards",
        action="append",
        required=True,
        metavar="[NAME=]BUILD",
        help="a build of `gapdata build-shards`; again with a name for each further one that the recipe mixes in",
    )
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
    parser.add_argument(
        "--ranks",
        type=positive,
        metavar="N",
        help="processes of Ray Train (default: one for each GPU of the cluster or of this machine)",
    )
    parser.add_argument("--local", action="store_true", help="train in this process (or under torchrun), without Ray")
    parser.add_argument("--overwrite", action="store_true", help="remove what --out holds instead of going on with it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parse(parser)


def run_stage(arguments: argparse.Namespace) -> None:
    """Train as the arguments say and print where the model is."""
    builds = named_builds(arguments.shards)
    _refuse_relative_paths(arguments, builds)
    if _stays_here(arguments):
        _run(arguments, builds, _train_here)
        return
    # Before torch and the model are imported, which takes longer than a user waits for an answer.
    from gapmodel.training.ray_capacity import room_for

    with room_for(arguments.ranks):
        _run(arguments, builds, _train_on_ray)


def _run(arguments: argparse.Namespace, builds: dict[str, str], train: Callable[..., Any]) -> None:
    from gapdata.recipes.recipe_files import recipe_file
    from gapdata.recipes.toml_fields import given_values
    from gapdata.runtime.counting import counted
    from gapdata.runtime.terminal import say, say_result
    from gapmodel.training.loading import refuse_unmatched_builds
    from gapmodel.training.loop import is_finished
    from gapmodel.training.recipe import read_training_recipe
    from gapmodel.training.starting_point import as_started

    steps = [] if arguments.steps is None else [f"train.steps={arguments.steps}"]
    recipe = read_training_recipe(arguments.recipe, [*arguments.set, *steps])
    recipe = as_started(recipe, arguments.init, given_values(recipe_file(arguments.recipe), arguments.set))
    refuse_unmatched_builds(recipe, builds)
    first = os.environ.get("RANK", "0") == "0"
    arguments.replaces = _replaced(arguments, builds) if arguments.overwrite else None
    finished = arguments.replaces is None and is_finished(arguments.out)
    outcome = train(arguments, recipe, builds)
    if not first:
        return
    if finished:
        say(f"{arguments.out}: already complete, nothing to do", error=True)
    fields = {name: getattr(outcome, name) for name in outcome.__slots__}
    facts = {**fields, "model_directory": str(outcome.model_directory)}
    streams = " + ".join(stream.name for stream in recipe.streams)
    losses = f"loss {outcome.first_loss:.3f} -> {outcome.last_loss:.3f}"
    made = f"{counted(outcome.steps, 'step')}, {counted(outcome.questions, 'question')} in {outcome.seconds:.0f} s"
    text = f"{streams}: {made}; {losses}\nmodel: {outcome.model_directory}"
    say_result(facts, text, as_json=arguments.json)


def _replaced(arguments: argparse.Namespace, builds: dict[str, str]) -> str | None:
    """The stamp of the run that is removed for the new one, ``None`` where there is none.

    Raises:
        UsageError: ``--out`` holds something else, or what the new run starts from.
    """
    from gapdata.errors import UsageError
    from gapmodel.training.replacing import stamp_of

    out, stamp = arguments.out, stamp_of(arguments.out)
    if stamp is None:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError("holds no training run, so it is not removed", path=out, cure="change --out")
        return None
    needed = [("--init", str(arguments.init or "")), *(("--shards", place) for place in builds.values())]
    for option, place in needed:
        if place and "://" not in place and Path(place).resolve().is_relative_to(out.resolve()):
            raise UsageError(f"{option} lies in the run that --overwrite removes", path=place, cure="change --out")
    return stamp


def named_builds(given: list[str]) -> dict[str, str]:
    """``NAME=BUILD`` and ``BUILD`` to places by name; the one without a name is ``""``.

    Raises:
        UsageError: a name is given twice.
    """
    from gapdata.errors import UsageError

    builds: dict[str, str] = {}
    for text in given:
        name, separator, place = text.partition("=")
        if not separator or not name.isidentifier():
            name, place = "", text
        if name in builds:
            raise UsageError(f"--shards gives two builds the name {name!r}", cure="write --shards NAME=BUILD")
        builds[name] = place
    return builds


def _stays_here(arguments: argparse.Namespace) -> bool:
    """Whether this process trains itself: Ray for a single one would only add its half a minute of starting."""
    if arguments.local or "WORLD_SIZE" in os.environ:
        return True
    if "RAY_ADDRESS" in os.environ:
        return False
    import torch

    return (arguments.ranks or torch.cuda.device_count()) <= 1


def _train_here(arguments: argparse.Namespace, recipe: Any, builds: dict[str, str]) -> Any:
    from gapdata.shards.reader import ShardReader
    from gapmodel.training.distributed import joined
    from gapmodel.training.loop import TrainingConfig, train

    readers = {name: ShardReader(place) for name, place in builds.items()}
    config = TrainingConfig(
        recipe=recipe, builds=readers, out=arguments.out, init=arguments.init, replaces=arguments.replaces
    )
    with joined() as ranks:
        return train(config, ranks)


def _train_on_ray(arguments: argparse.Namespace, recipe: Any, builds: dict[str, str]) -> Any:
    from gapmodel.training.ray_train import train_on_ray

    return train_on_ray(
        recipe, builds, arguments.out, arguments.init, ranks=arguments.ranks, replaces=arguments.replaces
    )


def _refuse_relative_paths(arguments: argparse.Namespace, builds: dict[str, str]) -> None:
    """Ray runs a job in a copy of its working directory and removes the copy afterwards."""
    from gapdata.errors import UsageError

    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        return
    places = {"--out": str(arguments.out), "--init": str(arguments.init or "/")}
    places |= {f"--shards {name}".strip(): place for name, place in builds.items()}
    for option, place in places.items():
        if "://" not in place and not Path(place).is_absolute():
            raise UsageError(
                f"{option} is relative to the job's temporary copy of the working directory",
                path=place,
                cure="give an absolute path that all nodes share",
            )
