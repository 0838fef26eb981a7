"""Detection scores: greedy matching of boxes with the same label, precision, recall and F1 at two overlaps.

As in VG-LLM's evaluation the predictions of a view are matched in the order in which they were written, each with the
unused true box of its label that it overlaps most; counts are summed over the views per class, and the macro average
is over the classes that occur in the truth. The overlap is that of the boxes as their convention reads them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gapdata.geometry.boxes import EulerConvention, OrientedBox
from gapdata.tasks.detection import DetectionAnswer, TextBox, parse
from gapmodel.evaluation.iou import pairwise_iou

THRESHOLDS = (0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Hits, false alarms and misses, and what follows from them (0 where nothing was there to find or was found)."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    @property
    def precision(self) -> float:
        """Share of the predictions that are right."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the true boxes that were found."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            true_positives=self.true_positives + other.true_positives,
            false_positives=self.false_positives + other.false_positives,
            false_negatives=self.false_negatives + other.false_negatives,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionScores:
    """Counts by threshold: over all boxes together, by class, and the unweighted means over the true classes."""

    views: int
    unparsable: int
    rejected: int  # entries of readable answers that were no boxes
    predicted: int
    true: int
    overall: dict[str, Counts]  # "0.25" -> counts
    by_class: dict[str, dict[str, Counts]]
    macro: dict[str, dict[str, float]]  # "0.25" -> {"precision": ..., "recall": ..., "f1": ...}
    named: float  # share of true boxes in whose view a box of their label was predicted
    median_center_error: float  # metres from those to the nearest such box, NaN where there is none


def score(
    answers: Sequence[str | DetectionAnswer], truths: Sequence[Sequence[TextBox]], convention: EulerConvention
) -> DetectionScores:
    """Score model texts (or answers that are already parsed) against the true boxes of the same views.

    An answer that cannot be read counts as no prediction and is counted apart.
    """
    parsed = [parse(answer) if isinstance(answer, str) else answer for answer in answers]
    read = [answer.boxes if isinstance(answer, DetectionAnswer) else () for answer in parsed]
    by_class: dict[str, dict[str, Counts]] = {_name(limit): defaultdict(Counts) for limit in THRESHOLDS}
    for predicted, true in zip(read, truths, strict=True):
        for label in {_label(box) for box in (*predicted, *true)}:
            mine = [box for box in predicted if _label(box) == label]
            theirs = [box for box in true if _label(box) == label]
            overlap = pairwise_iou(
                [oriented(box, convention) for box in mine], [oriented(box, convention) for box in theirs]
            )
            for limit in THRESHOLDS:
                by_class[_name(limit)][label] += match(overlap, limit)
    distances = [near for p, t in zip(read, truths, strict=True) for near in center_distances(p, t)]
    true_classes = sorted({_label(box) for boxes in truths for box in boxes})
    return DetectionScores(
        views=len(truths),
        unparsable=sum(not isinstance(answer, DetectionAnswer) for answer in parsed),
        rejected=sum(answer.rejected for answer in parsed if isinstance(answer, DetectionAnswer)),
        predicted=sum(len(boxes) for boxes in read),
        true=sum(len(boxes) for boxes in truths),
        overall={name: sum(counts.values(), Counts()) for name, counts in by_class.items()},
        by_class={name: dict(sorted(counts.items())) for name, counts in by_class.items()},
        macro={name: _macro([counts[label] for label in true_classes]) for name, counts in by_class.items()},
        named=_ratio(len(distances), sum(len(boxes) for boxes in truths)),
        median_center_error=float(np.median(distances)) if distances else float("nan"),
    )


def center_distances(predicted: Sequence[TextBox], true: Sequence[TextBox]) -> list[float]:
    """For each true box whose label was predicted at all: metres to the nearest predicted centre of that label.

    It tells how far a model is from its first overlap, which F1 cannot: most answers of a small model overlap nothing.
    """
    distances = []
    for box in true:
        same = [other.values[:3] for other in predicted if _label(other) == _label(box)]
        if same:
            distances.append(float(np.linalg.norm(np.subtract(same, box.values[:3]), axis=1).min()))
    return distances


def match(overlap: np.ndarray, threshold: float) -> Counts:
    """Counts of one class in one view from overlaps (predictions, true boxes), greedily in the order of predictions."""
    free = np.ones(overlap.shape[1], dtype=bool)
    hits = 0
    for row in overlap:
        candidates = np.where(free, row, -1.0)
        best = int(np.argmax(candidates)) if len(candidates) else -1
        if best >= 0 and candidates[best] >= threshold:
            free[best] = False
            hits += 1
    return Counts(true_positives=hits, false_positives=overlap.shape[0] - hits, false_negatives=overlap.shape[1] - hits)


def constant_baseline(training: Sequence[Sequence[TextBox]]) -> DetectionAnswer:
    """What one would answer without looking: the mean box of each of the labels that a training view shows most often.

    As many labels are taken as a training view has boxes on average.
    """
    boxes: dict[str, list[TextBox]] = defaultdict(list)
    for view in training:
        for box in view:
            boxes[_label(box)].append(box)
    counts = Counter({label: len(items) for label, items in boxes.items()})
    wanted = round(sum(counts.values()) / max(len(training), 1))
    chosen = sorted(counts, key=lambda label: (-counts[label], label))[:wanted]
    means = [
        TextBox(label=label, values=tuple(np.mean([box.values for box in boxes[label]], axis=0))) for label in chosen
    ]
    return DetectionAnswer(boxes=tuple(means))


def oriented(box: TextBox, convention: EulerConvention) -> OrientedBox:
    """Nine numbers as a box, in the named convention."""
    return OrientedBox(
        center=np.array(box.values[:3]), size=np.array(box.values[3:6]), rotation=box.rotation(convention)
    )


def _macro(counts: Sequence[Counts]) -> dict[str, float]:
    return {
        name: float(np.mean([getattr(item, name) for item in counts])) if counts else 0.0
        for name in ("precision", "recall", "f1")
    }


def _label(box: TextBox) -> str:
    return box.label.strip().lower()


def _name(threshold: float) -> str:
    return f"{threshold:.2f}"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
