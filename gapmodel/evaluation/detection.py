"""Detection scores: greedy matching of boxes with the same label, precision, recall, F1 and AP at two overlaps.

As in VG-LLM's evaluation the predictions of a view are matched in the order in which they were written, each with the
unused true box of its label that it overlaps most, and counts are summed over the views per class. Ours takes a box at
the threshold, reads angles as their convention says, and averages over the classes that occur in the truth; the means
over the 8, 20 and 31 classes of the published evaluation take a label of any taxonomy for its class there ("sofa" for
"couch"). ``compat = "gap"`` scores as the authors do (:mod:`gapmodel.evaluation.compat`).
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
"""From a label to what it is scored as; ``None`` leaves it out."""


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
    """Counts by threshold: over all boxes together, by class, and the unweighted means over classes."""

    views: int
    unparsable: int
    reasons: dict[str, int]  # why answers were unparsable
    rejected: int  # entries of readable answers that were no boxes
    predicted: int
    true: int
    overall: dict[str, Counts]  # "0.25" -> counts
    by_class: dict[str, dict[str, Counts]]
    macro: dict[str, dict[str, float]]  # "0.25" -> {"precision": ..., "recall": ..., "f1": ...}, true classes
    lists: dict[str, dict[str, dict[str, float]]]  # "detection-20" -> "0.25" -> the same and "ap", "classes"
    ap_by_class: dict[str, dict[str, float]]  # "0.25" -> class -> AP
    mean_ap: dict[str, float]  # over the true classes; NaN in the authors' scoring, which has none
    named: float  # share of true boxes in whose view a box of their label was predicted
    median_center_error: float  # metres from those to the nearest such box, NaN where there is none


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

    An answer that cannot be read counts as no prediction and is counted apart.
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
    """An answer's boxes; the authors' reading has none where no line could be read, and does not call it unparsable."""
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
    """All views with the IoU of each prediction with each true box, computed for all views together.

    The authors' overlap (:mod:`gapmodel.evaluation.authors_overlap`) reads the angles as intrinsic zxy, those of the
    truth too.
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
    """Counts of every class that was predicted or is true, sorted by name."""
    counts: dict[str, Counts] = defaultdict(Counts)
    for view in views:
        for label, overlap in by_label(view, name).items():
            counts[label] += match(overlap, threshold, strict=compat == "gap")
    return dict(sorted(counts.items()))


def by_label(view: ScoredView, name: Naming) -> dict[str, NDArray[np.float64]]:
    """A view's overlaps (P, T) of the predictions and true boxes of each class."""
    predicted, true = [name(box.label) for box in view.predicted], [name(box.label) for box in view.true]
    labels = {label for label in (*predicted, *true) if label is not None}
    return {
        label: view.overlap[[item == label for item in predicted]][:, [item == label for item in true]]
        for label in sorted(labels)
    }


def match(overlap: NDArray[np.float64], threshold: float, *, strict: bool = False) -> Counts:
    """Counts of one class in one view from overlaps (predictions, true boxes), greedily in the order of predictions.

    ``strict`` wants an overlap above the threshold, as the authors do, instead of one that reaches it.
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
    """For each true box whose label was predicted at all: metres to the nearest predicted centre of that label.

    It tells how far a model is from its first overlap, which F1 cannot: most answers of a small model overlap nothing.
    """
    distances = []
    for box in true:
        same = [other.values[:3] for other in predicted if normalised(other.label) == normalised(box.label)]
        same = [center for center in same if np.isfinite(center).all() and max(np.abs(center)) < FAR]
        if same:
            distances.append(float(np.linalg.norm(np.subtract(same, box.values[:3]), axis=1).min()))
    return distances


def constant_baseline(training: Sequence[Sequence[TextBox]]) -> DetectionAnswer:
    """What one would answer without looking: the mean box of each of the labels that a training view shows most often.

    As many labels are taken as a training view has boxes on average.
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
    """Nine numbers as a box, in the named convention."""
    return box_of(box.values, convention)


def naming(compat: Compat = "none") -> Naming:
    """How labels are compared: without regard to case, spaces and underscores; the authors compare them as written."""
    return (lambda label: label) if compat == "gap" else normalised


def list_naming(name: str, compat: Compat = "none") -> Naming:
    """The class of an evaluation list that a label falls into; the authors know the class's own name alone."""
    if compat == "gap":
        classes = category_list(AUTHORS_LISTS[name])
        return lambda label: label if label in classes else None
    return lambda label: evaluation_class(label, cast("EvaluationList", name))


def list_classes(views: Sequence[ScoredView], name: str, compat: Compat = "none") -> list[str]:
    """The classes of a list that its mean is over: those that occur in the truth; the authors' all, as often as they
    stand there.
    """
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
