"""An annotation file as a user names it, and the split that its name states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gapdata.files.storage import Location

SPLIT_IN_NAME = re.compile(r"(?:^|[^a-z])(train|val|test|unknown)(?:ing|id|idation)?(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    """A file, or a folder of masks, and the split that the user states for it."""

    path: Location
    split: str | None = None  # None: the user states none


def named_split(path: Location) -> str | None:
    """Return the split that a file's name states, or ``None`` where it states none or several.

    ``embodiedscan_infos_val.pkl`` states ``val``. A name alone decides nothing:
    :mod:`gapdata.annotations.split_evidence` compares it with the content.
    """
    found = set(SPLIT_IN_NAME.findall(path.name.lower()))
    return found.pop() if len(found) == 1 else None
