"""``gapmodel bundle``: a model directory that loads where this package is not installed, with a card."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import local, place
from gapdata.runtime.terminal import say_result
from gapmodel.commands.training_extra import require_training_extra

HELP = "Write a model with its code and a card, so that transformers alone loads it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", type=local, metavar="DIR", help="a model directory, or the run that wrote it")
    parser.add_argument("--out", type=local, required=True, metavar="OUT", help="the new directory")
    parser.add_argument("--name", default="", help="title of the card (default: the name of OUT)")
    parser.add_argument(
        "--with-geometry",
        action="store_true",
        help="include the geometry encoder's weights, under their own licence (VGGT-1B's forbids commercial use). "
        "Without it they are referred to by their name on the Hugging Face Hub; weights that are not from there are "
        "always included",
    )
    parser.add_argument(
        "--geometry-weights",
        type=local,
        metavar="FILE",
        help="the encoder's public weights, to see that training did not change them (default: where training read "
        "them, or the Hub's cache)",
    )
    parser.add_argument(
        "--scores",
        type=local,
        action="append",
        default=[],
        metavar="DIR",
        help="an --out of `gapmodel evaluate` for the card, with its audit of --geometry (repeatable; default: those "
        "in the run's directory)",
    )
    parser.add_argument(
        "--shards",
        type=place,
        action="append",
        default=[],
        metavar="BUILD",
        help="a build that the model was trained on, in any stage: the card names its scans and their terms "
        "(repeatable)",
    )
    parser.add_argument(
        "--base-model",
        action="append",
        default=[],
        metavar="NAME",
        help="Hub name of the language model it was made from (default: as the recipe says)",
    )
    parser.add_argument("--dataset", action="append", default=[], metavar="NAME", help="Hub name of training data")
    parser.add_argument("--license", default="", metavar="ID", help="of the whole, by the Hub's identifier")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Write the bundle, say what it is, and return the exit status."""
    require_training_extra()
    from gapmodel.bundle.write import BundleOptions, summary, write_bundle

    said = BundleOptions(
        name=options.name,
        with_geometry=options.with_geometry,
        geometry_weights=options.geometry_weights,
        scores=tuple(options.scores),
        builds=tuple(options.shards),
        base_models=tuple(options.base_model),
        datasets=tuple(options.dataset),
        licence=options.license,
    )
    facts = write_bundle(options.model, options.out, said)
    say_result(facts, summary(facts), as_json=options.json)
    return 0
