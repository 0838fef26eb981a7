"""The results of an evaluation: each task's scores in our way and in the authors', and those of a constant answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from gapmodel.evaluation.benchmark_results import BenchmarkResult
from gapmodel.evaluation.captioning import CaptionScores
from gapmodel.evaluation.confidence import Interval
from gapmodel.evaluation.detection import DetectionScores
from gapmodel.evaluation.grounding import GroundingScores
from gapmodel.evaluation.pointmap import PointmapScores
from gapmodel.evaluation.reconstruction import ReconstructionScores
from gapmodel.evaluation.spatial_overall import SpatialOverall
from gapmodel.evaluation.spatial_scores import SpatialScores

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
class SpatialResult:
    """The scores of one type of spatial questions; those of published programs are among ours."""

    task: str
    ours: SpatialScores
    constant: SpatialScores | None = None
    """A constant answer for each form, fitted on questions about training scenes; ``None`` without such questions."""
    by_category: SpatialScores | None = None
    """An answer that is constant for each form and the names in the question."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    """95 % bootstrap intervals: of ``score``, of ``score, <form>``, and of the median errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialEvaluation:
    """The results of all types of spatial questions that were asked."""

    types: dict[str, SpatialResult]
    overall: SpatialOverall


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All tasks' results."""

    split: str
    tasks: dict[str, TaskResult] = field(default_factory=dict)
    spatial: SpatialEvaluation | None = None
    """``None`` where no spatial question was asked."""
    benchmarks: dict[str, BenchmarkResult] = field(default_factory=dict)
    """Published benchmarks' own questions, by the benchmark."""
    taught: tuple[str, ...] | None = None
    """The tasks of the model's training; ``None`` where they are not known."""
    remarks: tuple[str, ...] = ()
    """About the choice of tasks: which were not asked, and which were asked although they were not taught."""
    view: dict[str, str] = field(default_factory=dict)
    """What the authors' view changes in what was shown and said; empty where the model saw what it was trained on."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows of conversations that could not be asked, by reason."""
