"""Refuse views that are too badly posed to train on, by the recipe's thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.engine.recipe import QualityRecipe
from gapdata.errors import SourceError
from gapdata.records.views import View
from gapdata.sources.base import Scan

BADLY_POSED = "badly posed"
CURE = (
    "compare poses, depth scale and intrinsics with those of the capture; to use it as it is, raise the threshold in"
    " the recipe"
)
FOUND = {
    "unshared": "{value:.0%} of its frames share no surface with the next one, within a second; quality.max_unshared is"
    " {limit:.0%}",
    "neighbour_misalignment": "a frame must be moved by {value:.3f} m to agree with most of its neighbours,"
    " quality.max_misalignment is {limit} m",
    "neighbour_residual": "the surfaces of a frame and of most of its neighbours are {value:.1f} times as far apart as"
    " noise explains, quality.max_residual is {limit}",
    "neighbour_free_space": "{value:.0%} of a frame's surfaces are where most of its neighbours saw free space,"
    " quality.max_free_space is {limit:.0%}",
    "distant_misalignment": "a frame must be moved by {value:.3f} m to agree with most frames further away,"
    " quality.max_misalignment times quality.drift is {limit:g} m",
    "distant_residual": "the surfaces of a frame and of most frames further away are {value:.1f} times as far apart as"
    " noise explains, quality.max_residual times quality.drift is {limit:g}",
}
"""What is wrong with a view, by the figure that shows it. The first figure beyond its limit is reported."""


def limits_by_figure(limits: QualityRecipe) -> dict[str, float]:
    """Return the largest value that a view's figure may have, by its name in the record."""
    return {
        "unshared": limits.max_unshared,
        "neighbour_misalignment": limits.max_misalignment,
        "neighbour_residual": limits.max_residual,
        "neighbour_free_space": limits.max_free_space,
        "distant_misalignment": limits.max_misalignment * limits.drift,
        "distant_residual": limits.max_residual * limits.drift,
    }


def refuse_bad_poses(scan: Scan, view: View, quality: Mapping[str, Any], limits: QualityRecipe) -> None:
    """Check the figures of :class:`gapdata.records.quality.QualityMeter` against the thresholds.

    Raises:
        SourceError: a figure is beyond its threshold; the error names the frame, the figure and the threshold.
    """
    for name, limit in limits_by_figure(limits).items():
        value = quality[name]
        if value is not None and not value <= limit:
            outlier = quality["outlier"]
            raise SourceError(
                f"is {BADLY_POSED}: {FOUND[name].format(value=value, limit=limit)}",
                path=scan.path,
                scene=scan.scene_id,
                frame=None if outlier is None else view.frame_ids[outlier],
                cure=CURE,
            )
