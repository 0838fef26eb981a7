"""``gapdata export``: a build in a form that other people's programs read."""

from __future__ import annotations

import argparse

from gapdata.annotations.taxonomy import TAXONOMIES
from gapdata.commands.argument_types import local, names, place, positive
from gapdata.errors import UsageError
from gapdata.export.registry import EXITS, GAP_TASKS, TRAINERS
from gapdata.runtime.terminal import say, say_result

HELP = "Write a build in a form that other people's programs read."
NOTES = (
    "With gap-json: use DIR as their data_path. Labels are EmbodiedScan's names, as in their files; captions of "
    "evaluation splits point at the detector's proposals. Questions about marked pixels are this project's: theirs are "
    "not published. Images keep the size that the build stores; their loader draws its cross of 21 pixels on them as "
    "they are, so on images narrower than ScanNet's 1296 pixels it covers more than the mark that this project draws. "
    "To read the export back: gapdata build-shards --scannet DIR --annotations DIR/annotations/*.json --recipe "
    "manifests/gap-json.toml --set frames.image_size=[W,H], with the size of the images. With chat: DIR/README.md says "
    "how the trainer is started on the folder; marks are drawn into the images, and frames carry no time stamps."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build, the form and the folder."""
    parser.epilog = NOTES
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    forms = "; ".join(f"{name}: {row.help}" for name, row in EXITS.items())
    parser.add_argument("--format", choices=tuple(EXITS), required=True, help=forms)
    parser.add_argument("--out", type=local, required=True, metavar="DIR", help="a new folder, or one to go on with")
    parser.add_argument("--split", choices=("train", "val", "test"), help="only records of this split (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_question_options(parser)


def _add_question_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("questions of gap-json, chat and lmms-eval", argument_default=argparse.SUPPRESS)
    group.add_argument(
        "--tasks",
        type=names,
        metavar="A,B",
        help=f"gap-json: some of {', '.join(GAP_TASKS)} (pre-training, detection, grounding's two stages and its "
        "one-pass form, captioning); chat: pointmap, detection, grounding, grounding_frame, grounding_box, captioning, "
        "conversation, and the types of `gapdata questions`; lmms-eval: these types (default: all)",
    )
    group.add_argument(
        "--wording",
        choices=("consistent", "gap", "vgllm_v1", "vgllm_v2"),
        help="words of the questions, with their Euler convention (default: gap for gap-json, consistent for chat)",
    )
    group.add_argument(
        "--questions",
        type=local,
        metavar="FILE",
        help="chat and lmms-eval: the spatial questions of a file of `gapdata questions`, which is balanced over the "
        "whole build, instead of drawn ones",
    )
    group = parser.add_argument_group("options of chat", argument_default=argparse.SUPPRESS)
    group.add_argument("--trainer", choices=TRAINERS, help="whose form the files take (default: swift, of ms-swift)")
    group.add_argument("--taxonomy", choices=TAXONOMIES, help="names of objects (default: raw, the source's own)")
    group.add_argument(
        "--marks", type=positive, metavar="N", help="pixels that one pointmap question marks, at most 9 (default: 1)"
    )
    group.add_argument(
        "--per-kind", type=positive, metavar="N", help="most spatial questions of a type about a view (default: 2)"
    )
    group = parser.add_argument_group("options of hf", argument_default=argparse.SUPPRESS)
    group.add_argument("--name", metavar="TEXT", help="name of the dataset on its card")
    group.add_argument(
        "--private",
        action="store_true",
        help="a copy that is not made public, of scans whose images may not be given to others; its card is gated",
    )
    group.add_argument(
        "--text-only",
        action="store_true",
        help="no pixels and no geometry: scene ids, frame numbers and spatial questions",
    )


def run(options: argparse.Namespace) -> int:
    """Export, print the report, and return the exit status."""
    from gapdata.export.export_build import export_build, stated_terms
    from gapdata.runtime.progress import Progress
    from gapdata.sources.terms import terms_lines

    known = {name for row in EXITS.values() for name in row.options}
    given = {name: value for name, value in vars(options).items() if name in known}
    for name in given.keys() - EXITS[options.format].options.keys():
        owners = [form for form, row in EXITS.items() if name in row.options]
        option = name.replace("_", "-")
        raise UsageError(f"--{option} is an option of --format {', '.join(owners)} only", cure="leave it out")
    if {"questions", "per_kind"} <= given.keys():
        raise UsageError("--per-kind says nothing of questions that a file holds", cure="leave it out")
    terms = stated_terms(options.build)
    for line in terms_lines(terms):
        say(f"terms of {line}", error=True)
    with Progress(0, "records", "export") as progress:
        report = export_build(
            options.format,
            options.build,
            options.out,
            split=options.split,
            progress=progress,
            announce=progress.expect,
            terms=terms,
            **given,
        )
    text = EXITS[options.format].load().format_report(report)
    say_result(report, f"{options.out}: {text}", as_json=options.json)
    return 0
