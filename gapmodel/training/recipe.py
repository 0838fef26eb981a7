"""What a training run does: one TOML file, read into frozen dataclasses; a field that does not exist is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.prompts.marks import MAX_MARKS
from gapdata.recipes.recipe_files import recipe_file
from gapdata.recipes.toml_fields import from_mapping, read_toml, refuse_broken_rules, refuse_unknown_choices
from gapdata.records.schema import VIEW_KINDS
from gapdata.tasks.captioning import CaptionPoint
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import TASKS
from gapdata.tasks.targets import TargetBox
from gapdata.tasks.wordings import WORDINGS
from gapmodel.processing import ProcessorConfig

MICRO_TOKENS = 4096
"""Four rows of the default frames: 2 GB of activations with the tiny preset."""
CONVENTIONS = get_args(EulerConvention)
MEANS = ("tokens", "questions")
VARIED = ("pointmap", "detection")
"""Tasks whose questions follow a change of frames or a mirror; what people wrote about left and right does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """``[model]``: what a run that is given no ``--init`` starts from."""

    preset: str = "tiny"
    """``tiny`` has random weights and a tokenizer of its own; the public sizes start from Qwen3-VL and VGGT-1B."""
    fusion: str | dict = "gated"
    """One strategy for all levels, or a strategy for each visual stream (:func:`gapmodel.fusion.fusion_streams`)."""
    text: dict = field(default_factory=dict)
    """Fields of the preset's language model that are different."""
    vision: dict = field(default_factory=dict)
    """The same for its vision tower."""
    geometry: dict = field(default_factory=dict)
    """The same for the geometry encoder."""
    qwen: str = ""
    """Directory of Qwen3-VL with its tokenizer, as `hf download` writes it; for the public sizes."""
    geometry_weights: str = ""
    """File or directory of VGGT-1B's weights; for the public sizes."""
    random: bool = False
    """Random weights for a public size: for measuring speed, where no weights are at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """``[data]``: which questions are asked about which records."""

    task: str = "pointmap"
    """``pointmap``, ``detection``, ``grounding``, ``grounding_frame``, ``grounding_box``, ``captioning`` or
    ``conversation``."""
    split: str = "train"
    """Whose records."""
    view: str = "clip"
    """``clip``, ``scene`` or ``around``."""
    frames: int = 0
    """Frames of a view that are used: the first so many, or random ones with ``reframe``; 0 takes all, in order."""
    prompts: str = "stored"
    """``stored``: the record's own; ``sampled``: a new pixel at every visit (stage 1)."""
    questions_per_view: int = 8
    """Questions about a view in one epoch, with sampled prompts."""
    visits: int = 1
    """Times that a record is visited in an epoch; 0: once for each of its questions, alone, so that ``batch_size``
    counts questions, as the authors' does. Each visit asks an equal share of the record's questions, and those
    that are asked at one visit about the same pixels share one encoded view; more visits mix scenes better."""
    reframe: bool = False
    """Choose frames and their order anew at every visit; the first becomes the reference."""
    mirror: bool = False
    """Show every other visit mirrored."""
    wording: str = "consistent"
    """Whose texts: ``consistent``, ``gap``, ``vgllm_v1`` or ``vgllm_v2`` (:mod:`gapdata.tasks.wordings`)."""
    convention: str = ""
    """Meaning of a box's three angles; empty takes the wording's own (:mod:`gapdata.tasks.wordings`)."""
    taxonomy: str = ""
    """Whose names pointmap and detection use; empty takes the record's own labels."""
    missing_label: str = "label"
    """Where the taxonomy has no name: ``label`` uses the record's own, ``drop`` leaves the object out."""
    marks: int = 1
    """Pixels that one pointmap question marks."""
    space: str = "metric"
    """Where pointmap and detection say that things are: ``metric``, or ``image``, where nothing is geometry
    (:mod:`gapdata.tasks.image_space`; of pointmap with sampled prompts only)."""
    boxes: str = "aligned"
    """Grounding's box: ``aligned`` (ScanRefer's) or ``oriented`` (the record's own)."""
    caption_point: str = "truth"
    """Captioning points at the centre of the true box, or of the best ``proposal``."""
    min_visible_pixels: int = 50
    """Detection asks for objects that show at least so many pixels in one frame."""
    max_objects: int = 0
    """Detection asks for at most so many objects, the most visible ones; 0 for all."""
    max_misalignment: float = 0.0
    """Only records whose frames must be moved by at most so many metres to agree with most of their neighbours
    (``neighbour_misalignment`` of the index); 0 takes all. Records that were not measured are left out, as with the
    next three."""
    max_residual: float = 0.0
    """Only records whose neighbouring frames disagree by at most so many times what sensor noise explains
    (``neighbour_residual``); 0 takes all."""
    min_valid_depth: float = 0.0
    """Only records with at least this share of pixels with depth."""
    min_sharpness: float = 0.0
    """Only records whose frames are at least this sharp on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One part of the mixture that a run is trained on: questions of one kind about the records of one build."""

    name: str
    weight: float
    """How often an epoch goes through the stream's visits: 1 asks each question once, 0.5 half of them."""
    build: str
    """Which of the builds that the run is given; empty for the one without a name."""
    data: DataRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """``[train]``: how the weights are changed."""

    steps: int = 1000
    """0: as many as ``epochs`` take."""
    epochs: int = 1
    """Times that the mixture is gone through, where ``steps`` is 0."""
    batch_size: int = 16
    """Visits (of a record, each with one or more questions) in one step, over all ranks together."""
    token_budget: int = 0
    """Most tokens of a packed row; 0 gives each question a row of its own, as losses on visual tokens need it."""
    micro_batch: int = 0
    """Rows that go through the model at once, gradients are accumulated; 0: as many as ``run.micro_tokens`` lets."""
    learning_rate: float = 1e-3
    """At its highest, after the warm-up."""
    fusion_learning_rate: float = 0.0
    """Of the geometry mergers; 0 takes ``learning_rate``."""
    gate_learning_rate: float = 0.0
    """Of the gates and their norms; 0 takes that of the mergers. The authors train them like the language model."""
    final_learning_rate: float = 0.05
    """Share of the learning rate that the cosine ends at."""
    warmup: float = 0.03
    """Share of the steps over which the learning rate rises."""
    warmup_from_zero: bool = False
    """Begin at 0, over a number of steps that is rounded up, as Hugging Face's trainer does (and the authors with it);
    else the first step has its share already."""
    weight_decay: float = 0.01
    """Of AdamW."""
    decay_norms: bool = False
    """Let RMSNorm's weights decay too, as the authors do (biases and LayerNorms never do); else matrices alone."""
    mean_over: str = "tokens"
    """Whose mean the loss is: of all answers' ``tokens`` in a step, so that long answers count for more, or of its
    ``questions``, each with the mean of its own tokens (the authors')."""
    clip: float = 1.0
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

    micro_tokens: int = MICRO_TOKENS
    """Most tokens that go through the model at once, padding included, where ``train.micro_batch`` does not say how
    many rows; a longer row goes alone, 0 sets no bound. It bounds the memory of a step, not what is learnt."""
    workers: int = 0
    """Processes of each rank that read, decode and pack; 0 does it in the training process."""
    threads: int = 0
    """Threads of the arithmetic; 0 leaves torch's choice."""
    checkpoint_activations: bool = False
    """Compute each decoder layer again in the backward pass instead of keeping what it computed."""
    save_every: int = 0
    """Steps between checkpoints, from which a run that was interrupted goes on; 0 writes none but the last."""
    keep: int = 2
    """Checkpoints that are kept, the newest."""
    export_every: int = 0
    """Steps between model directories ``models/step-000100``; the last step always writes ``model``."""
    evaluate_every: int = 0
    """Steps between measurements of the loss on held-out questions; 0 for none."""
    evaluate_split: str = "val"
    """Whose questions those are."""
    evaluate_visits: int = 64
    """Visits of each stream that are held-out questions."""
    samples: int = 2
    """Held-out questions whose generated answers are shown beside the true ones."""
    sample_tokens: int = 64
    """Where a sample answer is cut off."""
    report_every: int = 1
    """Steps between lines of the log."""
    name_questions: bool = False
    """Put the keys of a step's questions into its line of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A whole training run. ``seed`` decides the weights, the order of the questions and their variations."""

    seed: int = 0
    model: ModelRecipe = ModelRecipe()
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = DataRecipe()
    mixture: dict = field(default_factory=dict)
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
    """Refuse values that are out of range.

    Raises:
        UsageError: one is; the message names the rule.
    """
    for stream in recipe.streams:
        _check_data(stream.data, f"mixture.{stream.name}" if recipe.mixture else "data", path)
    _check(recipe, path)


