"""What a build will lack although nothing is damaged, said before the hours that it takes and not after."""

from __future__ import annotations

from collections.abc import Sequence

from gapdata.annotations.taxonomy import LABEL_MAP_NAME
from gapdata.engine.gathering import BuildAnnotations
from gapdata.engine.recipe import Recipe
from gapdata.sources.base import Dataset
from gapdata.sources.scannet import SPLIT_FILES, ScanNetDataset


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
