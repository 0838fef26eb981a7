"""The records that questions are asked about: those of a recipe's split, view and quality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from gapdata.annotations.splits import SPLITS
from gapdata.errors import UsageError
from gapdata.records.schema import VIEW_KINDS, Record, record_from_json
from gapdata.runtime.counting import counted
from gapdata.shards.reader import ShardReader
from gapmodel.questions.recipe import DataRecipe


class Records(Protocol):
    """A shard reader, or a plain list of records."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Record: ...


def chosen_records(reader: Records, recipe: DataRecipe) -> list[int]:
    """Return indices of the records of the recipe's split and view whose quality is within its bounds.

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


def _within(reader: Records, recipe: DataRecipe, bounds: Mapping[str, tuple[float, float]]) -> list[int]:
    if isinstance(reader, ShardReader):
        return reader.select(split=recipe.split, view=recipe.view, quality=bounds)
    wanted = (recipe.split, recipe.view)
    found = [i for i in range(len(reader)) if (reader[i].split, reader[i].view) == wanted]
    for name, (low, high) in bounds.items():
        values = {index: reader[index].quality.get(name) for index in found}
        found = [i for i, value in values.items() if value is not None and low <= float(np.mean(value)) <= high]
    return found


def _said(bounds: Mapping[str, tuple[float, float]]) -> list[str]:
    return [
        f"{name} of at most {high:g}" if high < math.inf else f"{name} of at least {low:g}"
        for name, (low, high) in bounds.items()
    ]


def without_images(reader: Records, index: int) -> Record:
    """A record without its members; of a shard nothing but its JSON is read."""
    if isinstance(reader, ShardReader):
        return record_from_json(bytes(reader.members(index, ("json",))["json"]))
    return replace(reader[index], members={})


def _contents(reader: Records) -> str:
    """How many records of which split and view there are, for a message."""
    if not hasattr(reader, "select"):
        return f"{len(reader)} others"
    kinds = [(split, view) for split in SPLITS for view in VIEW_KINDS]
    counts = {kind: len(reader.select(split=kind[0], view=kind[1])) for kind in kinds}
    return ", ".join(f"{counts[kind]} {kind[1]} ({kind[0]})" for kind in kinds if counts[kind]) or "none"


def in_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive slices of at most ``size`` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
