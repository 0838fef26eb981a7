"""Read Multi3DRefer's JSON: sentences that describe no object of a scene, one, or several.

The file is a list of ``{scene_id, object_ids, object_name, ann_id, description, eval_type, ...}``; ``ann_id`` counts
the sentences of a scene, and object ids are those of ScanNet's aggregation. Our tasks ask for one object, so sentences
about none or several are counted and left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.scanrefer import Description, Descriptions, ann_id_of, gather_descriptions
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
    return gather_descriptions(path, KIND, json_items(path), _description, scene_ids)


def _description(item: Any, index: int) -> Description | tuple[str, Any]:
    """Return an item as a description, or the reason why it is left out and the value that is wrong."""
    if not isinstance(item, dict):
        return "not_an_object", item
    scene_id = scene_of_name(item.get("scene_id"))
    object_ids, ann_id = integers(item.get("object_ids"), MAX_TARGETS), ann_id_of(item.get("ann_id"))
    name, sentence = text(item.get("object_name"), NAME_CHARACTERS), text(item.get("description"))
    if scene_id is None:
        return "no_scene_id", item.get("scene_id")
    if object_ids is None:
        return "object_ids_are_not_integers", item.get("object_ids")
    if ann_id is None:
        return "no_ann_id", item.get("ann_id")
    if name is None:
        return "no_object_name", item.get("object_name")
    if sentence is None:
        return "no_text", item.get("description")
    if len(set(object_ids)) != 1:
        return ("describes_several_objects" if object_ids else "describes_no_object"), sentence
    return Description(
        scene_id=scene_id,
        object_id=object_ids[0],
        object_name=name,
        ann_id=f"{PREFIX}-{ann_id}",
        text=sentence,
        data_set=KIND,
    )
