"""Stage 1 scores of single answers: the distance of the point from the truth, and whether the label is right.

:mod:`gapmodel.evaluation.reconstruction` scores the points of a scene together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gapdata.annotations.categories import normalised
from gapdata.geometry.overlap import FAR
from gapdata.tasks.box_text import rounded
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.detection_compat import stripped
from gapdata.tasks.pointmap import PointmapAnswer, parse
from gapmodel.evaluation.compat import Compat, numbers, python_literal

WITHIN = (0.05, 0.10, 0.25)
"""Metres: the shares of answers within these distances are reported."""
FARTHEST = 1.0
"""Metres: the authors' score of an answer falls from 1 at the truth to 0 at this distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointmapScores:
    """Scores of all answers of the task.

    ``median_error`` and ``mean_error`` are over the answers that could be read, in metres (NaN without any); the shares
    and ``closeness`` count the others as wrong.
    """

    questions: int
    unparsable: int
    reasons: dict[str, int]  # why answers were unparsable
    median_error: float
    mean_error: float
    within: dict[str, float]  # "0.05" -> share
    closeness: float  # mean of max(0, 1 - error / 1 m), the authors' logged score
    labelled: int
    label_accuracy: float


def score(
    answers: Sequence[str | PointmapAnswer], truths: Sequence[PointmapAnswer], *, compat: Compat = "none"
) -> PointmapScores:
    """Score model texts (or answers that are already parsed) against the truth of the same questions.

    The error of an answer is the Euclidean distance of its point; a label counts where the question has one, compared
    without regard to case and surrounding space. The authors' reading takes the first line that mentions the key, the
    truth from the rounded text, and compares no labels.
    """
    parsed = [read(answer, compat) for answer in answers]
    if compat == "gap":
        truths = [as_written(truth) for truth in truths]
    found = point_errors(parsed, truths)
    errors = found[np.isfinite(found)]
    labelled = [truth.label for truth in truths if truth.label is not None and compat == "none"]
    right = sum(label_is_right(answer, truth) for answer, truth in zip(parsed, truths, strict=True))
    total = max(len(truths), 1)
    return PointmapScores(
        questions=len(truths),
        unparsable=sum(isinstance(answer, Unparsable) for answer in parsed),
        reasons=dict(Counter(answer.reason for answer in parsed if isinstance(answer, Unparsable))),
        median_error=float(np.median(errors)) if len(errors) else float("nan"),
        mean_error=float(np.mean(errors)) if len(errors) else float("nan"),
        within={f"{limit:.2f}": float((errors < limit).sum()) / total for limit in WITHIN},
        closeness=float(np.maximum(0.0, 1.0 - errors / FARTHEST).sum()) / total,
        labelled=len(labelled),
        label_accuracy=right / len(labelled) if labelled else float("nan"),
    )


def read(answer: str | PointmapAnswer, compat: Compat = "none") -> PointmapAnswer | Unparsable:
    """Read an answer's point and label."""
    if not isinstance(answer, str):
        return answer
    return _first_line(answer) if compat == "gap" else parse(answer)


def read_whole(answer: str) -> PointmapAnswer | Unparsable:
    """Read as the authors do for the points of a scene: the whole answer as one Python literal."""
    # White space first, and not line breaks alone, as for single answers.
    return _point(python_literal(stripped(answer.strip())))


def as_written(truth: PointmapAnswer) -> PointmapAnswer:
    """Return the truth as the answer of its question has it: to centimetres."""
    x, y, z = rounded(truth.point)
    return replace(truth, point=(x, y, z))


def point_errors(
    parsed: Sequence[PointmapAnswer | Unparsable], truths: Sequence[PointmapAnswer]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the distances (N,) in metres, infinite where an answer could not be read.

    Coordinates are limited to a thousand kilometres, so that the mean stays finite.
    """
    return np.array(
        [
            float(np.linalg.norm(np.clip(answer.point, -FAR, FAR) - truth.point))
            if isinstance(answer, PointmapAnswer)
            else np.inf
            for answer, truth in zip(parsed, truths, strict=True)
        ]
    )


def label_is_right(answer: PointmapAnswer | Unparsable, truth: PointmapAnswer) -> bool:
    """Return whether an answer names the label of its question."""
    if isinstance(answer, Unparsable) or answer.label is None or truth.label is None:
        return False
    return normalised(answer.label) == normalised(truth.label)


def constant_baseline(training: Sequence[PointmapAnswer]) -> PointmapAnswer:
    """Return an answer without looking: the median point and the most frequent label of training questions.

    The median of each coordinate is the constant with the least error; without training questions it is the camera.
    """
    labels = Counter(answer.label for answer in training if answer.label is not None)
    point = np.median([answer.point for answer in training], axis=0) if training else np.zeros(3)
    label = min(labels, key=lambda name: (-labels[name], name)) if labels else None
    return PointmapAnswer(point=(float(point[0]), float(point[1]), float(point[2])), label=label)


def _first_line(text: str) -> PointmapAnswer | Unparsable:
    for line in stripped(text).split("\n"):
        candidate = line.strip().strip(",")
        if "pointmap" in candidate and not isinstance(value := python_literal(candidate), Unparsable):
            return _point(value)
    return Unparsable("no line that Python reads")


def _point(value: object) -> PointmapAnswer | Unparsable:
    if isinstance(value, Unparsable):
        return value
    point = numbers(value.get("pointmap"), 3) if isinstance(value, dict) else None
    if point is None:
        return Unparsable("pointmap is not three finite numbers")
    return PointmapAnswer(point=(point[0], point[1], point[2]), label=None)
