"""Count the memory that a recipe's training takes on one GPU, by its parts, before there is a GPU or any weight.

The model is made without content and takes the forward and backward pass of one micro-batch, as large as the recipe
allows, with the code of training (:mod:`gapmodel.training.live_bytes`). What cannot be counted is CUDA's own: its
context, the workspaces of its libraries, and holes between blocks; :data:`RESERVE` stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import IGNORED, Batch, Example, Frames, pack, pad_left
from gapmodel.presets import QWEN_TOKENS
from gapmodel.processing import ProcessorConfig
from gapmodel.training.learner import Learner
from gapmodel.training.live_bytes import LiveBytes, without_content
from gapmodel.training.low_rank import add_adapter
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.starting_point import model_config

RESERVE = 3_000_000_000
"""Bytes for CUDA's context (some 0.5 GB), workspaces and the holes that its allocator leaves."""
QUESTION, ANSWER = 160, 64
"""Tokens of a question's text and of its answer; the last answer fills up the row that it is packed into."""
VIEW_FRAMES = {"clip": 4, "scene": 32, "around": 8}
"""Frames of a view where the recipe does not say."""
MOMENTS = 8
"""Bytes of AdamW's two moments for a trained weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCount:
    """The bytes that training takes on one GPU at most."""

    frozen: int  # weights that are not trained
    trained: int
    gradients: int
    moments: int
    activations: int  # and all else that is alive for a while in the passes of a micro-batch
    rows: int  # of the micro-batch
    tokens: int
    visual: int  # of these tokens

    @property
    def total(self) -> int:
        """All that was counted, in bytes."""
        return self.frozen + self.trained + self.gradients + self.moments + self.activations

    @property
    def parts(self) -> dict[str, int]:
        """The parts by the names that a user reads, in bytes."""
        return {
            "frozen weights": self.frozen,
            "trained weights": self.trained,
            "gradients": self.gradients,
            "optimiser's moments": self.moments,
            "activations": self.activations,
            "together": self.total,
            "with a reserve for CUDA": self.total + RESERVE,
        }


def count_memory(recipe: TrainingRecipe, *, without: bool = True, rounds: bool = True) -> MemoryCount:
    """Count the memory of one process that trains by a recipe; losses on visual tokens are left out.

    Args:
        recipe: with its model's ``preset``, whose weights need not be there.
        without: compute without content; otherwise on the CPU, which takes the time and the memory that it takes.
        rounds: use bfloat16 products, as a GPU does.
    """
    live = LiveBytes(without_content=without)
    learner = _learner(recipe, live, meta=without)
    batch = widest_batch(recipe, learner.model)
    weights = {id(each): each for each in learner.parameters()}.values()
    for each in weights:
        live.count(each)
        if each.requires_grad:  # gradients accumulate over micro-batches
            each.grad = live.emptied(each) if without else torch.zeros_like(each)
            live.count(each.grad)
    held = live.live
    batch = replace(batch, inputs=_as_without(batch.inputs, live))
    with live.fake or nullcontext(), live:
        with torch.autocast("cpu", torch.bfloat16) if rounds else nullcontext():
            loss = learner(batch).answer_sum(recipe.train.mean_over)
        torch.autograd.backward(loss)
    trained = sum(each.numel() for each in weights if each.requires_grad)
    return MemoryCount(
        frozen=sum(each.nbytes for each in weights if not each.requires_grad),
        trained=sum(each.nbytes for each in weights if each.requires_grad),
        gradients=sum(each.nbytes for each in weights if each.requires_grad),
        moments=MOMENTS * trained,
        activations=live.peak - held,
        rows=len(batch.labels),
        tokens=batch.labels.numel(),
        visual=int(batch.inputs["mm_token_type_ids"].sum()),
    )


def widest_batch(recipe: TrainingRecipe, model: GapForConditionalGeneration) -> Batch:
    """Return the largest micro-batch of a recipe: as many views as fit into its rows, each with one question."""
    size, train = recipe.processor, recipe.train
    frames = max(stream.data.frames or VIEW_FRAMES[stream.data.view] for stream in recipe.streams)
    visual = frames * size.tokens_per_frame
    alone = visual + QUESTION + ANSWER
    row = max(train.token_budget, alone)
    held = row // alone if train.token_budget else 1
    rest = row - held * alone if train.token_budget else 0
    rows = train.micro_batch or max(1, (recipe.run.micro_tokens or train.batch_size * row) // row)
    image = model.config.image_token_id
    answers = [ANSWER] * (held - 1) + [ANSWER + rest]
    asked = [_example(size, image, frames, answer) for _ in range(rows) for answer in answers]
    return pack(asked, row, QWEN_TOKENS["pad"]) if train.token_budget else pad_left(asked, QWEN_TOKENS["pad"])


def _learner(recipe: TrainingRecipe, live: LiveBytes, *, meta: bool) -> Learner:
    """Return the recipe's learner, frozen and rounded as a run's, in training mode."""
    torch.manual_seed(recipe.seed)
    with torch.device("meta" if meta else "cpu"):
        model = GapForConditionalGeneration(model_config(recipe, QWEN_TOKENS, {}))
        model.model.freeze(recipe.train.freeze)
        if recipe.model.lora.rank:
            add_adapter(model, recipe.model.lora, recipe.seed)
    if recipe.run.checkpoint_activations:
        model.model.language_model.activation_checkpointing_enable()
    learner = Learner(model)
    if recipe.train.frozen_precision == "bfloat16":
        learner.round_frozen()
    if meta:
        without_content(learner, live)
    return learner.train()


def _example(size: ProcessorConfig, image: int, frames: int, answer: int) -> Example:
    """Return a question about ``frames`` black frames, with an answer of ``answer`` tokens."""
    (rows, columns), visual = size.grid, frames * size.tokens_per_frame
    length = visual + QUESTION + answer
    seen = np.zeros(length, bool)
    seen[8 : 8 + visual] = True
    labels = np.full(length, IGNORED, np.int64)
    labels[-answer:] = 1
    geometry = (frames, 3, rows * size.geometry_patch_size, columns * size.geometry_patch_size)
    return Example(
        key="counted",
        input_ids=np.where(seen, image, 1),
        labels=labels,
        visual=seen,
        token_grid=(rows // size.merge_size, columns // size.merge_size),
        frames=Frames(
            pixel_values=np.zeros((frames * rows * columns, 3 * size.patch_size**2), np.uint8),
            geometry_images=np.zeros(geometry, np.uint8),
            grid=size.grid,
        ),
    )


def _as_without(inputs: Mapping[str, Any], live: LiveBytes) -> dict[str, Any]:
    """Return a batch's inputs with pixels that have no content."""

    def emptied(value: Any) -> Any:
        return [live.emptied(each) for each in value] if isinstance(value, list) else live.emptied(value)

    pixels = ("pixel_values", "geometry_images")
    found = {name: emptied(value) if name in pixels else value for name, value in inputs.items()}
    for value in found.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Tensor):
                live.count(each)
    return found
