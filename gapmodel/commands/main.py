"""The command ``gapmodel``: look inside a model. Exit status as ``gapdata``'s: 0 done, 1 unexpected, 2 usage."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from gapdata import __version__
from gapdata.commands.argument_types import Parser, pixel
from gapdata.commands.completion import add_completion
from gapdata.commands.main import run_command
from gapdata.errors import UsageError
from gapdata.files.storage import location
from gapdata.runtime.terminal import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_command("gapmodel", _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="gapmodel", description="Look inside a trained model.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gapmodel {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    text = "Draw, for one record, the gate map of every level and what a patch attends to in the geometry encoder."
    inspect = commands.add_parser("inspect", help=text, description=text, allow_abbrev=False)
    inspect.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a model directory or a run's directory")
    inspect.add_argument("--build", required=True, metavar="DIR", help="the build that holds the record")
    inspect.add_argument("--key", metavar="KEY", help="the record (default: the first clip)")
    inspect.add_argument(
        "--token", type=pixel, metavar="U,V", help="a pixel (default: the first prompt's, or the centre)"
    )
    inspect.add_argument("--frame", type=int, metavar="I", help="that pixel's frame, counted in the view from 0")
    inspect.add_argument("--save", type=Path, required=True, metavar="X.png", help="where the picture goes")
    inspect.add_argument("--debug", action="store_true", help="show the traceback of an error")
    inspect.set_defaults(run=_inspect)
    add_completion(commands, parser)
    return parser


def _inspect(options: argparse.Namespace) -> int:
    if options.save.suffix.lower() != ".png" or not options.save.parent.is_dir():
        raise UsageError("is no .png file in an existing directory", path=options.save, cure="change --save")
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise UsageError(f"{package} is not installed", cure="run `pip install 'gapmllm[train]'`")
    import torch

    from gapdata.shards.reader import ShardReader
    from gapdata.show.sheet.sheet import write_png
    from gapmodel.commands.inspect import inspect_record, inspection_sheet
    from gapmodel.model_directory import load_model

    reader = ShardReader(location(options.build))
    if not len(reader):
        raise UsageError("holds no record", path=options.build)
    record = reader[next(iter(reader.select(view="clip")), 0) if options.key is None else options.key]
    model, processor = load_model(options.checkpoint)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    sheet = inspection_sheet(inspect_record(model, processor, record, pixel=options.token, frame=options.frame))
    write_png(sheet, options.save)
    say(options.save)
    return 0