def _check_data(data: DataRecipe, where: str, path: Path | None) -> None:
    choices = {
        "task": (data.task, TASKS),
        "view": (data.view, VIEW_KINDS),
        "prompts": (data.prompts, ("stored", "sampled")),
        "wording": (data.wording, WORDINGS),
        "convention": (data.convention or CONVENTIONS[0], CONVENTIONS),
        "missing_label": (data.missing_label, get_args(MissingLabel)),
        "space": (data.space, ("metric", "image")),
        "boxes": (data.boxes, get_args(TargetBox)),
        "caption_point": (data.caption_point, get_args(CaptionPoint)),
    }
    refuse_unknown_choices({f"{where}.{name}": item for name, item in choices.items()}, path)
    checks = {
        f"{where}.space must be metric, or image (for detection, and for pointmap with sampled prompts)": (
            data.space == "metric" or (data.space == "image" and (data.task == "detection" or samples_prompts(data)))
        ),
        f"{where}.marks must lie in 1..{MAX_MARKS}, above 1 only with stored prompts": (
            data.marks == 1 or (1 < data.marks <= MAX_MARKS and data.prompts == "stored")
        ),
        f"{where}.frames, .reframe and .mirror are for {' and '.join(VARIED)} only: language does not follow": (
            data.task in VARIED or not (data.frames or data.reframe or data.mirror)
        ),
        f"{where}.questions_per_view must be at least 1 and .visits not negative": (
            data.questions_per_view >= 1 and data.visits >= 0
        ),
        f"{where}.min_visible_pixels must be at least 1": data.min_visible_pixels >= 1,
        f"{where}.frames and .max_objects must not be negative": min(data.frames, data.max_objects) >= 0,
        f"{where}.max_misalignment, .max_residual, .min_valid_depth and .min_sharpness must not be negative": (
            min(data.max_misalignment, data.max_residual, data.min_valid_depth, data.min_sharpness) >= 0
        ),
    }
    refuse_broken_rules(checks, path)


