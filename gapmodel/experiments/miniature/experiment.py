"""Perform the miniature: its jobs, and the order in which they are done."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from gapdata.files.atomic import write_atomically
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.seeding import generator_for
from gapmodel.experiments.miniature.arms import (
    Arm,
    StepCost,
    arms,
    budget,
    language_recipe,
    stage_recipe,
    starting_recipe,
)
from gapmodel.experiments.miniature.builds import make_scans, make_shards
from gapmodel.experiments.miniature.features import remember
from gapmodel.experiments.miniature.jobs import Job, run_jobs
from gapmodel.experiments.miniature.measure import (
    Subject,
    answer_losses,
    best_checkpoint,
    detect,
    locate,
    name_and_point,
    place_sense,
)
from gapmodel.experiments.miniature.towers import GeometryTower, VisionTower, load_tower, train_tower
from gapmodel.experiments.miniature.views import label_names
from gapmodel.experiments.miniature.workspace import Workspace
from gapmodel.inspection.geometry_treatments import Treatment
from gapmodel.model_directory import MODEL_DIRECTORY, load_model
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.training.checkpointing import checkpoints
from gapmodel.training.distributed import Ranks, joined
from gapmodel.training.export import save_model
from gapmodel.training.loading import Steps, make_streams
from gapmodel.training.logbook import read_log
from gapmodel.training.loop import train
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.run import STEP_BYTES, TrainingConfig
from gapmodel.training.starting_point import first_model
from gapmodel.training.throughput import Arithmetic

COUNTED_STEPS = 8
"""Steps of each stage that the cost of one is taken from."""
MISSING: tuple[Literal["zeroed", "strange"], ...] = ("zeroed", "strange")


def perform(workspace: Workspace) -> None:
    """Do all jobs that are not finished.

    Raises:
        GapDataError: a job ended with an error.
    """
    # Features that a machine left when it went down are not trusted.
    shutil.rmtree(workspace.features, ignore_errors=True)
    try:
        run_jobs(workspace, jobs(workspace), at_once=workspace.recipe.jobs)
    finally:
        shutil.rmtree(workspace.features, ignore_errors=True)


def jobs(workspace: Workspace) -> list[Job]:
    """List all jobs, seed by seed: what is finished at any time can be compared.

    A seed's longest runs come first, so that none of them is alone at the end.
    """
    recipe = workspace.recipe
    found = [
        Job(name="scans", needs=(), work=make_scans),
        Job(name="shards", needs=("scans",), work=make_shards),
        Job(name="vision", needs=("shards",), work=teach_tower, arguments=("vision",)),
        Job(name="geometry", needs=("shards",), work=teach_tower, arguments=("geometry",)),
        Job(name="language", needs=("vision",), work=teach_language, after=forget_language),
        Job(name="starts", needs=("geometry", "language"), work=make_starts),
        Job(name="cost", needs=("starts",), work=count_costs),
    ]
    for seed in recipe.seeds:
        stage1 = f"seed-{seed}/stage1"
        found.append(Job(name=stage1, needs=("starts",), work=run_stage1, arguments=(seed,), after=forget_stage1))
        for arm in sorted(arms(recipe.scarce).values(), key=lambda arm: not arm.matched):
            name, needs = f"seed-{seed}/{arm.name}", ("cost", stage1) if arm.stage1 else ("cost",)
            found.append(Job(name=name, needs=needs, work=run_arm, arguments=(seed, arm), after=forget_checkpoints))
    return found


def teach_tower(workspace: Workspace, name: str) -> dict[str, Any]:
    """Teach one of the two towers."""
    recipe, reader = workspace.recipe, workspace.reader("train")
    keep_freed_memory(STEP_BYTES)
    torch.manual_seed(recipe.scan_seed)
    data = recipe.stage1.data
    model, processor = first_model({"": reader}, starting_recipe(recipe, recipe.scan_seed))
    out = workspace.out / "towers"
    out.mkdir(exist_ok=True)
    settings = recipe.geometry if name == "geometry" else recipe.vision
    tower: GeometryTower | VisionTower
    if name == "geometry":
        tower = GeometryTower(model.model, processor, settings.cells)
    else:
        classes = label_names((reader[index] for index in reader.select(split="train")), data)
        tower = VisionTower(model.model, processor, data, classes, settings.cells)
    with joined() as ranks:
        return train_tower(tower, reader, data, settings, recipe.train, out, seed=recipe.scan_seed, device=ranks.device)


def teach_language(workspace: Workspace) -> dict[str, Any]:
    """Teach the language model what is where in images, geometry shut out; all arms share it."""
    recipe, reader, out = workspace.recipe, workspace.reader("train"), workspace.language
    seed = recipe.scan_seed
    described = starting_recipe(recipe, seed, blind=True)
    start = workspace.out / "starts" / "blind"
    if not start.is_dir():
        torch.manual_seed(int(generator_for(seed, "start").integers(2**62)))
        model, processor = first_model({"": reader}, described)
        load_tower(model.model.visual, workspace.out / "towers" / "vision.safetensors")
        start.parent.mkdir(exist_ok=True)
        save_model(model, processor, described, start)
    training = language_recipe(recipe, seed)
    cpu = _train(workspace, training, "train", out, start)
    losses = {name: best_checkpoint(read_log(out), name)[1] for name in training.mixture}
    with joined() as ranks:
        found = name_and_point(_subject(workspace, out, ranks, keep=False), training, recipe.measure)
    return {"training_cpu_seconds": cpu, "steps": recipe.language.steps, "choosing_losses": losses, **found}


def make_starts(workspace: Workspace) -> dict[str, Any]:
    """Make the models that each seed's runs start from: random fusion between the towers and the language model."""
    recipe, reader = workspace.recipe, workspace.reader("train")
    parameters = {}
    taught, _ = load_model(workspace.language)
    for seed in recipe.seeds:
        for naive in (False, True):
            described = starting_recipe(recipe, seed, naive=naive)
            torch.manual_seed(int(generator_for(seed, "start").integers(2**62)))
            model, processor = first_model({"": reader}, described)
            load_tower(model.model.visual, workspace.out / "towers" / "vision.safetensors")
            load_tower(model.model.geometry, workspace.out / "towers" / "geometry.safetensors")
            model.model.language_model.load_state_dict(taught.model.language_model.state_dict())
            path = workspace.start(seed, naive=naive)
            path.parent.mkdir(exist_ok=True)
            save_model(model, processor, described, path)
            parts = ("visual", "geometry", "fusion", "language_model")
            counts = {part: sum(p.numel() for p in model.model.get_submodule(part).parameters()) for part in parts}
            parameters["naive" if naive else "gated"] = counts
    return {"parameters": parameters}


