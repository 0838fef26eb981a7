"""``gapdata synth``: synthetic scans, to try the whole path without a download."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import local, positive, size
from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say_result

HELP = "Write synthetic scans in ScanNet's own file formats."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the scans go, how many, and how their sensor sees."""
    parser.add_argument("out", type=local, metavar="OUT", help="the folder of the new data set")
    parser.add_argument("--scenes", type=positive, default=4, metavar="N", help="annotated scenes (default: 4)")
    parser.add_argument(
        "--test-scenes", type=int, default=0, metavar="N", help="further scenes without annotation (default: 0)"
    )
    parser.add_argument("--frames", type=positive, default=120, metavar="F", help="frames of each scene (default: 120)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="the same seed gives the same bytes (default: 0)"
    )
    _add_sensor_options(parser)
    parser.add_argument(
        "--annotations",
        action="store_true",
        help="also write OUT/annotations/: EmbodiedScan's pickles, ScanRefer's descriptions, Mask3D's proposals and "
        "conversations in the forms of VG-LLM and GAP-MLLM",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="scenes made at once (default: by the number of cores)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that are already there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_sensor_options(parser: argparse.ArgumentParser) -> None:
    sizes = (("color", "colour images", (1296, 968)), ("depth", "depth images", (640, 480)))
    for name, what, usual in sizes:
        text = f"pixels of {what} (default: {usual[0]}x{usual[1]})"
        parser.add_argument(f"--{name}-size", type=size, default=usual, metavar="WxH", help=text)
    parser.add_argument(
        "--noise", type=float, default=1.0, help="strength of sensor noise; 0 turns noise and holes off (default: 1)"
    )
    parser.add_argument(
        "--shared-camera", action="store_true", help="colour and depth share one camera, of the depth size"
    )


def run(options: argparse.Namespace) -> int:
    """Write the scans and return the exit status."""
    from gapdata.runtime.progress import Progress
    from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset

    if options.test_scenes < 0 or options.noise < 0:
        raise UsageError("--test-scenes and --noise must not be negative")
    synthesis = SynthesisOptions(
        scenes=options.scenes,
        test_scenes=options.test_scenes,
        frames=options.frames,
        seed=options.seed,
        color_size=options.color_size,
        depth_size=options.depth_size,
        noise=options.noise,
        shared_camera=options.shared_camera,
        annotations=options.annotations,
        overwrite=options.overwrite,
    )
    total = (options.scenes + options.test_scenes) * options.frames
    with Progress(total, "frames", "synth") as progress:
        scenes = synthesise_dataset(options.out, synthesis, progress=progress, workers=options.workers)
    done = f"{options.out}: {counted(len(scenes), 'scene')} of {counted(options.frames, 'frame')}"
    text = f"{done}\nnext: gapdata build-shards --scannet {options.out}"
    say_result({"path": str(options.out), "scenes": scenes, "frames": options.frames}, text, as_json=options.json)
    return 0
