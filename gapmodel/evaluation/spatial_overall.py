"""The overall figures of two benchmarks over our types: VSI-Bench's mean of eight and SPAR-Bench's levels.

They are over our questions, not the benchmarks' own, whose figures the benchmark tasks give.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from gapmodel.evaluation.confidence import Interval, ratio_interval
from gapmodel.evaluation.spatial_scores import VSI_SCORERS, VSI_TYPES, SpatialAnswer

Answers = Mapping[str, Sequence[SpatialAnswer]]
"""The answers of each type, by its name."""
DIRECTIONS = MappingProxyType({"left-right": "easy", "thirds": "medium", "quarters": "hard"})
"""VSI-Bench's three direction types by our form; they are averaged to one figure first."""
LEVELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Low": ("pixel_depth", "camera_distance", "distance"),
        "Middle": ("correspondence", "camera_motion", "camera_direction"),
        "High": ("depth_order", "nearest", "relation", "imagined_view"),
    }
)
"""Our types by SPAR-Bench's level of what they are like: depth and distances (depth_prediction, distance_prediction);
position matching, change of view and camera motion; what is nearer (distance_infer), relations and imagination. It has
tasks of the same name over several views and with a given object, which ours do not tell apart; count, size, room,
direction, order and route are not in it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialOverall:
    """VSI-Bench's and SPAR-Bench's overall figures over our questions."""

    vsi: OverallFigure
    vsi_published: dict[str, float]
    """The same mean as published programs score the same answers, by their name; over the types that were asked."""
    spar: dict[str, OverallFigure]
    """``Low``, ``Middle``, ``High``, and ``overall``, the mean over all types and not over the levels."""


Part = tuple[str, str]
"""A type and a form of it; an empty form for all."""


def overall(answers: Answers, seed: int = 0) -> SpatialOverall:
    """Return the overall figures of the answers to all types."""
    groups = _vsi_groups()
    every = [[(name, "")] for names in LEVELS.values() for name in names]
    return SpatialOverall(
        vsi=_figure(answers, groups, seed, "VSI-Bench"),
        vsi_published={
            scorer: _value(answers, [[part for part in group if _of(answers, part)] for group in groups], scorer)
            for scorer in VSI_SCORERS
        },
        spar={
            **{
                level: _figure(answers, [[(name, "")] for name in names], seed, f"SPAR-Bench {level}")
                for level, names in LEVELS.items()
            },
            "overall": _figure(answers, every, seed, "SPAR-Bench overall"),
        },
    )


def _vsi_groups() -> list[list[Part]]:
    """Return the eight figures of VSI-Bench's mean, as parts that are averaged first."""
    return [[(name, form) for form in (DIRECTIONS if name == "direction" else ("",))] for name in VSI_TYPES]


def _of(answers: Answers, part: Part) -> list[SpatialAnswer]:
    name, form = part
    return [item for item in answers.get(name, ()) if not form or item.form == form]


def _value(answers: Answers, groups: Sequence[Sequence[Part]], scorer: str | None = None) -> float:
    figures = []
    for group in groups:
        means = [_mean(_of(answers, part), scorer) for part in group]
        if means:
            figures.append(sum(means) / len(means))
    return sum(figures) / len(figures) if figures else math.nan


def _mean(items: Sequence[SpatialAnswer], scorer: str | None) -> float:
    return float(np.mean([item.score if scorer is None else item.published[scorer] for item in items]))


def _figure(answers: Answers, groups: Sequence[Sequence[Part]], seed: int, name: str) -> OverallFigure:
    missing = tuple(" ".join(filter(None, part)) for group in groups for part in group if not _of(answers, part))
    asked = [present for group in groups if (present := [part for part in group if _of(answers, part)])]
    value = _value(answers, asked)
    return OverallFigure(
        value=math.nan if missing else value,
        of_asked=value,
        missing=missing,
        interval=_interval(answers, asked, seed, name),
    )


def _interval(answers: Answers, groups: Sequence[Sequence[Part]], seed: int, name: str) -> Interval | None:
    """Return the interval of a mean of means: scenes are drawn with all their questions of all types."""
    parts = [part for group in groups for part in group]
    rows = [(place, item) for place, part in enumerate(parts) for item in _of(answers, part)]
    counts = np.zeros((len(rows), len(parts), 2))
    for row, (place, item) in enumerate(rows):
        counts[row, place] = item.score, 1.0
    ends = np.cumsum([0, *(len(group) for group in groups)])

    def figure(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):
            means = sums[..., 0] / sums[..., 1]  # (B, parts); NaN where a draw has no question of a part
            return np.asarray(np.mean([means[:, a:b].mean(axis=1) for a, b in itertools.pairwise(ends)], axis=0))

    scenes = [item.scene for _, item in rows]
    return ratio_interval(counts, scenes, seed, name, figure) if rows else None
