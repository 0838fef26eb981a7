"""Scores as named figures, in the order in which the report shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gapmodel.evaluation.captioning import CaptionScores
from gapmodel.evaluation.detection import DetectionScores
from gapmodel.evaluation.grounding import GroundingScores
from gapmodel.evaluation.pointmap import PointmapScores
from gapmodel.evaluation.reconstruction import ReconstructionScores
from gapmodel.evaluation.results import Scores

Unit = Literal["metres", "share", "score", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFigure:
    """A number with a name; ``score`` is shown times 100, as captions' scores are published."""

    name: str
    value: float
    unit: Unit

    def text(self) -> str:
        """Return the number as people read it; "n/a" where it does not exist."""
        if not math.isfinite(self.value):
            return "n/a"
        if self.unit == "metres":
            return f"{self.value:.3f} m"
        if self.unit == "share":
            return f"{100 * self.value:.1f} %"
        return f"{100 * self.value:.2f}" if self.unit == "score" else f"{self.value:.0f}"


def figures(scores: Scores) -> list[NamedFigure]:
    """Return the figures of one task's scores."""
    if isinstance(scores, PointmapScores):
        return _pointmap(scores)
    if isinstance(scores, ReconstructionScores):
        return _reconstruction(scores)
    if isinstance(scores, DetectionScores):
        return _detection(scores)
    if isinstance(scores, GroundingScores):
        return _grounding(scores)
    return _captioning(scores)


def _pointmap(scores: PointmapScores) -> list[NamedFigure]:
    return [
        NamedFigure(name="questions", value=scores.questions, unit="count"),
        *_unreadable(scores.unparsable, scores.reasons),
        NamedFigure(name="median point error", value=scores.median_error, unit="metres"),
        NamedFigure(name="mean point error", value=scores.mean_error, unit="metres"),
        *(NamedFigure(name=f"within {limit} m", value=share, unit="share") for limit, share in scores.within.items()),
        NamedFigure(name="label accuracy", value=scores.label_accuracy, unit="share"),
        NamedFigure(name="mean of max(0, 1 - error / 1 m)", value=scores.closeness, unit="share"),
    ]


def _reconstruction(scores: ReconstructionScores) -> list[NamedFigure]:
    return [
        NamedFigure(name="scenes", value=len(scores.scenes), unit="count"),
        NamedFigure(name="scenes without a readable answer", value=len(scores.unanswered), unit="count"),
        *(
            NamedFigure(name=f"{name}{suffix}", value=getattr(clouds, name), unit="metres")
            for clouds, suffix in ((scores.raw, ""), (scores.aligned, ", aligned"))
            for name in ("accuracy", "completeness", "overall")
        ),
    ]


def _detection(scores: DetectionScores) -> list[NamedFigure]:
    found = [
        NamedFigure(name="views", value=scores.views, unit="count"),
        NamedFigure(name="true boxes", value=scores.true, unit="count"),
        NamedFigure(name="predicted boxes", value=scores.predicted, unit="count"),
        *_unreadable(scores.unparsable, scores.reasons),
        NamedFigure(name="rejected entries", value=scores.rejected, unit="count"),
    ]
    for limit, counts in scores.overall.items():
        at = f"at IoU {limit}"
        found += [
            NamedFigure(name=f"precision {at}", value=counts.precision, unit="share"),
            NamedFigure(name=f"recall {at}", value=counts.recall, unit="share"),
            NamedFigure(name=f"F1 {at}", value=counts.f1, unit="share"),
            NamedFigure(name=f"F1 {at}, mean of classes", value=scores.macro[limit]["f1"], unit="share"),
            NamedFigure(name=f"mAP {at}", value=scores.mean_ap[limit], unit="share"),
        ]
        for name, limits in scores.lists.items():
            listed = limits[limit]
            unknown = not listed["classes"]
            for metric, short in (("precision", "P"), ("recall", "R"), ("f1", "F1"), ("ap", "mAP")):
                value = math.nan if unknown else listed[metric]
                found.append(NamedFigure(name=f"{short} {at}, {name}", value=value, unit="share"))
    return [
        *found,
        NamedFigure(name="objects named", value=scores.named, unit="share"),
        NamedFigure(name="median centre error of these", value=scores.median_center_error, unit="metres"),
    ]


def _grounding(scores: GroundingScores) -> list[NamedFigure]:
    found = [
        NamedFigure(name="questions", value=scores.questions, unit="count"),
        *_unreadable(scores.unparsable, scores.reasons),
        NamedFigure(name="mean IoU", value=scores.mean_iou, unit="share"),
    ]
    for limit, share in scores.accuracy.items():
        found += [
            NamedFigure(name=f"accuracy at IoU {limit}", value=share, unit="share"),
            NamedFigure(name=f"accuracy at IoU {limit}, unique", value=scores.unique[limit], unit="share"),
            NamedFigure(name=f"accuracy at IoU {limit}, multiple", value=scores.multiple[limit], unit="share"),
        ]
    for limit, share in scores.refined.items():
        found.append(NamedFigure(name=f"accuracy at IoU {limit}, refined by proposals", value=share, unit="share"))
    return [
        *found,
        NamedFigure(name="best frame chosen", value=scores.best_frame, unit="share"),
        NamedFigure(name="chosen frame shows the object", value=scores.in_sight, unit="share"),
    ]


def _captioning(scores: CaptionScores) -> list[NamedFigure]:
    found = [
        NamedFigure(name="objects", value=scores.objects, unit="count"),
        *_unreadable(scores.unparsable, scores.reasons, "without a caption"),
    ]
    for limit, metrics in scores.scores.items():
        found.append(NamedFigure(name=f"objects found at IoU {limit}", value=scores.found[limit], unit="count"))
        found += [
            NamedFigure(name=f"{metric} at IoU {limit}", value=value, unit="score") for metric, value in metrics.items()
        ]
    return found


def _unreadable(count: int, reasons: dict[str, int], name: str = "unreadable answers") -> list[NamedFigure]:
    return [
        NamedFigure(name=name, value=count, unit="count"),
        *(NamedFigure(name=f"  {reason}", value=number, unit="count") for reason, number in sorted(reasons.items())),
    ]
