"""Write a run's model directory: what ``from_pretrained`` loads, with the recipe that made it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from gapmodel.model_directory import RECIPE_FILE
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor
from gapmodel.questions.taught import taught_after
from gapmodel.training.distributed import Ranks
from gapmodel.training.learner import Learner
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.refused_writes import write_error


def export(learner: Learner, processor: GapProcessor, recipe: TrainingRecipe, directory: Path, ranks: Ranks) -> None:
    """Write what ``from_pretrained`` loads; all ranks take part."""
    model = learner.model
    if ranks.world_size > 1:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights: dict[str, Any] = get_model_state_dict(learner, options=options)
        if ranks.first:
            kept = {name: value for name, value in weights.items() if name.startswith("model.")}
            model = whole_model(model, {name.removeprefix("model."): value for name, value in kept.items()})
    if ranks.first:
        directory.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, processor, recipe, directory)
    ranks.wait()


def save_model(
    model: GapForConditionalGeneration, processor: GapProcessor, recipe: TrainingRecipe, directory: Path
) -> None:
    """Write a model directory whole: beside its place first, then renamed.

    One process writes a directory (a run's claim sees to that), so what lies beside it under a temporary name was left
    by an export that was killed, and is removed.

    Raises:
        GapDataError: it cannot be written; where the disk is full, its free space is named.
    """
    temporary, previous = (directory.with_name(f".{directory.name}.{end}") for end in ("tmp", "old"))
    for leftover in (temporary, previous):
        shutil.rmtree(leftover, ignore_errors=True)
    model.config.taught = taught_after((stream.data for stream in recipe.streams), model.config.taught)
    try:
        model.save_pretrained(str(temporary))
        processor.save_pretrained(temporary)
        (temporary / RECIPE_FILE).write_text(json.dumps(recipe.to_dict(), indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        problem = write_error("model", error, directory.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        raise problem from error
    if directory.exists():
        directory.rename(previous)
    temporary.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)


def whole_model(model: GapForConditionalGeneration, weights: Mapping[str, Tensor]) -> GapForConditionalGeneration:
    """Return a copy, with these gathered weights, of a model that is spread over several ranks."""
    with torch.device("meta"):
        copy = GapForConditionalGeneration(model.config)
    copy.load_state_dict(weights, assign=True, strict=True)
    copy.tie_weights()
    copy.generation_config = model.generation_config
    return copy
