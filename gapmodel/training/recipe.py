"""The recipe of a training run: model, processor, questions and optimiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gapdata.errors import UsageError
from gapdata.recipes.bounds import Count, NotNegative, Positive, PositiveCount, Share
from gapdata.recipes.recipe_files import recipe_file
from gapdata.recipes.toml_fields import read_toml
from gapdata.recipes.typed_fields import from_mapping, require
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe, check_data_recipe

MICRO_TOKENS = 4096
"""Four rows of the default frames: 2 GB of activations with the tiny preset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraRecipe:
    """``[model.lora]``: low-rank matrices in place of the language model's weights (:mod:`gapmodel.training.low_rank`).

    It belongs to a run, not to a model: with ``--init``, a run does not take over that of the run before.
    """

    rank: Count = 0
    """Rank of the matrices that are trained in place of the language model, whose own weights stay as they are; 0
    trains those. The fusion is trained whole either way. It needs the package peft (`pip install 'gapmllm[lora]'`)."""
    alpha: Positive = 32.0
    """The product of the matrices is scaled by ``alpha / rank``."""
    dropout: Share = 0.0
    """Share of the inputs of the matrices that is dropped in training."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Linear layers of the language model that get matrices: by default all of attention and of the MLPs."""
    keep: Literal["merged", "adapter"] = "merged"
    """``merged``: the model is written with the product added to its weights, as any other. ``adapter``: and beside
    it, in ``model/adapter``, peft's own files for the model that the run started from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """``[model]``: the model that a run without ``--init`` starts from."""

    preset: str = "tiny"
    """``tiny`` has random weights and its own tokenizer; the public ones start from Qwen3-VL and a geometry encoder."""
    fusion: str | dict[str, str] = "gated"
    """One strategy for all levels, or a strategy for each visual stream (:func:`gapmodel.fusion.fusion_streams`)."""
    text: dict[str, Any] = field(default_factory=dict)
    """Fields of the language model that differ from the preset."""
    vision: dict[str, Any] = field(default_factory=dict)
    """The same for the vision tower."""
    geometry: dict[str, Any] = field(default_factory=dict)
    """The same for the geometry encoder; ``name`` chooses another one (:data:`gapmodel.geometry.ENCODERS`)."""
    qwen: str = ""
    """Directory of Qwen3-VL with its tokenizer, as `hf download` writes it; needed by the public sizes."""
    geometry_weights: str = ""
    """File or directory of the geometry encoder's weights; needed by the public sizes."""
    random: bool = False
    """Give a public size random weights, to measure its speed without the published ones."""
    lora: LoraRecipe = LoraRecipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One part of the training mixture: questions of one kind about the records of one build."""

    name: str
    weight: Positive
    """Times that an epoch goes through the stream: 1 asks each question once, 0.5 half of the questions."""
    build: str
    """Name of the build, as the run was given it; empty for the build without a name."""
    data: DataRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """``[train]``: how the weights are changed."""

    steps: Count = 1000
    """Number of steps; 0 for as many as ``epochs`` take."""
    epochs: PositiveCount = 1
    """Times that the run goes through the mixture, if ``steps`` is 0."""
    batch_size: PositiveCount = 16
    """Visits of records in one step, over all ranks together; a visit has one or more questions."""
    token_budget: Count = 0
    """Most tokens in a row that packs several questions; 0 gives each question its own row, which losses on visual
    tokens need."""
    micro_batch: Count = 0
    """Rows that go through the model at once, while gradients accumulate; 0 for as many as ``run.micro_tokens``
    allows."""
    learning_rate: Positive = 1e-3
    """Highest learning rate, after the warm-up."""
    fusion_learning_rate: NotNegative = 0.0
    """Learning rate of the geometry mergers; 0 takes ``learning_rate``."""
    gate_learning_rate: NotNegative = 0.0
    """Learning rate of the gates and their norms; 0 takes that of the mergers. The authors train them like the language
    model."""
    final_learning_rate: float = 0.05
    """Share of the learning rate at the end of its cosine."""
    warmup: Share = 0.03
    """Share of the steps over which the learning rate rises."""
    warmup_from_zero: bool = False
    """Begin the warm-up at 0 and round its steps up, as Hugging Face's trainer does, which the authors use; otherwise
    the first step already has its share of the learning rate."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    decay_norms: bool = False
    """Let the weights of RMSNorm decay, too, as the authors do; otherwise only matrices decay. Biases and LayerNorms
    never do."""
    mean_over: Literal["tokens", "questions"] = "tokens"
    """The loss is the mean over all answer ``tokens`` of a step, so that long answers count more, or over its
    ``questions``, each with the mean of its own tokens, as in the authors' code."""
    clip: Positive = 1.0
    """Largest gradient norm."""
    beta2: float = 0.99
    """Second beta of AdamW."""
    freeze: tuple[str, ...] = ()
    """Parts of the model that are not trained, among ``visual``, ``language_model``, ``geometry`` and ``fusion``."""
    frozen_precision: Literal["float32", "bfloat16"] = "float32"
    """Precision in which matrices that are not trained are kept. ``bfloat16`` takes half of the memory; a GPU rounds
    them to it in any case when it multiplies, and then a CPU does, too."""
    visual_weight: float = 0.0
    """Weight of the loss on the content of each visual token, for random encoders (:mod:`gapmodel.training.dense`)."""
    asked_weight: float = 0.0
    """Weight of the loss on the asked point as numbers, which teaches a random language model where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecipe:
    """``[run]``: settings that may change when a run is resumed, because they do not change what is learnt."""

    micro_tokens: Count = MICRO_TOKENS
    """Most tokens, with padding, that go through the model at once, if ``train.micro_batch`` is 0. It limits the memory
    of a step. A longer row goes alone; 0 means without limit."""
    workers: Count = 0
    """Processes of each rank that read, decode and pack records; 0 does it in the training process."""
    threads: Count = 0
    """Threads for arithmetic; 0 leaves the number to torch."""
    checkpoint_activations: bool = False
    """Compute each decoder layer again in the backward pass instead of keeping its activations."""
    save_every: Count = 0
    """Steps between checkpoints, from which an interrupted run is resumed; 0 writes only the last one."""
    keep: PositiveCount = 2
    """Number of checkpoints that are kept, the newest ones."""
    export_every: Count = 0
    """Steps between model directories ``models/step-000100``; the last step always writes ``model``."""
    evaluate_every: Count = 0
    """Steps between measurements of the loss on held-out questions, with the views' own geometry and with another
    place's; 0 does not measure it."""
    evaluate_split: str = "val"
    """Split of the held-out questions."""
    evaluate_visits: PositiveCount = 64
    """Visits of each stream that give held-out questions."""
    samples: Count = 2
    """Number of held-out questions for which the log shows the generated answer beside the true one."""
    sample_tokens: PositiveCount = 64
    """Most tokens of such an answer."""
    report_every: PositiveCount = 1
    """Steps between two lines of the log."""
    name_questions: bool = False
    """Write the keys of a step's questions into its line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A whole training run. ``seed`` decides the weights, the order of the questions and their variations."""

    seed: int = 0
    model: ModelRecipe = ModelRecipe()
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = field(default_factory=DataRecipe)
    mixture: dict[str, Any] = field(default_factory=dict)
    """``[mixture.NAME]``: a stream by its ``weight``, its ``build`` and the fields that differ from ``[data]``
    (:class:`Stream`). Without such a section, ``[data]`` is the only stream, with the name of its task."""
    train: TrainRecipe = TrainRecipe()
    run: RunRecipe = RunRecipe()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams of the mixture, in the order of the recipe.

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
        """Return nested plain types, as they would be read from TOML."""
        return dataclasses.asdict(self)


def read_training_recipe(path: Path | None, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """Read a recipe file (or take the defaults) and apply ``key=value`` overrides such as ``train.steps=10``.

    ``path`` may also be the name of a recipe of this package (:func:`gapdata.recipes.recipe_files.recipe_file`).

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
        UsageError: two contradict each other; the message has their names and values.
    """
    for stream in recipe.streams:
        check_data_recipe(stream.data, f"mixture.{stream.name}" if recipe.mixture else "data", path)
    train, lora = recipe.train, recipe.model.lora
    require(
        not lora.rank or "language_model" not in train.freeze,
        f"model.lora.rank = {lora.rank} trains the language model, which train.freeze leaves out",
        path,
    )
    require(
        bool(lora.targets) or not lora.rank, f"model.lora.rank = {lora.rank}, but model.lora.targets is empty", path
    )
    require(
        not train.token_budget or not (train.visual_weight or train.asked_weight),
        f"train.token_budget = {train.token_budget} packs several questions into a row, but losses on visual tokens"
        f" (train.visual_weight {train.visual_weight}, train.asked_weight {train.asked_weight}) need one row for each"
        " question",
        path,
    )
