"""Read conversation files of GAP-MLLM and VG-LLM: lists or JSON lines of questions about frames, with their answers.

All published versions are read. They differ in ``from``/``value`` or ``role``/``content``, in ``<image>`` with or
without a line feed or ``Frame-i:`` around it, in ``bbox_3d`` or ``box_3d``, in how they name images, and in the camera
fields that only evaluation files have. The second turn holds the true answer. The task of an item is recognised by its
question and answer, the Euler convention of its boxes by all boxes of the file
(:mod:`gapdata.annotations.euler_evidence`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.annotation_file import named_split
from gapdata.annotations.conversation import ConversationCameras, ConversationItem, ConversationTask
from gapdata.annotations.euler_evidence import EulerEvidence
from gapdata.annotations.frame_names import frame_of_path
from gapdata.annotations.report import FileReport, Tally
from gapdata.files.checked_values import MAX_TEXT, NAME_CHARACTERS, finite, integer, number, numbers, text
from gapdata.files.json_items import json_items
from gapdata.files.storage import Location
from gapdata.geometry.boxes import EulerConvention
from gapdata.geometry.camera import is_rigid

KIND = "GAP-MLLM or VG-LLM"
IMAGE = "<image>"
BOX_KEYS = ("bbox_3d", "box_3d")
ASKER, ANSWERER = frozenset({"human", "user"}), frozenset({"gpt", "assistant"})
KEPT = ("metadata", "target", "gt_bbox", "input_box", "gt_box", "iou", "prompt", "annotations", "tag")
"""Fields of an item that are kept verbatim."""
MAX_FRAMES = 1000
MAX_BOXES = 2000
MAX_PIXEL = 100_000
MAX_METADATA_VALUES = 5000
MAX_METADATA_DEPTH = 8

_NINE = re.compile(r'"b?box_3d"\s*:\s*\[([^\[\]]{1,400})\]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """The conversations of one file by scene, in the file's order."""

    scenes: Mapping[str, tuple[ConversationItem, ...]]
    euler: EulerConvention | None
    report: FileReport


class _Unusable(Exception):
    """An item is left out, for a reason and because of a value."""

    def __init__(self, reason: str, value: Any = None) -> None:
        self.reason, self.value = reason, value


def read_conversations(
    path: Location,
    scene_ids: Collection[str] | None = None,
    *,
    euler: EulerConvention | None = None,
    keep_paths: bool = False,
) -> Conversations:
    """Read a ``.json`` or ``.jsonl`` file and keep the scenes named (all by default).

    Args:
        path: the file.
        scene_ids: scenes to keep.
        euler: the Euler convention of the boxes; by default the one that the file shows.
        keep_paths: keep the paths of the images as the file has them, which takes memory.

    Raises:
        FileError: the file cannot be read or is not JSON.
    """
    tally, evidence = Tally(), EulerEvidence()
    found: dict[str, list[ConversationItem]] = {}
    questions: dict[str, str] = {}
    boxes = 0  # in the items that are kept
    for index, item in enumerate(json_items(path)):
        try:
            conversation = _conversation(item, path.name, index, tally)
        except _Unusable as unusable:
            tally.ignore(unusable.reason, index, unusable.value)
            continue
        _weigh(conversation, evidence)
        if scene_ids is not None and conversation.scene_id not in scene_ids:
            tally.ignore("scene_not_in_data_set", index, conversation.scene_id)
            continue
        # A file asks the same question about many clips; they share one text in memory.
        question = questions.setdefault(conversation.question, conversation.question)
        paths = tuple(_images(item)) if keep_paths else ()
        kept = dataclasses.replace(conversation, question=question, images=paths)
        found.setdefault(conversation.scene_id, []).append(kept)
        boxes += len(conversation.boxes)
        tally.take(conversation.scene_id)
    tally.notes.update(_euler_notes(evidence, euler, has_boxes=boxes > 0))
    decided = euler or evidence.decision()
    scenes = {scene: tuple(_with_euler(item, decided) for item in items) for scene, items in sorted(found.items())}
    report = tally.report(path=path, kind=KIND, split=named_split(path))
    return Conversations(scenes=scenes, euler=decided, report=report)


