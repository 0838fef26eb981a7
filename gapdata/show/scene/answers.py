"""A model's answers about one record as marks beside the truth, each with its error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import normalised
from gapdata.geometry.overlap import pairwise_iou
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.show.scene.marks import ShownBox, ShownPoint
from gapdata.show.scene.palette import PREDICTED, Color, prompt_color
from gapdata.show.sheet.text import printable
from gapdata.tasks import detection, grounding, grounding_box, pointmap
from gapdata.tasks.box_text import box_of
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.labels import object_label
from gapdata.tasks.predictions import Asking, Predictions, Reply
from gapdata.tasks.targets import camera_box, find_described, has_box
from gapdata.tasks.wordings import convention_of

FARTHEST = 30.0
"""Metres from the first camera beyond which an answer is listed but not drawn: it would shrink the room to a dot."""
FOUND_IOU = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One line of the table of answers."""

    number: int | None  # of the prompt, where it is about one
    color: Color
    truth: str
    answer: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model answered about a record, in the camera of its first frame."""

    boxes: tuple[ShownBox, ...] = ()
    points: tuple[ShownPoint, ...] = ()
    rows: tuple[AnswerRow, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def drawn(self) -> Answers:
        """The same without the boxes and points that lie too far away to be drawn, which is noted."""
        boxes = tuple(item for item in self.boxes if _near(item.box.center) and _near(item.box.size))
        points = tuple(item for item in self.points if _near(item.point))
        lost = len(self.boxes) + len(self.points) - len(boxes) - len(points)
        note = (f"{counted(lost, 'answer')} more than {FARTHEST:g} m away, not drawn",) if lost else ()
        return replace(self, boxes=boxes, points=points, notes=(*self.notes, *note))


def answers_about(record: Record, predictions: Predictions) -> Answers:
    """What a model answered about a record; where it answered nothing, a note says so.

    Raises:
        ShardError: an expression of the record is malformed.
    """
    replies = predictions.replies.get(record.key, ())
    found = Answers(notes=() if replies else (f"no answer about this view in {predictions.path.name}",))
    unread: Counter[str] = Counter()
    other: Counter[str] = Counter()
    errors: list[float] = []
    for reply in replies:
        if reply.kind == "pointmap":
            part = _point(record, reply, errors)
        elif reply.kind == "detection":
            part = _boxes(record, reply, predictions.asking("detection"))
        elif reply.kind in ("grounding", "grounding_box"):
            task = "grounding" if reply.kind == "grounding" else "grounding_two_stage"
            part = _described_box(record, reply, predictions.asking(task))
        else:
            other[reply.kind] += 1
            continue
        if isinstance(part, Unparsable):
            unread[part.reason] += 1
        else:
            found = _together(found, part)
    notes = list(found.notes)
    if errors:
        notes.append(f"points: {counted(len(errors), 'answer')}, median {float(np.median(errors)):.2f} m off")
    notes += [f"{counted(count, 'answer')} that cannot be read: {reason}" for reason, count in unread.items()]
    notes += [f"{counted(count, 'answer')} of {kind} in words, not drawn" for kind, count in other.items()]
    return replace(found, notes=tuple(notes))


def _point(record: Record, reply: Reply, errors: list[float]) -> Answers | Unparsable:
    prompt = next((prompt for prompt in record.prompts if prompt.index == reply.numbers[0]), None)
    if prompt is None:
        return Unparsable(f"the record has no prompt {reply.numbers[0]}")
    answer = pointmap.parse(reply.text)
    if isinstance(answer, Unparsable):
        return answer
    truth, point = np.array(prompt.point), np.array(answer.point, dtype=np.float64)
    distance = float(np.linalg.norm(np.clip(point, -1e9, 1e9) - truth))
    errors.append(distance)
    error = f"{distance:.2f} m off"
    color = prompt_color(prompt.index)
    shown = ShownPoint(
        point=point, number=prompt.index, label=printable(answer.label or "point"), color=color, truth=truth, note=error
    )
    named = answer.label is None or prompt.label is None or normalised(answer.label) == normalised(prompt.label)
    row = AnswerRow(
        number=prompt.index,
        color=color,
        truth=f"{prompt.label or 'point'} {_metres(truth)}",
        answer=f"{printable(answer.label or 'point')} {_metres(point)}",
        error=error if named else f"{error}, another label",
    )
    return Answers(points=(shown,), rows=(row,))


def _boxes(record: Record, reply: Reply, asking: Asking) -> Answers | Unparsable:
    answer = detection.parse(reply.text)
    if isinstance(answer, Unparsable):
        return answer
    options = asking.options
    convention = convention_of(options.wording, options.convention)
    count = asking.frames or len(record)
    asked = replace(
        record,
        objects=tuple(replace(item, visible_pixels=item.visible_pixels[:count]) for item in record.objects),
    )
    targets = detection.targets(
        asked,
        min_visible_pixels=options.min_visible_pixels,
        max_objects=options.max_objects,
        taxonomy=options.taxonomy,
        missing_label=options.missing_label,
    )
    names = [normalised(object_label(item, options.taxonomy, options.missing_label) or "") for item in targets]
    true = [item.box for item in targets]
    boxes = [box_of(item.values, convention) for item in answer.boxes]
    overlap = pairwise_iou(boxes, true)
    shown, rows, found = [], [], set()
    for place, (item, box) in enumerate(zip(answer.boxes, boxes, strict=True)):
        label = printable(item.label)
        same = [index for index, name in enumerate(names) if name == normalised(item.label)]
        error, truth = "unmatched, no such object in sight", "-"
        if same:
            gaps = [float(np.linalg.norm(np.clip(box.center, -1e9, 1e9) - true[index].center)) for index in same]
            best = max(range(len(same)), key=lambda at: (overlap[place, same[at]], -gaps[at]))
            iou = float(overlap[place, same[best]])
            error = f"IoU {iou:.2f}, {gaps[best]:.2f} m off"
            truth = f"{targets[same[best]].label} {_metres(true[same[best]].center)}"
            if iou >= FOUND_IOU:
                found.add(same[best])
        shown.append(ShownBox(box=box, label=label, color=PREDICTED, predicted=True, note=error.split(",")[0]))
        rows.append(
            AnswerRow(number=None, color=PREDICTED, truth=truth, answer=f"{label} {_metres(box.center)}", error=error)
        )
    summary = (
        f"boxes: {counted(len(boxes), 'answer')} for {counted(len(true), 'object')}, {len(found)} "
        f"found (IoU {FOUND_IOU:g} and more)"
    )
    rejected = (
        (f"{counted(answer.rejected, 'entry', 'entries')} of the answer without a box",) if answer.rejected else ()
    )
    return Answers(boxes=tuple(shown), rows=tuple(rows), notes=(summary, *rejected))


def _described_box(record: Record, reply: Reply, asking: Asking) -> Answers | Unparsable:
    spoken = descriptions(record)
    if reply.numbers[0] >= len(spoken):
        return Unparsable(f"the record has no description {reply.numbers[0]}")
    expression = spoken[reply.numbers[0]]
    if reply.kind == "grounding":
        answer = grounding.parse(reply.text, len(record))
        if isinstance(answer, Unparsable):
            return answer
        frame, values = answer.frame, answer.values
    else:
        # The second stage's view begins with the chosen frame of this record: the box is in that frame's camera.
        frame, box_answer = reply.numbers[1], grounding_box.parse(reply.text)
        if isinstance(box_answer, Unparsable):
            return box_answer
        values = box_answer.values
        if frame >= len(record):
            return Unparsable(f"the record has no frame {frame}")
    options = asking.options
    box = box_of(values, convention_of(options.wording, options.convention)).transformed(record.camera_to_first[frame])
    item = find_described(record, expression)
    error, truth = "the view does not list the object", "-"
    if item is not None:
        kind = options.boxes if has_box(record, item, options.boxes) else "oriented"
        true = camera_box(record, item, 0, kind)
        iou = float(pairwise_iou([box], [true])[0, 0])
        gap = float(np.linalg.norm(np.clip(box.center, -1e9, 1e9) - true.center))
        error, truth = f"IoU {iou:.2f}, {gap:.2f} m off", f"{item.label} {_metres(true.center)}"
    shown = ShownBox(box=box, label=expression.object_name, color=PREDICTED, predicted=True, note=error.split(",")[0])
    row = AnswerRow(
        number=None,
        color=PREDICTED,
        truth=truth,
        answer=f"{printable(expression.text, 60)!r}: frame {record.frame_ids[frame]}, {_metres(box.center)}",
        error=error,
    )
    return Answers(boxes=(shown,), rows=(row,))


def _together(one: Answers, other: Answers) -> Answers:
    return Answers(
        boxes=one.boxes + other.boxes,
        points=one.points + other.points,
        rows=one.rows + other.rows,
        notes=one.notes + other.notes,
    )


def _near(values: NDArray[np.float64]) -> bool:
    return bool((np.abs(values) < FARTHEST).all())


def _metres(point: NDArray[np.floating]) -> str:
    return "({})".format(", ".join(f"{value:.2f}" if abs(value) < 1e4 else f"{value:.1e}" for value in point))
