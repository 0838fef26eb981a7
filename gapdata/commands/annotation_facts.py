"""What ``gapdata inspect`` says of an annotation file: which it is, and what of it can be used."""

from __future__ import annotations

from typing import Any

from gapdata.errors import FileError, UsageError
from gapdata.files.storage import Location


def describe_annotations(path: Location) -> tuple[dict[str, Any], str] | None:
    """Return the facts about a file as plain values and as text; ``None`` where it is not of a known kind.

    A zip is one only by its name, because captures are zips, too.

    Raises:
        FileError: it is of a known kind, and damaged.
    """
    from gapdata.annotations.bundle import gather
    from gapdata.annotations.known_files import KNOWN_FILES
    from gapdata.annotations.proposals import MASK_SUFFIX
    from gapdata.annotations.recognition import recognise

    try:
        kind = recognise(path)
    except FileError:
        return None
    if kind not in KNOWN_FILES or (kind == "masks" and not path.name.endswith(MASK_SUFFIX)):
        return None
    row = KNOWN_FILES[kind]
    facts: dict[str, Any] = {"annotations": row.title, "gives": row.gives, "from": row.comes_from, "terms": row.terms}
    lines = [f"{name:<11}  {value}" for name, value in facts.items()]
    try:
        report = gather([path]).report
    except UsageError as error:  # one of two files that belong together
        return facts | {"problem": str(error)}, "\n".join([*lines, str(error)])
    return facts | {"file": report.to_dict()["files"][0]}, "\n".join([*lines, *report.lines()])
