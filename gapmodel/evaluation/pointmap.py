"""Stage 1 scores: how far the point is from the truth, and whether the label is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gapdata.tasks.pointmap import PointmapAnswer, parse

WITHIN = (0.05, 0.10, 0.25)
"""Distances in metres whose share of hits is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointmapScores:
    """``median_error`` and ``mean_error`` are over the answers that could be read, in metres (NaN if none); the shares
    count an answer that could not be read as wrong."""

    questions: int
    unparsable: int
    median_error: float
    mean_error: float
    within: dict[str, float]  # "0.05" -> share
    labelled: int
    label_accuracy: float


def score(answers: Sequence[str | PointmapAnswer], truths: Sequence[PointmapAnswer]) -> PointmapScores:
    """Score model texts (or answers that are already parsed) against the truth of the same questions.

    The error of an answer is the Euclidean distance of its point; a label counts where the question has one, compared
    without regard to case and surrounding space.
    """
    parsed = [parse(answer) if isinstance(answer, str) else answer for answer in answers]
    read = [(answer, truth) for answer, truth in zip(parsed, truths, strict=True) if isinstance(answer, PointmapAnswer)]
    errors = np.array([np.linalg.norm(np.subtract(answer.point, truth.point)) for answer, truth in read])
    labelled = [truth.label for truth in truths if truth.label is not None]
    right = sum(
        truth.label is not None and answer.label is not None and _same(answer.label, truth.label)
        for answer, truth in read
    )
    total = max(len(truths), 1)
    return PointmapScores(
        questions=len(truths),
        unparsable=len(truths) - len(read),
        median_error=float(np.median(errors)) if len(errors) else float("nan"),
        mean_error=float(np.mean(errors)) if len(errors) else float("nan"),
        within={f"{limit:.2f}": float((errors < limit).sum()) / total for limit in WITHIN},
        labelled=len(labelled),
        label_accuracy=right / len(labelled) if labelled else float("nan"),
    )


def constant_baseline(training: Sequence[PointmapAnswer]) -> PointmapAnswer:
    """What one would answer without looking: the training questions' median point and their most frequent label.

    The median of each coordinate is the constant that a median error rewards; where nothing is known, the camera
    itself.
    """
    labels = Counter(answer.label for answer in training if answer.label is not None)
    point = np.median([answer.point for answer in training], axis=0) if training else np.zeros(3)
    label = min(labels, key=lambda name: (-labels[name], name)) if labels else None
    return PointmapAnswer(point=(float(point[0]), float(point[1]), float(point[2])), label=label)


def _same(first: str, second: str) -> bool:
    return first.strip().lower() == second.strip().lower()
