"""A run before its first step: what it finds in its directory, and all that its steps need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from gapdata.errors import GapDataError, UsageError
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.shards.records import Records
from gapmodel.model_directory import load_model, model_directory
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Batch
from gapmodel.processing import GapProcessor
from gapmodel.training.checkpointing import (
    BESIDE,
    checkpoints,
    claim,
    identity,
    load_checkpoint,
    refuse_other_run,
)
from gapmodel.training.dense import DenseHead
from gapmodel.training.distributed import Ranks, shard
from gapmodel.training.held_out import HeldOutQuestions
from gapmodel.training.learner import Learner
from gapmodel.training.loading import Step, Steps, blank_batch, load, make_streams, step_count
from gapmodel.training.low_rank import add_adapter
from gapmodel.training.memory import Estimate, fitting, measure
from gapmodel.training.mixture import Mixture
from gapmodel.training.optimisation import build_optimizer
from gapmodel.training.outcome import is_finished
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.record_cache import RecordCache
from gapmodel.training.replacing import remove_run, stamp_of
from gapmodel.training.starting_point import class_names, first_model
from gapmodel.training.stream_questions import StreamQuestions
from gapmodel.training.throughput import Meter

STEP_BYTES = 2**31 - 1
"""Freed memory that stays with the process: a CPU step takes the same large blocks for its activations every time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The arguments of a run."""

    recipe: TrainingRecipe
    builds: Mapping[str, Records]
    """The builds by name; the one without a name is ``""``."""
    out: Path
    init: Path | None = None
    """A model directory, or the directory of the run that wrote it, to start from; its processor is kept."""
    replaces: str | None = None
    """The run in ``out`` that is removed once this one is known to start, by its stamp (``stamp_of``)."""
    bar: bool = True
    prepare: Callable[[GapForConditionalGeneration], None] | None = None
    """Called with the model once it is frozen as the recipe says, before anything is computed."""
    report: Callable[[dict[str, float]], None] = field(default=lambda figures: None)
    """Called on every rank after a checkpoint, with the figures of its step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The state of a run's directory before the run starts."""

    wanted: Mapping[str, Any]  # what the run is, for its run.json
    replaced: bool  # another run is there and will be removed
    finished: bool  # this run has ended
    checkpoint: Path | None  # the run goes on from here

    def take(self, out: Path) -> None:
        """Make the directory this run's own."""
        if self.replaced:
            remove_run(out, beside=BESIDE)
        claim(out, self.wanted)


@dataclass(slots=True, kw_only=True)
class Run:
    """A run that is ready for its next step."""

    config: TrainingConfig
    ranks: Ranks
    learner: Learner
    processor: GapProcessor
    streams: list[StreamQuestions]
    mixture: Mixture
    held_out: HeldOutQuestions | None
    optimizer: torch.optim.Optimizer
    meter: Meter
    start: int  # the first step that is made
    steps: int  # of the whole run
    coming: Iterator[tuple[int, Step]]
    size: Estimate | None  # of the first step
    blank: Batch | None  # for a rank that has fewer micro-batches than another
    asked: float = 0.0
    """Questions of all steps of this rank."""


def set_up_process(recipe: TrainingRecipe, ranks: Ranks) -> None:
    """Give torch the recipe's threads, and keep memory for the steps.

    Raises:
        UsageError: a step has fewer visits than ranks.
    """
    if recipe.train.batch_size < ranks.world_size:
        raise UsageError(
            f"train.batch_size {recipe.train.batch_size} is less than a visit for each of {ranks.world_size} ranks",
            cure="raise train.batch_size, or use fewer ranks",
        )
    keep_freed_memory(STEP_BYTES)
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)