def count_costs(workspace: Workspace) -> dict[str, Any]:
    """Count the arithmetic and the tokens of a step of each stage, which are the same on any machine."""
    recipe, reader = workspace.recipe, workspace.reader("train")
    model, processor = load_model(workspace.start(recipe.seeds[0], naive=False))
    model.model.freeze(("visual", "geometry"))
    count = Arithmetic(model)
    found = {}
    for name, stage in (("stage1", recipe.stage1), ("stage2", recipe.stage2)):
        training = stage_recipe(recipe, stage, stage.steps, recipe.seeds[0])
        streams, mixture = make_streams(training, {"": reader}, processor)
        steps = list(islice(Steps(streams, mixture, training.train), COUNTED_STEPS))
        found[name] = {
            "operations": sum(count(step) for step in steps) / len(steps),
            "tokens": sum(step.tokens for step in steps) / len(steps),
        }
    return found


def step_costs(workspace: Workspace) -> tuple[StepCost, StepCost]:
    """Return what :func:`count_costs` found for stage 1 and stage 2."""
    found = workspace.result("cost") or {}
    return StepCost(**found["stage1"]), StepCost(**found["stage2"])


def run_stage1(workspace: Workspace, seed: int) -> dict[str, Any]:
    """Train stage 1 of a seed and measure its point error by step; at the end also without geometry."""
    recipe, out = workspace.recipe, workspace.run(seed, "stage1")
    training = stage_recipe(recipe, recipe.stage1, recipe.stage1.steps, seed)
    cpu = _train(workspace, training, "train", out, workspace.start(seed, naive=False))
    curve, missing = [], {}
    with joined() as ranks:
        for steps, directory in sorted(_models(out, recipe.stage1.steps).items()):
            subject = _subject(workspace, directory, ranks)
            curve.append({"steps": steps, **locate(subject, recipe.stage1.data, recipe.measure)})
        for how in MISSING:
            missing[how] = locate(subject, recipe.stage1.data, recipe.measure, Treatment(change=how))
        sense = place_sense(subject, training, recipe.measure.prompts)
    return {
        "training_cpu_seconds": cpu,
        "steps": recipe.stage1.steps,
        "curve": curve,
        "without_geometry": missing,
        "place_sense": sense,
    }


