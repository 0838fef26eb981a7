"""Read ReferIt3D's CSV: Nr3D's sentences of people, and Sr3D's, which were made from templates.

A row has ``scan_id, target_id, utterance, instance_type, dataset, correct_guess, mentions_target_class`` and more;
``target_id`` is the objectId of ScanNet's aggregation. Other columns are not read: some hold Python literals. The
authors train and test on sentences with which a listener found the object and that say its class
(``mentions_target_class_only`` of referit3d's ``arguments.py``); the others are counted and left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gapdata.annotations.frame_names import scene_of_name
from gapdata.annotations.kept_rows import LeftOut, keep_rows, needed
from gapdata.annotations.scanrefer import Description, Descriptions, ann_id_of
from gapdata.files.checked_values import NAME_CHARACTERS, integer, text
from gapdata.files.csv_rows import csv_rows
from gapdata.files.storage import Location

KIND = "ReferIt3D"
NEEDED = frozenset({"scan_id", "target_id", "utterance", "instance_type"})
"""The columns by which a file is recognised."""
KEPT_IF = {"correct_guess": "a_listener_guessed_wrong", "mentions_target_class": "does_not_say_the_class"}
"""Columns of which only true rows are kept, and the reason for which others are left out."""
TRUTH = {"true": True, "1": True, "false": False, "0": False}
DATA_SETS = {"nr3d": "Nr3D", "sr3d": "Sr3D", "sr3d+": "Sr3D+"}


def read_referit3d(path: Location, scene_ids: Collection[str] | None = None) -> Descriptions:
    """Read a file and keep the scenes named (all by default).

    Raises:
        FileError: the file cannot be read or is not CSV.
    """
    return keep_rows(path, KIND, csv_rows(path), _description, scene_ids)


def _description(row: Any, index: int) -> Description:
    """Return a row as a description; raises :class:`LeftOut`."""
    if row is None:
        raise LeftOut("another_number_of_fields_than_the_header")
    scene_id = needed(scene_of_name(row.get("scan_id")), "no_scene_id", row.get("scan_id"))
    object_id = needed(integer(row.get("target_id")), "object_id_is_not_an_integer", row.get("target_id"))
    data_set = row.get("dataset", "nr3d" if "assignmentid" in row else "sr3d").lower()
    if data_set not in DATA_SETS:
        raise LeftOut("unknown_data_set", data_set)
    ann_id = needed(ann_id_of(row.get("assignmentid") or index), "no_ann_id", row.get("assignmentid"))
    name = needed(text(row.get("instance_type"), NAME_CHARACTERS), "no_object_name", row.get("instance_type"))
    sentence = needed(text(row.get("utterance")), "no_text", row.get("utterance"))
    for column, reason in KEPT_IF.items():
        kept = TRUTH.get(row.get(column, "true").strip().lower())
        if kept is None:
            raise LeftOut(f"{column}_is_neither_true_nor_false", row[column])
        if not kept:
            raise LeftOut(reason, sentence)
    return Description(
        scene_id=scene_id,
        object_id=object_id,
        object_name=name,
        ann_id=f"{data_set}-{ann_id}",
        text=sentence,
        data_set=DATA_SETS[data_set],
    )
