"""``gapdata view``: a window, or a file, that shows a view or a scene in 3D."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gapdata.commands.argument_types import local, place, voxel
from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say
from gapdata.show.scene.modes import MODES

if TYPE_CHECKING:
    from gapdata.show.viewing import Viewing

HELP = "Show a view or a whole scene in 3D, with its boxes, cameras and prompts, in a window or as a file."
CLOUDS = (".ply", ".glb")
SUFFIXES = (".png", *CLOUDS, ".rrd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is shown, how, and the file to write."""
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    parser.add_argument("--key", metavar="KEY", help="the record (default: the first clip)")
    parser.add_argument("--scene", metavar="ID", help="fuse all views of this scene, in the scan's world, instead")
    parser.add_argument(
        "--color",
        choices=MODES,
        default="rgb",
        help="how points are coloured: rgb (default), error (disagreement with the view's other frames), instance,"
        " validity (of the depth), frame",
    )
    parser.add_argument(
        "--predictions",
        type=local,
        action="append",
        metavar="FILE",
        help="draw a model's answers beside the truth: a predictions .jsonl, or the --out of an evaluation; several "
        "times with --gallery",
    )
    parser.add_argument(
        "--gallery",
        action="store_true",
        help="instead of one view, the first answered view of each of some scenes: frames with the marked pixel or the "
        "boxes, and the answer and the truth in words",
    )
    parser.add_argument(
        "--save",
        type=local,
        metavar="FILE",
        help="write a file instead of opening a window: x.png (a sheet of pictures), x.ply (the cloud) or x.glb (cloud,"
        " cameras, boxes and prompts for any glTF viewer) or x.rrd (a recording for rerun's viewer; with --scene a"
        " timeline for each view)",
    )
    parser.add_argument(
        "--voxel",
        type=voxel,
        metavar="METRES",
        help="thin the cloud of --save x.ply or x.glb to one point in each cube of this size, such as 0.02",
    )


def run(options: argparse.Namespace) -> int:
    """Show or write what the command line asks for and return the exit status.

    Raises:
        UsageError: the request cannot be met; the message says why and what to do.
        ShardError: the build is damaged.
    """
    if options.save is not None:
        check_target(options.save)
    if options.voxel is not None and (options.save is None or options.save.suffix.lower() not in CLOUDS):
        raise UsageError("--voxel is only for a cloud that is saved", cure="add --save x.ply or --save x.glb")
    if options.gallery:
        return _save_gallery(options)
    if len(options.predictions or ()) > 1:
        raise UsageError("several --predictions are only for a gallery", cure="add --gallery, or name one")
    from gapdata.show.viewing import Viewing

    predictions = options.predictions[0] if options.predictions else None
    viewing = Viewing(options.build, key=options.key, scene=options.scene, predictions=predictions)
    if options.save is None:
        from gapdata.show.window.window import show

        return show(viewing, options.color)
    say(f"{options.save}: {save(viewing, options.save, options.color, options.voxel)}")
    return 0


def _save_gallery(options: argparse.Namespace) -> int:
    """Write the gallery and return the exit status."""
    if options.key or options.scene or not options.predictions:
        raise UsageError("a gallery shows the answers of --predictions about several scenes", cure="name only these")
    if options.save is None or options.save.suffix.lower() != ".png":
        raise UsageError("a gallery is a picture", cure="add --save x.png")
    from gapdata.show.sheet.sheet import write_png
    from gapdata.show.viewing import gallery

    sheet = gallery(options.build, options.predictions)
    try:
        write_png(sheet, options.save)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", path=options.save, cure="name another file") from error
    say(f"{options.save}: {sheet.shape[1]} x {sheet.shape[0]} pixels")
    return 0


def check_target(path: Path) -> None:
    """Make sure that a file can be written before minutes are spent on its content.

    Raises:
        UsageError: the suffix is not one of these, or the folder does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"cannot save a view as {suffix or 'a file without suffix'}",
            path=path,
            cure="name a .png, .ply, .glb or .rrd file",
        )
    if not path.absolute().parent.is_dir():
        raise UsageError("its folder does not exist", path=path, cure="create it first")


def save(viewing: Viewing, path: Path, mode: str = "rgb", voxel: float | None = None) -> str:
    """Write what is shown first as the kind of file that the suffix names, and return what was written.

    Args:
        viewing: what is shown.
        path: a ``.png``, ``.ply``, ``.glb`` or ``.rrd`` file.
        mode: how points are coloured.
        voxel: side of the cubes that get one point each, metres; ``None`` keeps all points.

    Raises:
        UsageError: the file cannot be written, or the renderer does not work here.
        ShardError: a record is damaged.
    """
    check_target(path)
    name, suffix = viewing.names[viewing.start], path.suffix.lower()
    try:
        if suffix == ".png":
            from gapdata.show.sheet.sheet import write_png

            sheet = viewing.sheet(viewing.start, mode)
            write_png(sheet, path)
            return f"{name}, {sheet.shape[1]} x {sheet.shape[0]} pixels"
        if suffix == ".rrd":
            from gapdata.show.model_files.rrd import save_rrd

            records = viewing.records(viewing.start)
            count = save_rrd(records, path, name, viewing.predictions)
            return f"{name}, {counted(count, 'frame')} on {counted(len(records), 'timeline')}"
        from gapdata.show.model_files.glb import save_glb
        from gapdata.show.model_files.ply import save_ply

        exhibit = viewing.exhibit(viewing.start, mode=mode)
        exhibit = exhibit if voxel is None else exhibit.thinned(voxel)
        count = (save_ply if suffix == ".ply" else save_glb)(exhibit, path, mode)
        return f"{name}, {counted(count, 'point')}, {exhibit.reference}"
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", path=path, cure="name another file") from error
