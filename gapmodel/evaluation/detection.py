"""Detection scores: greedy matching of boxes with the same label, precision, recall, F1 and AP at two overlaps.

As in VG-LLM's evaluation the predictions of a view are matched in the order in which they were written, each with the
unused true box of its label that it overlaps most, and counts are summed over the views for each class. Ours accepts a
box at the threshold, reads angles as their convention says, and averages over the classes that occur in the truth. The
means over the 8, 20 and 31 classes of the published evaluation count a label of any taxonomy as its class there ("sofa"
as "couch"). ``compat = "gap"`` scores as the authors do (:mod:`gapmodel.evaluation.compat`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.categories import EvaluationList, category_list, evaluation_class, normalised
from gapdata.geometry.boxes import EulerConvention, OrientedBox
from gapdata.geometry.overlap import FAR, paired_iou, stack_boxes, take
from gapdata.tasks.box_text import box_of
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.detection import DetectionAnswer, TextBox, parse
from gapdata.tasks.detection_compat import parse_lines
from gapmodel.evaluation.authors_overlap import authors_iou, corners_of
from gapmodel.evaluation.average_precision import average_precision
from gapmodel.evaluation.compat import AUTHORS_LISTS, Compat

THRESHOLDS = (0.25, 0.5)
LISTS = tuple(AUTHORS_LISTS)
"""The published evaluation's class lists."""
Naming = Callable[[str], str | None]
"""From a label to the class that it is scored as; ``None`` leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Hits, false alarms and misses, and the scores that follow from them (0 where they are not defined)."""

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
    """Counts by threshold: over all boxes together, by class, and the unweighted means over classes."""

    views: int
    unparsable: int
    reasons: dict[str, int]  # why answers were unparsable
    rejected: int  # entries of readable answers that are not boxes
    predicted: int
    true: int
    overall: dict[str, Counts]  # "0.25" -> counts
    by_class: dict[str, dict[str, Counts]]
    macro: dict[str, dict[str, float]]  # "0.25" -> {"precision": ..., "recall": ..., "f1": ...}, true classes
    lists: dict[str, dict[str, dict[str, float]]]  # "detection-20" -> "0.25" -> the same and "ap", "classes"
    ap_by_class: dict[str, dict[str, float]]  # "0.25" -> class -> AP
    mean_ap: dict[str, float]  # over the true classes; NaN in the authors' scoring, which does not have AP
    named: float  # share of true boxes with a prediction of their label in the same view
    median_center_error: float  # metres from these true boxes to the nearest such prediction, NaN without any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredView:
    """A view's predictions and true boxes, and the IoU (P, T) of each pair."""

    predicted: tuple[TextBox, ...]
    true: tuple[TextBox, ...]
    overlap: NDArray[np.float64]


def score(
    answers: Sequence[str | DetectionAnswer],
    truths: Sequence[Sequence[TextBox]],
    convention: EulerConvention,
    *,
    compat: Compat = "none",
) -> DetectionScores:
    """Score model texts (or answers that are already parsed) against the true boxes of the same views.

    An answer that cannot be read counts as an empty one, and such answers are counted.
    """
    parsed = [read(answer, compat) for answer in answers]
    boxes = [answer.boxes if isinstance(answer, DetectionAnswer) else () for answer in parsed]
    views = overlapped(boxes, truths, convention, compat=compat)
    name = naming(compat)
    tables = {_name(limit): class_counts(views, limit, name, compat) for limit in THRESHOLDS}
    true_classes = sorted({label for view in views for box in view.true if (label := name(box.label)) is not None})
    precisions = {_name(limit): _class_ap(views, limit, name, compat) for limit in THRESHOLDS}
    distances = [near for view in views for near in center_distances(view.predicted, view.true)]
    return DetectionScores(
        views=len(truths),
        unparsable=sum(isinstance(answer, Unparsable) for answer in parsed),
        reasons=dict(Counter(answer.reason for answer in parsed if isinstance(answer, Unparsable))),
        rejected=sum(answer.rejected for answer in parsed if isinstance(answer, DetectionAnswer)),
        predicted=sum(len(view.predicted) for view in views),
        true=sum(len(view.true) for view in views),
        overall={limit: sum(counts.values(), Counts()) for limit, counts in tables.items()},
        by_class=tables,
        macro={limit: _macro([counts[label] for label in true_classes]) for limit, counts in tables.items()},
        lists={list_name: _list_scores(views, list_name, compat) for list_name in LISTS},
        ap_by_class=precisions,
        mean_ap={limit: _mean([values[label] for label in true_classes]) for limit, values in precisions.items()},
        named=_ratio(len(distances), sum(len(view.true) for view in views)),
        median_center_error=float(np.median(distances)) if distances else float("nan"),
    )


