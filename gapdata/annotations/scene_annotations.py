"""The annotations of one scene out of all files, and their JSON, which workers read instead of the files.

The JSON gives back every number exactly, because Python writes the shortest digits that give the same float.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.benchmark import BENCHMARKS, BenchmarkQuestion, ColorMark
from gapdata.annotations.conversation import TASKS, ConversationCameras, ConversationItem
from gapdata.annotations.embodiedscan import AnnotatedBox
from gapdata.annotations.scanrefer import KIND as SCANREFER
from gapdata.annotations.scanrefer import Description
from gapdata.errors import FileError

VERSION = 1
MAX_BYTES = 512 << 20
"""The largest JSON of a scene; all windows of a long scan with all its boxes have some 10 MB."""
CONVENTIONS = ("extrinsic_zxy", "intrinsic_zxy", None)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A file that has annotations of the scene."""

    source: str  # the file's name
    kind: str
    split: str | None  # that the file has the scene in, see gapdata.annotations.splits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneAnnotations:
    """The annotations of one scene; fields are ``None`` or empty where no file has them."""

    scene_id: str
    provenance: tuple[Provenance, ...] = ()
    axis_alignment: NDArray[np.float64] | None = None  # (4, 4) unaligned to aligned world, as EmbodiedScan has it
    boxes: tuple[AnnotatedBox, ...] | None = None  # EmbodiedScan's, aligned world
    visible: Mapping[int, tuple[int, ...]] | None = None
    """EmbodiedScan's: by raw frame index, object ids of ``boxes``; frames without a valid pose are absent."""
    descriptions: tuple[Description, ...] = ()
    proposals: NDArray[np.float64] | None = None
    """(N, 6) Mask3D boxes, centre and full size, axis-aligned in the aligned world, metres."""
    mask_file: str | None = None
    """Mask3D's masks, for :func:`gapdata.annotations.proposals.read_masks`; to make boxes takes the mesh, too."""
    conversations: tuple[ConversationItem, ...] = ()
    questions: tuple[BenchmarkQuestion, ...] = ()

    @property
    def about_frames(self) -> tuple[ConversationItem | BenchmarkQuestion, ...]:
        """What asks about frames that it lists."""
        return (*self.conversations, *(item for item in self.questions if item.frame_ids))

    @property
    def about_scan(self) -> tuple[BenchmarkQuestion, ...]:
        """What asks about the whole scan."""
        return tuple(item for item in self.questions if not item.frame_ids)

    def to_json(self) -> bytes:
        """Return the scene as JSON, from which :meth:`from_json` gives back every field exactly.

        Raises:
            FileError: it has more than :data:`MAX_BYTES` bytes.
        """
        return _encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> SceneAnnotations:
        """Read what :meth:`to_json` wrote.

        Raises:
            FileError: the bytes are too many, of another version, or damaged.
        """
        return _decode(data)


def _encode(scene: SceneAnnotations) -> bytes:
    fields = {
        "version": VERSION,
        "scene_id": scene.scene_id,
        "provenance": [[item.source, item.kind, item.split] for item in scene.provenance],
        "axis_alignment": _listed(scene.axis_alignment),
        "boxes": None if scene.boxes is None else [_box_fields(box) for box in scene.boxes],
        "visible": None if scene.visible is None else [[frame, list(ids)] for frame, ids in scene.visible.items()],
        "descriptions": [_description_fields(item) for item in scene.descriptions],
        "proposals": _listed(scene.proposals),
        "mask_file": scene.mask_file,
        "conversations": [_conversation_fields(item) for item in scene.conversations],
        **({"questions": [_question_fields(item) for item in scene.questions]} if scene.questions else {}),
    }
    try:
        data = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise FileError(f"annotations cannot be written as JSON: {error}", scene=scene.scene_id) from error
    if len(data) > MAX_BYTES:
        raise FileError(f"annotations have {len(data)} bytes, at most {MAX_BYTES} are allowed", scene=scene.scene_id)
    return data


def _decode(data: bytes) -> SceneAnnotations:
    if len(data) > MAX_BYTES:
        raise FileError(f"scene annotations have {len(data)} bytes, at most {MAX_BYTES} are read", cure="build again")
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict):
            raise FileError("scene annotations are not a JSON object", cure="build again")
        if fields["version"] != VERSION:
            raise FileError(
                f"scene annotations have version {_name(str(fields['version']))}, this package reads {VERSION}",
                cure="build again",
            )
        return _scene(fields)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        problem = f"scene annotations are damaged: {type(error).__name__} {str(error)[:100]}"
        raise FileError(problem, cure="build again") from error


def _scene(fields: Mapping[str, Any]) -> SceneAnnotations:
    scene_id = _name(fields["scene_id"])
    return SceneAnnotations(
        scene_id=scene_id,
        provenance=tuple(_provenance(item) for item in fields["provenance"]),
        axis_alignment=_optional(fields["axis_alignment"], lambda value: _array(value, (4, 4))),
        boxes=_optional(fields["boxes"], lambda items: tuple(_box(item) for item in items)),
        visible=_optional(fields["visible"], _visible),
        descriptions=tuple(_description(scene_id, item) for item in fields["descriptions"]),
        proposals=_optional(fields["proposals"], lambda value: _array(value, (-1, 6))),
        mask_file=_optional(fields["mask_file"], _name),
        conversations=tuple(_conversation(scene_id, item) for item in fields["conversations"]),
        questions=tuple(_question(scene_id, item) for item in fields.get("questions", ())),
    )


