"""The section ``[data]`` of a recipe: which questions are asked about which records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from gapdata.annotations.taxonomy import TAXONOMIES
from gapdata.geometry.boxes import EulerConvention
from gapdata.prompts.marks import MAX_MARKS
from gapdata.recipes.bounds import Bounds, Count, NotNegative, PositiveCount
from gapdata.recipes.typed_fields import from_mapping, require
from gapdata.records.schema import ViewKind
from gapdata.runtime.choices import check_choice
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import TASKS
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.targets import CaptionPoint, TargetBox
from gapdata.tasks.wordings import Wording

SPATIAL = "spatial"
"""The task that asks all types of questions about space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """``[data]``: which questions are asked about which records."""

    task: Annotated[str, (*TASKS, SPATIAL)] = "pointmap"
    """``pointmap``, ``detection``, ``grounding``, ``grounding_frame``, ``grounding_box``, ``captioning``,
    ``conversation``, or ``spatial``: questions about space of all ``types``. The name of one type asks that alone."""
    split: str = "train"
    """Split of the records."""
    view: ViewKind = "clip"
    """``clip``, ``scene`` or ``around``."""
    frames: Count = 0
    """Number of frames that are used of a view: the first ones, or random ones with ``reframe``; 0 takes all."""
    prompts: Literal["stored", "sampled"] = "stored"
    """``stored``: ask about the record's own marked pixels; ``sampled``: mark new pixels at every visit (stage 1)."""
    questions_per_view: PositiveCount = 8
    """Questions about a view in one epoch, for sampled prompts, and the most for questions about space, which are drawn
    anew in each epoch."""
    types: tuple[Annotated[str, tuple(KINDS)], ...] = ()
    """The types of ``spatial``; empty takes all that the kind of view can be asked."""
    type_weights: dict[str, Any] = field(default_factory=dict)
    """How often a type of ``spatial`` is drawn, relative to the others, which have 1; 0 leaves it out."""
    questions: str = ""
    """A file of `gapdata questions`: its questions about space are asked instead of drawn ones, each once in an epoch.
    They were balanced over the whole build, so that their texts tell less of the answers."""
    per_kind: PositiveCount = 2
    """The most questions of one type of question about space about a view in one epoch."""
    visits: Count = 1
    """Times that a record is visited in an epoch. Each visit asks an equal share of the record's questions, and
    questions of one visit about the same pixels share one encoded view; more visits mix scenes better. 0 visits a
    record once for each question, so that ``batch_size`` counts questions, as in the authors' code."""
    reframe: bool = False
    """Choose frames and their order anew at every visit; the first frame becomes the reference."""
    mirror: bool = False
    """Mirror the frames at every second visit."""
    wording: Wording = "consistent"
    """Texts of the questions: ``consistent``, ``gap``, ``vgllm_v1`` or ``vgllm_v2`` (:mod:`gapdata.tasks.wordings`)."""
    convention: Literal[EulerConvention, ""] = ""
    """Euler convention of a box's three angles, ``extrinsic_zxy`` or ``intrinsic_zxy``; empty takes the wording's
    own."""
    taxonomy: str = ""
    """Taxonomy of the names in pointmap, detection and questions about space; empty takes the record's own labels."""
    missing_label: MissingLabel = "label"
    """For an object that the taxonomy does not name: ``label`` uses the record's own label, ``drop`` leaves it out."""
    marks: Annotated[int, Bounds(1, MAX_MARKS)] = 1
    """Number of pixels that one pointmap question marks; more than 1 only for stored prompts."""
    space: Literal["metric", "image"] = "metric"
    """Space of the answers of pointmap and detection: ``metric``, or ``image``, which is without geometry
    (:mod:`gapdata.tasks.image_space`; pointmap only with sampled prompts)."""
    boxes: TargetBox = "aligned"
    """Box that grounding asks for: ``aligned`` (ScanRefer's) or ``oriented`` (the record's own)."""
    caption_point: CaptionPoint = "truth"
    """Captioning marks the centre of the true box (``truth``), or of the best ``proposal``."""
    min_visible_pixels: PositiveCount = 50
    """Detection asks for objects with at least this many visible pixels in one frame."""
    max_objects: Count = 0
    """Detection asks for at most this many objects, the most visible ones; 0 for all."""
    max_misalignment: NotNegative = 0.0
    """Most metres by which a record's frames must be moved to agree with most of their neighbours
    (``neighbour_misalignment`` of the index); 0 takes all records. With a limit here or in the next three fields,
    records that were not measured are left out."""
    max_residual: NotNegative = 0.0
    """Largest disagreement between neighbouring frames, as a multiple of what sensor noise explains
    (``neighbour_residual`` of the index); 0 takes all records."""
    min_valid_depth: NotNegative = 0.0
    """Smallest share of a record's pixels with valid depth."""
    min_sharpness: NotNegative = 0.0
    """Smallest mean sharpness of a record's frames."""


