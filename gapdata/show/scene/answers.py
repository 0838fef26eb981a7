"""A model's answers about one record as marks beside the truth, each with its error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import normalised
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.overlap import pairwise_iou
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.show.scene.marks import ShownBox, ShownPoint
from gapdata.show.scene.palette import PREDICTED, Color, prompt_color
from gapdata.tasks import detection, grounding, grounding_box, pointmap
from gapdata.tasks.box_text import box_of
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.labels import object_label
from gapdata.tasks.predictions import Asking, Predictions, Reply
from gapdata.tasks.targets import camera_box, find_described, has_box

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
    """All answers of a model about a record, in the camera of its first frame."""

    boxes: tuple[ShownBox, ...] = ()
    points: tuple[ShownPoint, ...] = ()
    rows: tuple[AnswerRow, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Answers) -> Answers:
        return Answers(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})

    @property
    def drawn(self) -> Answers:
        """The answers without the boxes and points that are too far away to be drawn, which are counted in a note."""
        boxes = tuple(item for item in self.boxes if _near(item.box.center) and _near(item.box.size))
        points = tuple(item for item in self.points if _near(item.point))
        lost = len(self.boxes) + len(self.points) - len(boxes) - len(points)
        note = (f"{counted(lost, 'answer')} more than {FARTHEST:g} m away, not drawn",) if lost else ()
        return replace(self, boxes=boxes, points=points, notes=(*self.notes, *note))


def answers_about(record: Record, predictions: Predictions) -> Answers:
    """Return the answers of a model about a record; where there are none, a note says so.

    Raises:
        ShardError: an expression of the record is malformed.
    """
    replies = predictions.replies.get(record.key, ())
    found = Answers(notes=() if replies else (f"no answer about this view in {predictions.path.name}",))
    notes: Counter[str] = Counter()
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
            notes[f"of {reply.kind} in words, not drawn"] += 1
            continue
        if isinstance(part, Unparsable):
            notes[f"that cannot be read: {part.reason}"] += 1
        else:
            found += part
    said = [f"{counted(count, 'answer')} {note}" for note, count in notes.items()]
    if errors:
        said.insert(0, f"points: {counted(len(errors), 'answer')}, median {float(np.median(errors)):.2f} m off")
    return found + Answers(notes=tuple(said))


def printable(text: str, limit: int = 40) -> str:
    """Return a model's text on one line, at most ``limit`` characters, without what a font cannot draw."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    clean = " ".join(clean.encode("utf-8", "replace").decode("utf-8").split())
    return clean if len(clean) <= limit and len(text) <= 4 * limit else clean[: limit - 3] + "..."


def _point(record: Record, reply: Reply, errors: list[float]) -> Answers | Unparsable:
    prompt = next((prompt for prompt in record.prompts if prompt.index == reply.numbers[0]), None)
    if prompt is None:
        return Unparsable(f"the record has no prompt {reply.numbers[0]}")
    answer = pointmap.parse(reply.text)
    if isinstance(answer, Unparsable):
        return answer
    truth, point = np.array(prompt.point), np.array(answer.point, dtype=np.float64)
    errors.append(_distance(point, truth))
    label, error = printable(answer.label or "point"), f"{errors[-1]:.2f} m off"
    color = prompt_color(prompt.index)
    named = answer.label is None or prompt.label is None or normalised(answer.label) == normalised(prompt.label)
    row = AnswerRow(
        number=prompt.index,
        color=color,
        truth=f"{prompt.label or 'point'} {_metres(truth)}",
        answer=f"{label} {_metres(point)}",
        error=error if named else f"{error}, another label",
    )
    shown = ShownPoint(point=point, number=prompt.index, label=label, color=color, truth=truth, note=error)
    return Answers(points=(shown,), rows=(row,))


