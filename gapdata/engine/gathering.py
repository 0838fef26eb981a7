"""Gather the annotation files of a build: read them once, check them against the recipe, divide them by scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdata.annotations.annotation_file import AnnotationFile
from gapdata.annotations.bundle import gather
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.annotations.splits import Overlap, overlaps, refuse_overlap
from gapdata.engine.make_plan import split_of
from gapdata.engine.recipe import Recipe
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset

NAMED_OVERLAPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAnnotations:
    """What the annotation files named by the user say about the scenes of a data set."""

    scenes: Mapping[str, SceneAnnotations] = field(default_factory=dict)
    splits: Mapping[str, str] | None = None
    """The scenes to build with the split of each, where the recipe lets the files decide; ``None``: the data set's."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """For ``report.json``: what was taken from each file and what was not, and the overlap of splits."""
    lines: tuple[str, ...] = ()  # the same as text


def gather_annotations(
    dataset: Dataset, recipe: Recipe, paths: Sequence[AnnotationFile | Location]
) -> BuildAnnotations:
    """Read annotation files for the scenes of a data set.

    Raises:
        FileError: a file is damaged or of an unknown kind.
        UsageError: the recipe needs a kind of file that is not among them; the split of a file is not given, or its
            scenes contradict it; or scenes are both trained and evaluated on, and the recipe does not allow it.
    """
    known = {scene_id: dataset.split(scene_id) for scene_id in dataset.scene_ids}
    allowed = recipe.annotations.allow_overlap
    gathered = gather(paths, known, source=dataset.name, scene_splits=known) if paths else None
    _refuse_missing(recipe, {} if gathered is None else gathered.scenes)
    if gathered is None:
        return BuildAnnotations()
    by_files = recipe.annotations.splits
    found = overlaps(gathered.report.file_splits, known, use_data_set_splits=not by_files)
    refuse_overlap(found, allow_overlap=allowed)
    if gathered.report.contradictions and not allowed:
        raise gathered.report.contradictions[0]
    splits = None
    if by_files:
        splits = {scene_id: split_of(dataset, recipe, item)[0] for scene_id, item in gathered.scenes.items()}
    report = {
        **gathered.report.to_dict(),
        "overlap": [_plain(item) for item in found],
    }
    return BuildAnnotations(
        scenes=gathered.scenes,
        splits=splits,
        report=report,
        lines=(*gathered.report.lines(), *_warnings(found)),
    )


def _refuse_missing(recipe: Recipe, scenes: Mapping[str, SceneAnnotations]) -> None:
    views, own = recipe.scene_views, recipe.objects.source == "embodiedscan"
    per_description = views.enabled and views.per_description > 0
    if (own or per_description) and not any(item.boxes is not None for item in scenes.values()):
        field = 'objects.source = "embodiedscan"' if own else "scene_views.per_description"
        raise UsageError(
            f"the recipe's {field} needs EmbodiedScan's boxes, and no file has any for these scenes",
            cure="name embodiedscan_infos_train.pkl (or _val, _test) with --annotations",
        )
    if per_description and not any(item.descriptions for item in scenes.values()):
        raise UsageError(
            "the recipe's scene_views.per_description needs descriptions, and no file has any for these scenes",
            cure="name ScanRefer_filtered_train.json (or _val) with --annotations",
        )
    if recipe.annotations.conversations and not any(item.conversations or item.questions for item in scenes.values()):
        raise UsageError(
            "the recipe's annotations.conversations needs conversations, and no file has any for these scenes",
            cure="name GAP-MLLM's or VG-LLM's JSON files, or a benchmark's questions, with --annotations",
        )


def _plain(item: Overlap) -> dict[str, Any]:
    return {
        "scene_id": item.scene_id,
        "trained_by": list(item.trained_by),
        "evaluated_by": list(item.evaluated_by),
    }


def _warnings(found: Sequence[Overlap]) -> list[str]:
    if not found:
        return []
    named = few([item.scene_id for item in found], NAMED_OVERLAPS)
    return [
        f"note: {counted(len(found), 'scene')} both trained and evaluated on, as annotations.allow_overlap allows: "
        f"{named}"
    ]
