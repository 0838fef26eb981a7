"""Which views a recipe takes from a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.engine.recipe import Recipe
from gapdata.frames.selection import ClipSelection
from gapdata.records.views import View, clip_views, scene_view


def plan_views(scene_id: str, usable: NDArray[np.bool_], recipe: Recipe) -> list[View]:
    """All views of a scan, clips first.

    Args:
        usable: (N,) bool, frames that may enter a view.
    """
    views: list[View] = []
    if recipe.clips.enabled:
        clips = recipe.clips
        selection = ClipSelection(
            frames=clips.frames, interval=clips.interval, step=clips.step, max_shift=clips.max_shift
        )
        views += clip_views(scene_id, usable, selection)
    if recipe.scene_views.enabled:
        whole = scene_view(scene_id, usable, recipe.scene_views.frames)
        views += [whole] if whole is not None else []
    return views
