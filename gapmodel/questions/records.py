"""The records that a recipe's questions are about: those of its split, kind of view and bounds of quality."""

from __future__ import annotations

import math

from gapdata.annotations.splits import SPLITS
from gapdata.errors import UsageError
from gapdata.records.schema import VIEW_KINDS
from gapdata.runtime.counting import counted
from gapdata.shards.records import Bounds, Records
from gapmodel.questions.recipe import DataRecipe


def chosen_records(reader: Records, recipe: DataRecipe) -> list[int]:
    """Return the positions of the records of the recipe's split and view with a quality within its bounds.

    Raises:
        UsageError: there is none.
    """
    bounds = quality_bounds(recipe)
    found = _within(reader, recipe, bounds)
    if not found and bounds and (all_of_them := len(_within(reader, recipe, {}))):
        raise UsageError(
            f"none of {counted(all_of_them, f'{recipe.view} record')} of split {recipe.split} has"
            f" {' and '.join(_said(bounds))}",
            cure="widen data.max_misalignment, max_residual, min_valid_depth or min_sharpness; `gapdata report` shows"
            " what the build has; builds of earlier versions have not measured the first two",
        )
    if not found:
        raise UsageError(
            f"the build has no {recipe.view} records of split {recipe.split}; it has {_contents(reader)}",
            cure="build them, or ask for others with data.split and data.view",
        )
    return found


def quality_bounds(recipe: DataRecipe) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest value that the recipe allows, by the name of the figure in the index."""
    bounds = {
        "neighbour_misalignment": (0.0, recipe.max_misalignment or math.inf),
        "neighbour_residual": (0.0, recipe.max_residual or math.inf),
        "valid_depth": (recipe.min_valid_depth, math.inf),
        "sharpness": (recipe.min_sharpness, math.inf),
    }
    return {name: bound for name, bound in bounds.items() if bound != (0.0, math.inf)}


def outside_quality(reader: Records, recipe: DataRecipe) -> int:
    """Return how many records of the recipe's split and view the bounds on quality leave out."""
    bounds = quality_bounds(recipe)
    return len(_within(reader, recipe, {})) - len(_within(reader, recipe, bounds)) if bounds else 0


def _within(reader: Records, recipe: DataRecipe, bounds: Bounds) -> list[int]:
    return reader.select(split=recipe.split, view=recipe.view, quality=bounds)


def _said(bounds: Bounds) -> list[str]:
    return [
        f"{name} of at most {high:g}" if high < math.inf else f"{name} of at least {low:g}"
        for name, (low, high) in bounds.items()
    ]


def _contents(reader: Records) -> str:
    """Count the records of each split and view, for a message."""
    kinds = [(split, view) for split in SPLITS for view in VIEW_KINDS]
    counts = {kind: len(reader.select(split=kind[0], view=kind[1])) for kind in kinds}
    return ", ".join(f"{counts[kind]} {kind[1]} ({kind[0]})" for kind in kinds if counts[kind]) or "none"