def read(answer: str | DetectionAnswer, compat: Compat = "none") -> DetectionAnswer | Unparsable:
    """Read an answer's boxes; the authors' way of reading never calls an answer unparsable, but may find no boxes."""
    if not isinstance(answer, str):
        return answer
    return parse_lines(answer) if compat == "gap" else parse(answer)


def overlapped(
    predicted: Sequence[Sequence[TextBox]],
    true: Sequence[Sequence[TextBox]],
    convention: EulerConvention,
    *,
    compat: Compat = "none",
) -> list[ScoredView]:
    """Return all views with the IoU of each prediction with each true box, computed for all views together.

    The authors' overlap (:mod:`gapmodel.evaluation.authors_overlap`) reads all angles as intrinsic zxy, also the true
    ones.
    """
    shapes = [(len(p), len(t)) for p, t in zip(predicted, true, strict=True)]
    rows, columns, row, column = [], [], 0, 0
    for p, t in shapes:
        rows.append(row + np.repeat(np.arange(p), t))
        columns.append(column + np.tile(np.arange(t), p))
        row, column = row + p, column + t
    iou = np.zeros(0)
    if rows:
        first, second = ([box for boxes in side for box in boxes] for side in (predicted, true))
        i, j = np.concatenate(rows), np.concatenate(columns)
        if compat == "gap":
            iou = authors_iou(*(corners_of([b.values for b in s])[at] for s, at in ((first, i), (second, j))))
        else:
            a, b = (stack_boxes([oriented(box, convention) for box in side]) for side in (first, second))
            iou = paired_iou(take(a, i), take(b, j))
    ends = np.cumsum([p * t for p, t in shapes])
    return [
        ScoredView(predicted=tuple(p), true=tuple(t), overlap=iou[end - shape[0] * shape[1] : end].reshape(shape))
        for p, t, shape, end in zip(predicted, true, shapes, ends, strict=True)
    ]


def class_counts(
    views: Sequence[ScoredView], threshold: float, name: Naming, compat: Compat = "none"
) -> dict[str, Counts]:
    """Count every class that was predicted or is true, sorted by name."""
    counts: dict[str, Counts] = defaultdict(Counts)
    for view in views:
        for label, overlap in by_label(view, name).items():
            counts[label] += match(overlap, threshold, strict=compat == "gap")
    return dict(sorted(counts.items()))


def by_label(view: ScoredView, name: Naming) -> dict[str, NDArray[np.float64]]:
    """Return a view's overlaps (P, T) of the predictions and true boxes of each class."""
    predicted, true = [name(box.label) for box in view.predicted], [name(box.label) for box in view.true]
    labels = {label for label in (*predicted, *true) if label is not None}
    return {
        label: view.overlap[[item == label for item in predicted]][:, [item == label for item in true]]
        for label in sorted(labels)
    }


def match(overlap: NDArray[np.float64], threshold: float, *, strict: bool = False) -> Counts:
    """Count one class in one view from overlaps (P, T) of predictions and true boxes, greedily in their order.

    With ``strict`` an overlap must lie above the threshold, as the authors have it; else it may equal it.
    """
    free = np.ones(overlap.shape[1], dtype=bool)
    hits = 0
    for row in overlap:
        candidates = np.where(free, row, -1.0)
        best = int(np.argmax(candidates)) if len(candidates) else -1
        if best >= 0 and (candidates[best] > threshold or (candidates[best] == threshold and not strict)):
            free[best] = False
            hits += 1
    return Counts(true_positives=hits, false_positives=overlap.shape[0] - hits, false_negatives=overlap.shape[1] - hits)


