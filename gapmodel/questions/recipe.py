"""``[data]`` of a recipe: which questions are asked about which records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from gapdata.geometry.boxes import EulerConvention
from gapdata.prompts.marks import MAX_MARKS
from gapdata.recipes.toml_fields import refuse_broken_rules, refuse_unknown_choices
from gapdata.records.schema import VIEW_KINDS
from gapdata.tasks.labels import MissingLabel
from gapdata.tasks.questions import TASKS
from gapdata.tasks.targets import CaptionPoint, TargetBox
from gapdata.tasks.wordings import WORDINGS

CONVENTIONS = get_args(EulerConvention)


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


def samples_prompts(data: DataRecipe) -> bool:
    """Return whether a stream draws its marked pixels itself, instead of asking about those of its records."""
    return data.task == "pointmap" and data.prompts == "sampled"


def check_data_recipe(data: DataRecipe, where: str, path: Path | None) -> None:
    """Refuse values that are out of range or do not go together.

    Args:
        data: the section.
        where: its name in the file, for the message.
        path: of the file; ``None`` for the defaults.

    Raises:
        UsageError: one is; the message names the rule.
    """
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
    varied = [name for name, task in TASKS.items() if task.varied]
    checks = {
        f"{where}.space must be metric, or image (for detection, and for pointmap with sampled prompts)": (
            data.space == "metric" or (data.space == "image" and (data.task == "detection" or samples_prompts(data)))
        ),
        f"{where}.marks must lie in 1..{MAX_MARKS}, above 1 only with stored prompts": (
            data.marks == 1 or (1 < data.marks <= MAX_MARKS and data.prompts == "stored")
        ),
        f"{where}.frames, .reframe and .mirror are for {' and '.join(varied)} only: language does not follow": (
            data.task in varied or not (data.frames or data.reframe or data.mirror)
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
