"""Read the JSON member of a record, which may be damaged or written to do harm."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.geometry.upright import TURNS
from gapdata.records.codec import VERIFY
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.room_floor import RoomFloor
from gapdata.records.schema import SCHEMA, VIEW_KINDS, Prompt, Record, SceneLabel, ViewObject
from gapdata.runtime.counting import counted
from gapdata.sources.images import MAX_PIXELS

MAX_NUMBER = 1e9
"""The largest figure of a camera, in metres or pixels."""
MAX_INTEGER = 2**31 - 1
"""The largest id, pixel or count."""


def record_from_json(data: bytes, members: Mapping[str, bytes] | None = None) -> Record:
    """Read a record from its JSON member.

    Args:
        data: the bytes of the member.
        members: the record's other members by their name after the key.

    Raises:
        ShardError: the bytes are not a JSON object, a field is missing or has the wrong shape, or the schema is newer
        than this code.
    """
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ShardError("record JSON is not an object", cure=VERIFY)
        if fields["schema"] != SCHEMA:
            raise ShardError(
                f"record has schema {fields['schema']}, this version reads {SCHEMA}", cure="upgrade gapmllm"
            )
        record = _record_from_fields(fields, members or {})
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        problem = f"record JSON does not follow schema {SCHEMA}: {type(error).__name__} {error}"
        raise ShardError(problem, cure=VERIFY) from error
    _check_shapes(record)
    return record


def _record_from_fields(fields: Mapping[str, Any], members: Mapping[str, bytes]) -> Record:
    alignment = fields["axis_alignment"]
    return Record(
        key=str(fields["key"]),
        scene_id=str(fields["scene_id"]),
        source=str(fields["source"]),
        split=str(fields["split"]),
        split_origin=str(fields.get("split_origin", "")),
        view=str(fields["view"]),
        frame_ids=tuple(_integer(index) for index in fields["frame_ids"]),
        image_size=(_integer(fields["image_size"][0]), _integer(fields["image_size"][1])),
        intrinsics=np.array(fields["intrinsics"], dtype=np.float64),
        camera_to_world=np.array(fields["camera_to_world"], dtype=np.float64),
        camera_to_first=np.array(fields["camera_to_first"], dtype=np.float64),
        turned=_turn(fields.get("turned", 0)),
        masks=str(fields.get("masks", "")),
        axis_alignment=None if alignment is None else np.array(alignment, dtype=np.float64),
        objects=tuple(_object_from_fields(item) for item in fields["objects"]),
        prompts=tuple(_prompt_from_fields(item) for item in fields["prompts"]),
        expressions=tuple(dict(item) for item in fields["expressions"]),
        scene_objects=tuple(_scene_label(item) for item in fields.get("scene_objects", ())),
        room=None if fields.get("room") is None else RoomFloor.from_fields(fields["room"]),
        mesh_distances=_mesh_distances(fields.get("mesh_distances")),
        quality=dict(fields["quality"]),
        members=members,
    )


def _mesh_distances(fields: Mapping[str, Any] | None) -> MeshDistances | None:
    return None if fields is None else MeshDistances.from_fields(fields)


def _turn(value: Any) -> int:
    if _integer(value) not in TURNS:
        raise ValueError(f"frames are turned by {value} degrees")
    return int(value)


def _object_from_fields(item: Mapping[str, Any]) -> ViewObject:
    aligned, proposal = item.get("aligned_box"), item.get("proposal")
    return ViewObject(
        object_id=_integer(item["object_id"]),
        label=str(item["label"]),
        labels={str(name): str(label) for name, label in item["labels"].items()},
        center=_triple(item["center"]),
        size=_triple(item["size"]),
        rotation=tuple(_triple(row) for row in item["rotation"]),
        visible_pixels=tuple(_integer(count) for count in item["visible_pixels"]),
        aligned_box=None if aligned is None else tuple(_finite(value) for value in aligned),
        proposal=None if proposal is None else _proposal_from_fields(proposal),
        box_slack=None if item.get("box_slack") is None else _slack(item["box_slack"]),
    )


def _slack(values: Any) -> tuple[float, float]:
    reach, side = (_finite(value) for value in values)
    if min(reach, side) < 0:
        raise ValueError("the slack of a box is negative")
    return reach, side


def _scene_label(item: Mapping[str, Any]) -> SceneLabel:
    return SceneLabel(
        labels={str(name): str(label) for name, label in item["labels"].items()}, count=_integer(item["count"])
    )


def _proposal_from_fields(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "center": list(_triple(item["center"])),
        "size": list(_triple(item["size"])),
        "rotation": [list(_triple(row)) for row in item["rotation"]],
        "iou": _finite(item["iou"]),
    }


def _prompt_from_fields(item: Mapping[str, Any]) -> Prompt:
    u, v = item["pixel"]
    return Prompt(
        index=_integer(item["index"]),
        frame=_integer(item["frame"]),
        pixel=(_integer(u), _integer(v)),
        point=_triple(item["point"]),
        object_id=None if item["object_id"] is None else _integer(item["object_id"]),
        label=None if item["label"] is None else str(item["label"]),
    )


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = values
    return _finite(x), _finite(y), _finite(z)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def _integer(value: Any) -> int:
    number = int(value)
    if abs(number) > MAX_INTEGER:
        raise ValueError(f"an integer is beyond {MAX_INTEGER}")
    return number


def _is_pose(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of (..., 4, 4) can be a pose: finite, with a determinant near 1. Verify looks more closely."""
    finite = np.asarray((np.abs(matrices) < MAX_NUMBER).all(axis=(-2, -1)))
    return np.asarray(finite & (np.abs(np.linalg.det(np.where(finite[..., None, None], matrices, 0.0)) - 1) < 0.5))