def _boxes(record: Record, reply: Reply, asking: Asking) -> Answers | Unparsable:
    answer = detection.parse(reply.text)
    if isinstance(answer, Unparsable):
        return answer
    options, count = asking.options, asking.frames or len(record)
    asked = tuple(replace(item, visible_pixels=item.visible_pixels[:count]) for item in record.objects)
    targets = detection.targets(replace(record, objects=asked), options)
    names = [normalised(object_label(item, options.taxonomy, options.missing_label) or "") for item in targets]
    true = [item.box for item in targets]
    boxes = [box_of(item.values, options.angles) for item in answer.boxes]
    overlap = pairwise_iou(boxes, true)
    shown, found = Answers(), set()
    for place, (item, box) in enumerate(zip(answer.boxes, boxes, strict=True)):
        label, same = printable(item.label), [at for at, name in enumerate(names) if name == normalised(item.label)]
        said = f"{label} {_metres(box.center)}"
        if same:
            best = max(same, key=lambda at: (overlap[place, at], -_distance(box.center, true[at].center)))
            found |= {best} if overlap[place, best] >= FOUND_IOU else set()
            shown += _compared(box, label, said, targets[best].label, true[best], float(overlap[place, best]))
        else:
            shown += _unmatched(box, label, said, "unmatched, no object of this name in view")
    notes = [
        f"boxes: {counted(len(boxes), 'answer')} for {counted(len(true), 'object')}, {len(found)} "
        f"found (IoU {FOUND_IOU:g} and more)"
    ]
    if answer.rejected:
        notes.append(f"{counted(answer.rejected, 'entry', 'entries')} of the answer without a box")
    return shown + Answers(notes=tuple(notes))


def _described_box(record: Record, reply: Reply, asking: Asking) -> Answers | Unparsable:
    spoken = descriptions(record)
    if reply.numbers[0] >= len(spoken):
        return Unparsable(f"the record has no description {reply.numbers[0]}")
    expression, options = spoken[reply.numbers[0]], asking.options
    # The second stage's view begins with the chosen frame of this record: the box is in that frame's camera.
    parsed = grounding.parse(reply.text, len(record)) if reply.kind == "grounding" else grounding_box.parse(reply.text)
    if isinstance(parsed, Unparsable):
        return parsed
    frame = parsed.frame if isinstance(parsed, grounding.GroundingAnswer) else reply.numbers[1]
    if frame >= len(record):
        return Unparsable(f"the record has no frame {frame}")
    box = box_of(parsed.values, options.angles)
    box = box.transformed(record.camera_to_first[frame])
    said = f"{printable(expression.text, 60)!r}: frame {record.frame_ids[frame]}, {_metres(box.center)}"
    item = find_described(record, expression)
    if item is None:
        return _unmatched(box, expression.object_name, said, "the view does not list the object")
    true = camera_box(record, item, 0, options.boxes if has_box(record, item, options.boxes) else "oriented")
    return _compared(box, expression.object_name, said, item.label, true, float(pairwise_iou([box], [true])[0, 0]))


def _compared(box: OrientedBox, label: str, said: str, true_label: str, true: OrientedBox, iou: float) -> Answers:
    """Show an answered box beside the true one, with their overlap."""
    row = AnswerRow(
        number=None,
        color=PREDICTED,
        truth=f"{true_label} {_metres(true.center)}",
        answer=said,
        error=f"IoU {iou:.2f}, {_distance(box.center, true.center):.2f} m off",
    )
    shown = ShownBox(box=box, label=label, color=PREDICTED, predicted=True, note=f"IoU {iou:.2f}")
    return Answers(boxes=(shown,), rows=(row,))


def _unmatched(box: OrientedBox, label: str, said: str, error: str) -> Answers:
    """Show an answered box without a true one."""
    row = AnswerRow(number=None, color=PREDICTED, truth="-", answer=said, error=error)
    shown = ShownBox(box=box, label=label, color=PREDICTED, predicted=True, note=error.split(",")[0])
    return Answers(boxes=(shown,), rows=(row,))


def _distance(point: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(np.clip(point, -1e9, 1e9) - truth))


def _near(values: NDArray[np.float64]) -> bool:
    return bool((np.abs(values) < FARTHEST).all())


def _metres(point: NDArray[np.floating]) -> str:
    return "({})".format(", ".join(f"{value:.2f}" if abs(value) < 1e4 else f"{value:.1e}" for value in point))
