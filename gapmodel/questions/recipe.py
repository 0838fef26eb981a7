"""The section ``[data]`` of a recipe: which questions are asked about which records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gapdata.geometry.boxes import EulerConvention
from gapdata.prompts.marks import MAX_MARKS
from gapdata.recipes.bounds import Bounds, Count, NotNegative, PositiveCount
from gapdata.recipes.toml_fields import require
from gapdata.records.schema import ViewKind
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import TASKS
from gapdata.tasks.targets import CaptionPoint, TargetBox
from gapdata.tasks.wordings import Wording


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """``[data]``: which questions are asked about which records."""

    task: Annotated[str, tuple(TASKS)] = "pointmap"
    """``pointmap``, ``detection``, ``grounding``, ``grounding_frame``, ``grounding_box``, ``captioning`` or
    ``conversation``."""
    split: str = "train"
    """Split of the records."""
    view: ViewKind = "clip"
    """``clip``, ``scene`` or ``around``."""
    frames: Count = 0
    """Number of frames that are used of a view: the first ones, or random ones with ``reframe``; 0 takes all."""
    prompts: Literal["stored", "sampled"] = "stored"
    """``stored``: ask about the record's own marked pixels; ``sampled``: mark new pixels at every visit (stage 1)."""
    questions_per_view: PositiveCount = 8
    """Questions about a view in one epoch, for sampled prompts."""
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
    """Taxonomy of the names in pointmap and detection; empty takes the record's own labels."""
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


def samples_prompts(data: DataRecipe) -> bool:
    """Return whether marked pixels are drawn anew at every visit, instead of taken from the records."""
    return data.task == "pointmap" and data.prompts == "sampled"


def check_data_recipe(data: DataRecipe, where: str, path: Path | None) -> None:
    """Refuse values that do not go together.

    Args:
        data: the section.
        where: its name in the file, for the message.
        path: the file; ``None`` for the defaults.

    Raises:
        UsageError: two contradict each other; the message has their names and values.
    """
    varied = [name for name, task in TASKS.items() if task.varied]
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
        data.task in varied or not (data.frames or data.reframe or data.mirror),
        f"{where}.frames, .reframe and .mirror are for {' and '.join(varied)} only, because texts that people wrote"
        " about a view are not true of other or mirrored frames",
        path,
    )
