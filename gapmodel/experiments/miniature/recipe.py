"""What the miniature does: one TOML file, read into frozen dataclasses; a field that does not exist is refused.

Whatever the arms share stands here once, so that no arm can be given another learning rate, schedule or batch than the
others; what tells them apart is :mod:`gapmodel.experiments.miniature.arms`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapdata.recipes.bounds import PositiveCount
from gapdata.recipes.recipe_files import manifests_folder
from gapdata.recipes.toml_fields import read_toml, require
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
    """Held-out scenes that choose among a run's checkpoints; the other ones are what results are measured on."""
    build: str = "miniature-build.toml"
    """The recipe of the shards, a file beside this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerRecipe:
    """``[vision]`` and ``[geometry]``: how a tower is taught what the public ones know, before it is frozen."""

    steps: PositiveCount = 1000
    batch_size: int = 32
    learning_rate: float = 1e-3
    cells: int = 4
    """Answers along each side of what the tower's head is asked about: of a visual token for its categories, of a
    patch for its points."""
    workers: int = 0
    """Processes that read the views ahead of time; 0 reads them between the steps."""
    save_every: PositiveCount = 100
    """Steps between checkpoints, from which a tower that was interrupted goes on."""
    measured: int = 256
    """Held-out views that the tower is measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecipe:
    """``[stage1]`` and ``[stage2]``: how long, and which questions."""

    steps: PositiveCount = 300
    checkpoints: PositiveCount = 10
    """Equally spaced models: stage 1's are measured (its point error by step), stage 2's chosen from."""
    data: DataRecipe = field(default_factory=DataRecipe)
    learning_rate: float = 0.0
    """Of all arms in this stage; 0 takes ``train.learning_rate``."""
    visual_weight: float = 0.0
    """As ``train.visual_weight`` (:mod:`gapmodel.training.dense`): the fusion is random, so the stage may ask every
    token."""
    asked_weight: float = 0.0
    """As ``train.asked_weight``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRecipe:
    """``[language]``: what the language model is taught before the experiment begins, from vision alone."""

    steps: PositiveCount = 2000
    checkpoints: PositiveCount = 5
    """Measurements of the loss on the choosing scenes."""
    marks: DataRecipe = field(default_factory=lambda: DataRecipe(prompts="sampled", space="image"))
    """What is at a mark, and where in its image."""
    boxes: DataRecipe = field(default_factory=lambda: DataRecipe(task="detection", space="image"))
    """Which objects there are, and where in their images; asked as often as ``marks``."""
    asked_weight: float = 0.0
    """As ``train.asked_weight``: the place of the mark as numbers, which teaches to look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRecipe:
    """``[measure]``: how results are measured on held-out scenes."""

    windows: int = 384
    """Windows whose objects are to be detected."""
    prompts: int = 256
    """Marked pixels that stage 1's checkpoints are asked about."""
    choosing: int = 96
    """Windows (and marked pixels) whose loss chooses a run's checkpoint."""
    batch_size: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniatureRecipe:
    """The whole experiment."""

    scan_seed: int = 0
    """Decides the scenes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each decides the weights that training starts from and the order of the questions of one repetition."""
    scans: ScanRecipe = ScanRecipe()
    model: ModelRecipe = field(default_factory=ModelRecipe)
    """Of the arms with multi-level fusion; the naive one differs in ``fusion`` and reads the last level alone."""
    naive_fusion: str = "add"
    """How the naive arm fuses the last level."""
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    vision: TowerRecipe = TowerRecipe()
    geometry: TowerRecipe = TowerRecipe()
    language: LanguageRecipe = field(default_factory=LanguageRecipe)
    """How the language model is taught to look, to name and to write numbers."""
    train: TrainRecipe = field(default_factory=TrainRecipe)
    """Of both stages and all arms; ``steps`` is each stage's own."""
    stage1: StageRecipe = StageRecipe()
    stage2: StageRecipe = StageRecipe(data=DataRecipe(task="detection"))
    scarce: int = 4
    """The scarce runs have one in so many of stage 2's scenes."""
    measure: MeasureRecipe = MeasureRecipe()
    jobs: int = 2
    """Runs side by side."""
    threads: int = 1
    """Threads of each run's arithmetic: tiny matrices gain more from a second run than from a second thread."""
    workers: int = 0
    """Loader processes of each run; 0 reads and decodes in the run itself."""
    keep_features: bool = True
    """Keep on disk, while the experiment runs, what the frozen towers say of each view that arms and seeds share
    (:mod:`gapmodel.experiments.miniature.features`): on CPUs the same figures in less time. An arm's budget counts
    every view as encoded whenever it is shown."""

    def to_dict(self) -> dict[str, Any]:
        """Nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_miniature(size: str, overrides: Sequence[str] = (), folder: Path | None = None) -> MiniatureRecipe:
    """The recipe of a size, with ``key=value`` overrides.

    ``manifests/miniature.toml`` is the full one; the other sizes' files hold what differs from it.

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
        recipe.scans.choosing < held_out,
        f"scans.choosing, {recipe.scans.choosing}, must leave some of the {held_out} held-out scenes (a quarter of"
        " scans.scenes) to measure on",
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