def samples_prompts(data: DataRecipe) -> bool:
    """Return whether a stream draws its marked pixels itself, instead of asking about those of its records."""
    return data.task == "pointmap" and data.prompts == "sampled"


def _check(recipe: TrainingRecipe, path: Path | None) -> None:
    train, run = recipe.train, recipe.run
    refuse_unknown_choices({"train.mean_over": (train.mean_over, MEANS)}, path)
    dense = bool(train.visual_weight or train.asked_weight)
    counts = (
        run.micro_tokens,
        run.workers,
        run.threads,
        run.save_every,
        run.export_every,
        run.evaluate_every,
        run.samples,
    )
    checks = {
        "mixture.*.weight must be positive": all(stream.weight > 0 for stream in recipe.streams),
        "train.steps must not be negative, train.epochs and train.batch_size be at least 1": (
            train.steps >= 0 and min(train.epochs, train.batch_size) >= 1
        ),
        "train.token_budget and train.micro_batch must not be negative": min(train.token_budget, train.micro_batch)
        >= 0,
        "train.token_budget packs, which losses on visual tokens (visual_weight, asked_weight) do not allow": (
            not (dense and train.token_budget)
        ),
        "train.learning_rate and train.clip must be positive": min(train.learning_rate, train.clip) > 0,
        "train.fusion_learning_rate and train.gate_learning_rate must not be negative": (
            min(train.fusion_learning_rate, train.gate_learning_rate) >= 0
        ),
        "train.warmup must lie in 0..1": 0 <= train.warmup <= 1,
        "run.workers, .threads, .save_every, .export_every, .evaluate_every and .samples must not be negative": (
            min(counts) >= 0
        ),
        "run.micro_tokens must not be negative": run.micro_tokens >= 0,
        "run.keep, .report_every, .evaluate_visits and .sample_tokens must be at least 1": (
            min(run.keep, run.report_every, run.evaluate_visits, run.sample_tokens) >= 1
        ),
    }
    refuse_broken_rules(checks, path)
