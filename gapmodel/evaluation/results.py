"""What an evaluation comes to: each task's scores in our way and in the authors', beside an answer without looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gapmodel.evaluation.captioning import CaptionScores
from gapmodel.evaluation.confidence import Interval
from gapmodel.evaluation.detection import DetectionScores
from gapmodel.evaluation.grounding import GroundingScores
from gapmodel.evaluation.pointmap import PointmapScores
from gapmodel.evaluation.reconstruction import ReconstructionScores

Scores = PointmapScores | ReconstructionScores | DetectionScores | GroundingScores | CaptionScores


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """One task's scores."""

    task: str
    ours: Scores
    gap: Scores | None = None
    """The same answers as the authors score them; ``None`` where their scoring cannot be applied."""
    baseline: Scores | None = None
    """A constant answer, scored as ours."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    """95 % bootstrap intervals of our figures, by the name that the report gives them."""
    left_out: dict[str, int] = field(default_factory=dict)
    """What was not asked about, by reason."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All tasks' results, and the model's own texts."""

    split: str
    tasks: dict[str, TaskResult] = field(default_factory=dict)
    predictions: tuple[dict[str, str], ...] = ()
    taught: tuple[str, ...] | None = None
    """The tasks of the model's training, where something says them."""
    remarks: tuple[str, ...] = ()
    """About the choice of tasks: what was not asked, and what was although it was not taught."""

    @property
    def pointmap(self) -> PointmapScores | None:
        """Our scores of the pointmap task."""
        scores: PointmapScores | None = self._scores("pointmap", "ours")
        return scores

    @property
    def pointmap_baseline(self) -> PointmapScores | None:
        """The constant answer's."""
        scores: PointmapScores | None = self._scores("pointmap", "baseline")
        return scores

    @property
    def detection(self) -> DetectionScores | None:
        """Our scores of the detection task."""
        scores: DetectionScores | None = self._scores("detection", "ours")
        return scores

    def _scores(self, task: str, which: str) -> Any:
        return getattr(self.tasks[task], which) if task in self.tasks else None
