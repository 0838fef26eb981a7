"""Means of types with equal weights, whatever their numbers of questions, as benchmarks report them overall."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapmodel.evaluation.confidence import Interval, ratio_interval
from gapmodel.evaluation.spatial_scores import SpatialAnswer, mean

Answers = Mapping[str, Sequence[SpatialAnswer]]
"""The answers of each type, by its name."""
Part = tuple[str, str]
"""A type and a form of it; an empty form for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallFigure:
    """A mean of the figures of several types with equal weights."""

    value: float
    """NaN where a type is missing, because the mean of the others is another figure."""
    of_asked: float
    """The mean over the types that were asked; NaN without any."""
    missing: tuple[str, ...]
    interval: Interval | None
    """95 % bootstrap interval of ``of_asked``."""


def grouped_figure(
    answers: Answers, groups: Sequence[Sequence[Part]], seed: int, name: str, scorer: str | None = None
) -> OverallFigure:
    """Return the mean of groups, each of which is the mean of its parts, all with equal weights.

    Args:
        answers: to all types.
        groups: of parts.
        seed: of the interval's draws.
        name: of the figure; the draws depend on it.
        scorer: a published program; ``None`` for our scores.
    """
    missing = tuple(" ".join(filter(None, part)) for group in groups for part in group if not _of(answers, part))
    asked = [present for group in groups if (present := [part for part in group if _of(answers, part)])]
    value = _value(answers, asked, scorer)
    return OverallFigure(
        value=math.nan if missing else value,
        of_asked=value,
        missing=missing,
        interval=_interval(answers, asked, seed, name, scorer),
    )


def _of(answers: Answers, part: Part) -> list[SpatialAnswer]:
    name, form = part
    return [item for item in answers.get(name, ()) if not form or item.form == form]


def _value(answers: Answers, groups: Sequence[Sequence[Part]], scorer: str | None) -> float:
    return mean([mean([mean([_score(item, scorer) for item in _of(answers, part)]) for part in g]) for g in groups])


def _score(item: SpatialAnswer, scorer: str | None) -> float:
    return item.score if scorer is None else item.published[scorer]


def _interval(
    answers: Answers, groups: Sequence[Sequence[Part]], seed: int, name: str, scorer: str | None
) -> Interval | None:
    """Return the interval of a mean of means: scenes are drawn with all their questions of all types."""
    parts = [part for group in groups for part in group]
    rows = [(place, item) for place, part in enumerate(parts) for item in _of(answers, part)]
    counts = np.zeros((len(rows), len(parts), 2))
    for row, (place, item) in enumerate(rows):
        counts[row, place] = _score(item, scorer), 1.0
    ends = np.cumsum([0, *(len(group) for group in groups)])

    def figure(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            means = sums[..., 0] / sums[..., 1]  # (B, parts); NaN where a draw has no question of a part
            return np.asarray(np.mean([means[:, a:b].mean(axis=1) for a, b in itertools.pairwise(ends)], axis=0))

    scenes = [item.scene for _, item in rows]
    return ratio_interval(counts, scenes, seed, name, figure) if rows else None
