"""``gapdata report``: one HTML page about a build."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gapdata.commands.argument_types import local, place, positive
from gapdata.commands.verify import DAMAGED
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted
from gapdata.runtime.terminal import say_result

HELP = "Write one HTML page that shows what a finished build holds."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the build, the page's file and how many views it shows."""
    parser.add_argument("build", type=place, metavar="BUILD", help="the --out of build-shards")
    parser.add_argument(
        "--out", type=local, default=Path("report.html"), metavar="FILE", help="the page (default: report.html)"
    )
    parser.add_argument(
        "--views", type=positive, default=12, metavar="N", help="views with pictures and 3D points (default: 12)"
    )
    parser.add_argument(
        "--questions",
        type=local,
        metavar="FILE",
        help="show the spatial questions of this file of gapdata questions (default: ask a sample of the records)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Write the page, say what is in it and return the exit status."""
    facts = write_page(options.build, options.out, options.views, options.questions)
    say_result(facts, format_written(facts), as_json=options.json)
    return DAMAGED if facts["damaged"] else 0


def write_page(build: Location, out: Path, views: int, questions: Path | None = None) -> dict[str, Any]:
    """Write the page of a finished build and return what is in it: ``path, bytes, records, views, questions, damaged``.

    Raises:
        UsageError: the place holds no finished build, or the page cannot be written.
        ShardError: the build's index or report is damaged.
    """
    from gapdata.files.atomic import write_atomically
    from gapdata.report.page import report_page

    if not out.absolute().parent.is_dir():
        raise UsageError("its folder does not exist", path=out, cure="create it first")
    page, facts = report_page(build, views, questions)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", path=out, cure="name another --out") from error
    return {"path": str(out), "bytes": len(page), **facts}


def format_written(facts: dict[str, Any]) -> str:
    """Return what was written as text for a terminal."""
    lines = [
        f"{facts['path']}: {counted(facts['records'], 'record')}, {counted(facts['views'], 'view')}, "
        f"{counted(facts['questions'], 'question')} about space, "
        f"{facts['bytes'] / 1e6:.1f} MB"
    ]
    lines += [f"  damaged: {key}: {problem}" for key, problem in facts["damaged"].items()]
    if facts["damaged"]:
        lines.append("  run `gapdata verify` to see all damage")
    return "\n".join(lines)
