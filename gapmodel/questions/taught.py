"""The tasks that a model was taught: its configuration lists them, so they go with the weights into later stages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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
    parts = recipe.get("mixture", {}).values() or [{}]
    asked = [{"task": "pointmap"} | recipe["data"] | part for part in parts]
    return tuple(sorted({name for data in asked for name in task_names(stored_data_recipe(data))}))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    fields = json.loads(path.read_bytes())
    return fields if isinstance(fields, dict) else {}
