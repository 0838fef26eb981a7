"""Open a scan as a recipe wants it: turned upright, or as it was captured."""

from __future__ import annotations

from gapdata.engine.recipe import Recipe
from gapdata.sources.base import Dataset, Scan
from gapdata.sources.turned import turn_upright


def open_upright(dataset: Dataset, scene_id: str, recipe: Recipe) -> Scan:
    """Open a scan, with its frames upright where the recipe wants them so.

    Raises:
        SourceError: it is damaged.
    """
    scan = dataset.open_scan(scene_id)
    if not recipe.frames.upright:
        return scan
    try:
        return turn_upright(scan)
    except BaseException:
        scan.close()
        raise
