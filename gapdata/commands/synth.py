"""``gapdata synth``: synthetic scans, to try the whole path without a download."""

from __future__ import annotations

import argparse
from typing import Any

from gapdata.commands.argument_types import local, positive, size
from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say_result
from gapdata.synthetic.formats.registry import FORMATS

HELP = "Write synthetic scans in the file formats of ScanNet, of other data sets and of phones."
SCANNET = "scannet"
ONLY_OF_SCANNET = ("test_scenes", "rooms", "depth_size", "shared_camera", "annotations", "workers")
"""The options that other formats do not take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the scans go, in which format, how many, and how their sensor sees."""
    parser.add_argument("out", type=local, metavar="OUT", help="the folder of the new data set")
    parser.add_argument("--format", choices=[SCANNET, *FORMATS], default=SCANNET, metavar="NAME", help=_formats())
    parser.add_argument("--scenes", type=positive, default=4, metavar="N", help="annotated scenes (default: 4)")
    parser.add_argument("--test-scenes", type=int, metavar="N", help="further scenes without annotation (default: 0)")
    parser.add_argument("--frames", type=positive, default=120, metavar="F", help="frames of each scene (default: 120)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="the same seed gives the same bytes (default: 0)"
    )
    parser.add_argument(
        "--rooms",
        type=lambda names: tuple(names.split(",")),
        metavar="KINDS",
        help="kinds of room that take turns, with commas between them: bedroom, living-room, office, kitchen, "
        "classroom, bathroom (default: all)",
    )
    _add_sensor_options(parser)
    parser.add_argument(
        "--annotations",
        action="store_const",
        const=True,
        help="also write OUT/annotations/: EmbodiedScan's pickles, ScanRefer's descriptions, Mask3D's proposals and "
        "conversations in the forms of VG-LLM and GAP-MLLM",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="scenes made at once (default: by the number of cores)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that are already there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _formats() -> str:
    only = ", ".join(f"--{name.replace('_', '-')}" for name in ONLY_OF_SCANNET)
    others = "; ".join(f"{name}: {row.help}" for name, row in FORMATS.items())
    return f"the format of the files (default: {SCANNET}, which alone takes {only}). {others}"


def _add_sensor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--color-size",
        type=size,
        metavar="WxH",
        help="pixels of colour images (default: 1296x968; formats other than scannet have "
        "shapes of their own, of which this is the longer side, by default 256)",
    )
    parser.add_argument("--depth-size", type=size, metavar="WxH", help="pixels of depth images (default: 640x480)")
    parser.add_argument(
        "--noise", type=float, default=1.0, help="strength of sensor noise; 0 turns noise and holes off (default: 1)"
    )
    parser.add_argument(
        "--shared-camera",
        action="store_const",
        const=True,
        help="colour and depth share one camera, of the depth size",
    )


def run(options: argparse.Namespace) -> int:
    """Write the scans and return the exit status."""
    if (options.test_scenes or 0) < 0 or options.noise < 0:
        raise UsageError("--test-scenes and --noise must not be negative")
    in_scannet = options.format == SCANNET
    scenes = _write_scannet(options) if in_scannet else _write_format(options)
    source = SCANNET if in_scannet else FORMATS[options.format].option
    done = f"{options.out}: {counted(len(scenes), 'scene')} of {counted(options.frames, 'frame')}"
    text = f"{done}\nnext: gapdata build-shards --{source} {options.out}"
    facts = {"path": str(options.out), "scenes": scenes, "frames": options.frames}
    say_result(facts if in_scannet else {**facts, "format": options.format}, text, as_json=options.json)
    return 0


def _write_scannet(options: argparse.Namespace) -> list[str]:
    from gapdata.runtime.progress import Progress
    from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset

    names = ("scenes", "frames", "seed", "color_size", "noise", "overwrite", *ONLY_OF_SCANNET)
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    workers = given.pop("workers", None)
    synthesis = SynthesisOptions(**given)
    total = (synthesis.scenes + synthesis.test_scenes) * options.frames
    with Progress(total, "frames", "synth") as progress:
        return synthesise_dataset(options.out, synthesis, progress=progress, workers=workers)


def _write_format(options: argparse.Namespace) -> list[str]:
    from gapdata.runtime.progress import Progress
    from gapdata.synthetic.formats.walk import WalkOptions
    from gapdata.synthetic.formats.writing import write_format

    given = [name for name in ONLY_OF_SCANNET if getattr(options, name) is not None]
    if given:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{words} can be given with --format {SCANNET} only", cure="leave it out")
    if options.seed < 0:
        raise UsageError("--seed must not be negative")
    width = {} if options.color_size is None else {"width": max(options.color_size)}
    walk = WalkOptions(frames=options.frames, seed=options.seed, noise=options.noise, **width)
    with Progress(options.scenes * options.frames, "frames", "synth") as progress:
        return write_format(
            options.out, options.format, options.scenes, walk, overwrite=options.overwrite, progress=progress
        )