def _euler_notes(evidence: EulerEvidence, euler: EulerConvention | None, *, has_boxes: bool) -> dict[str, str]:
    notes, shown = {}, evidence.decision()
    if evidence.boxes or evidence.pairs:
        notes["euler"] = f"{shown or 'undecided'}; {evidence.text()}"
    if euler is not None:
        notes["euler asked for"] = euler + (
            "" if shown in (None, euler) else f", though the file's boxes follow {shown}"
        )
    elif has_boxes and shown is None:
        notes["boxes"] = (
            "their Euler convention is not clear from the file; say which it is (euler=) before using them as boxes"
        )
    return notes


def _with_euler(conversation: ConversationItem, euler: EulerConvention | None) -> ConversationItem:
    return conversation if euler is None else dataclasses.replace(conversation, euler=euler)


def _conversation(item: Any, source: str, index: int, tally: Tally) -> ConversationItem:
    if not isinstance(item, dict):
        raise _Unusable("not_an_object", item)
    scene_id, frame_ids = _frames(item)
    question, answer = _turns(item)
    placeholders = question.count(IMAGE)
    if placeholders not in (0, len(frame_ids)):
        raise _Unusable("placeholders_and_images_differ_in_number", f"{placeholders} for {len(frame_ids)}")
    if not placeholders:
        tally.defect("question_without_image_placeholders" if question else "item_without_question", index)
    mark = _mark(item.get("pixel_coords"), len(frame_ids))
    labels, boxes = _boxes(item.get("boxes", ()))
    return ConversationItem(
        scene_id=scene_id,
        frame_ids=frame_ids,
        task=_task(item, question, answer, mark),
        question=question,
        answer=answer,
        source=source,
        index=index,
        mark=mark,
        labels=labels,
        boxes=boxes,
        cameras=_cameras(item, len(frame_ids)),
        metadata=_metadata(item, index, tally),
    )


def _images(item: Mapping[str, Any]) -> list[Any]:
    images = next((item[key] for key in ("images", "image", "video") if key in item), None)
    if isinstance(images, str):
        images = [images]
    if not isinstance(images, list) or not 0 < len(images) <= MAX_FRAMES:
        raise _Unusable("no_images", images)
    return images


