"""``gapmodel inspect``: what a model does inside, for one record, as one picture."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import local, pixel, place
from gapdata.errors import UsageError
from gapdata.runtime.terminal import say
from gapmodel.commands.training_extra import require_training_extra

HELP = "Draw the gate map of every level, and what a patch attends to in the geometry encoder, for one record."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("checkpoint", type=local, metavar="CHECKPOINT", help="a model directory or a run's directory")
    parser.add_argument("--build", type=place, required=True, metavar="DIR", help="the build that holds the record")
    parser.add_argument("--key", metavar="KEY", help="the record (default: the first clip)")
    parser.add_argument(
        "--token", type=pixel, metavar="U,V", help="a pixel (default: the first prompt's, or the centre)"
    )
    parser.add_argument("--frame", type=int, metavar="I", help="position of that pixel's frame in the view, from 0")
    parser.add_argument("--save", type=local, required=True, metavar="X.png", help="file of the picture")


def run(options: argparse.Namespace) -> int:
    """Draw the picture and return the exit status."""
    if options.save.suffix.lower() != ".png" or not options.save.parent.is_dir():
        raise UsageError("is not a .png file in an existing directory", path=options.save, cure="change --save")
    require_training_extra()
    import torch

    from gapdata.shards.reader import ShardReader
    from gapdata.show.sheet.sheet import write_png
    from gapmodel.inspection.attention import inspect_record
    from gapmodel.inspection.sheet import inspection_sheet
    from gapmodel.model_directory import load_model

    reader = ShardReader(options.build)
    if not len(reader):
        raise UsageError("holds no record", path=options.build, cure="its report.json says why")
    record = reader[next(iter(reader.select(view="clip")), 0) if options.key is None else options.key]
    model, processor = load_model(options.checkpoint)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    sheet = inspection_sheet(inspect_record(model, processor, record, pixel=options.token, frame=options.frame))
    write_png(sheet, options.save)
    say(options.save)
    return 0
