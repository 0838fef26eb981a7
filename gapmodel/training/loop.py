"""One plain training loop for both stages: a recipe, one or several builds, and a model to start from.

A run's directory::

    run.json       what the run is; another recipe or other data are refused
    log.jsonl      a line for each step: loss, its parts, learning rate, gradient norm, rates; held-out losses; the
                   first line also says what each stream draws on and leaves out
    samples.jsonl  held-out questions with the true answer and the model's
    checkpoints/   from which the same command goes on (gapmodel/training/checkpointing.py)
    model/         config.json, model.safetensors, tokenizer, gap_processor.json, recipe.json: what ``from_pretrained``
                   loads, written at the end

The same loop runs in one process, under torchrun and inside Ray Train, on CPUs and on GPUs. Nothing in it depends on
the number of processes: a step has the same questions, and its loss is the mean over all tokens of their answers, or
over all questions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from gapdata.runtime.counting import counted
from gapmodel.model_directory import MODEL_DIRECTORY
from gapmodel.training.census import StreamCensus, census, frame_notes, refuse_unasked, shared_views
from gapmodel.training.checkpointing import Position, save_checkpoint, seed_step
from gapmodel.training.distributed import ALONE, Ranks
from gapmodel.training.export import export
from gapmodel.training.loading import Step, visits_after
from gapmodel.training.logbook import Logbook, read_log
from gapmodel.training.optimisation import learning_rate_share, set_learning_rates
from gapmodel.training.outcome import TrainingOutcome, outcome_of, read_outcome, write_outcome
from gapmodel.training.run import Run, TrainingConfig, look, prepare, set_up_process
from gapmodel.training.starting_point import as_started
from gapmodel.training.step import TrainingError, training_step


def train(config: TrainingConfig, ranks: Ranks = ALONE) -> TrainingOutcome:
    """Train a model and write it to ``out / "model"``; an interrupted run of the same recipe goes on where it stopped.

    Raises:
        UsageError: a build lacks the recipe's records or any question about them, ``init`` does not hold a model, or
            ``out`` holds another run.
        TrainingError: a loss or a gradient is not finite, and the message names the records; or no step had a question.
    """
    began = time.monotonic()
    config = replace(config, recipe=as_started(config.recipe, config.init))
    recipe, out, due = config.recipe, config.out, config.recipe.run
    ranks = replace(ranks, half=recipe.train.frozen_precision == "bfloat16")
    set_up_process(recipe, ranks)
    found = look(config, ranks)
    if found.finished:
        return read_outcome(out)
    # Before anything is written: a run without questions must leave no files behind.
    told = None if found.checkpoint else _asked_census(config, ranks)
    run = prepare(config, ranks, found.checkpoint)
    if ranks.first:
        found.take(out)
    log = _open_log(run, told)
    for number, step in run.coming:
        done, last = number + 1, number + 1 == run.steps
        figures = _learn(run, number, step)
        if last or done % due.report_every == 0:
            figures |= {**run.meter.rates(), "seconds": time.monotonic() - began}
            log.step(number, figures, _keys(run, step))
        if run.held_out is not None and (last or done % due.evaluate_every == 0):
            run.learner.eval()
            log.held_out(number, run.held_out.losses(run.learner, ranks), run.held_out.samples(run.learner, ranks))
            run.learner.train()
        if last or (due.save_every and done % due.save_every == 0):
            position = Position(step=done, consumed=run.mixture.consumed(visits_after(done, run.mixture, recipe.train)))
            save_checkpoint(out, run.learner, run.optimizer, position, ranks, keep=due.keep)
            config.report(figures)
        if due.export_every and done % due.export_every == 0 and not last:
            export(run.learner, run.processor, recipe, out / "models" / f"step-{done:06d}", ranks)
    log.close()
    if run.start < run.steps or not (out / MODEL_DIRECTORY).is_dir():
        export(run.learner, run.processor, recipe, out / MODEL_DIRECTORY, ranks)
    ranks.wait()
    outcome = outcome_of(out, run.steps, time.monotonic() - began)
    if ranks.first:
        write_outcome(out, outcome)
    return outcome


def _asked_census(config: TrainingConfig, ranks: Ranks) -> dict[str, StreamCensus]:
    """Count what the streams ask about, and stop where one has no question."""
    streams = config.recipe.streams
    told = census(streams, config.builds, ranks)
    refuse_unasked(streams, config.builds, told)
    return told


def _open_log(run: Run, told: Mapping[str, StreamCensus] | None) -> Logbook:
    """Open the log where the run goes on, and say which records are used and how large a step is."""
    config, first = run.config, run.ranks.first
    title = " + ".join(stream.name for stream in config.recipe.streams)
    log = Logbook(config.out, title, run.start, run.steps, speaks=first, bar=config.bar)
    if told is not None:
        log.begin(told, [*frame_notes(run.streams), *shared_views(told)] if first else ())
    if run.start:
        run.asked = sum(line.get("questions", 0) for line in read_log(config.out))
    log.say(run.size)
    return log


def _learn(run: Run, number: int, step: Step) -> dict[str, float]:
    """Take the step of this number and return its losses, its learning rate and the norm of its gradient.

    Raises:
        TrainingError: a loss or a gradient is not finite, or the last step is done and none had a question.
    """
    recipe = run.config.recipe
    seed_step(recipe.seed, number, run.ranks)
    share = learning_rate_share(number, run.steps, recipe.train)
    set_learning_rates(run.optimizer, share)
    figures = training_step(run.learner, step, run.optimizer, recipe, run.ranks, run.blank)
    run.meter.add(step)
    run.asked += len(step.keys)
    if number + 1 == run.steps:
        _refuse_nothing_asked(run)
    return figures | {"lr": share * recipe.train.learning_rate}


def _keys(run: Run, step: Step) -> list[str] | None:
    """Return the keys of the questions of all ranks, if the recipe wants them in the log."""
    if not run.config.recipe.run.name_questions:
        return None
    return [key for part in run.ranks.gathered(step.keys) for key in part]


def _refuse_nothing_asked(run: Run) -> None:
    """Stop a run that learnt nothing before it writes a checkpoint or a model.

    Raises:
        TrainingError: no rank had a question in any step.
    """
    (total,) = run.ranks.sum([run.asked])
    if not total:
        visited = counted(run.steps, "visited batch", "visited batches")
        raise TrainingError(
            f"none of the {visited} held a question, so no model is written",
            cure="raise train.steps or train.batch_size, lower data.visits, or take other records",
        )