def _damaged(record: Record, problem: str) -> ShardError:
    return ShardError(f"record {record.key}: {problem}", cure=VERIFY)


def _check_shapes(record: Record) -> None:
    count, (width, height) = len(record.frame_ids), record.image_size
    if not count or min(width, height) < 1 or width * height > MAX_PIXELS:
        raise _damaged(record, f"{counted(count, 'frame')} of {width}x{height} pixels cannot be a view")
    expected = {"intrinsics": (count, 4), "camera_to_world": (count, 4, 4), "camera_to_first": (count, 4, 4)}
    for name, shape in expected.items():
        actual = getattr(record, name).shape
        if actual != shape:
            raise _damaged(record, f"{name} has shape {actual}, expected {shape}")
    if not ((np.abs(record.intrinsics) < MAX_NUMBER).all() and (record.intrinsics[:, :2] > 0).all()):
        raise _damaged(record, "intrinsics are not finite, or a focal length is not positive")
    for name in ("camera_to_world", "camera_to_first"):
        for frame in np.flatnonzero(~_is_pose(getattr(record, name))):
            raise _damaged(record, f"{name} of frame {frame} is not rigid")
    if record.axis_alignment is not None and record.axis_alignment.shape != (4, 4):
        raise _damaged(record, f"axis_alignment has shape {record.axis_alignment.shape}, expected (4, 4)")
    if record.axis_alignment is not None and not _is_pose(record.axis_alignment):
        raise _damaged(record, "axis_alignment is not rigid")
    if record.view not in VIEW_KINDS:
        raise _damaged(record, f"view is {record.view!r}, expected one of {', '.join(VIEW_KINDS)}")
    if any(not 0 <= prompt.frame < count for prompt in record.prompts):
        raise _damaged(record, "a prompt names a frame outside the view")
    if any(len(item.visible_pixels) != count or len(item.rotation) != 3 for item in record.objects):
        raise _damaged(record, "an object's rotation or visible_pixels has the wrong length")
    if any(item.aligned_box is not None and len(item.aligned_box) != 6 for item in record.objects):
        raise _damaged(record, "an object's aligned_box is not six numbers")
    if any(item.proposal is not None and len(item.proposal["rotation"]) != 3 for item in record.objects):
        raise _damaged(record, "the rotation of an object's proposal is not 3x3")
