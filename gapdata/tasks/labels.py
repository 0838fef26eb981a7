"""Names of objects: those of one taxonomy, and an explicit rule for objects that it does not name."""

from __future__ import annotations

from typing import Literal, get_args

from gapdata.annotations.categories import background
from gapdata.records.schema import Record, ViewObject
from gapdata.runtime.choices import check_choice

MissingLabel = Literal["label", "drop"]
"""Where the taxonomy has no name for an object: ``label`` uses the record's own label, ``drop`` leaves it out."""

BACKGROUND = frozenset(form for name in background() for form in (name, f"{name}s"))
"""Names that are not targets: VG-LLM's and GAP-MLLM's four, and the plurals that ScanNet's annotators also wrote."""


def object_label(item: ViewObject, taxonomy: str | None = None, missing: MissingLabel = "label") -> str | None:
    """Return the object's name in ``taxonomy`` (``None``: its own label), or ``None`` where it is to be left out.

    Raises:
        UsageError: ``missing`` is unknown.
    """
    check_choice("missing_label", missing, get_args(MissingLabel))
    if taxonomy is None:
        return item.label
    return item.labels.get(taxonomy, item.label if missing == "label" else None)


def is_background(label: str) -> bool:
    """Return whether a label names the room or nothing in particular.

    The label that the task uses decides: a raw "closet wall" is a target by its raw name and background by its NYU40
    name "wall".
    """
    return label.strip().lower() in BACKGROUND


def label_of(record: Record, object_id: int, taxonomy: str | None, missing: MissingLabel = "label") -> str | None:
    """Return the name of a record's object by id, or ``None`` where the object or its name is missing."""
    item = next((item for item in record.objects if item.object_id == object_id), None)
    return None if item is None else object_label(item, taxonomy, missing)
