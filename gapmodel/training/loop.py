"""One plain training loop for both stages: a recipe, one or several builds, and a model to start from.

A run's directory::

    run.json       what the run is; another recipe or other data are refused
    log.jsonl      one line a step: loss, its parts, learning rate, gradient norm, rates; held-out losses; with the
                   first one what each stream draws on and what it leaves out
    samples.jsonl  held-out questions with the true answer and the model's
    checkpoints/   from which the same command goes on (gapmodel/training/checkpointing.py)
    model/         config.json, model.safetensors, tokenizer, gap_processor.json, recipe.json: what ``from_pretrained``
                   loads, written at the end

The same loop runs in one process, under torchrun and inside Ray Train, on CPUs and on GPUs. Nothing in it depends on
how many processes there are: a step is the same questions, and its loss the mean over all their answers' tokens, or
over all questions of their own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import torch

from gapdata.errors import GapDataError, UsageError
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.runtime.counting import counted
from gapdata.shards.records import Records
from gapmodel.model_directory import MODEL_DIRECTORY, load_model, model_directory
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Batch
from gapmodel.processing import GapProcessor
from gapmodel.training.census import census, refuse_unasked, shared_views, sights
from gapmodel.training.checkpointing import (
    BESIDE,
    Position,
    checkpoints,
    claim,
    identity,
    load_checkpoint,
    refuse_other_run,
    save_checkpoint,
    seed_step,
)
from gapmodel.training.dense import DenseCounts, DenseHead
from gapmodel.training.distributed import ALONE, Ranks, shard
from gapmodel.training.export import export
from gapmodel.training.held_out import HeldOutQuestions
from gapmodel.training.learner import Learner, Losses, counts_of
from gapmodel.training.loading import (
    Step,
    Steps,
    blank_batch,
    load,
    make_streams,
    step_count,
    visits_after,
)
from gapmodel.training.logbook import Logbook, read_log
from gapmodel.training.memory import fitting, measure
from gapmodel.training.optimisation import build_optimizer, clip_gradients, learning_rate_share, set_learning_rates
from gapmodel.training.outcome import TrainingOutcome, is_finished, outcome_of, read_outcome, write_outcome
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.record_cache import RecordCache
from gapmodel.training.replacing import remove_run, stamp_of
from gapmodel.training.starting_point import as_started, class_names, first_model
from gapmodel.training.throughput import Meter

NAMED_KEYS = 8
STEP_BYTES = 2**31 - 1
"""Freed memory that stays with the process: a CPU step takes the same large blocks for its activations every time."""


class TrainingError(GapDataError):
    """Training cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """What a run is given."""

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


