"""Model directories: what ``from_pretrained`` loads, with the processor and the recipe that made it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gapdata.errors import UsageError
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor
from gapmodel.recipe import TrainingRecipe

MODEL_DIRECTORY = "model"
RECIPE_FILE = "recipe.json"
RUN_FILE = "run.json"


def model_directory(directory: Path) -> Path:
    """The model directory that ``directory`` is, or the one inside a run's directory.

    Raises:
        UsageError: there is no model.
    """
    found = directory / MODEL_DIRECTORY if (directory / MODEL_DIRECTORY).is_dir() else directory
    if not (found / "config.json").is_file() and (directory / RUN_FILE).is_file():
        raise UsageError(
            "this run has not written its model yet",
            path=directory,
            cure="the command that started it goes on where it stopped; the model is written at its end",
        )
    if not (found / "config.json").is_file():
        raise UsageError("no model here", path=directory, cure="name a directory that pretrain.py or finetune.py wrote")
    return found


def load_model(directory: Path) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Read a model and its processor from a model directory or a run's directory."""
    found = model_directory(directory)
    return GapForConditionalGeneration.from_pretrained(str(found)), GapProcessor.from_pretrained(found)


def save_model(
    model: GapForConditionalGeneration, processor: GapProcessor, recipe: TrainingRecipe, directory: Path
) -> None:
    """Write a model directory whole: beside its place first, then renamed."""
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(str(temporary))
    processor.save_pretrained(temporary)
    (temporary / RECIPE_FILE).write_text(json.dumps(recipe.to_dict(), indent=2) + "\n", encoding="utf-8")
    previous = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    if directory.exists():
        directory.rename(previous)
    temporary.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)


def whole_model(model: GapForConditionalGeneration, weights: Mapping[str, Tensor]) -> GapForConditionalGeneration:
    """A copy of a model that is spread over several ranks, with these gathered weights."""
    with torch.device("meta"):
        copy = GapForConditionalGeneration(model.config)
    copy.load_state_dict(weights, assign=True, strict=True)
    copy.tie_weights()
    copy.generation_config = model.generation_config
    return copy
