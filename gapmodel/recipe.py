"""What a training run does: one TOML file, read into frozen dataclasses; a field that does not exist is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from gapdata.geometry.boxes import EulerConvention
from gapdata.prompts.marks import MAX_MARKS
from gapdata.tasks.captioning import CaptionPoint
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import TASKS
from gapdata.tasks.targets import TargetBox
from gapdata.tasks.wordings import WORDINGS
from gapdata.toml_fields import read_toml, refuse_broken_rules
from gapmodel.processing import ProcessorConfig

CONVENTIONS = get_args(EulerConvention)
VARIED = ("pointmap", "detection")
"""Tasks whose questions follow a change of frames or a mirror; what people wrote about left and right does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """``[model]``: the ``tiny`` preset and what it changes; left out where a run starts from a checkpoint."""

    fusion: str = "gated"
    text: dict = field(default_factory=dict)
    vision: dict = field(default_factory=dict)
    geometry: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """``[data]``: which questions are asked about which records."""

    task: str = "pointmap"
    split: str = "train"
    view: str = "clip"
    frames: int = 0
    """Frames of a view that are used: the first so many, or random ones with ``reframe``; 0 takes all, in order."""
    prompts: str = "stored"
    """``stored``: the record's own; ``sampled``: a new pixel at every visit (stage 1)."""
    questions_per_view: int = 8
    """Questions about a view in one epoch, with sampled prompts."""
    reframe: bool = False
    """Choose frames and their order anew at every visit; the first becomes the reference."""
    mirror: bool = False
    """Show every other visit mirrored."""
    wording: str = "consistent"
    convention: str = ""
    """Meaning of a box's three angles; empty takes the wording's own (:mod:`gapdata.tasks.wordings`)."""
    taxonomy: str = ""
    """Whose names pointmap and detection use; empty takes the record's own labels."""
    missing_label: str = "label"
    """Where the taxonomy has no name: ``label`` uses the record's own, ``drop`` leaves the object out."""
    marks: int = 1
    """Pixels that one pointmap question marks."""
    boxes: str = "aligned"
    """Grounding's box: ``aligned`` (ScanRefer's) or ``oriented`` (the record's own)."""
    caption_point: str = "truth"
    """Captioning points at the centre of the true box, or of the best ``proposal``."""
    min_visible_pixels: int = 50
    max_objects: int = 0
    """Detection asks for at most so many objects, the most visible ones; 0 for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """``[train]``: how."""

    steps: int = 1000
    batch_size: int = 16
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.05
    """Share of the learning rate that the cosine ends at."""
    warmup: float = 0.03
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest gradient norm."""
    beta2: float = 0.99
    freeze: tuple[str, ...] = ()
    visual_weight: float = 0.0
    """Weight of the loss on what each visual token shows, which teaches random encoders (:mod:`gapmodel.dense`)."""
    asked_weight: float = 0.0
    """Weight of the loss on the asked point as numbers, which teaches a random language model where to look."""
    save_every: int = 0
    """Steps between checkpoints; the last step always writes one."""
    workers: int = 0
    """Processes that decode; 0 decodes in the training process."""
    threads: int = 0
    """Threads of the arithmetic; 0 leaves torch's choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A whole training run. ``seed`` decides the weights, the order of the questions and their variations."""

    seed: int = 0
    model: ModelRecipe = ModelRecipe()
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = DataRecipe()
    train: TrainRecipe = TrainRecipe()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_training_recipe(path: Path | None, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """Read a recipe file (or take the defaults) and apply ``key=value`` overrides such as ``train.steps=10``.

    Raises:
        UsageError: the file cannot be read, a field is unknown, or a value has the wrong type or is out of range.
    """
    recipe: TrainingRecipe = read_toml(TrainingRecipe, path, overrides)
    _check(recipe, path)
    return recipe


def _check(recipe: TrainingRecipe, path: Path | None) -> None:
    data, train = recipe.data, recipe.train
    checks = {
        f"data.task must be one of {', '.join(TASKS)}": data.task in TASKS,
        "data.prompts must be stored or sampled": data.prompts in ("stored", "sampled"),
        f"data.wording must be one of {', '.join(WORDINGS)}": data.wording in WORDINGS,
        "data.convention must be extrinsic_zxy, intrinsic_zxy or empty": data.convention in ("", *CONVENTIONS),
        "data.missing_label must be label or drop": data.missing_label in get_args(MissingLabel),
        "data.boxes must be aligned or oriented": data.boxes in get_args(TargetBox),
        "data.caption_point must be truth or proposal": data.caption_point in get_args(CaptionPoint),
        f"data.marks must lie in 1..{MAX_MARKS}, above 1 only with stored prompts": (
            data.marks == 1 or (1 < data.marks <= MAX_MARKS and data.prompts == "stored")
        ),
        f"data.frames, data.reframe and data.mirror are for {' and '.join(VARIED)} only: language does not follow": (
            data.task in VARIED or not (data.frames or data.reframe or data.mirror)
        ),
        "data.questions_per_view must be at least 1": data.questions_per_view >= 1,
        "data.min_visible_pixels must be at least 1": data.min_visible_pixels >= 1,
        "data.frames and data.max_objects must not be negative": min(data.frames, data.max_objects) >= 0,
        "train.steps and train.batch_size must be at least 1": min(train.steps, train.batch_size) >= 1,
        "train.learning_rate and train.clip must be positive": min(train.learning_rate, train.clip) > 0,
        "train.warmup must lie in 0..1": 0 <= train.warmup <= 1,
    }
    refuse_broken_rules(checks, path)