def _frames(item: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    places = []
    for image in _images(item):
        place = frame_of_path(image)
        if place is None:
            raise _Unusable("image_path_without_scene_and_frame", image)
        places.append(place)
    scenes = {scene for scene, _ in places}
    if len(scenes) > 1:
        raise _Unusable("images_of_several_scenes", ", ".join(sorted(scenes)))
    return places[0][0], tuple(frame for _, frame in places)


def _turns(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return question and answer; GAP-MLLM's demo sample has an answer only."""
    if "conversations" not in item and isinstance(item.get("answer_text"), str):
        return "", _said(item["answer_text"], "answer_is_not_text")
    turns = item.get("conversations")
    if not isinstance(turns, list) or len(turns) != 2 or not all(isinstance(turn, dict) for turn in turns):
        raise _Unusable("not_one_question_and_one_answer", len(turns) if isinstance(turns, list) else turns)
    roles = [turn.get("from", turn.get("role")) for turn in turns]
    if not all(isinstance(role, str) for role in roles) or roles[0] not in ASKER or roles[1] not in ANSWERER:
        raise _Unusable("not_one_question_and_one_answer", str(roles))
    question, answer = (turn.get("value", turn.get("content")) for turn in turns)
    return _said(question, "question_is_not_text"), _said(answer, "answer_is_not_text")


def _said(value: Any, reason: str) -> str:
    if (said := text(value, MAX_TEXT)) is None:
        raise _Unusable(reason, value)
    return said


def _task(item: Mapping[str, Any], question: str, answer: str, mark: tuple[int, int, int] | None) -> ConversationTask:
    has_box, has_frame = any(f'"{key}"' in answer for key in BOX_KEYS), '"frame"' in answer
    if mark is not None or '"pointmap"' in answer:
        return "recons"
    if "input_box" in item or "describe the object located at" in question:
        return "scan2cap"
    if "Detect the 3D bounding boxes" in question or ("boxes" in item and not has_frame):
        return "det"
    if has_frame:
        return "scanrefer" if has_box else "scanrefer1"
    if has_box:
        return "scanrefer2"
    raise _Unusable("unknown_task", question)


def _mark(value: Any, frames: int) -> tuple[int, int, int] | None:
    """Read ``pixel_coords``: position of the image, x, y."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list) or len(value) != 3:
        raise _Unusable("mark_is_not_a_frame_and_a_pixel", value)
    parts = [integer(int(part) if isinstance(part, float) and part.is_integer() else part) for part in value]
    frame, x, y = parts
    if frame is None or x is None or y is None or frame >= frames or max(x, y) >= MAX_PIXEL:
        raise _Unusable("mark_is_not_a_frame_and_a_pixel", str(value)[:60])
    return frame, x, y


def _boxes(entries: Any) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    if not isinstance(entries, (list, tuple)) or len(entries) > MAX_BOXES:
        raise _Unusable("boxes_are_not_a_list", entries)
    labels, rows = [], []
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        label = text(fields.get("label"), NAME_CHARACTERS)
        values = finite(next((fields[key] for key in BOX_KEYS if key in fields), None), (9,))
        if label is None or values is None:
            raise _Unusable("box_without_label_or_nine_finite_numbers", fields.get("label"))
        labels.append(label)
        rows.append(values)
    return tuple(labels), np.array(rows).reshape(-1, 9)


def _cameras(item: Mapping[str, Any], frames: int) -> ConversationCameras | None:
    if "cam2global" not in item or "axis_align_matrix" not in item:
        return None
    poses = numbers(item["cam2global"], (frames, 4, 4))
    alignment = numbers(item["axis_align_matrix"], (4, 4))
    if poses is None or alignment is None or not is_rigid(poses).all() or not is_rigid(alignment):
        raise _Unusable("invalid_cameras")
    intrinsics = finite(item.get("cam2img"), (3, 3))
    if intrinsics is None and (square := finite(item.get("cam2img"), (4, 4))) is not None:
        intrinsics = square[:3, :3]
    return ConversationCameras(intrinsics=intrinsics, camera_to_world=poses, axis_alignment=alignment)


def _metadata(item: Mapping[str, Any], index: int, tally: Tally) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key in KEPT:
        if key not in item:
            continue
        if _is_small(item[key]):
            kept[key] = item[key]
        else:
            tally.defect("metadata_too_large_or_not_finite", index, key)
    flags = [box.get("in_reference") for box in item.get("boxes", ()) if isinstance(box, dict)]
    if flags and all(isinstance(flag, bool) for flag in flags):
        kept["in_reference"] = flags
    return kept


def _is_small(value: Any) -> bool:
    """Return whether a decoded JSON value is finite, can be encoded, and is small enough to be kept."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        part, depth = waiting.pop()
        seen += 1
        if seen > MAX_METADATA_VALUES or depth > MAX_METADATA_DEPTH:
            return False
        if isinstance(part, dict):
            waiting.extend((inner, depth + 1) for pair in part.items() for inner in pair)
        elif isinstance(part, list):
            waiting.extend((inner, depth + 1) for inner in part)
        elif isinstance(part, str):
            if part.strip() and text(part) is None:
                return False
        elif part is not None and not isinstance(part, bool) and (number(part) is None or abs(part) >= 2**63):
            return False
    return True


def _weigh(conversation: ConversationItem, evidence: EulerEvidence) -> None:
    """Add an item's boxes to the evidence: its list of boxes, or the one box that its answer holds."""
    cameras, frame, angles = conversation.cameras, 0, conversation.boxes[:, 6:]
    if not len(angles) and conversation.task in ("scanrefer", "scanrefer2"):
        nine = _NINE.search(conversation.answer)
        values = [_float(part) for part in nine[1].split(",")] if nine else []
        if len(values) != 9 or not np.isfinite(values).all():
            return
        angles = np.array([values[6:]])
        chosen = re.search(r'"frame"\s*:\s*(\d{1,4})', conversation.answer)
        frame = int(chosen[1]) if chosen else 0
    if cameras is None:
        evidence.add(angles, None)
    elif frame < len(cameras.camera_to_world):
        evidence.add(angles, cameras.axis_alignment @ cameras.camera_to_world[frame])


def _float(text_of_number: str) -> float:
    try:
        return float(text_of_number)
    except ValueError:
        return float("nan")
