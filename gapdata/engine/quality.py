"""Which views are too badly posed to train on, by the recipe's thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.engine.recipe import QualityRecipe
from gapdata.errors import SourceError
from gapdata.records.views import View
from gapdata.sources.base import Scan

BADLY_POSED = "badly posed"


def refuse_bad_poses(scan: Scan, view: View, quality: Mapping[str, Any], limits: QualityRecipe) -> None:
    """Check the figures of :class:`gapdata.records.quality.QualityMeter` against the thresholds.

    Raises:
        SourceError: the view is beyond one; the two frames and both figures are named.
    """
    misalignment, free_space = quality["misalignment"], quality["free_space"]
    if misalignment is None:
        return
    first, second = (view.frame_ids[position] for position in quality["misaligned"])
    if misalignment > limits.max_misalignment:
        problem = (
            f"is {BADLY_POSED}: frames {first} and {second} must be moved by {misalignment:.3f} m to agree where they"
            f" see the same surface, quality.max_misalignment is {limits.max_misalignment} m"
        )
    elif free_space > limits.max_free_space:
        problem = (
            f"is {BADLY_POSED}: {free_space:.0%} of what a frame sees lies where another looked through,"
            f" quality.max_free_space is {limits.max_free_space:.0%}"
        )
    else:
        return
    raise SourceError(
        problem, path=scan.path, scene=scan.scene_id, frame=second, cure="leave it out, or raise the threshold"
    )