def stored_data_recipe(fields: Mapping[str, Any]) -> DataRecipe:
    """Read a section that a run has stored, whatever its version: fields that are not known any more are left out.

    Raises:
        UsageError: a value has the wrong type or is out of bounds.
    """
    known = {item.name for item in dataclasses.fields(DataRecipe)}
    recipe: DataRecipe = from_mapping(DataRecipe, {name: value for name, value in fields.items() if name in known})
    return recipe


def samples_prompts(data: DataRecipe) -> bool:
    """Return whether marked pixels are drawn anew at every visit, instead of taken from the records."""
    return data.task == "pointmap" and data.prompts == "sampled"


def spatial_types(data: DataRecipe) -> Mapping[str, float]:
    """Return the types of questions about space that are asked, with their weights; empty for other tasks."""
    if data.task in KINDS:
        return {data.task: 1.0}
    if data.task != SPATIAL:
        return {}
    names = data.types or [name for name, kind in KINDS.items() if data.view in kind.views]
    weights = {name: float(data.type_weights.get(name, 1)) for name in names}
    return {name: weight for name, weight in weights.items() if weight > 0}


def check_data_recipe(data: DataRecipe, where: str, path: Path | None) -> None:
    """Refuse values that do not go together.

    Args:
        data: the section.
        where: its name in the file, for the message.
        path: the file; ``None`` for the defaults.

    Raises:
        UsageError: two contradict each other; the message has their names and values.
    """
    _check_types(data, where, path)
    spoken = data.task in TASKS and not TASKS[data.task].varied
    require(
        data.space == "metric" or data.task == "detection" or samples_prompts(data),
        f"{where}.space = image is possible only for detection, and for pointmap with {where}.prompts = sampled",
        path,
    )
    require(
        data.marks == 1 or data.prompts == "stored",
        f"{where}.marks is {data.marks}; more than 1 needs {where}.prompts = stored",
        path,
    )
    require(
        not spoken or not (data.frames or data.reframe or data.mirror),
        f"{where}.frames, .reframe and .mirror are not for {data.task}, because texts that people wrote about a view"
        " are not true of other or mirrored frames",
        path,
    )


def _check_types(data: DataRecipe, where: str, path: Path | None) -> None:
    if data.taxonomy:
        check_choice(f"{where}.taxonomy", data.taxonomy, TAXONOMIES, path=path)
    require(
        data.task == SPATIAL or not (data.types or data.type_weights),
        f"{where}.types and .type_weights are for {where}.task = {SPATIAL}, not {data.task}",
        path,
    )
    require(
        bool(spatial_types(data)) or not data.questions,
        f"{where}.questions is for questions about space, not for {where}.task = {data.task}",
        path,
    )
    require(
        not data.questions or not (data.frames or data.reframe or data.mirror or data.type_weights),
        f"{where}.questions = {data.questions!r} are about views as they are stored, so .frames, .reframe, .mirror and"
        " .type_weights cannot be set",
        path,
    )
    for name, weight in data.type_weights.items():
        check_choice(f"type in {where}.type_weights", name, KINDS)
        number = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight < math.inf
        require(number, f"{where}.type_weights.{name} is {weight!r}, expected a number of at least 0", path)
    named = data.types or ((data.task,) if data.task in KINDS else ())
    for name in named:
        views = KINDS[name].views
        require(
            data.view in views,
            f"{where} asks {name} about views of kind {data.view}, but it is asked only about {' and '.join(views)}",
            path,
        )
    require(
        data.task != SPATIAL or bool(spatial_types(data)),
        f"{where}.type_weights leaves out all types that views of kind {data.view} can be asked",
        path,
    )