def run_arm(workspace: Workspace, seed: int, arm: Arm) -> dict[str, Any]:
    """Train stage 2 of an arm and measure its best checkpoint with and without geometry."""
    recipe, out = workspace.recipe, workspace.run(seed, arm.name)
    spent = budget(arm, recipe, *step_costs(workspace))
    training = stage_recipe(recipe, recipe.stage2, spent.stage2_steps, seed)
    start = workspace.run(seed, "stage1") if arm.stage1 else workspace.start(seed, naive=arm.naive)
    cpu = _train(workspace, training, "scarce" if arm.scarce else "train", out, start, keep_features=True)
    best, losses = best_checkpoint(read_log(out), recipe.stage2.data.task)
    missing, remembered, windows = {}, {}, recipe.measure.windows
    with joined() as ranks:
        subject = _subject(workspace, _models(out, spent.stage2_steps)[best], ranks)
        scores = detect(subject, recipe.stage2.data, recipe.measure) | answer_losses(subject, training, windows)
        for how in MISSING:
            missing[how] = answer_losses(subject, training, windows, how)
        if arm.stage1:
            stage1 = stage_recipe(recipe, recipe.stage1, recipe.stage1.steps, seed)
            remembered = place_sense(subject, stage1, recipe.measure.prompts)
    return {
        "training_cpu_seconds": cpu,
        **dataclasses.asdict(spent),
        "chosen": best,
        "place_sense": remembered,
        "choosing_losses": losses,
        "last_training_loss": json.loads((out / "outcome.json").read_bytes())["last_loss"],
        "scores": scores,
        "without_geometry": missing,
    }


def forget_language(workspace: Workspace) -> None:
    """Remove the models on the way."""
    shutil.rmtree(workspace.language / "models", ignore_errors=True)


def forget_stage1(workspace: Workspace, seed: int) -> None:
    """Remove stage 1's measured models; the last one is what stage 2 starts from."""
    shutil.rmtree(workspace.run(seed, "stage1") / "models", ignore_errors=True)


def forget_checkpoints(workspace: Workspace, seed: int, arm: Arm) -> None:
    """Remove the models that were not chosen."""
    chosen = (workspace.result(f"seed-{seed}/{arm.name}") or {}).get("chosen")
    for path in (workspace.run(seed, arm.name) / "models").glob("step-*"):
        if path.name != f"step-{chosen:06d}":
            shutil.rmtree(path)


def _train(
    workspace: Workspace, recipe: TrainingRecipe, build: str, out: Path, start: Path, *, keep_features: bool = False
) -> float:
    """Train, or go on, and return the CPU seconds of all steps.

    Steps before an interruption count as much as those after it.
    """
    noted, steps = out / "cpu.json", recipe.train.steps
    saved = checkpoints(out)
    at = int(saved[-1].name.removeprefix("step-")) if saved else 0
    used = time.process_time()
    with joined() as ranks:
        builds, prepare = {"": workspace.reader(build)}, partial(_remember, workspace) if keep_features else None
        train(TrainingConfig(recipe=recipe, builds=builds, out=out, init=start, bar=False, prepare=prepare), ranks)
    if at < steps:
        write_atomically(noted, json.dumps((time.process_time() - used) * steps / (steps - at)).encode())
    return float(json.loads(noted.read_bytes())) if noted.is_file() else math.nan


def _subject(workspace: Workspace, directory: Path, ranks: Ranks, *, keep: bool = True) -> Subject:
    """Load a model that is only looked at from now on; ``keep`` lets it keep its features."""
    model, processor = load_model(directory)
    if keep:
        _remember(workspace, model)
    model.to(ranks.device)
    test, known = workspace.reader("test"), workspace.reader("train")
    return Subject(model=model, processor=processor, reader=test, training=known, device=ranks.device)


def _remember(workspace: Workspace, model: GapForConditionalGeneration) -> None:
    if workspace.recipe.keep_features:
        remember(model, workspace.features)


def _models(out: Path, steps: int) -> dict[int, Path]:
    """Return a run's models by the number of their steps."""
    found = {int(path.name.removeprefix("step-")): path for path in (out / "models").glob("step-*")}
    return {**found, steps: out / MODEL_DIRECTORY}
