"""``gapdata build-shards``: scans to shards, or the plan of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from gapdata.commands.argument_types import annotation_file, duration, local, names, place, positive
from gapdata.commands.source_options import add_frame_options, add_scannetpp_options, add_source_options
from gapdata.runtime.ray_job import refuse_temporary_places
from gapdata.runtime.terminal import say, say_result
from gapdata.sources.registry import open_dataset, source_options, with_annotations

HELP = "Turn RGB-D scans into shards. Resumes where it stopped."
QUARANTINED = 3
"""Exit status of a build that is complete but lost something."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is built, how, and where."""
    add_source_options(parser)
    _add_build_options(parser)
    _add_choice_of_scenes(parser)
    _add_execution_options(parser)
    add_frame_options(parser)
    add_scannetpp_options(parser)


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=place,
        default=Path("shards"),
        metavar="DIR",
        help="where the build goes: a path, s3://... or gs://... (default: shards)",
    )
    parser.add_argument("--recipe", type=local, metavar="FILE", help="a recipe such as manifests/scannet-pretrain.toml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe field, e.g. clips.step=10"
    )
    parser.add_argument(
        "--annotations",
        type=annotation_file,
        nargs="+",
        default=[],
        metavar="[SPLIT=]FILE",
        help="other people's files about the scenes, recognised by their content: embodiedscan_infos_*.pkl;"
        " ScanRefer's, Scan2Cap's, Multi3DRefer's, GAP-MLLM's and VG-LLM's JSON; Nr3D's and Sr3D's CSV; Mask3D's"
        " pred_box.json or a folder of mask.npz; questions of VSI-Bench, SPAR, ScanQA and SQA3D; val=FILE states the"
        " split of a file where neither its scenes nor its name tell it",
    )


def _add_choice_of_scenes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", help="only scenes of this split: train, val or test")
    parser.add_argument("--scenes", type=names, default=(), metavar="A,B", help="only these scenes")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N scenes")


def _add_execution_options(parser: argparse.ArgumentParser) -> None:
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
        help="stop an attempt at a shard after this time, such as 90s, 20m or 2h, and try once more (default: by the"
        " shard's number of frames; no effect with inline)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what a build will hold and take; write nothing")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="remove the build in --out first")
    again.add_argument(
        "--retry-failed", action="store_true", help="build the shards again in which something was set aside"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Build, or plan with ``--dry-run``, print the report and return the exit status."""
    from gapdata.engine.build_dataset import build_dataset
    from gapdata.engine.estimate import format_plan
    from gapdata.engine.recipe import read_recipe
    from gapdata.engine.report import is_whole
    from gapdata.engine.report_text import format_report

    if not options.dry_run:
        refuse_temporary_places({"--out": str(options.out)})
    report = build_dataset(
        dataset=open_dataset(**with_annotations(source_options(vars(options)), options.annotations)),
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
