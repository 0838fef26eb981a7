"""The record: one view of one scene with its prompts, objects and expressions.

A record is what a shard stores: the JSON member described here, and one member each for a frame's image, depth,
instance mask and prompt mask (:mod:`gapdata.records.codec` turns those into arrays). Fields may be added to schema 1;
these keep their names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.counting import counted
from gapdata.sources.images import MAX_PIXELS

SCHEMA = 1
MAX_NUMBER = 1e9
"""Of a camera: metres, or pixels."""
MAX_INTEGER = 2**31 - 1
"""Of ids, pixels and counts."""
ViewKind = Literal["clip", "scene", "around"]
VIEW_KINDS: tuple[str, ...] = get_args(ViewKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewObject:
    """An annotated object that is visible in a view; its box is oriented, in the camera of the first frame, metres."""

    object_id: int
    label: str
    labels: Mapping[str, str]  # taxonomy name -> label, e.g. {"raw": "office chair", "nyu40": "chair"}
    center: tuple[float, float, float]
    size: tuple[float, float, float]  # full extents along the box's own axes
    rotation: tuple[tuple[float, float, float], ...]  # 3x3, box axes to first camera
    visible_pixels: tuple[int, ...]  # (F,)
    aligned_box: tuple[float, ...] | None = None
    """Centre and full size (6,) of the box of the object's vertices along the axes of the aligned world: ScanRefer's
    box. ``None`` where the scan has no axis alignment. An oriented box does not determine it, so it is stored."""
    proposal: Mapping[str, Any] | None = None
    """The detector's proposal that overlaps the object best, as an oriented box in the first camera: ``center`` [3],
    ``size`` [3], ``rotation`` [3][3], and its ``iou`` with the object's box."""

    def best_frame(self) -> int:
        """Return the position of the frame that shows the most pixels of the object, the earlier one of equals.

        Raises:
            ShardError: no frame shows it.
        """
        if max(self.visible_pixels, default=0) <= 0:
            raise ShardError(f"no frame of the view shows object {self.object_id}", cure="ask about objects in sight")
        return self.visible_pixels.index(max(self.visible_pixels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A marked pixel and its answer: what is there, and where in metres in the first frame's camera."""

    index: int  # 1-based; its value in the prompt mask
    frame: int  # position within the view
    pixel: tuple[int, int]  # (u, v) of the stored image
    point: tuple[float, float, float]  # metres, first camera
    object_id: int | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One view. Array fields are float64; ``members`` holds the encoded files by their name after ``<key>.``."""

    key: str
    scene_id: str
    source: str
    split: str
    view: str
    frame_ids: tuple[int, ...]  # raw indices of the source stream
    image_size: tuple[int, int]  # (width, height) of the stored images
    intrinsics: NDArray[np.float64]  # (F, 4) fx, fy, cx, cy in pixels of the stored image
    camera_to_world: NDArray[np.float64]  # (F, 4, 4) unaligned world
    camera_to_first: NDArray[np.float64]  # (F, 4, 4)
    axis_alignment: NDArray[np.float64] | None  # (4, 4) unaligned to aligned world
    objects: tuple[ViewObject, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    expressions: tuple[Mapping[str, Any], ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)
    split_origin: str = ""
    """Who says so: empty for the data set itself, else the annotation file that the split is from."""
    schema: int = SCHEMA
    members: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.frame_ids)

    def camera(self, frame: int) -> Intrinsics:
        """The intrinsics of one stored frame."""
        fx, fy, cx, cy = (float(value) for value in self.intrinsics[frame])
        return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=self.image_size[0], height=self.image_size[1])

    def to_json(self) -> bytes:
        """The JSON member: compact, keys in schema order, so that equal records give equal bytes."""
        fields = {
            "schema": self.schema,
            "key": self.key,
            "scene_id": self.scene_id,
            "source": self.source,
            "split": self.split,
            **({"split_origin": self.split_origin} if self.split_origin else {}),
            "view": self.view,
            "frame_ids": list(self.frame_ids),
            "image_size": list(self.image_size),
            "intrinsics": self.intrinsics.tolist(),
            "camera_to_world": self.camera_to_world.tolist(),
            "camera_to_first": self.camera_to_first.tolist(),
            "axis_alignment": None if self.axis_alignment is None else self.axis_alignment.tolist(),
            "objects": [_object_fields(item) for item in self.objects],
            "prompts": [_prompt_fields(prompt) for prompt in self.prompts],
            "expressions": [dict(item) for item in self.expressions],
            "quality": dict(self.quality),
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def _object_fields(item: ViewObject) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "object_id": item.object_id,
        "label": item.label,
        "labels": dict(item.labels),
        "center": list(item.center),
        "size": list(item.size),
        "rotation": [list(row) for row in item.rotation],
        "visible_pixels": list(item.visible_pixels),
    }
    # Written only where present: a record without them has the bytes that it always had.
    if item.aligned_box is not None:
        fields["aligned_box"] = list(item.aligned_box)
    if item.proposal is not None:
        fields["proposal"] = dict(item.proposal)
    return fields


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    return {
        "index": prompt.index,
        "frame": prompt.frame,
        "pixel": list(prompt.pixel),
        "point": list(prompt.point),
        "object_id": prompt.object_id,
        "label": prompt.label,
    }


def record_from_json(data: bytes, members: Mapping[str, bytes] | None = None) -> Record:
    """Read a JSON member.

    Raises:
        ShardError: the bytes are no JSON object, a field is missing or has the wrong shape, or the schema is newer
        than this code.
    """
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise ShardError("record JSON is not an object")
        if fields["schema"] != SCHEMA:
            raise ShardError(
                f"record has schema {fields['schema']}, this version reads {SCHEMA}", cure="upgrade gapmllm"
            )
        record = _record_from_fields(fields, members or {})
    except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise ShardError(f"record JSON does not follow schema {SCHEMA}: {type(error).__name__} {error}") from error
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
        axis_alignment=None if alignment is None else np.array(alignment, dtype=np.float64),
        objects=tuple(_object_from_fields(item) for item in fields["objects"]),
        prompts=tuple(_prompt_from_fields(item) for item in fields["prompts"]),
        expressions=tuple(dict(item) for item in fields["expressions"]),
        quality=dict(fields["quality"]),
        members=members,
    )


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
    """Which of (..., 4, 4) can be a pose at all: finite, of a determinant about 1. Verify looks more closely."""
    finite = np.asarray((np.abs(matrices) < MAX_NUMBER).all(axis=(-2, -1)))
    return np.asarray(finite & (np.abs(np.linalg.det(np.where(finite[..., None, None], matrices, 0.0)) - 1) < 0.5))


def _check_shapes(record: Record) -> None:
    count, (width, height) = len(record.frame_ids), record.image_size
    if not count or min(width, height) < 1 or width * height > MAX_PIXELS:
        raise ShardError(f"record {record.key}: {counted(count, 'frame')} of {width}x{height} cannot be a view")
    expected = {"intrinsics": (count, 4), "camera_to_world": (count, 4, 4), "camera_to_first": (count, 4, 4)}
    for name, shape in expected.items():
        actual = getattr(record, name).shape
        if actual != shape:
            raise ShardError(f"record {record.key}: {name} has shape {actual}, expected {shape}")
    if not ((np.abs(record.intrinsics) < MAX_NUMBER).all() and (record.intrinsics[:, :2] > 0).all()):
        raise ShardError(f"record {record.key}: intrinsics are implausible")
    for name in ("camera_to_world", "camera_to_first"):
        for frame in np.flatnonzero(~_is_pose(getattr(record, name))):
            raise ShardError(f"record {record.key}: {name} of frame {frame} is not rigid")
    if record.axis_alignment is not None and record.axis_alignment.shape != (4, 4):
        raise ShardError(
            f"record {record.key}: axis_alignment has shape {record.axis_alignment.shape}, expected (4, 4)"
        )
    if record.axis_alignment is not None and not _is_pose(record.axis_alignment):
        raise ShardError(f"record {record.key}: axis_alignment is not rigid")
    if record.view not in VIEW_KINDS:
        raise ShardError(f"record {record.key}: view is {record.view!r}, expected one of {', '.join(VIEW_KINDS)}")
    if any(not 0 <= prompt.frame < count for prompt in record.prompts):
        raise ShardError(f"record {record.key}: a prompt names a frame outside the view")
    if any(len(item.visible_pixels) != count or len(item.rotation) != 3 for item in record.objects):
        raise ShardError(f"record {record.key}: an object's rotation or visible_pixels has the wrong length")
    if any(item.aligned_box is not None and len(item.aligned_box) != 6 for item in record.objects):
        raise ShardError(f"record {record.key}: an object's aligned_box is not six numbers")
    if any(item.proposal is not None and len(item.proposal["rotation"]) != 3 for item in record.objects):
        raise ShardError(f"record {record.key}: the rotation of an object's proposal is not 3x3")
