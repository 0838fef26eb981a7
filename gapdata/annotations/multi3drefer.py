"""Read Multi3DRefer's JSON: sentences that describe no object of a scene, one, or several.

The file is a list of ``{scene_id, object_ids, object_name, ann_id, description, eval_type, ...}``; ``ann_id`` counts
the sentences of a scene, and object ids are those of ScanNet's aggregation. Our tasks ask for one object, so sentences
about none or several are counted and left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.kept_rows import LeftOut, fields_of, keep_rows, needed
from gapdata.annotations.scanrefer import Description, Descriptions, ann_id_of
from gapdata.files.checked_values import NAME_CHARACTERS, integers, text
from gapdata.files.json_items import json_items
from gapdata.files.storage import Location

KIND = "Multi3DRefer"
PREFIX = "multi3drefer"
"""Before each ``ann_id``, because ScanRefer's, from which many of the sentences are, would be the same."""
MAX_TARGETS = 10_000


def read_multi3drefer(path: Location, scene_ids: Collection[str] | None = None) -> Descriptions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    return keep_rows(path, KIND, json_items(path), lambda row, _: _description(row), scene_ids)


def _description(row: Any) -> Description:
    """Return a row as a description; raises :class:`LeftOut`."""
    fields = fields_of(row)
    scene_id = needed(scene_of_name(fields.get("scene_id")), "no_scene_id", fields.get("scene_id"))
    object_ids = needed(
        integers(fields.get("object_ids"), MAX_TARGETS), "object_ids_are_not_integers", fields.get("object_ids")
    )
    ann_id = needed(ann_id_of(fields.get("ann_id")), "no_ann_id", fields.get("ann_id"))
    name = needed(text(fields.get("object_name"), NAME_CHARACTERS), "no_object_name", fields.get("object_name"))
    sentence = needed(text(fields.get("description")), "no_text", fields.get("description"))
    if len(set(object_ids)) != 1:
        raise LeftOut("describes_several_objects" if object_ids else "describes_no_object", sentence)
    return Description(
        scene_id=scene_id,
        object_id=object_ids[0],
        object_name=name,
        ann_id=f"{PREFIX}-{ann_id}",
        text=sentence,
        data_set=KIND,
    )
