"""The recipe of the miniature experiment.

It has everything that the arms share, such as learning rate, schedule and batch, so that all arms use the same. The
differences between the arms are in :mod:`gapmodel.experiments.miniature.arms`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapdata.recipes.bounds import PositiveCount
from gapdata.recipes.recipe_files import manifests_folder
from gapdata.recipes.toml_fields import read_toml
from gapdata.recipes.typed_fields import require
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.recipe import ModelRecipe, TrainingRecipe, TrainRecipe, check_training_recipe

SIZES = ("full", "quick", "gpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRecipe:
    """``[scans]``: the synthetic scans. The last quarter of the scenes is held out (`gapdata synth`)."""

    scenes: int = 128
    frames: int = 240
    """Frames of a scan, at 30 Hz."""
    color_size: tuple[int, int] = (128, 96)
    depth_size: tuple[int, int] = (64, 48)
    choosing: PositiveCount = 8
    """Held-out scenes that choose among a run's checkpoints; results are measured on the other held-out scenes."""
    build: str = "miniature-build.toml"
    """File with the recipe of the shards, in the folder of this recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerRecipe:
    """``[vision]`` and ``[geometry]``: how a tower is taught what the public towers know, before it is frozen."""

    steps: PositiveCount = 1000
    batch_size: int = 32
    learning_rate: float = 1e-3
    cells: int = 4
    """Answers of the tower's head along each side of a visual token (categories) or of a patch (points)."""
    workers: int = 0
    """Processes that read views ahead; 0 reads them between the steps."""
    save_every: PositiveCount = 100
    """Steps between checkpoints, from which interrupted training of a tower is resumed."""
    measured: int = 256
    """Held-out views that the tower is measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecipe:
    """``[stage1]`` and ``[stage2]``: the length of a stage, and its questions."""

    steps: PositiveCount = 300
    checkpoints: PositiveCount = 10
    """Number of equally spaced models. The point error of each of stage 1's is measured; one of stage 2's is chosen."""
    data: DataRecipe = field(default_factory=DataRecipe)
    learning_rate: float = 0.0
    """Learning rate of all arms in this stage; 0 takes ``train.learning_rate``."""
    visual_weight: float = 0.0
    """As ``train.visual_weight`` (:mod:`gapmodel.training.dense`), for a fusion with random weights."""
    asked_weight: float = 0.0
    """As ``train.asked_weight``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRecipe:
    """``[language]``: how the language model is taught before the experiment, from vision alone."""

    steps: PositiveCount = 2000
    checkpoints: PositiveCount = 5
    """Number of times that the loss is measured on the choosing scenes."""
    marks: DataRecipe = field(default_factory=lambda: DataRecipe(prompts="sampled", space="image"))
    """Questions about the object at a mark, and where it is in its image."""
    boxes: DataRecipe = field(default_factory=lambda: DataRecipe(task="detection", space="image"))
    """Questions about all objects and where they are in their images, asked as often as ``marks``."""
    asked_weight: float = 0.0
    """As ``train.asked_weight``: the loss on the mark's position as numbers teaches the model to look at the mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRecipe:
    """``[measure]``: how results are measured on held-out scenes."""

    windows: int = 384
    """Number of windows in which objects are detected."""
    prompts: int = 256
    """Number of marked pixels that stage 1's checkpoints are asked about."""
    choosing: int = 96
    """Number of windows (and of marked pixels) for the loss that chooses a run's checkpoint."""
    batch_size: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniatureRecipe:
    """The whole experiment."""

    scan_seed: int = 0
    """Decides the scenes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One for each repetition; it decides the initial weights and the order of the questions."""
    scans: ScanRecipe = ScanRecipe()
    model: ModelRecipe = field(default_factory=ModelRecipe)
    """Model of the arms with multi-level fusion; the naive arm differs in ``fusion`` and reads only the last level."""
    naive_fusion: str = "add"
    """Fusion strategy of the naive arm."""
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    vision: TowerRecipe = TowerRecipe()
    geometry: TowerRecipe = TowerRecipe()
    language: LanguageRecipe = field(default_factory=LanguageRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)
    """Settings of both stages and all arms, but for ``steps``, which each stage has itself."""
    stage1: StageRecipe = StageRecipe()
    stage2: StageRecipe = StageRecipe(data=DataRecipe(task="detection"))
    scarce: int = 4
    """The scarce runs train on one of this many scenes in stage 2."""
    measure: MeasureRecipe = MeasureRecipe()
    jobs: int = 2
    """Number of runs at a time."""
    threads: int = 1
    """Threads for the arithmetic of each run; with tiny matrices a second run gains more than a second thread."""
    workers: int = 0
    """Loader processes of each run; 0 reads and decodes in the run itself."""
    keep_features: bool = True
    """Keep the features of the frozen towers on disk while the experiment runs, for arms and seeds to share
    (:mod:`gapmodel.experiments.miniature.features`). On CPUs this gives the same results in less time. The budget of an
    arm counts a view as encoded whenever it is shown."""

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_miniature(size: str, overrides: Sequence[str] = (), folder: Path | None = None) -> MiniatureRecipe:
    """Read the recipe of a size and apply ``key=value`` overrides.

    ``manifests/miniature.toml`` is the full size; the files of the other sizes have only the fields that differ.

    Raises:
        UsageError: a file cannot be read, a field is unknown, or a value has the wrong type or is out of range.
    """
    folder = folder or manifests_folder()
    base = folder / "miniature.toml"
    path = base if size == "full" else folder / f"miniature-{size}.toml"
    recipe: MiniatureRecipe = read_toml(MiniatureRecipe, path, overrides, base=base)
    _check(recipe, path)
    return recipe


def _check(recipe: MiniatureRecipe, path: Path) -> None:
    held_out = max(1, recipe.scans.scenes // 4)
    training = recipe.scans.scenes - held_out
    first, second, language = recipe.stage1, recipe.stage2, recipe.language
    require(
        0 < len(recipe.seeds) == len(set(recipe.seeds)),
        f"seeds must have at least one number, and each once, not {list(recipe.seeds)}",
        path,
    )
    require(
        recipe.scans.choosing + 2 <= held_out,
        f"scans.choosing, {recipe.scans.choosing}, must leave two of the {held_out} held-out scenes (a quarter of"
        " scans.scenes) to measure on, which lend each other their geometry",
        path,
    )
    require(
        1 < recipe.scarce <= training,
        f"scarce, {recipe.scarce}, must be at least 2 and at most the number of training scenes, {training}",
        path,
    )
    require(
        (first.data.task, second.data.task) == ("pointmap", "detection"),
        f"stage1.data.task must be pointmap and stage2.data.task detection, not {first.data.task} and"
        f" {second.data.task}",
        path,
    )
    require(
        [(data.task, data.space) for data in (language.marks, language.boxes)]
        == [("pointmap", "image"), ("detection", "image")],
        "language.marks and language.boxes must ask for pointmap and detection, both with space = image",
        path,
    )
    for name, stage in (("language", language), ("stage1", first), ("stage2", second)):
        require(
            stage.checkpoints <= stage.steps,
            f"{name}.checkpoints, {stage.checkpoints}, must not exceed {name}.steps, {stage.steps}",
            path,
        )
    for data in (language.marks, language.boxes, first.data, second.data):
        check_training_recipe(TrainingRecipe(model=recipe.model, data=data, train=recipe.train), path)
