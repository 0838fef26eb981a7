"""The counts beside a question file: what was asked and refused, with which options, and what text alone reaches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapdata.audit.spatial_survey import QuestionSurvey
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import read_shaped

SHAPE = {"asked": {str: int}, "refused": {str: {str: int}}}
CURE = "write it again with `gapdata questions BUILD --out FILE`, or delete it"


def summary_path(path: Path) -> Path:
    """Return the place of the counts of a question file."""
    return path.with_suffix(".summary.json")


def write_summary(path: Path, survey: QuestionSurvey, options: Mapping[str, Any]) -> None:
    """Write the counts beside a question file, with the options that it was written with."""
    fields = {"options": dict(options), **survey.to_fields()}
    write_atomically(summary_path(path), (json.dumps(fields, indent=1) + "\n").encode())


def read_refused(path: Path) -> dict[str, Counter[str]]:
    """Return what was refused when a question file was written, by type and reason; empty without counts beside it.

    Raises:
        ShardError: the counts are damaged.
    """
    place = summary_path(path)
    if not place.exists():
        return {}
    fields = read_shaped(place, SHAPE, CURE)
    return {kind: Counter(reasons) for kind, reasons in fields["refused"].items() if kind in fields["asked"]}
