"""Read ScanRefer's JSON, which Scan2Cap uses, too: sentences that describe one object of one scene.

The file is a list of ``{scene_id, object_id, object_name, ann_id, description, token}``. Numbers are written as texts,
``object_id`` is the objectId of ScanNet's aggregation, and ``object_name`` has underscores for spaces. Only the first
scan of each space (``_00``) is described.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.report import FileReport, Tally
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptions:
    """The descriptions of one file by scene, in the file's order."""

    scenes: Mapping[str, tuple[Description, ...]]
    report: FileReport


def read_descriptions(path: Location, scene_ids: Collection[str] | None = None) -> Descriptions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    return gather_descriptions(path, KIND, json_items(path), lambda item, index: description(item), scene_ids)


def gather_descriptions(
    path: Location,
    kind: str,
    items: Iterable[Any],
    read: Callable[[Any, int], Description | tuple[str, Any]],
    scene_ids: Collection[str] | None,
) -> Descriptions:
    """Read the items of a file, count those that are left out, and keep the scenes named (all by default).

    Args:
        path: the file.
        kind: its kind, for the report.
        items: as decoded.
        read: makes the description of an item and its position, or the reason to leave it out and the value of it.
        scene_ids: scenes to keep.
    """
    tally = Tally()
    scenes: dict[str, list[Description]] = {}
    seen: set[tuple[str, int, str]] = set()
    for index, item in enumerate(items):
        found = read(item, index)
        if isinstance(found, tuple):
            tally.ignore(found[0], index, found[1])
        elif scene_ids is not None and found.scene_id not in scene_ids:
            tally.ignore("scene_not_in_data_set", index, found.scene_id)
        elif (key := (found.scene_id, found.object_id, found.ann_id)) in seen:
            tally.ignore("repeated_annotation", index, f"{found.scene_id} object {found.object_id}")
        else:
            seen.add(key)
            scenes.setdefault(found.scene_id, []).append(found)
            tally.take(found.scene_id)
    report = tally.report(path=path, kind=kind, split=named_split(path))
    return Descriptions(scenes={scene: tuple(items) for scene, items in sorted(scenes.items())}, report=report)


def description(item: Any) -> Description | tuple[str, Any]:
    """Return an item as a description, or the reason why it is left out and the value that is wrong."""
    if not isinstance(item, dict):
        return "not_an_object", item
    scene_id = scene_of_name(item.get("scene_id"))
    object_id, ann_id = integer(item.get("object_id")), ann_id_of(item.get("ann_id"))
    name, sentence = text(item.get("object_name"), NAME_CHARACTERS), text(item.get("description"))
    if scene_id is None:
        return "no_scene_id", item.get("scene_id")
    if object_id is None:
        return "object_id_is_not_an_integer", item.get("object_id")
    if ann_id is None:
        return "no_ann_id", item.get("ann_id")
    if name is None:
        return "no_object_name", item.get("object_name")
    if sentence is None:
        return "no_text", item.get("description")
    return Description(scene_id=scene_id, object_id=object_id, object_name=name, ann_id=ann_id, text=sentence)


def ann_id_of(value: Any) -> str | None:
    """Return the id of a sentence, which may be a number or a text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 2**63 else None
    return text(value, NAME_CHARACTERS)
