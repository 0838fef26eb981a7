"""What geometry contributes to each task: the main figure with the model's own geometry minus that without it.

Answers to the same questions are compared, and scenes are drawn with replacement for the interval
(:mod:`gapmodel.evaluation.confidence`). A difference is told from chance where its 95 % interval leaves out 0 and the
questions are about enough scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kinds import KINDS
from gapmodel.audit.main_figure import MainFigure, main_figure, together
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.confidence import Interval, difference_interval
from gapmodel.evaluation.scoring import Texts
from gapmodel.inspection.geometry_treatments import Treatment

FEWEST_SCENES = 6
"""With fewer scenes no interval counts: the differences of five have one sign by chance in 2 / 2**5, 6 %, of cases."""
POINTS = 100.0
"""A point is a hundredth of a share, or of a score that is published times 100."""
SPATIAL = "spatial"
"""All types of questions about space together."""
WHOLE = ""
"""The kind that stands for all questions of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What a treatment takes from one task, or from one kind of its questions; in points."""

    treatment: Treatment
    kind: str
    questions: int
    scenes: int
    own: float
    other: float
    interval: Interval | None
    """95 % interval of ``difference``; ``None`` with fewer than two scenes."""

    @property
    def difference(self) -> float:
        """The figure with the model's own geometry minus that with the treatment."""
        return self.own - self.other

    @property
    def decided(self) -> bool:
        """Whether the difference can be told from chance."""
        if self.interval is None or self.scenes < FEWEST_SCENES:
            return False
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAudit:
    """What each treatment takes from one task."""

    task: str
    figure: str
    contributions: tuple[Contribution, ...]

    def whole(self, name: str) -> Contribution | None:
        """Return the contribution over all questions that a treatment of this name shows."""
        found = (item for item in self.contributions if item.kind == WHOLE and item.treatment.name == name)
        return next(found, None)


def audit_tasks(
    questions: Sequence[TaskQuestions], own: Texts, treated: Mapping[Treatment, Texts], seed: int = 0
) -> list[TaskAudit]:
    """Compare the answers to each task, and to all types of questions about space together.

    Args:
        questions: what was asked.
        own: the answers with the model's own geometry, by question.
        treated: those with each treatment.
        seed: of the bootstrap.
    """
    answers: dict[Treatment | None, Texts] = {None: own}
    answers |= dict(treated.items())
    found: list[TaskAudit] = []
    spatial: list[dict[Treatment | None, MainFigure]] = []
    for task in questions:
        figures = {treatment: main_figure(task, texts) for treatment, texts in answers.items()}
        found.append(_task_audit(task.task, figures, seed))
        spatial += [figures] if task.task in KINDS else []
    if len(spatial) > 1:
        every = {treatment: together([figures[treatment] for figures in spatial]) for treatment in answers}
        found.append(_task_audit(SPATIAL, every, seed))
    return found


def _task_audit(task: str, figures: Mapping[Treatment | None, MainFigure], seed: int) -> TaskAudit:
    mine = figures[None]
    found: list[Contribution] = []
    for treatment, other in figures.items():
        if treatment is None:
            continue
        # One level alone is compared over all questions: with many kinds the table would be long, and say little.
        for kind in (WHOLE, *(() if treatment.stream else _kinds(mine))):
            found.append(_contribution(treatment, kind, mine, other, seed, " ".join(["geometry", task, kind])))
    return TaskAudit(task=task, figure=mine.name, contributions=tuple(found))


def _kinds(figure: MainFigure) -> Sequence[str]:
    """Return the kinds of a task's questions, where there are several."""
    kinds = sorted(set(figure.kinds))
    return kinds if len(kinds) > 1 else ()


def _contribution(
    treatment: Treatment, kind: str, own: MainFigure, other: MainFigure, seed: int, name: str
) -> Contribution:
    rows: NDArray[np.bool_] = np.array([kind in (WHOLE, each) for each in own.kinds], dtype=bool)
    scenes = [scene for scene, chosen in zip(own.scenes, rows, strict=True) if chosen]
    # Draws follow from the name, so all treatments of a task are compared on the same scenes.
    span = difference_interval(own.counts[rows], other.counts[rows], scenes, seed, name, own.of_sums)
    return Contribution(
        treatment=treatment,
        kind=kind,
        questions=len(scenes),
        scenes=len(set(scenes)),
        own=POINTS * own.value(rows),
        other=POINTS * other.value(rows),
        interval=None if span is None else (POINTS * span[0], POINTS * span[1]),
    )
