"""Say before a build what its records will lack although nothing is damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.gathering import BuildAnnotations
from gapdata.engine.plan import ScenePlan
from gapdata.engine.recipe import Recipe
from gapdata.sources.base import Dataset


def advice(
    dataset: Dataset, recipe: Recipe, scene_ids: Sequence[str], annotations: BuildAnnotations
) -> tuple[str, ...]:
    """Return a line for each thing that records will lack because the data set or the files lack it.

    Args:
        dataset: the scans.
        recipe: of the build.
        scene_ids: the scenes of the build.
        annotations: what other people's files say about them.
    """
    lines = [*dataset.lacks(scene_ids, splits_given=annotations.splits is not None)]
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
    """Annotated scenes that lack the matrix to their aligned world."""

    scene_ids: tuple[str, ...]
    descriptions: int  # those of these scenes


def unaligned(scenes: Sequence[ScenePlan], annotations: Mapping[str, SceneAnnotations]) -> Unaligned:
    """Return which annotated scenes lack ``axisAlignment``, mostly because their ``.txt`` was not downloaded."""
    found = tuple(scene.scene_id for scene in scenes if scene.unaligned)
    given = [annotations[scene_id] for scene_id in found if scene_id in annotations]
    return Unaligned(scene_ids=found, descriptions=sum(len(item.descriptions) for item in given))


def split_report(dataset: Dataset, scene_ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return the scenes that several split files name, with the splits, for ``report.json``."""
    twice = {name: list(dataset.in_two_splits[name]) for name in scene_ids if name in dataset.in_two_splits}
    return {"in_two_splits": twice} if twice else {}
