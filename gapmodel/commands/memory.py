"""``gapmodel memory``: what training by a recipe takes of a GPU's memory, before there is a GPU or any weight."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from gapdata.commands.argument_types import local
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say_result
from gapmodel.commands.training_extra import require_training_extra

HELP = "Count the memory that training by a recipe takes on one GPU, by its parts; needs no GPU and no weights."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--recipe", type=local, required=True, metavar="FILE", help="a recipe of `gapmodel train`")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a recipe field: train.token_budget=8192",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, in bytes")


def run(options: argparse.Namespace) -> int:
    """Print the count, and return the exit status."""
    require_training_extra()
    from gapmodel.training.memory_count import count_memory
    from gapmodel.training.recipe import read_training_recipe

    count = count_memory(read_training_recipe(options.recipe, options.set))
    rows = counted(count.rows, "row")
    size = f"a micro-batch: {rows}, {counted(count.tokens, 'token')}, {count.visual:,} of them visual"
    table = [f"{name:<26}{size / 1e9:7.2f} GB" for name, size in count.parts.items()]
    say_result({**asdict(count), "total": count.total}, "\n".join([size, *table]), as_json=options.json)
    return 0
