"""Scores as a table for people and as plain types for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from gapmodel.evaluation.detection import Counts, DetectionScores
from gapmodel.evaluation.run import Evaluation


def as_dict(results: Evaluation) -> dict[str, Any]:
    """Nested plain types; not-a-number becomes ``None``, so that the JSON is valid everywhere."""
    fields = {name: getattr(results, name) for name in results.__slots__ if name != "predictions"}
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def as_table(results: Evaluation, split: str) -> str:
    """One line per figure: the model beside the constant answer."""
    rows: list[tuple[str, str, str]] = []
    point, constant = results.pointmap, results.pointmap_baseline
    if point and constant:
        rows += [
            (f"pointmap, {point.questions} questions", "", ""),
            ("  median point error", _metres(point.median_error), _metres(constant.median_error)),
            ("  mean point error", _metres(point.mean_error), _metres(constant.mean_error)),
            *(
                (f"  within {limit} m", _share(point.within[limit]), _share(constant.within[limit]))
                for limit in point.within
            ),
            ("  label accuracy", _share(point.label_accuracy), _share(constant.label_accuracy)),
            ("  unreadable answers", str(point.unparsable), str(constant.unparsable)),
        ]
    boxes, fixed = results.detection, results.detection_baseline
    if boxes and fixed:
        rows += [
            (f"detection, {boxes.views} views, {boxes.true} objects", "", ""),
            *_detection_rows(boxes, fixed),
            ("  objects named", _share(boxes.named), _share(fixed.named)),
            ("  median centre error of these", _metres(boxes.median_center_error), _metres(fixed.median_center_error)),
            ("  predicted boxes", str(boxes.predicted), str(fixed.predicted)),
            ("  unreadable answers", str(boxes.unparsable), str(fixed.unparsable)),
        ]
    header = (f"split {split}", "model", "constant answer")
    width = max(len(row[0]) for row in (*rows, header))
    return "\n".join(f"{name:<{width}}  {ours:>10}  {theirs:>15}".rstrip() for name, ours, theirs in (header, *rows))


def _detection_rows(boxes: DetectionScores, fixed: DetectionScores) -> list[tuple[str, str, str]]:
    rows = []
    for limit, counts in boxes.overall.items():
        other = fixed.overall[limit]
        rows += [
            (f"  precision at IoU {limit}", _share(counts.precision), _share(other.precision)),
            (f"  recall at IoU {limit}", _share(counts.recall), _share(other.recall)),
            (f"  F1 at IoU {limit}", _share(counts.f1), _share(other.f1)),
            (
                f"  F1 at IoU {limit}, mean of classes",
                _share(boxes.macro[limit]["f1"]),
                _share(fixed.macro[limit]["f1"]),
            ),
        ]
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, Counts):
        names = ("true_positives", "false_positives", "false_negatives", "precision", "recall", "f1")
        return {name: getattr(value, name) for name in names}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and value != value:
        return None
    return value


def _metres(value: float) -> str:
    return "n/a" if value != value else f"{value:.3f} m"


def _share(value: float) -> str:
    return "n/a" if value != value else f"{100 * value:.1f} %"
