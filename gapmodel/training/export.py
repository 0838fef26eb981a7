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
from gapmodel.training.low_rank import ADAPTER_DIRECTORY, plain_names, save_adapter, trained_whole, with_peft
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.refused_writes import write_error


def export(learner: Learner, processor: GapProcessor, recipe: TrainingRecipe, directory: Path, ranks: Ranks) -> None:
    """Write what ``from_pretrained`` loads, in float32, low-rank matrices merged; all ranks take part."""
    model, lora = learner.model, recipe.model.lora
    weights: Mapping[str, Tensor] = model.state_dict()
    if ranks.world_size > 1:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        gathered: dict[str, Any] = get_model_state_dict(learner, options=options)
        kept = {name: value for name, value in gathered.items() if name.startswith("model.")}
        weights = {name.removeprefix("model."): value for name, value in kept.items()}
    if ranks.first:
        adapter = None
        if lora.rank:
            base, matrices = plain_names({name: value.detach().cpu().float() for name, value in weights.items()})
            # Merging changes weights in place, and training goes on with these.
            copied = {name: value.clone() for name, value in base.items()}
            adapter = with_peft(whole_model(model, copied), matrices, lora, trained_whole(model))
        elif ranks.world_size > 1 or recipe.train.frozen_precision != "float32":
            model = whole_model(model, {name: value.detach().cpu().float() for name, value in weights.items()})
        directory.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, processor, recipe, directory, adapter)
    ranks.wait()


def save_model(
    model: GapForConditionalGeneration,
    processor: GapProcessor,
    recipe: TrainingRecipe,
    directory: Path,
    adapter: Any = None,
) -> None:
    """Write a model directory whole: beside its place first, then renamed.

    One process writes a directory (a run's claim sees to that), so what lies beside it under a temporary name was left
    by an export that was killed, and is removed.

    Args:
        model: what is written.
        processor: goes with it.
        recipe: that made it.
        directory: where.
        adapter: peft's model, which is merged and written instead, and used up.

    Raises:
        GapDataError: it cannot be written; where the disk is full, its free space is named.
    """
    temporary, previous = (directory.with_name(f".{directory.name}.{end}") for end in ("tmp", "old"))
    for leftover in (temporary, previous):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        if adapter is not None:
            if recipe.model.lora.keep == "adapter":
                save_adapter(adapter, temporary / ADAPTER_DIRECTORY)
            model = adapter.merge_and_unload()
        model.config.taught = taught_after((stream.data for stream in recipe.streams), model.config.taught)
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