def train(config: TrainingConfig, ranks: Ranks = ALONE) -> TrainingOutcome:
    """Train, or go on where an interrupted run of the same recipe stopped, and write the model to ``out / "model"``.

    Raises:
        UsageError: a build lacks the recipe's records or any question about them, ``init`` holds no model, or ``out``
            holds another run.
        TrainingError: a loss or a gradient is not finite, and the message names the records; or no step had a question.
    """
    started = time.monotonic()
    config = replace(config, recipe=as_started(config.recipe, config.init))
    recipe, out = config.recipe, config.out
    settings, run = recipe.train, recipe.run
    if settings.batch_size < ranks.world_size:
        raise UsageError(
            f"train.batch_size {settings.batch_size} is less than a visit for each of {ranks.world_size} ranks",
            cure="raise train.batch_size, or use fewer ranks",
        )
    keep_freed_memory(STEP_BYTES)
    if run.threads:
        torch.set_num_threads(run.threads)
    replaced = ranks.gathered(config.replaces is not None and stamp_of(out) == config.replaces)[0]
    wanted = _refuse_other_run(config, ranks, replaced=replaced)
    if not replaced and ranks.gathered(is_finished(out))[0]:
        return read_outcome(out)
    saved = [] if replaced else checkpoints(out)
    # Before anything is written, because a run that would learn from nothing leaves nothing.
    told = None if saved else census(recipe.streams, config.builds, ranks)
    if told is not None:
        refuse_unasked(recipe.streams, config.builds, told)
    torch.manual_seed(recipe.seed)
    learner, processor, labels = start(config)
    learner.to(ranks.device).train()
    cache = RecordCache()
    streams, mixture = make_streams(recipe, config.builds, processor, labels, cache=cache)
    held_out = HeldOutQuestions(recipe, config.builds, processor, cache) if run.evaluate_every else None
    source = Steps(
        streams, mixture, settings, micro_tokens=run.micro_tokens, rank=ranks.rank, world_size=ranks.world_size
    )
    footprint = measure(learner, source.single(), ranks)
    meter = Meter(learner.model, ranks)
    shard(learner, ranks)
    optimizer = build_optimizer(learner, settings)
    at, visits, steps = 0, 0, step_count(mixture, settings)
    if saved:
        position = load_checkpoint(saved[-1], learner, optimizer, ranks)
        at, visits = position.step, mixture.visits_of(position.consumed)

    source.consumed = visits
    coming = load(source, workers=run.workers) if at < steps else iter(())
    first = next(coming, None)
    size = None if first is None else fitting(footprint, first, recipe, ranks)
    if ranks.first:
        if replaced:
            remove_run(out, beside=BESIDE)
        claim(out, wanted)
    blank = blank_batch(processor) if ranks.world_size > 1 else None
    log = Logbook(out, " + ".join(s.name for s in recipe.streams), at, steps, speaks=ranks.first, bar=config.bar)
    if told is not None:
        log.begin(told, [*sights(streams), *shared_views(told)] if ranks.first else ())
    asked = sum(line.get("questions", 0) for line in read_log(out)) if at else 0
    log.say(size)
    for number, step in zip(range(at, steps), chain(() if first is None else (first,), coming), strict=False):
        done = number + 1
        seed_step(recipe.seed, number, ranks)
        share = learning_rate_share(number, steps, settings)
        set_learning_rates(optimizer, share)
        figures = training_step(learner, step, optimizer, recipe, ranks, blank)
        meter.add(step)
        asked += len(step.keys)
        if done == steps:
            _refuse_nothing_asked(asked, steps, ranks)
        if done % run.report_every == 0 or done == steps:
            figures |= {"lr": share * settings.learning_rate, **meter.rates(), "seconds": time.monotonic() - started}
            keys = [key for part in ranks.gathered(step.keys) for key in part] if run.name_questions else None
            log.step(number, figures, keys)
        if held_out is not None and (done % run.evaluate_every == 0 or done == steps):
            learner.eval()
            log.held_out(number, held_out.losses(learner, ranks), held_out.samples(learner, ranks))
            learner.train()
        if done == steps or (run.save_every and done % run.save_every == 0):
            position = Position(step=done, consumed=mixture.consumed(visits_after(done, mixture, settings)))
            save_checkpoint(out, learner, optimizer, position, ranks, keep=run.keep)
            config.report(figures)
        if run.export_every and done % run.export_every == 0 and done < steps:
            export(learner, processor, recipe, out / "models" / f"step-{done:06d}", ranks)
    log.close()
    if at < steps or not (out / MODEL_DIRECTORY).is_dir():
        export(learner, processor, recipe, out / MODEL_DIRECTORY, ranks)
    ranks.wait()
    outcome = outcome_of(out, steps, time.monotonic() - started)
    if ranks.first:
        write_outcome(out, outcome)
    return outcome


def start(config: TrainingConfig) -> tuple[Learner, GapProcessor, list[str] | None]:
    """The learner before its first step, its processor, and the classes of its dense losses if it has any."""
    recipe, settings = config.recipe, config.recipe.train
    if config.init is None:
        model, processor = first_model(config.builds, recipe)
    else:
        model, processor = load_model(config.init)
    model.model.freeze(settings.freeze)
    if config.prepare is not None:
        config.prepare(model)
    if recipe.run.checkpoint_activations:
        model.model.language_model.activation_checkpointing_enable()
    labels = class_names(config.builds, recipe) if settings.visual_weight or settings.asked_weight else None
    head = None if labels is None else DenseHead(model.config.text_config.hidden_size, len(labels))
    return Learner(model, head), processor, labels


