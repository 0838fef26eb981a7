"""What ``gapdata export`` takes. Imports nothing heavy: the command line's help reads it."""

from __future__ import annotations

import argparse

from gapdata.commands.argument_types import local
from gapdata.runtime.choices import did_you_mean
from gapdata.runtime.terminal import say_result

TASKS = ("recons", "det", "scanrefer1", "scanrefer2", "scanrefer", "scan2cap")
HELP = "Write a build as JSON and images that GAP-MLLM's and VG-LLM's own loaders read, and build-shards reads back."
NOTES = (
    "Use DIR as their data_path. Labels are EmbodiedScan's names, as in their files; captions of evaluation splits "
    "point at the detector's proposals. Questions about marked pixels are this project's: theirs are not published. "
    "Images keep the size that the build stores; their loader draws its cross of 21 pixels on them as they are, so on "
    "images narrower than ScanNet's 1296 pixels it covers more than the mark that this project draws. To read the "
    "export back: gapdata build-shards --scannet DIR --annotations DIR/annotations/*.json --recipe "
    "manifests/gap-json.toml --set frames.image_size=[W,H], with the size of the images."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add everything but BUILD."""
    parser.epilog = NOTES
    parser.add_argument("--format", choices=("gap-json",), required=True, help="the form of the export")
    parser.add_argument("--out", type=local, required=True, metavar="DIR", help="a new folder, or the same export's")
    parser.add_argument(
        "--tasks",
        type=_tasks,
        default=TASKS,
        metavar="A,B",
        help=f"of {', '.join(TASKS)} (default: all): pre-training, detection, grounding's two stages and its one-pass "
        "form, captioning",
    )
    parser.add_argument("--split", choices=("train", "val", "test"), help="only records of this split (default: all)")
    parser.add_argument(
        "--wording",
        choices=("gap", "vgllm_v1", "vgllm_v2"),
        default="gap",
        help="whose questions, and whose Euler convention (default: gap)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _tasks(text: str) -> tuple[str, ...]:
    named = tuple(name for name in text.split(",") if name)
    unknown = [name for name in named if name not in TASKS]
    if unknown or not named:
        meant = did_you_mean(unknown[0], TASKS) if unknown else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(TASKS)}; {meant}".rstrip("; "))
    return named


def run(options: argparse.Namespace) -> int:
    """Export, print the report, and return the exit status."""
    from gapdata.export.gap_json import ExportRequest, export_build, format_report
    from gapdata.runtime.progress import Progress

    request = ExportRequest(
        build=options.build, out=options.out, tasks=options.tasks, split=options.split, wording=options.wording
    )
    with Progress(0, "records", "export") as progress:
        report = export_build(request, progress, progress.expect)
    say_result(report, f"{options.out}: {format_report(report)}", as_json=options.json)
    return 0
