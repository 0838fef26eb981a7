"""Made-up results of the miniature, for the tests of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gapmodel.experiments.miniature.arms import arms
from gapmodel.experiments.miniature.recipe import MiniatureRecipe, read_miniature
from gapmodel.experiments.miniature.workspace import Workspace

STEADY = {"a": 0.10, "b": 0.15, "c": 0.22, "d": 0.20, "c-scarce": 0.18, "d-scarce": 0.11}


def small_recipe(seeds: Sequence[int] = (0, 1, 2)) -> MiniatureRecipe:
    """The quick one with other seeds."""
    return replace(read_miniature("quick"), seeds=tuple(seeds))


def pretend(
    out: Path, f1: Mapping[str, Sequence[float]], seeds: Sequence[int] = (0, 1, 2), points: Sequence[float] = (1.1, 0.7)
) -> Workspace:
    """A workspace whose runs are finished with these F1 scores, an arm's by seed, and these point errors by step."""
    workspace = Workspace(out=out, recipe=small_recipe(seeds))
    workspace.claim()
    tower = {"cells_right": 0.9, "commonest_class": 0.4, "marks_found": 1.0, "place_error": 0.01}
    workspace.keep("vision", tower)
    workspace.keep("language", {"right": 0.6, "commonest": 0.2, "point_error": 0.03})
    names = ("first_frame", "other_frames", "constant_first_frame", "constant_other_frames")
    levels = {"by_level": [0.9, 0.6], "all_levels": 0.55}
    workspace.keep("geometry", {**dict(zip(names, (0.3, 0.5, 1.0, 1.2), strict=True)), **levels})
    for place, seed in enumerate(seeds):
        curve = [point(error + 0.02 * place, 100 * (step + 1)) for step, error in enumerate(points)]
        missing = {how: point(1.4, 0) for how in ("zeroed", "strange")}
        stage1 = {"curve": curve, "without_geometry": missing, "training_cpu_seconds": 50.0, "steps": 200}
        workspace.keep(f"seed-{seed}/stage1", {**stage1, "place_sense": {"point": 15.0, "geometry": 2.0 + place}})
    for name, arm in arms(4).items():
        sense = {"point": 20.0, "geometry": 0.25} if arm.stage1 else {}
        for seed, value in zip(seeds, f1.get(name, ()), strict=False):
            workspace.keep(f"seed-{seed}/{name}", {**run(value), "place_sense": sense})
    return workspace


def point(error: float, steps: int) -> dict[str, Any]:
    return {
        "steps": steps,
        "median_error": error,
        "label_accuracy": 0.5,
        "constant": {"median_error": 1.5, "label_accuracy": 0.2},
    }


def nats(centre: float) -> dict[str, float]:
    return {"label": 1.5, "centre": centre, "size": 3.0, "angles": 2.0}


def run(f1: float) -> dict[str, Any]:
    scores: dict[str, Any] = {
        **{f"{name}@0.25": f1 for name in ("f1", "precision", "recall", "class_f1")},
        "f1@0.50": f1 / 4,
        "corrected": {"centres": 3 * f1, "sizes and angles": 2 * f1},
        "named": 0.6,
        "center_error": 0.8,
        "predicted": 90,
        "true": 100,
        "unparsable": 1,
        "loss": 0.9,
        "nats": nats(5.0),
    }
    without = {how: {"loss": 1.1, "nats": nats(centre)} for how, centre in (("zeroed", 6.0), ("strange", 7.0))}
    return {
        "scores": {**scores, "constant": {**scores, "f1@0.25": 0.01}},
        "without_geometry": without,
        "stage1_steps": 0,
        "stage2_steps": 40,
        "chosen": 30,
        "tokens": 1e6,
        "operations": 1e15,
        "training_cpu_seconds": 60.0,
    }
