"""The command ``gapdata``. Results go to standard output, progress and errors to standard error; the exit status
tells the rest.

0 complete; 1 unexpected; 2 usage, recipe or fingerprint; 3 complete but something was quarantined, or a scene or the
whole build holds nothing for want of depth; 4 damaged shards; 130 and 143 stopped in order by SIGINT and SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gapdata import __version__
from gapdata.commands.argument_types import Parser, annotation_file, duration, local, names, place, positive, size
from gapdata.commands.completion import add_completion
from gapdata.commands.source_options import add_source_options
from gapdata.errors import GapDataError, UsageError, describe_refusal, describe_shortage
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say, say_result
from gapdata.sources.registry import open_dataset, source_options

QUARANTINED = 3
DAMAGED = 4
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return run_command("gapdata", options)
    except KeyboardInterrupt:
        say("gapdata: interrupted; the same command goes on where this one stopped", error=True)
        return INTERRUPTED


def run_command(program: str, options: argparse.Namespace) -> int:
    """The exit status of ``options.run(options)``; an error becomes one line, or a traceback with ``--debug``."""
    try:
        return int(options.run(options))
    except GapDataError as error:
        if options.debug:
            raise
        say(f"{program}: {error}", error=True)
        return error.exit_status
    except BrokenPipeError:
        # Whoever read our output has seen enough (`gapdata ... | head`); the interpreter must not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if options.debug:
            raise
        say(f"{program}: {describe_refusal(error)}", error=True)
        return 1
    except (ImportError, MemoryError) as error:
        shortage = describe_shortage(error)
        if options.debug or shortage is None:
            raise
        say(f"{program}: {shortage}", error=True)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="gapdata", description="Raw RGB-D scans in, training-ready WebDataset shards out.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"gapdata {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_build_shards(commands)
    _add_synth(commands)
    _add_inspect(commands)
    _add_status(commands)
    _add_verify(commands)
    _add_view(commands)
    _add_report(commands)
    _add_export(commands)
    add_completion(commands, parser)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def _add_build_shards(commands: Any) -> None:
    parser = _command(
        commands, "build-shards", _build_shards, "Turn RGB-D scans into shards. Resumes where it stopped."
    )
    add_source_options(parser)
    parser.add_argument(
        "--out",
        type=place,
        default=Path("shards"),
        metavar="DIR",
        help="where the build goes; a path, s3://... or gs://... (default: shards)",
    )
    parser.add_argument("--recipe", type=local, metavar="FILE", help="a recipe such as manifests/scannet-pretrain.toml")
    parser.add_argument(
        "--annotations",
        type=annotation_file,
        nargs="+",
        default=[],
        metavar="[SPLIT=]FILE",
        help="other people's files about the scenes, known by their content: embodiedscan_infos_*.pkl, ScanRefer's and"
        " Scan2Cap's JSON, Mask3D's pred_box.json or a folder of mask.npz, GAP-MLLM's and VG-LLM's JSON; val=FILE says"
        " what a file is for that neither its scenes nor its name tell",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe field, e.g. clips.step=10"
    )
    parser.add_argument("--split", help="only scenes of this split: train, val or test")
    parser.add_argument("--scenes", type=names, default=(), metavar="A,B", help="only these scenes")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N scenes")
    parser.add_argument(
        "--executor",
        default="ray",
        metavar="ray|local|inline",
        help="where shards are built: a Ray of this machine or the cluster of RAY_ADDRESS (default), processes of this"
        " machine, or this process",
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="shards built at once (default: one per core)")
    parser.add_argument(
        "--deadline",
        type=duration,
        metavar="TIME",
        help="an attempt at a shard that takes longer is killed and made once more: 90s, 20m, 2h (default: by its"
        " frames; without effect for inline)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="remove the build in --out first")
    again.add_argument(
        "--retry-failed",
        action="store_true",
        help="build shards again that quarantined something",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_synth(commands: Any) -> None:
    parser = _command(commands, "synth", _synth, "Write synthetic scans in ScanNet's own file formats.")
    parser.add_argument("out", type=local, metavar="OUT", help="the folder of the new dataset")
    parser.add_argument("--scenes", type=positive, default=4, metavar="N", help="annotated scenes (default: 4)")
    parser.add_argument(
        "--test-scenes", type=int, default=0, metavar="N", help="scenes without annotation besides (default: 0)"
    )
    parser.add_argument("--frames", type=positive, default=120, metavar="F", help="frames of each scene (default: 120)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="equal seeds give equal bytes (default: 0)")
    parser.add_argument("--color-size", type=size, default=(1296, 968), metavar="WxH", help="default: 1296x968")
    parser.add_argument("--depth-size", type=size, default=(640, 480), metavar="WxH", help="default: 640x480")
    parser.add_argument(
        "--noise", type=float, default=1.0, help="strength of sensor noise; 0 turns noise and holes off"
    )
    parser.add_argument(
        "--shared-camera", action="store_true", help="colour and depth share one camera, of the depth size"
    )
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


def _add_inspect(commands: Any) -> None:
    parser = _command(
        commands,
        "inspect",
        _inspect,
        "Say what a .sens file, a folder of frames, a scene, a dataset, a build or a record holds.",
    )
    parser.add_argument("path", type=place, metavar="PATH")
    parser.add_argument("--key", metavar="KEY", help="one record of a build")
    parser.add_argument(
        "--poses",
        action="store_true",
        help="compare frames of each scan: do its poses, depth and intrinsics agree, and if not, what is the mistake",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_status(commands: Any) -> None:
    parser = _command(commands, "status", _status, "Say how far a build is; safe while it runs.")
    parser.add_argument("build", type=place, metavar="BUILD")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_verify(commands: Any) -> None:
    parser = _command(commands, "verify", _verify, "Check that a build is whole and sound; exit status 4 if it is not.")
    parser.add_argument("build", type=place, metavar="BUILD")
    parser.add_argument(
        "--sample", type=positive, metavar="N", help="read only N records, evenly spread, and skip checksums"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes (default: by the number of cores)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_view(commands: Any) -> None:
    from gapdata.commands import view as command

    command.add_arguments(_command(commands, "view", command.run, command.HELP))


def _add_report(commands: Any) -> None:
    parser = _command(commands, "report", _report, "Write one HTML page that shows what a finished build holds.")
    parser.add_argument("build", type=place, metavar="BUILD")
    parser.add_argument("--out", type=local, default=Path("report.html"), metavar="FILE", help="default: report.html")
    parser.add_argument(
        "--views", type=positive, default=12, metavar="N", help="views with pictures and 3D points (default: 12)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_export(commands: Any) -> None:
    from gapdata.commands import export as arguments

    parser = _command(commands, "export", arguments.run, arguments.HELP)
    parser.add_argument("build", type=place, metavar="BUILD")
    arguments.add_arguments(parser)


def _build_shards(options: argparse.Namespace) -> int:
    from gapdata.engine.build_dataset import build_dataset
    from gapdata.engine.estimate import format_plan
    from gapdata.engine.recipe import read_recipe
    from gapdata.engine.report import is_whole
    from gapdata.engine.report_text import format_report

    report = build_dataset(
        dataset=open_dataset(**source_options(vars(options))),
        out=options.out,
        recipe=read_recipe(options.recipe, options.set),
        annotations=options.annotations,
        split=options.split,
        scenes=options.scenes,
        limit=options.limit,
        executor=options.executor,
        workers=options.workers,
        deadline=options.deadline,
        overwrite=options.overwrite,
        retry_failed=options.retry_failed,
        dry_run=options.dry_run,
        announce=lambda line: say(f"gapdata: {line}", error=True),
    )
    if options.dry_run:
        say_result(report, format_plan(report), as_json=options.json)
        return 0
    say_result(report, f"{options.out}: {format_report(report)}", as_json=options.json)
    return 0 if is_whole(report) else QUARANTINED


def _synth(options: argparse.Namespace) -> int:
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


def _inspect(options: argparse.Namespace) -> int:
    from gapdata.commands.inspect import inspect_path, inspect_poses

    if options.poses and options.key is not None:
        raise UsageError("--poses is about scans, --key about a record of a build", cure="give one of them")
    facts, text = inspect_poses(options.path) if options.poses else inspect_path(options.path, options.key)
    say_result(facts, text, as_json=options.json)
    return 0


def _status(options: argparse.Namespace) -> int:
    from gapdata.audit.status import build_status, format_status

    status = build_status(options.build)
    say_result(status, format_status(options.build, status), as_json=options.json)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from gapdata.audit.verify import format_verdict, verify_build
    from gapdata.runtime.cores import available_cores
    from gapdata.runtime.progress import Progress

    workers = options.workers or available_cores()
    with Progress(0, "records", "verify") as progress:
        verdict = verify_build(
            options.build, sample=options.sample, workers=workers, progress=progress, announce=progress.expect
        )
    say_result(verdict.to_dict(), format_verdict(options.build, verdict), as_json=options.json)
    return DAMAGED if verdict.defects else 0


def _report(options: argparse.Namespace) -> int:
    from gapdata.commands.report import format_written, write_page

    facts = write_page(options.build, options.out, options.views)
    say_result(facts, format_written(facts), as_json=options.json)
    return DAMAGED if facts["damaged"] else 0
