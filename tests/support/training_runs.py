"""A small run for the tests of training, and a process that trains it: alone, or as one of several ranks.

python -m tests.support.training_runs OUT [key=value ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gapdata.recipes.typed_fields import from_mapping
from gapdata.shards.records import RecordList
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.distributed import joined
from gapmodel.training.loop import train
from gapmodel.training.recipe import ModelRecipe, RunRecipe, TrainingRecipe, TrainRecipe
from gapmodel.training.run import TrainingConfig
from tests.conftest import REPOSITORY
from tests.support.models import make_record

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
}
RECIPE = TrainingRecipe(
    model=ModelRecipe(
        text=TEXT, vision={"hidden_size": 48, "intermediate_size": 96}, geometry={"width": 32, "heads": 2}
    ),
    processor=ProcessorConfig(image_size=(64, 32), temporal_patch_size=1, mark_native_width=256.0),
    data=DataRecipe(prompts="sampled", questions_per_view=4, visits=4),
    train=TrainRecipe(steps=30, batch_size=4, learning_rate=3e-3, visual_weight=0.5, asked_weight=0.5),
    run=RunRecipe(threads=1),
)
RECORDS = RecordList([*(make_record(seed) for seed in range(3)), make_record(9, split="val")])

MIXED = replace(
    RECIPE,
    data=DataRecipe(min_visible_pixels=1),
    mixture={"marked": {"visits": 4}, "boxes": {"task": "detection", "visits": 0}},
    train=TrainRecipe(
        steps=0,
        epochs=2,
        batch_size=3,
        learning_rate=2e-3,
        token_budget=480,
        micro_batch=1,
        mean_over="questions",
        freeze=("visual", "geometry"),
    ),
    run=RunRecipe(threads=1, save_every=3, name_questions=True, checkpoint_activations=True),
)
"""Stored prompts and boxes, packed, the mean over questions, towers frozen; two epochs of it."""


def start(out: Path, *changes: str, ranks: int = 1, port: int = 0) -> list[subprocess.Popen[str]]:
    """The processes of a run of :data:`MIXED` with these changes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.training_runs", str(out), *changes],
            env={**environment, **({} if ranks == 1 else {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]


def finish(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for all of them; each has to end well."""
    for process in processes:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output


def changed(recipe: TrainingRecipe, changes: Sequence[str]) -> TrainingRecipe:
    """A recipe with ``key=value`` overrides."""
    fields: dict[str, Any] = recipe.to_dict()
    for change in changes:
        name, _, value = change.partition("=")
        *sections, field = name.split(".")
        inner = fields
        for section in sections:
            inner = inner[section]
        inner[field] = type(inner[field])(value)
    return from_mapping(TrainingRecipe, fields)


if __name__ == "__main__":
    with joined() as here:
        config = TrainingConfig(
            recipe=changed(MIXED, sys.argv[2:]), builds={"": RECORDS}, out=Path(sys.argv[1]), bar=False
        )
        train(config, here)
