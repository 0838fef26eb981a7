"""Read ScanRefer's JSON, which Scan2Cap uses, too: sentences that describe one object of one scene.

The file is a list of ``{scene_id, object_id, object_name, ann_id, description, token}``. Numbers are written as texts,
``object_id`` is the objectId of ScanNet's aggregation, and ``object_name`` has underscores for spaces. Only the first
scan of each space (``_00``) is described.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.kept_rows import KeptRows, fields_of, keep_rows, needed
from gapdata.files.checked_values import NAME_CHARACTERS, integer, text
from gapdata.files.json_items import json_items
from gapdata.files.storage import Location

KIND = "ScanRefer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A sentence about an object, with names and text verbatim."""

    scene_id: str
    object_id: int
    object_name: str
    ann_id: str
    text: str
    data_set: str = KIND  # whose sentence it is; whether an object is unique is counted within one

    @property
    def key(self) -> tuple[str, int, str]:
        """What no other description of a file has."""
        return self.scene_id, self.object_id, self.ann_id

    @property
    def repeated(self) -> tuple[str, str]:
        """The reason why a second one with this key is left out, and its object."""
        return "repeated_annotation", f"{self.scene_id} object {self.object_id}"


Descriptions = KeptRows[Description]
"""The descriptions of one file by scene."""


def read_descriptions(path: Location, scene_ids: Collection[str] | None = None) -> Descriptions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    return keep_rows(path, KIND, json_items(path), lambda row, _: description(row), scene_ids)


def description(row: Any) -> Description:
    """Return a row as a description.

    Raises:
        LeftOut: it lacks something.
    """
    fields = fields_of(row)
    return Description(
        scene_id=needed(scene_of_name(fields.get("scene_id")), "no_scene_id", fields.get("scene_id")),
        object_id=needed(integer(fields.get("object_id")), "object_id_is_not_an_integer", fields.get("object_id")),
        ann_id=needed(ann_id_of(fields.get("ann_id")), "no_ann_id", fields.get("ann_id")),
        object_name=needed(
            text(fields.get("object_name"), NAME_CHARACTERS), "no_object_name", fields.get("object_name")
        ),
        text=needed(text(fields.get("description")), "no_text", fields.get("description")),
    )


def ann_id_of(value: Any) -> str | None:
    """Return the id of a sentence, which may be a number or a text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 2**63 else None
    return text(value, NAME_CHARACTERS)
