"""``gapdata inspect``: what a scan, data set, build, record or annotation file holds, and whether poses fit depth."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from gapdata.commands.argument_types import place
from gapdata.errors import SourceError, UsageError
from gapdata.files.storage import Location
from gapdata.runtime.terminal import say_result
from gapdata.sources.registry import open_found

if TYPE_CHECKING:
    from gapdata.sources.base import Dataset, Scan

EXAMPLE = "write this to objects.json beside the frames, with a box for each object, to train on them"
HELP = "Say what a .sens file, a folder of frames, a scene, a data set, a build, a record or an annotation file holds."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the place, and what to say about it."""
    parser.add_argument(
        "path",
        type=place,
        metavar="PATH",
        help="a .sens file, a folder of frames, a scene, a data set, a build or an annotation file",
    )
    parser.add_argument("--key", metavar="KEY", help="one record of a build")
    parser.add_argument(
        "--poses",
        action="store_true",
        help="compare frames of each scan: do its poses, depth and intrinsics agree, and if not, what is wrong?",
    )
    parser.add_argument(
        "--labels",
        action="store_true",
        help="count the objects of a data set by label, and list the labels without a name in our taxonomies",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print what the place holds and return the exit status.

    Raises:
        UsageError: the place does not exist, or does not hold anything that can be inspected.
        SourceError: the only scan there cannot be read.
    """
    if options.poses and options.key is not None:
        raise UsageError("--poses is for scans, --key for a record of a build", cure="leave out one of the two options")
    if options.labels and (options.poses or options.key is not None):
        raise UsageError("--labels does not go with --poses and --key", cure="leave out the other option")
    if not options.path.exists():
        raise UsageError(
            "does not exist", path=options.path, cure="name a .sens file, a folder of scans, a scene or a build"
        )
    if options.labels:
        facts, text = inspect_labels(options.path)
    else:
        facts, text = inspect_poses(options.path) if options.poses else inspect_path(options.path, options.key)
    say_result(facts, text, as_json=options.json)
    return 0


def inspect_path(path: Location, key: str | None = None) -> tuple[dict[str, Any], str]:
    """Return the facts about a place, or about the record of a build, as plain values and as text."""
    from gapdata.commands.annotation_facts import describe_annotations
    from gapdata.records.record_facts import describe_record
    from gapdata.shards.fingerprint import PLAN_NAME
    from gapdata.shards.reader import ShardReader

    if key is not None:
        facts = describe_record(ShardReader(path)[key])
    elif (path / PLAN_NAME).exists():
        return _build_facts(path)
    elif path.is_file() and (told := describe_annotations(path)) is not None:
        return told
    else:
        with _opened(path) as found:
            facts = found.describe()
            example = _objects_example(found)
        if example is not None:
            from gapdata.sources.boxes_example import example_text

            text = format_facts(facts | {"objects_example": EXAMPLE})
            return facts | {"objects_example": example}, f"{text}\n{example_text(example)}"
    return facts, format_facts(facts)


def _objects_example(found: Dataset | Scan) -> dict[str, Any] | None:
    """Return an ``objects.json`` for a capture that has none; ``None`` for anything else."""
    from gapdata.sources.base import Scan
    from gapdata.sources.boxes_example import objects_example

    if not isinstance(found, Scan) or found.reading is None or found.objects_file is not None:
        return None
    return objects_example(found)


def _build_facts(path: Location) -> tuple[dict[str, Any], str]:
    from gapdata.engine.report import read_report
    from gapdata.engine.report_text import format_report
    from gapdata.shards.splits import format_tars, read_splits

    report, tars = read_report(path), read_splits(path)
    lines = [f"  tars of {split}: {format_tars(names)}" for split, names in (tars or {}).items()]
    return report | {"splits": tars}, "\n".join([format_report(report), *lines])


def inspect_labels(path: Location) -> tuple[dict[str, Any], str]:
    """Return what the objects of a data set are called, and which labels lack a name.

    Raises:
        UsageError: the place does not hold a data set.
    """
    from gapdata.commands.label_facts import describe_labels, format_labels
    from gapdata.runtime.progress import Progress
    from gapdata.sources.base import Dataset

    with _opened(path) as found:
        if not isinstance(found, Dataset):
            cure = "name the folder of the data set"
            raise UsageError("is one scan, and labels are counted of a data set", path=path, cure=cure)
        with Progress(len(found.scene_ids), "scenes", "labels") as progress:
            facts = describe_labels(found, progress)
    return facts, format_labels(facts)


def inspect_poses(path: Location) -> tuple[dict[str, Any], str]:
    """Return whether the frames of each scan agree, and if not, which mistake explains it; a line for each scan."""
    from gapdata.sources.base import Dataset

    with _opened(path) as found:
        if not isinstance(found, Dataset):
            return _pose_facts(found)
        if len(found.scene_ids) == 1:
            with found.open_scan(found.scene_ids[0]) as scan:
                return _pose_facts(scan)
        scenes = {scene_id: _pose_facts_or_error(found, scene_id) for scene_id in found.scene_ids}
    lines = [f"{scene_id}: {facts['text']}" for scene_id, facts in scenes.items()]
    return {"path": str(path), "scenes": scenes}, "\n".join(lines)


def _pose_facts(scan: Scan) -> tuple[dict[str, Any], str]:
    from gapdata.records.pose_diagnosis import diagnose_poses

    facts = diagnose_poses(scan).to_facts()
    return {"path": str(scan.path), "scene_id": scan.scene_id, **facts}, f"{scan.scene_id}: {facts['text']}"


def _pose_facts_or_error(dataset: Dataset, scene_id: str) -> dict[str, Any]:
    from gapdata.records.pose_diagnosis import diagnose_poses

    try:
        with dataset.open_scan(scene_id) as scan:
            return diagnose_poses(scan).to_facts()
    except SourceError as error:
        return {"verdict": "unreadable", "cure": error.cure, "text": error.problem}


@contextmanager
def _opened(path: Location) -> Iterator[Dataset | Scan]:
    """Open the data set or scan at a place until the block ends."""
    from gapdata.sources.base import Scan

    found = open_found(path)
    with found if isinstance(found, Scan) else nullcontext(found) as opened:
        yield opened


def format_facts(facts: dict[str, Any], indent: str = "") -> str:
    """Return nested facts as aligned lines."""
    width = max((len(name) for name in facts), default=0)
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and value and any(isinstance(inner, dict) for inner in value.values()):
            lines += [f"{indent}{name}", format_facts(value, indent + "  ")]
        elif isinstance(value, dict):
            lines.append(f"{indent}{name:<{width}}  {', '.join(f'{k} {v}' for k, v in value.items()) or 'none'}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}")
            lines += [f"{indent}  {', '.join(f'{k} {v}' for k, v in item.items())}" for item in value]
        else:
            lines.append(f"{indent}{name:<{width}}  {value}")
    return "\n".join(lines)
