"""Grounding scores: the overlap of the answered box with the true one, and whether the chosen frame is a good one.

In one pass the answer names a frame and the box in that frame's camera. In two stages the first answer names the frame
and the second, about a view that begins with it, the box in its camera. Either way the box is compared with the
object's true box in that camera; overlap does not depend on the frame of reference, so it is the same in the aligned
world. ``unique`` and ``multiple`` are ScanRefer's: whether the scene has another described object of the class.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.geometry.boxes import EulerConvention, OrientedBox
from gapdata.geometry.overlap import pairwise_iou
from gapdata.records.expressions import Expression
from gapdata.records.schema import Record
from gapdata.tasks import grounding, grounding_box, grounding_frame
from gapdata.tasks.box_text import box_of, nine_numbers
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.detection_compat import stripped
from gapdata.tasks.targets import TargetBox, aligned_camera, camera_box, described
from gapmodel.evaluation.authors_overlap import authors_iou, corners_of
from gapmodel.evaluation.compat import Compat, numbers, python_literal
from gapmodel.evaluation.given_records import GivenRecord

THRESHOLDS = (0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingResult:
    """The score of one answer."""

    scene: str
    iou: float  # 0 where there is no readable box
    unique: bool | None
    best_frame: bool | None  # whether the chosen frame shows the most of the object; None where no frame was read
    in_sight: bool | None  # whether it shows the object at all
    reason: str | None = None  # why the answer could not be read
    refined: float | None = None  # IoU of the proposal that overlaps the answered box most; None without proposals


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingScores:
    """Shares of all questions; an answer that could not be read counts as wrong."""

    questions: int
    unparsable: int
    reasons: dict[str, int]
    mean_iou: float
    accuracy: dict[str, float]  # "0.25" -> share with at least that IoU
    unique: dict[str, float]  # the same over unique objects, and "questions"
    multiple: dict[str, float]
    best_frame: float
    in_sight: float
    refined: dict[str, float] = field(default_factory=dict)
    """Shares with each answered box replaced by the detector's proposal that overlaps it most, as VG-LLM reports beside
    its own; empty without proposals."""


def one_pass(
    record: Record,
    expression: Expression,
    text: str,
    convention: EulerConvention,
    *,
    boxes: TargetBox = "aligned",
    compat: Compat = "none",
) -> GroundingResult:
    """Score an answer that names a frame and a box in it.

    Raises:
        ShardError: the record does not list the object or does not have such a box; or, for the authors' scoring, the
            scan does not have an aligned world.
    """
    read = _authors_answer(text, len(record)) if compat == "gap" else grounding.parse(text, len(record))
    if isinstance(read, Unparsable):
        return _result(record, expression, 0.0, None, read.reason)
    iou = overlap(record, expression, read.frame, read.values, convention, boxes=boxes, compat=compat)
    refined = refined_overlap(record, expression, read.frame, read.values, convention)
    return replace(_result(record, expression, iou, read.frame, None), refined=refined)


def two_stage(
    record: Record,
    expression: Expression,
    frame_text: str,
    box_text: str,
    convention: EulerConvention,
    *,
    boxes: TargetBox = "aligned",
    compat: Compat = "none",
) -> GroundingResult:
    """Score two answers: which frame of ``record``, and the box in the camera of :func:`chosen_frame`'s frame.

    Raises:
        ShardError: as :func:`one_pass`.
    """
    frame = chosen_frame(frame_text, len(record), compat=compat)
    if isinstance(frame, Unparsable):
        return _result(record, expression, 0.0, None, f"first stage: {frame.reason}")
    read = _authors_box(box_text) if compat == "gap" else grounding_box.parse(box_text)
    if isinstance(read, Unparsable):
        return _result(record, expression, 0.0, frame, f"second stage: {read.reason}")
    iou = overlap(record, expression, frame, read.values, convention, boxes=boxes, compat=compat)
    refined = refined_overlap(record, expression, frame, read.values, convention)
    return replace(_result(record, expression, iou, frame, None), refined=refined)


def chosen_frame(text: str, frames: int, *, compat: Compat = "none") -> int | Unparsable:
    """Return the frame that a first answer names.

    The authors take frame 0 from an answer that is not JSON or does not have ``frame``, and use what they find as a
    Python index: a negative one counts from the end, ``true`` is 1, and what is not an integer stops their script.
    """
    if compat == "none":
        return grounding_frame.parse(text, frames)
    try:
        fields = json.loads(stripped(text))
        named = "frame" in fields  # of a list and of a text too
        frame = fields["frame"] if named else 0
        inside = isinstance(frame, int) and -frames <= frame < frames
    except json.JSONDecodeError:
        return 0
    except (ValueError, TypeError, RecursionError):
        return Unparsable("the authors' script stops here")
    return frame % frames if inside else Unparsable("frame is not a position in the view")


def overlap(
    record: Record,
    expression: Expression,
    frame: int,
    values: Sequence[float],
    convention: EulerConvention,
    *,
    boxes: TargetBox = "aligned",
    compat: Compat = "none",
) -> float:
    """Return the IoU of nine numbers in the camera of ``frame`` with the described object's true box."""
    item = described(record, expression)
    if compat == "none":
        return float(pairwise_iou([box_of(values, convention)], [camera_box(record, item, frame, boxes)])[0, 0])
    to_aligned = aligned_camera(record, frame)
    if item.aligned_box is None:
        raise ShardError(f"record {record.key}: object {item.object_id} has no aligned box", scene=record.scene_id)
    moved = nine_numbers(box_of(values, "extrinsic_zxy").transformed(to_aligned), "extrinsic_zxy")
    true = (*item.aligned_box, 0.0, 0.0, 0.0)
    return float(authors_iou(corners_of([moved]), corners_of([true]))[0])


