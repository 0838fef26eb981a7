"""One training run, and one step of it, of the records that tests train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gapmodel.processing import GapProcessor
from gapmodel.training.loading import Step, Steps, make_streams
from gapmodel.training.loop import train
from gapmodel.training.outcome import TrainingOutcome
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.run import TrainingConfig
from tests.support.training_runs import RECORDS


def run(recipe: TrainingRecipe, out: Path, init: Path | None = None, **options: Any) -> TrainingOutcome:
    return train(TrainingConfig(recipe=recipe, builds={"": RECORDS}, out=out, init=init, bar=False, **options))


def first_step(recipe: TrainingRecipe, processor: GapProcessor, labels: list[str] | None = None) -> Step:
    streams, mixture = make_streams(recipe, {"": RECORDS}, processor, labels)
    return next(iter(Steps(streams, mixture, recipe.train)))
