"""What a training run does: one TOML file, read into frozen dataclasses; a field that does not exist is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gapdata.errors import UsageError
from gapdata.recipes.bounds import Count, NotNegative, Positive, PositiveCount, Share
from gapdata.recipes.recipe_files import recipe_file
from gapdata.recipes.toml_fields import from_mapping, read_toml, require
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe, check_data_recipe

MICRO_TOKENS = 4096
"""Four rows of the default frames: 2 GB of activations with the tiny preset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """``[model]``: what a run that is given no ``--init`` starts from."""

    preset: str = "tiny"
    """``tiny`` has random weights and a tokenizer of its own; the public sizes start from Qwen3-VL and VGGT-1B."""
    fusion: str | dict[str, str] = "gated"
    """One strategy for all levels, or a strategy for each visual stream (:func:`gapmodel.fusion.fusion_streams`)."""
    text: dict[str, Any] = field(default_factory=dict)
    """Fields of the preset's language model that are different."""
    vision: dict[str, Any] = field(default_factory=dict)
    """The same for its vision tower."""
    geometry: dict[str, Any] = field(default_factory=dict)
    """The same for the geometry encoder."""
    qwen: str = ""
    """Directory of Qwen3-VL with its tokenizer, as `hf download` writes it; for the public sizes."""
    geometry_weights: str = ""
    """File or directory of VGGT-1B's weights; for the public sizes."""
    random: bool = False
    """Random weights for a public size: for measuring speed, where no weights are at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One part of the mixture that a run is trained on: questions of one kind about the records of one build."""

    name: str
    weight: Positive
    """How often an epoch goes through the stream's visits: 1 asks each question once, 0.5 half of them."""
    build: str
    """Which of the builds that the run is given; empty for the one without a name."""
    data: DataRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """``[train]``: how the weights are changed."""

    steps: Count = 1000
    """0: as many as ``epochs`` take."""
    epochs: PositiveCount = 1
    """Times that the mixture is gone through, where ``steps`` is 0."""
    batch_size: PositiveCount = 16
    """Visits (of a record, each with one or more questions) in one step, over all ranks together."""
    token_budget: Count = 0
    """Most tokens of a packed row; 0 gives each question a row of its own, as losses on visual tokens need it."""
    micro_batch: Count = 0
    """Rows that go through the model at once, gradients are accumulated; 0: as many as ``run.micro_tokens`` lets."""
    learning_rate: Positive = 1e-3
    """At its highest, after the warm-up."""
    fusion_learning_rate: NotNegative = 0.0
    """Of the geometry mergers; 0 takes ``learning_rate``."""
    gate_learning_rate: NotNegative = 0.0
    """Of the gates and their norms; 0 takes that of the mergers. The authors train them like the language model."""
    final_learning_rate: float = 0.05
    """Share of the learning rate that the cosine ends at."""
    warmup: Share = 0.03
    """Share of the steps over which the learning rate rises."""
    warmup_from_zero: bool = False
    """Begin at 0, over a number of steps that is rounded up, as Hugging Face's trainer does (and the authors with it);
    else the first step has its share already."""
    weight_decay: float = 0.01
    """Of AdamW."""
    decay_norms: bool = False
    """Let RMSNorm's weights decay too, as the authors do (biases and LayerNorms never do); else matrices alone."""
    mean_over: Literal["tokens", "questions"] = "tokens"
    """Whose mean the loss is: of all answers' ``tokens`` in a step, so that long answers count for more, or of its
    ``questions``, each with the mean of its own tokens (the authors')."""
    clip: Positive = 1.0
    """Largest gradient norm."""
    beta2: float = 0.99
    """Of AdamW."""
    freeze: tuple[str, ...] = ()
    """Parts that are not trained: of ``visual``, ``language_model``, ``geometry`` and ``fusion``."""
    visual_weight: float = 0.0
    """Weight of the loss on what each visual token shows, for random encoders (:mod:`gapmodel.training.dense`)."""
    asked_weight: float = 0.0
    """Weight of the loss on the asked point as numbers, which teaches a random language model where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """``[run]``: what may change when a run goes on, because it does not change what is learnt."""

    micro_tokens: Count = MICRO_TOKENS
    """Most tokens that go through the model at once, padding included, where ``train.micro_batch`` does not say how
    many rows; a longer row goes alone, 0 sets no bound. It bounds the memory of a step, not what is learnt."""
    workers: Count = 0
    """Processes of each rank that read, decode and pack; 0 does it in the training process."""
    threads: Count = 0
    """Threads of the arithmetic; 0 leaves torch's choice."""
    checkpoint_activations: bool = False
    """Compute each decoder layer again in the backward pass instead of keeping what it computed."""
    save_every: Count = 0
    """Steps between checkpoints, from which a run that was interrupted goes on; 0 writes none but the last."""
    keep: PositiveCount = 2
    """Checkpoints that are kept, the newest."""
    export_every: Count = 0
    """Steps between model directories ``models/step-000100``; the last step always writes ``model``."""
    evaluate_every: Count = 0
    """Steps between measurements of the loss on held-out questions; 0 for none."""
    evaluate_split: str = "val"
    """Whose questions those are."""
    evaluate_visits: PositiveCount = 64
    """Visits of each stream that are held-out questions."""
    samples: Count = 2
    """Held-out questions whose generated answers are shown beside the true ones."""
    sample_tokens: PositiveCount = 64
    """Where a sample answer is cut off."""
    report_every: PositiveCount = 1
    """Steps between lines of the log."""
    name_questions: bool = False
    """Put the keys of a step's questions into its line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A whole training run. ``seed`` decides the weights, the order of the questions and their variations."""

    seed: int = 0
    model: ModelRecipe = ModelRecipe()
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = field(default_factory=DataRecipe)
    mixture: dict[str, Any] = field(default_factory=dict)
    """``[mixture.NAME]``: fields that replace those of ``[data]``, and ``weight`` and ``build`` (:class:`Stream`).
    Without any, ``[data]`` is the only stream, named by its task."""
    train: TrainRecipe = TrainRecipe()
    run: RunRecipe = RunRecipe()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What is mixed, in the order of the recipe.

        Raises:
            UsageError: a field of ``[mixture.NAME]`` is unknown or has the wrong type.
        """
        if not self.mixture:
            return (Stream(name=self.data.task, weight=1.0, build="", data=self.data),)
        return tuple(self._stream(name, fields) for name, fields in self.mixture.items())

    def _stream(self, name: str, fields: Any) -> Stream:
        where = f"mixture.{name}"
        if not isinstance(fields, dict):
            raise UsageError(f"recipe field {where!r} is a section", cure=f"write [{where}] and fields below it")
        own = {key: value for key, value in fields.items() if key in ("weight", "build")}
        asked = {key: value for key, value in fields.items() if key not in own}
        data: DataRecipe = from_mapping(DataRecipe, dataclasses.asdict(self.data) | asked, prefix=f"{where}.")
        defaults = {"name": name, "weight": 1.0, "build": "", "data": {}}
        stream: Stream = from_mapping(Stream, defaults | own, prefix=f"{where}.")
        return dataclasses.replace(stream, data=data)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_training_recipe(path: Path | None, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """Read a recipe file (or take the defaults) and apply ``key=value`` overrides such as ``train.steps=10``.

    ``path`` may also be the name of a recipe that comes along, as in :func:`gapdata.recipes.recipe_files.recipe_file`.

    Raises:
        UsageError: the file cannot be read, a field is unknown, or a value has the wrong type or is out of range.
    """
    path = recipe_file(path)
    recipe: TrainingRecipe = read_toml(TrainingRecipe, path, overrides)
    check_training_recipe(recipe, path)
    return recipe


def check_training_recipe(recipe: TrainingRecipe, path: Path | None = None) -> None:
    """Refuse values that do not go together.

    Raises:
        UsageError: two do not; the message has their names and values.
    """
    for stream in recipe.streams:
        check_data_recipe(stream.data, f"mixture.{stream.name}" if recipe.mixture else "data", path)
    train = recipe.train
    require(
        not train.token_budget or not (train.visual_weight or train.asked_weight),
        f"train.token_budget is {train.token_budget}, which packs rows, and losses on visual tokens"
        f" (train.visual_weight {train.visual_weight}, train.asked_weight {train.asked_weight}) need a row each",
        path,
    )