def refined_overlap(
    record: Record, expression: Expression, frame: int, values: Sequence[float], convention: EulerConvention
) -> float | None:
    """Return the IoU of the proposal that overlaps nine numbers most with the true box; ``None`` without proposals.

    A box that overlaps no proposal stays as it is.
    """
    truth = described(record, expression).aligned_box
    if not isinstance(record, GivenRecord) or not len(record.proposals) or truth is None:
        return None
    answered = box_of(values, convention).transformed(aligned_camera(record, frame))
    proposals = [_upright(row) for row in record.proposals]
    overlaps = pairwise_iou([answered], proposals)[0]
    chosen = proposals[int(overlaps.argmax())] if overlaps.max() > 0 else answered
    return float(pairwise_iou([chosen], [_upright(np.array(truth))])[0, 0])


def _upright(row: NDArray[np.float64]) -> OrientedBox:
    return OrientedBox(center=row[:3], size=row[3:], rotation=np.eye(3))


def summarise(results: Sequence[GroundingResult]) -> GroundingScores:
    """Return the shares over many answers; NaN without answers."""
    ious = np.array([item.iou for item in results])
    refined = [item.refined is not None for item in results]
    return GroundingScores(
        questions=len(results),
        unparsable=sum(item.reason is not None for item in results),
        reasons=dict(Counter(item.reason for item in results if item.reason is not None)),
        mean_iou=_mean(ious),
        accuracy=_accuracy(ious),
        unique=_part([item.iou for item in results if item.unique is True]),
        multiple=_part([item.iou for item in results if item.unique is False]),
        best_frame=_mean([item.best_frame is True for item in results]),
        in_sight=_mean([item.in_sight is True for item in results]),
        refined=_accuracy(np.array([item.refined or 0.0 for item in results])) if any(refined) else {},
    )


def _result(
    record: Record, expression: Expression, iou: float, frame: int | None, reason: str | None
) -> GroundingResult:
    visible = described(record, expression).visible_pixels
    return GroundingResult(
        scene=record.scene_id,
        iou=iou,
        unique=expression.unique,
        best_frame=None if frame is None else frame == visible.index(max(visible)),
        in_sight=None if frame is None else visible[frame] > 0,
        reason=reason,
        refined=0.0 if isinstance(record, GivenRecord) and len(record.proposals) else None,
    )


def _authors_answer(text: str, frames: int) -> grounding.GroundingAnswer | Unparsable:
    """Read as VG-LLM does: the first line that mentions the box, as Python."""
    line = next((line for line in stripped(text).split("\n") if "bbox_3d" in line), "")
    fields: Any = python_literal(line.strip().strip(","))
    box = _authors_values(fields)
    if isinstance(box, Unparsable):
        return box
    frame = fields.get("frame")
    if not isinstance(frame, int) or not 0 <= frame < frames:
        return Unparsable("frame is not a position in the view")
    return grounding.GroundingAnswer(frame=int(frame), values=box)


def _authors_box(text: str) -> grounding_box.BoxAnswer | Unparsable:
    """Read as GAP-MLLM does: the whole answer as Python."""
    box = _authors_values(python_literal(stripped(text)))
    return box if isinstance(box, Unparsable) else grounding_box.BoxAnswer(values=box)


def _authors_values(fields: Any) -> tuple[float, ...] | Unparsable:
    if isinstance(fields, Unparsable):
        return fields
    box = fields.get("bbox_3d") if isinstance(fields, dict) else None
    # They add lists to slices of the box, which fails for a tuple.
    values = numbers(box, 9) if isinstance(box, list) else None
    return Unparsable("bbox_3d is not nine finite numbers") if values is None else values


def _part(ious: Sequence[float]) -> dict[str, float]:
    return {"questions": float(len(ious)), **_accuracy(np.array(ious))}


def _accuracy(ious: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {f"{limit:.2f}": _mean(ious >= limit) for limit in THRESHOLDS}


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
