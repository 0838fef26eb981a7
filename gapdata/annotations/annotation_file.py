"""An annotation file as a user names it, and the split that its name states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gapdata.annotations.splits import SPLITS
from gapdata.files.storage import Location, location
from gapdata.runtime.choices import check_choice, near_names

STATED = re.compile(r"([A-Za-z]+)=(.+)", re.DOTALL)
SPLIT_IN_NAME = re.compile(r"(?:^|[^a-z])(train|val|test|unknown)(?:ing|id|idation)?(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    """A file, or a folder of masks, and the split that the user states for it."""

    path: Location
    split: str | None = None  # None: the user states none


def stated_file(text: str) -> AnnotationFile:
    """Read ``FILE`` or ``SPLIT=FILE``; a file that has the whole text for its name is that file.

    Raises:
        UsageError: the split is unknown, or the place has an unknown scheme.
    """
    match = STATED.fullmatch(text)
    if match is None or (match[1] not in SPLITS and (location(text).exists() or not near_names(match[1], SPLITS))):
        return AnnotationFile(path=location(text))
    check_choice("split", match[1], SPLITS)
    return AnnotationFile(path=location(match[2]), split=match[1])


def named_split(path: Location) -> str | None:
    """Return the split that a file's name states, or ``None`` where it states none or several.

    ``embodiedscan_infos_val.pkl`` states ``val``. A name alone decides nothing:
    :mod:`gapdata.annotations.split_evidence` compares it with the content.
    """
    found = set(SPLIT_IN_NAME.findall(path.name.lower()))
    return found.pop() if len(found) == 1 else None
