"""The overall figures of two benchmarks over our types: VSI-Bench's mean of eight and SPAR-Bench's levels.

They are over our questions, not the benchmarks' own, whose figures the benchmark tasks give.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gapmodel.evaluation.grouped_means import Answers, OverallFigure, Part, grouped_figure
from gapmodel.evaluation.spatial_scores import VSI_SCORERS, VSI_TYPES

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
class SpatialOverall:
    """VSI-Bench's and SPAR-Bench's overall figures over our questions."""

    vsi: OverallFigure
    vsi_published: dict[str, float]
    """The same mean as published programs score the same answers, by their name; over the types that were asked."""
    spar: dict[str, OverallFigure]
    """``Low``, ``Middle``, ``High``, and ``overall``, the mean over all types and not over the levels."""


def overall(answers: Answers, seed: int = 0) -> SpatialOverall:
    """Return the overall figures of the answers to all types."""
    groups = _vsi_groups()
    every = [[(name, "")] for names in LEVELS.values() for name in names]
    return SpatialOverall(
        vsi=grouped_figure(answers, groups, seed, "VSI-Bench"),
        vsi_published={
            scorer: grouped_figure(answers, groups, seed, "VSI-Bench", scorer).of_asked for scorer in VSI_SCORERS
        },
        spar={
            **{
                level: grouped_figure(answers, [[(name, "")] for name in names], seed, f"SPAR-Bench {level}")
                for level, names in LEVELS.items()
            },
            "overall": grouped_figure(answers, every, seed, "SPAR-Bench overall"),
        },
    )


def _vsi_groups() -> list[list[Part]]:
    """Return the eight figures of VSI-Bench's mean, as parts that are averaged first."""
    return [[(name, form) for form in (DIRECTIONS if name == "direction" else ("",))] for name in VSI_TYPES]
