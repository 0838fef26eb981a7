"""``[data]`` of a recipe: which questions are asked about which records."""

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
    """Whose records."""
    view: ViewKind = "clip"
    """``clip``, ``scene`` or ``around``."""
    frames: Count = 0
    """Frames of a view that are used: the first so many, or random ones with ``reframe``; 0 takes all, in order."""
    prompts: Literal["stored", "sampled"] = "stored"
    """``stored``: the record's own; ``sampled``: a new pixel at every visit (stage 1)."""
    questions_per_view: PositiveCount = 8
    """Questions about a view in one epoch, with sampled prompts."""
    visits: Count = 1
    """Times that a record is visited in an epoch; 0: once for each of its questions, alone, so that ``batch_size``
    counts questions, as the authors' does. Each visit asks an equal share of the record's questions, and those
    that are asked at one visit about the same pixels share one encoded view; more visits mix scenes better."""
    reframe: bool = False
    """Choose frames and their order anew at every visit; the first becomes the reference."""
    mirror: bool = False
    """Show every other visit mirrored."""
    wording: Wording = "consistent"
    """Whose texts: ``consistent``, ``gap``, ``vgllm_v1`` or ``vgllm_v2`` (:mod:`gapdata.tasks.wordings`)."""
    convention: Literal[EulerConvention, ""] = ""
    """Meaning of a box's three angles; empty takes the wording's own (:mod:`gapdata.tasks.wordings`)."""
    taxonomy: str = ""
    """Whose names pointmap and detection use; empty takes the record's own labels."""
    missing_label: MissingLabel = "label"
    """Where the taxonomy has no name: ``label`` uses the record's own, ``drop`` leaves the object out."""
    marks: Annotated[int, Bounds(1, MAX_MARKS)] = 1
    """Pixels that one pointmap question marks."""
    space: Literal["metric", "image"] = "metric"
    """Where pointmap and detection say that things are: ``metric``, or ``image``, where nothing is geometry
    (:mod:`gapdata.tasks.image_space`; of pointmap with sampled prompts only)."""
    boxes: TargetBox = "aligned"
    """Grounding's box: ``aligned`` (ScanRefer's) or ``oriented`` (the record's own)."""
    caption_point: CaptionPoint = "truth"
    """Captioning points at the centre of the true box, or of the best ``proposal``."""
    min_visible_pixels: PositiveCount = 50
    """Detection asks for objects that show at least so many pixels in one frame."""
    max_objects: Count = 0
    """Detection asks for at most so many objects, the most visible ones; 0 for all."""
    max_misalignment: NotNegative = 0.0
    """Only records whose frames must be moved by at most so many metres to agree with most of their neighbours
    (``neighbour_misalignment`` of the index); 0 takes all. Records that were not measured are left out, as with the
    next three."""
    max_residual: NotNegative = 0.0
    """Only records whose neighbouring frames disagree by at most so many times what sensor noise explains
    (``neighbour_residual``); 0 takes all."""
    min_valid_depth: NotNegative = 0.0
    """Only records with at least this share of pixels with depth."""
    min_sharpness: NotNegative = 0.0
    """Only records whose frames are at least this sharp on average."""


def samples_prompts(data: DataRecipe) -> bool:
    """Return whether a stream draws its marked pixels itself, instead of asking about those of its records."""
    return data.task == "pointmap" and data.prompts == "sampled"


def check_data_recipe(data: DataRecipe, where: str, path: Path | None) -> None:
    """Refuse values that do not go together.

    Args:
        data: the section.
        where: its name in the file, for the message.
        path: the file; ``None`` for the defaults.

    Raises:
        UsageError: two do not; the message has their names and values.
    """
    varied = [name for name, task in TASKS.items() if task.varied]
    require(
        data.space == "metric" or data.task == "detection" or samples_prompts(data),
        f"{where}.space is image, which only detection, and pointmap with sampled prompts, can be asked in",
        path,
    )
    require(
        data.marks == 1 or data.prompts == "stored",
        f"{where}.marks is {data.marks}, and more than 1 need {where}.prompts = stored",
        path,
    )
    require(
        data.task in varied or not (data.frames or data.reframe or data.mirror),
        f"{where}.frames, .reframe and .mirror are for {' and '.join(varied)} only, because texts that people wrote"
        " do not follow",
        path,
    )
