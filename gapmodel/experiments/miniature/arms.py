"""The arms of the experiment and their budgets: pure functions of the recipe and of the cost of a step.

    a    stage 2 only, the geometry's last level added to the final visual tokens (the naive fusion of earlier work)
    b    stage 2 only, gated fusion at several levels
    c    stage 1, then stage 2, gated fusion at several levels: the paper's way
    d    stage 2 only, gated fusion at several levels, for as much arithmetic as c has spent in both stages
    c-scarce, d-scarce    as c and d, with stage 2's annotation for a share of the scenes alone (a quarter of them);
                          the stage 1 run is c's

a, b, c and c-scarce have the same number of steps in stage 2; d and d-scarce have more, with the same schedule
stretched over them. All have the same batch size, learning rate, weights to start from (those of a seed) and order of
questions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from gapmodel.experiments.miniature.recipe import MiniatureRecipe, StageRecipe
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.recipe import RunRecipe, TrainingRecipe, TrainRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of training a detector."""

    name: str
    title: str
    naive: bool = False
    stage1: bool = False
    matched: bool = False
    """Stage 2 goes on until it has cost as much as both stages of c."""
    scarce: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """The mean cost of a step of a stage, counted over the first steps of its data."""

    operations: float  # floating point operations (gapmodel.training.throughput.Arithmetic)
    tokens: float  # of the language model, padding left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The steps and the cost of an arm."""

    stage1_steps: int
    stage2_steps: int
    operations: float
    tokens: float


def arms(scarce: int) -> dict[str, Arm]:
    """Return all arms by name; ``scarce`` is the recipe's."""
    rest = f"1/{scarce} of the scenes"
    found = [
        Arm(name="a", title="stage 2, naive last-level fusion", naive=True),
        Arm(name="b", title="stage 2, gated multi-level fusion"),
        Arm(name="c", title="stage 1, then stage 2, gated multi-level fusion", stage1=True),
        Arm(name="d", title="stage 2 as long as c in total", matched=True),
        Arm(name="c-scarce", title=f"as c, stage 2 on {rest}", stage1=True, scarce=True),
        Arm(name="d-scarce", title=f"as d, stage 2 on {rest}", matched=True, scarce=True),
    ]
    return {arm.name: arm for arm in found}


def budget(arm: Arm, recipe: MiniatureRecipe, stage1: StepCost, stage2: StepCost) -> Budget:
    """Return the budget of an arm; the steps that ``matched`` adds are rounded up, so that c never gets more than d.

    Args:
        arm: the arm.
        recipe: the experiment's.
        stage1: the cost of a step of stage 1.
        stage2: the cost of a step of stage 2 (with gated fusion).
    """
    before = recipe.stage1.steps if arm.stage1 else 0
    extra = math.ceil(recipe.stage1.steps * stage1.operations / stage2.operations) if arm.matched else 0
    after = recipe.stage2.steps + extra
    return Budget(
        stage1_steps=before,
        stage2_steps=after,
        operations=before * stage1.operations + after * stage2.operations,
        tokens=before * stage1.tokens + after * stage2.tokens,
    )


BLIND = {"final": "gated_residual"}
"""The fusion with which the language model is taught: frozen at its start, it does not let geometry through."""


def starting_recipe(recipe: MiniatureRecipe, seed: int, *, naive: bool = False, blind: bool = False) -> TrainingRecipe:
    """Return the recipe of a model before its first step: the words of all stages, and the arm's fusion.

    ``blind`` asks for the model in which the language model is taught, before there are arms.
    """
    model = recipe.model
    if naive or blind:
        last = max(model.geometry["levels"])
        fusion = BLIND if blind else {"final": recipe.naive_fusion}
        model = replace(model, fusion=fusion, geometry={**model.geometry, "levels": [last]})
    return TrainingRecipe(
        seed=seed,
        model=model,
        processor=recipe.processor,
        mixture={
            **language_mixture(recipe),
            **{name: _fields(getattr(recipe, name).data) for name in ("stage1", "stage2")},
        },
    )


def language_mixture(recipe: MiniatureRecipe) -> dict[str, dict[str, Any]]:
    """Return a mixture that asks about marks and objects in turn, however often an epoch visits a record for either."""
    marks, boxes = recipe.language.marks, recipe.language.boxes
    return {
        "marks": _fields(marks),
        "boxes": {**_fields(boxes), "weight": marks.visits / boxes.visits},
    }


def language_recipe(recipe: MiniatureRecipe, seed: int) -> TrainingRecipe:
    """Return the recipe that trains the language model before there are arms: towers and fusion stay as they are."""
    stage = recipe.language
    frozen = ("visual", "geometry", "fusion")
    train = replace(recipe.train, steps=stage.steps, freeze=frozen, asked_weight=stage.asked_weight)
    return _run(recipe, train, seed, stage.checkpoints, mixture=language_mixture(recipe))


def stage_recipe(recipe: MiniatureRecipe, stage: StageRecipe, steps: int, seed: int) -> TrainingRecipe:
    """Return the recipe that trains a stage; it has the same number of checkpoints, however many steps it takes."""
    train = replace(
        recipe.train,
        steps=steps,
        learning_rate=stage.learning_rate or recipe.train.learning_rate,
        freeze=("visual", "geometry"),
        visual_weight=stage.visual_weight,
        asked_weight=stage.asked_weight,
    )
    return _run(recipe, train, seed, stage.checkpoints, data=stage.data)


def _run(recipe: MiniatureRecipe, train: TrainRecipe, seed: int, checkpoints: int, **questions: Any) -> TrainingRecipe:
    every = math.ceil(train.steps / checkpoints)
    return TrainingRecipe(
        seed=seed,
        model=recipe.model,
        processor=recipe.processor,
        **questions,
        train=train,
        run=RunRecipe(
            threads=recipe.threads,
            workers=recipe.workers,
            save_every=max(1, every // 2),
            keep=1,
            export_every=every,
            evaluate_every=every,
            evaluate_visits=recipe.measure.choosing,
            samples=0,
        ),
    )


def _fields(data: DataRecipe) -> dict[str, Any]:
    return {name: getattr(data, name) for name in data.__slots__}