def look(config: TrainingConfig, ranks: Ranks) -> Found:
    """Return what the run's directory holds. Writes nothing.

    Raises:
        UsageError: it holds another run, or something else.
    """
    out = config.out
    replaced = ranks.gathered(config.replaces is not None and stamp_of(out) == config.replaces)[0]
    wanted = _refuse_other_run(config, ranks, replaced=replaced)
    finished = not replaced and ranks.gathered(is_finished(out))[0]
    saved = [] if replaced else checkpoints(out)
    return Found(wanted=wanted, replaced=replaced, finished=finished, checkpoint=saved[-1] if saved else None)


def _refuse_other_run(config: TrainingConfig, ranks: Ranks, *, replaced: bool) -> Mapping[str, Any]:
    """Return what the run is. The first rank looks whether ``out`` is free or this run's; all stop if it is not."""
    problem: GapDataError | None = None
    wanted: Mapping[str, Any] = {}
    if ranks.first:
        try:
            init = None if config.init is None else model_directory(config.init)
            wanted = identity(config.recipe, config.builds, init)
            if not replaced:
                refuse_other_run(config.out, wanted)
        except GapDataError as error:
            problem = error
    ranks.agree(problem)
    return wanted


def prepare(config: TrainingConfig, ranks: Ranks, checkpoint: Path | None) -> Run:
    """Make all that the steps need, and the first step; writes nothing.

    Args:
        config: what the run is given.
        ranks: this process among the job's; all take part.
        checkpoint: from which the run goes on; ``None`` for the beginning.

    Raises:
        UsageError: a step does not fit into memory, or ``init`` does not hold a model.
        ShardError: the checkpoint is damaged.
    """
    recipe, settings = config.recipe, config.recipe.train
    torch.manual_seed(recipe.seed)
    learner, processor, labels = first_learner(config)
    if settings.frozen_precision == "bfloat16":
        learner.round_frozen()
    learner.to(ranks.device).train()
    cache = RecordCache()
    streams, mixture = make_streams(recipe, config.builds, processor, labels, cache=cache)
    held_out = HeldOutQuestions(recipe, config.builds, processor, cache) if recipe.run.evaluate_every else None
    source = Steps(
        streams, mixture, settings, micro_tokens=recipe.run.micro_tokens, rank=ranks.rank, world_size=ranks.world_size
    )
    footprint = measure(learner, source.single(), ranks)
    meter = Meter(learner.model, ranks)
    shard(learner, ranks)
    optimizer = build_optimizer(learner, settings)
    start, steps = 0, step_count(mixture, settings)
    if checkpoint is not None:
        position = load_checkpoint(checkpoint, learner, optimizer, ranks)
        start, source.consumed = position.step, mixture.visits_of(position.consumed)
    made = load(source, workers=recipe.run.workers) if start < steps else iter(())
    first = tuple(step for step in (next(made, None),) if step is not None)
    return Run(
        config=config,
        ranks=ranks,
        learner=learner,
        processor=processor,
        streams=streams,
        mixture=mixture,
        held_out=held_out,
        optimizer=optimizer,
        meter=meter,
        start=start,
        steps=steps,
        coming=zip(range(start, steps), chain(first, made), strict=False),
        size=fitting(footprint, first[0], recipe, ranks) if first else None,
        blank=blank_batch(processor) if ranks.world_size > 1 else None,
    )


def first_learner(config: TrainingConfig) -> tuple[Learner, GapProcessor, list[str] | None]:
    """Return the learner before its first step, its processor, and the classes of its dense losses if it has any."""
    recipe, settings = config.recipe, config.recipe.train
    if config.init is None:
        model, processor = first_model(config.builds, recipe)
    else:
        model, processor = load_model(config.init)
    model.model.freeze(settings.freeze)
    if recipe.model.lora.rank:
        add_adapter(model, recipe.model.lora, recipe.seed)
    if config.prepare is not None:
        config.prepare(model)
    if recipe.run.checkpoint_activations:
        model.model.language_model.activation_checkpointing_enable()
    labels = class_names(config.builds, recipe) if settings.visual_weight or settings.asked_weight else None
    head = None if labels is None else DenseHead(model.config.text_config.hidden_size, len(labels))
    return Learner(model, head), processor, labels
