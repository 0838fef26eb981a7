"""What a build will lack although nothing is damaged, said before the hours that it takes and not after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.annotations.taxonomy import LABEL_MAP_NAME
from gapdata.engine.gathering import BuildAnnotations
from gapdata.engine.plan import ScenePlan
from gapdata.engine.recipe import Recipe
from gapdata.runtime.counting import counted, few
from gapdata.sources.base import Dataset
from gapdata.sources.scannet import SPLIT_FILES, ScanNetDataset

NAMED = 5


def advice(
    dataset: Dataset, recipe: Recipe, scene_ids: Sequence[str], annotations: BuildAnnotations
) -> tuple[str, ...]:
    """A line for each thing that the data set or the files lack and that records would have with it.

    Args:
        dataset: what is built.
        recipe: how.
        scene_ids: the scenes of the build.
        annotations: what was read of other people's files.
    """
    lines: list[str] = []
    if isinstance(dataset, ScanNetDataset):
        if annotations.splits is None and all(dataset.split(scene_id) == "unknown" for scene_id in scene_ids):
            names = ", ".join(SPLIT_FILES.values())
            lines.append(
                f"note: none of {names} in or above {dataset.root} names these scenes, so their split is 'unknown'; "
                "training and evaluation look for train and val unless told otherwise"
            )
        twice = [scene_id for scene_id in scene_ids if scene_id in dataset.in_two_splits]
        if twice:
            named = [f"{scene_id} ({', '.join(dataset.in_two_splits[scene_id])})" for scene_id in twice]
            lines.append(
                f"warning: {counted(len(twice), 'scene')} in more than one of the split files in or above"
                f" {dataset.root}: {few(named, NAMED)}; the last one counts, so that nothing"
                " held out is trained on"
            )
        if not dataset.label_map.rows and any(map(dataset.annotated, scene_ids)):
            lines.append(
                f"note: no {LABEL_MAP_NAME} in or above {dataset.root}, so objects keep their raw names alone; "
                "the evaluation lists need it"
            )
    lines += [f"note: {dataset.root}/{name} is passed over: it {why}" for name, why in dataset.passed_over.items()]
    described = any(item.descriptions for item in annotations.scenes.values())
    if recipe.around.enabled and not described:
        lines.append(
            "note: no file describes an object of these scenes, so there will be no `around` views and nothing to "
            "ground; name ScanRefer's files with --annotations"
        )
    return tuple(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaligned:
    """Annotated scenes without the matrix to their aligned world, and how many descriptions need it."""

    scene_ids: tuple[str, ...]
    descriptions: int


def unaligned(scenes: Sequence[ScenePlan], annotations: Mapping[str, SceneAnnotations]) -> Unaligned:
    """Return which planned scenes have no ``axisAlignment``, though they are annotated: mostly their ``.txt``, a
    download of its own, is not there.
    """
    found = tuple(scene.scene_id for scene in scenes if scene.unaligned)
    given = [annotations[scene_id] for scene_id in found if scene_id in annotations]
    return Unaligned(scene_ids=found, descriptions=sum(len(item.descriptions) for item in given))


def split_report(dataset: Dataset, scene_ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return for ``report.json`` the scenes that several split files name, with the splits; the last one counts."""
    if not isinstance(dataset, ScanNetDataset):
        return {}
    twice = {name: list(dataset.in_two_splits[name]) for name in scene_ids if name in dataset.in_two_splits}
    return {"in_two_splits": twice} if twice else {}