def _provenance(item: Any) -> Provenance:
    source, kind, split = item
    return Provenance(source=_name(source), kind=_name(kind), split=_optional(split, _name))


def _visible(items: Any) -> dict[int, tuple[int, ...]]:
    return {_integer(frame): tuple(_integer(value) for value in ids) for frame, ids in items}


def _description_fields(item: Description) -> list[Any]:
    fields = [item.object_id, item.object_name, item.ann_id, item.text]
    return fields if item.data_set == SCANREFER else [*fields, item.data_set]


def _description(scene_id: str, item: Any) -> Description:
    object_id, name, ann_id, sentence, *others = item
    return Description(
        scene_id=scene_id,
        object_id=_integer(object_id),
        object_name=_name(name),
        ann_id=_name(ann_id),
        text=_name(sentence),
        data_set=_name(others[0]) if others else SCANREFER,
    )


def _box_fields(box: AnnotatedBox) -> list[Any]:
    return [box.object_id, box.label, box.center.tolist(), box.size.tolist(), box.rotation.tolist()]


def _box(item: Any) -> AnnotatedBox:
    object_id, label, center, size, rotation = item
    return AnnotatedBox(
        object_id=_integer(object_id),
        label=_name(label),
        center=_array(center, (3,)),
        size=_array(size, (3,)),
        rotation=_array(rotation, (3, 3)),
    )


def _conversation_fields(item: ConversationItem) -> dict[str, Any]:
    cameras = item.cameras
    return {
        "frame_ids": list(item.frame_ids),
        "task": item.task,
        "question": item.question,
        "answer": item.answer,
        "source": item.source,
        "index": item.index,
        "mark": None if item.mark is None else list(item.mark),
        "labels": list(item.labels),
        "boxes": item.boxes.tolist(),
        "euler": item.euler,
        "cameras": None
        if cameras is None
        else [_listed(cameras.intrinsics), cameras.camera_to_world.tolist(), cameras.axis_alignment.tolist()],
        "metadata": dict(item.metadata),
    }


def _conversation(scene_id: str, item: Mapping[str, Any]) -> ConversationItem:
    mark = _optional(item["mark"], lambda value: tuple(_integer(part) for part in value))
    if item["task"] not in TASKS or item["euler"] not in CONVENTIONS or (mark is not None and len(mark) != 3):
        raise ValueError("unknown task or Euler convention, or malformed mark")
    frame_ids = tuple(_integer(frame) for frame in item["frame_ids"])
    labels = tuple(_name(label) for label in item["labels"])
    if not isinstance(item["metadata"], dict):
        raise ValueError("metadata is not an object")
    return ConversationItem(
        scene_id=scene_id,
        frame_ids=frame_ids,
        task=item["task"],
        question=_name(item["question"]),
        answer=_name(item["answer"]),
        source=_name(item["source"]),
        index=_integer(item["index"]),
        mark=mark,
        labels=labels,
        boxes=_array(item["boxes"], (len(labels), 9)),
        euler=item["euler"],
        cameras=_optional(item["cameras"], lambda value: _cameras(value, len(frame_ids))),
        metadata=item["metadata"],
    )


def _question_fields(item: BenchmarkQuestion) -> dict[str, Any]:
    return {
        "benchmark": item.benchmark,
        "question": item.question,
        "answer": item.answer,
        "source": item.source,
        "index": item.index,
        "question_type": item.question_type,
        "answers": list(item.answers),
        "options": list(item.options),
        "id": item.id,
        "frame_ids": list(item.frame_ids),
        "object_ids": list(item.object_ids),
        "marks": [[frame, color, *place] for frame, color, place in item.marks],
    }


def _question(scene_id: str, item: Mapping[str, Any]) -> BenchmarkQuestion:
    if item["benchmark"] not in BENCHMARKS:
        raise ValueError("unknown benchmark")
    return BenchmarkQuestion(
        scene_id=scene_id,
        benchmark=item["benchmark"],
        question=_name(item["question"]),
        answer=_name(item["answer"]),
        source=_name(item["source"]),
        index=_integer(item["index"]),
        question_type=_optional(item["question_type"], _name),
        answers=tuple(map(_name, item["answers"])),
        options=tuple(map(_name, item["options"])),
        id=_optional(item["id"], _name),
        frame_ids=tuple(map(_integer, item["frame_ids"])),
        object_ids=tuple(map(_integer, item["object_ids"])),
        marks=tuple(map(_mark, item["marks"])),
    )


def _mark(item: Any) -> ColorMark:
    frame, color, *place = item
    if len(place) not in (2, 4):
        raise ValueError("a mark is neither a point nor a box")
    return _integer(frame), _name(color), tuple(map(float, _array(place, (len(place),))))


def _cameras(value: Any, frames: int) -> ConversationCameras:
    intrinsics, poses, alignment = value
    return ConversationCameras(
        intrinsics=_optional(intrinsics, lambda matrix: _array(matrix, (3, 3))),
        camera_to_world=_array(poses, (frames, 4, 4)),
        axis_alignment=_array(alignment, (4, 4)),
    )


def _listed(array: NDArray[np.float64] | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def _optional(value: Any, read: Callable[[Any], Item]) -> Item | None:
    return None if value is None else read(value)


def _array(value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(value, dtype=np.float64)
    array = array.reshape(shape) if array.size == 0 else array
    if array.ndim != len(shape) or any(side not in (-1, is_) for side, is_ in zip(shape, array.shape, strict=True)):
        raise ValueError(f"an array has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} instead of an integer")
    return value
