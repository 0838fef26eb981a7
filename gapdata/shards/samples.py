"""Decode records into dictionaries of arrays, for loaders that collate."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice


def _of_frames(read: Callable[[Record, int], NDArray[Any]], record: Record) -> NDArray[Any]:
    return np.stack([read(record, frame) for frame in range(len(record))])


def _instances(record: Record) -> NDArray[np.uint16]:
    if record.has_instances or record.objects:
        return _of_frames(Record.instances, record)
    return np.zeros((len(record), record.image_size[1], record.image_size[0]), dtype=np.uint16)


READERS: MappingProxyType[str, Callable[[Record], Any]] = MappingProxyType(
    {
        "key": lambda record: record.key,
        "scene_id": lambda record: record.scene_id,
        "split": lambda record: record.split,
        "view": lambda record: record.view,
        "frame_ids": lambda record: np.array(record.frame_ids, dtype=np.int64),  # (F,)
        "images": lambda record: _of_frames(Record.image, record),  # (F, H, W, 3) uint8 RGB
        "depth": lambda record: _of_frames(Record.depth, record),  # (F, H, W) float32 metres, 0 where unknown
        "instances": _instances,  # (F, H, W) uint16, object id + 1; 0 everywhere for scans without annotation
        "prompt_masks": lambda record: _of_frames(Record.prompt_mask, record),  # (F, H, W) uint16, index of the prompt
        "pointmap": Record.pointmap,  # (F, H, W, 3) float32 metres, first camera, NaN where unknown
        "intrinsics": lambda record: record.intrinsics,  # (F, 4) float64 fx, fy, cx, cy, pixels
        "camera_to_world": lambda record: record.camera_to_world,  # (F, 4, 4) float64
        "camera_to_first": lambda record: record.camera_to_first,  # (F, 4, 4) float64
        "record": lambda record: replace(record, members={}),
    }
)
"""The fields that a sample may have, by name. ``record`` is the :class:`gapdata.records.schema.Record` without its
members: its objects, prompts and expressions, which do not collate."""
FIELDS = tuple(name for name in READERS if name != "record")
"""The fields of a sample by default."""


def decoded(record: Record, fields: Collection[str] = FIELDS) -> dict[str, Any]:
    """Decode a record into a dictionary with some of :data:`READERS`.

    Raises:
        UsageError: a field is unknown.
        ShardError: a member is missing or damaged.
    """
    check_fields(fields)
    found: dict[str, Any] = {}
    for name in fields:
        shared = name == "pointmap" and "depth" in found  # depth is decoded once
        found[name] = record.pointmap(found["depth"]) if shared else READERS[name](record)
    return found


def check_fields(fields: Collection[str]) -> None:
    """Refuse names that are not among :data:`READERS`.

    Raises:
        UsageError: a name is unknown; the message has the nearest name and all others.
    """
    if isinstance(fields, str):
        raise UsageError(f"fields is {fields!r}", cure=f"give a list of names, as in [{fields!r}]")
    for name in fields:
        check_choice("field", name, tuple(READERS))
