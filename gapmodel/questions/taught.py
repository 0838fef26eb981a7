"""What a model was taught. Its configuration lists the tasks, so that they go with the weights into later stages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gapmodel.model_directory import RECIPE_FILE
from gapmodel.questions.recipe import DataRecipe, spatial_types, stored_data_recipe


def taught_after(asked: Iterable[DataRecipe], before: Sequence[str] | None) -> list[str]:
    """Return the tasks that a model knows after a run, sorted.

    Args:
        asked: what the run's streams ask.
        before: the tasks that the model knew before it.
    """
    return sorted({*(before or ()), *(name for data in asked for name in task_names(data))})


def task_names(data: DataRecipe) -> tuple[str, ...]:
    """Return the names under which what a stream asks is listed: each type of question about space has its own."""
    return tuple(spatial_types(data)) or (task_name(data.task, data.space),)


def task_name(task: str, space: str = "metric") -> str:
    """Return the name under which a task is listed as taught: places in the image are a task of their own."""
    return task if space == "metric" else f"{task} in the image"


def taught_tasks(directory: Path) -> tuple[str, ...] | None:
    """Return what the model at ``directory`` was taught; ``None`` for other people's checkpoints, which do not say.

    Models of earlier versions only have the recipe of their last stage.
    """
    config = _read(directory / "config.json")
    if isinstance(config.get("taught"), list):
        return tuple(str(name) for name in config["taught"])
    recipe = _read(directory / RECIPE_FILE)
    if "data" not in recipe:
        return None
    asked = [{"task": "pointmap"} | data for data in _streams(recipe)]
    return tuple(sorted({name for data in asked for name in task_names(stored_data_recipe(data))}))


def trained_frames(directory: Path) -> int | None:
    """Return the most frames of a view that a model saw in its last training, if its recipe tells.

    A recipe that takes views as they are stored does not.
    """
    counts = [int(data.get("frames", 0)) for data in _streams(_read(directory / RECIPE_FILE))]
    return None if 0 in counts else max(counts)


def _streams(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of ``[data]`` as each stream of a stored recipe has them."""
    return [recipe.get("data", {}) | part for part in recipe.get("mixture", {}).values() or [{}]]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    fields = json.loads(path.read_bytes())
    return fields if isinstance(fields, dict) else {}
