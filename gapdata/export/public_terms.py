"""Which exports may be made public: the terms of use of a build's scans decide.

Frames, depth, masks and meshes of most data sets are given under signed terms and may not be passed on. Questions about
them with scene ids and frame numbers are commonly published, so that whoever has the data can rebuild the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapdata.errors import UsageError
from gapdata.files.storage import Location

CURE = "add --text-only to leave out all pixels and geometry, or --private for a copy that is not made public"


def check_public(build: Location, terms: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a public copy of images that may not be given to others.

    Args:
        build: for the message.
        terms: rows of :func:`gapdata.sources.terms.terms_table`, as the build's report has them.

    Raises:
        UsageError: some terms do not allow it, or none are stated.
    """
    closed = [str(row.get("title")) for row in terms if row.get("redistributable") is not True]
    if not terms:
        raise UsageError("does not state the terms of use of its scans, so they count as closed", path=build, cure=CURE)
    if closed:
        raise UsageError(
            f"holds images that may not be given to others, by the terms of {', '.join(closed)}", path=build, cure=CURE
        )


def licence_text(terms: Sequence[Mapping[str, Any]]) -> str:
    """Return ``LICENSE.md``: under which terms each part of the scans was given."""
    lines = ["# Terms of use", "", "This data is derived from scans of others. Their terms hold for it.", ""]
    if not terms:
        return "\n".join([*lines, "The build does not state the terms of its scans.", ""])
    lines += ["| scans | scenes | terms | images may be given to others |", "|---|--:|---|---|"]
    for row in terms:
        shared = "yes" if row.get("redistributable") is True else "no"
        lines.append(f"| {_cell(row.get('title'))} | {row.get('scenes', '')} | {_cell(row.get('terms'))} | {shared} |")
    return "\n".join([*lines, ""])


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "/").split())