def training_step(
    learner: Learner,
    step: Step,
    optimizer: torch.optim.Optimizer,
    recipe: TrainingRecipe,
    ranks: Ranks = ALONE,
    blank: Batch | None = None,
) -> dict[str, float]:
    """One step over all ranks: the losses and the gradient norm.

    The answers' loss is a mean over all tokens of the step, or over all questions of their own tokens' means
    (``train.mean_over``), and dense losses are means over all their targets, however they are spread over ranks, rows
    and micro-batches. A rank that has fewer micro-batches than another computes ``blank`` meanwhile, because all gather
    weights together.

    Raises:
        TrainingError: a loss or a gradient is not finite; the weights have not been changed then.
    """
    weights = {"visual": recipe.train.visual_weight, "asked": recipe.train.asked_weight}
    (shared_by,) = ranks.sum([step.answered if recipe.train.mean_over == "tokens" else step.asked])
    dense = None if learner.head is None else DenseCounts.of(ranks.sum(counts_of(step.batches)))
    (most,) = ranks.max([len(step.batches)])
    sums = {name: torch.zeros((), device=ranks.device) for name in ("answer", *weights)}
    seen: list[tuple[Batch, Losses]] = []
    optimizer.zero_grad(set_to_none=True)
    for index in range(int(most)):
        batch = step.batches[index] if index < len(step.batches) else blank
        if batch is None:
            raise ValueError("a rank without work needs a blank batch")
        with ranks.precision():
            losses = learner(batch.to(ranks.device), dense)
        parts = {"answer": losses.answer_sum(recipe.train.mean_over) / max(shared_by, 1.0), **losses.dense}
        loss = sum(
            (weights.get(name, 1.0) * part for name, part in parts.items()), torch.zeros((), device=ranks.device)
        )
        # FSDP takes the mean over the ranks, and this is a part of a sum.
        (loss * ranks.world_size).backward()
        seen.append((batch, losses.detached()))
        for name, part in parts.items():
            sums[name] += part.detach()
    norm = clip_gradients(optimizer, recipe.train.clip).item()
    totals = dict(zip(sums, ranks.sum([value.item() for value in sums.values()]), strict=True))
    total = sum(weights.get(name, 1.0) * value for name, value in totals.items())
    if not (math.isfinite(total) and math.isfinite(norm)):
        bad = [key for batch, losses in seen for key in losses.not_finite(batch)]
        _refuse_not_finite(total, norm, bad, step, ranks)
    optimizer.step()
    shown = {name: value for name, value in totals.items() if name == "answer" or learner.head is not None}
    return {"loss": total, **shown, "grad_norm": norm}


def _refuse_not_finite(loss: float, norm: float, bad: Sequence[str], step: Step, ranks: Ranks) -> NoReturn:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    # A gradient is everybody's: then all questions of the step are named.
    mine = bad if not math.isfinite(loss) else step.keys
    keys = sorted({key for part in ranks.gathered(list(mine)) for key in part})
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    raise TrainingError(
        f"{what} on records {', '.join(keys[:NAMED_KEYS])}{more}",
        cure="look at these records with `gapdata view`, or lower train.learning_rate",
    )


def _refuse_nothing_asked(asked: float, steps: int, ranks: Ranks) -> None:
    """Write neither checkpoint nor model of a run that learnt nothing.

    Raises:
        TrainingError: no rank had a question in any step.
    """
    (total,) = ranks.sum([asked])
    if not total:
        raise TrainingError(
            f"none of the {counted(steps, 'visited batch', 'visited batches')} held a question, so there is no model",
            cure="raise train.steps or train.batch_size, lower data.visits, or take other records",
        )


def _refuse_other_run(config: TrainingConfig, ranks: Ranks, *, replaced: bool) -> Mapping[str, Any]:
    """What the run is. One rank looks whether ``out`` is free or this run's, unless what it holds is ``replaced``; all
    stop if it is not.
    """
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