def center_distances(predicted: Sequence[TextBox], true: Sequence[TextBox]) -> list[float]:
    """Return metres from each true box to the nearest predicted centre of its label, if that label was predicted.

    This tells how far a model is from its first overlap; F1 cannot, because most answers of a small model overlap
    nothing.
    """
    distances = []
    for box in true:
        same = [other.values[:3] for other in predicted if normalised(other.label) == normalised(box.label)]
        same = [center for center in same if np.isfinite(center).all() and max(np.abs(center)) < FAR]
        if same:
            distances.append(float(np.linalg.norm(np.subtract(same, box.values[:3]), axis=1).min()))
    return distances


def constant_baseline(training: Sequence[Sequence[TextBox]]) -> DetectionAnswer:
    """Return an answer without looking: the mean box of each of the most frequent labels of training views.

    It has as many boxes as a training view has on average.
    """
    boxes: dict[str, list[TextBox]] = defaultdict(list)
    for view in training:
        for box in view:
            boxes[normalised(box.label)].append(box)
    counts = Counter({label: len(items) for label, items in boxes.items()})
    wanted = round(sum(counts.values()) / max(len(training), 1))
    chosen = sorted(counts, key=lambda label: (-counts[label], label))[:wanted]
    means = [
        TextBox(label=label, values=tuple(np.mean([box.values for box in boxes[label]], axis=0))) for label in chosen
    ]
    return DetectionAnswer(boxes=tuple(means))


def oriented(box: TextBox, convention: EulerConvention) -> OrientedBox:
    """Turn nine numbers in the named convention into a box."""
    return box_of(box.values, convention)


def naming(compat: Compat = "none") -> Naming:
    """Return how labels are compared: ignoring case, spaces and underscores; by the authors as they are written."""
    return (lambda label: label) if compat == "gap" else normalised


def list_naming(name: str, compat: Compat = "none") -> Naming:
    """Return how a label finds its class of an evaluation list; the authors only know the name of the class."""
    if compat == "gap":
        classes = category_list(AUTHORS_LISTS[name])
        return lambda label: label if label in classes else None
    return lambda label: evaluation_class(label, cast("EvaluationList", name))


def list_classes(views: Sequence[ScoredView], name: str, compat: Compat = "none") -> list[str]:
    """Return the classes that a list's mean is over: those in the truth; for the authors all, as often as listed."""
    if compat == "gap":
        return list(category_list(AUTHORS_LISTS[name]))
    to_class = list_naming(name, compat)
    return sorted({label for view in views for box in view.true if (label := to_class(box.label)) is not None})


def _list_scores(views: Sequence[ScoredView], name: str, compat: Compat) -> dict[str, dict[str, float]]:
    to_class, classes = list_naming(name, compat), list_classes(views, name, compat)
    found: dict[str, dict[str, float]] = {}
    for limit in THRESHOLDS:
        counts, precisions = class_counts(views, limit, to_class, compat), _class_ap(views, limit, to_class, compat)
        found[_name(limit)] = {
            **_macro([counts.get(label, Counts()) for label in classes]),
            "ap": _mean([precisions.get(label, float("nan")) for label in classes]),
            "classes": float(len(classes)),
        }
    return found


def _class_ap(views: Sequence[ScoredView], threshold: float, name: Naming, compat: Compat) -> dict[str, float]:
    overlaps: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for view in views:
        for label, overlap in by_label(view, name).items():
            overlaps[label].append(overlap)
    absent = compat == "gap"
    return {
        label: float("nan") if absent else average_precision(items, threshold)
        for label, items in sorted(overlaps.items())
    }


def _macro(counts: Sequence[Counts]) -> dict[str, float]:
    return {
        name: float(np.mean([getattr(item, name) for item in counts])) if counts else 0.0
        for name in ("precision", "recall", "f1")
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _name(threshold: float) -> str:
    return f"{threshold:.2f}"


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
