"""``gapdata report``: the page as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted


def write_page(build: Location, out: Path, views: int) -> dict[str, Any]:
    """Write the page of a finished build and say what is in it: ``path, bytes, records, views, damaged``.

    Raises:
        UsageError: the place holds no finished build, or the page cannot be written.
        ShardError: the build's index or report is damaged.
    """
    from gapdata.files.atomic import write_atomically
    from gapdata.report.page import report_page

    if not out.absolute().parent.is_dir():
        raise UsageError("its directory does not exist", path=out, cure="create it first")
    page, facts = report_page(build, views)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", path=out) from error
    return {"path": str(out), "bytes": len(page), **facts}


def format_written(facts: dict[str, Any]) -> str:
    """What was written, as text for a terminal."""
    lines = [
        f"{facts['path']}: {counted(facts['records'], 'record')}, {counted(facts['views'], 'view')}, "
        f"{facts['bytes'] / 1e6:.1f} MB"
    ]
    lines += [f"  damaged: {key}: {problem}" for key, problem in facts["damaged"].items()]
    if facts["damaged"]:
        lines.append("  run `gapdata verify` to see all damage")
    return "\n".join(lines)
