"""Make the plan of a build: look at every scan, name its views, and lay out the shards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.open_upright import open_upright
from gapdata.engine.plan import ENGINE_VERSION, Plan, ScenePlan, ShardPlan
from gapdata.engine.plan_views import expected_around, plan_views
from gapdata.engine.recipe import Recipe
from gapdata.errors import SourceError
from gapdata.files.natural_order import natural_key
from gapdata.geometry.camera import is_rigid
from gapdata.sources.base import Dataset, Scan


def make_plan(
    dataset: Dataset,
    recipe: Recipe,
    scene_ids: Sequence[str],
    annotations: Mapping[str, SceneAnnotations] | None = None,
) -> Plan:
    """Index every scene's frames and lay out the shards. Scenes of different splits never share a shard.

    Args:
        dataset: where the scenes are.
        recipe: what is wanted of them.
        scene_ids: the scenes to plan.
        annotations: what other people's files say about them, by scene.
    """
    given = annotations or {}
    scenes = [
        _plan_scene(dataset, recipe, scene_id, given.get(scene_id, SceneAnnotations(scene_id=scene_id)))
        for scene_id in sorted(scene_ids, key=natural_key)
    ]
    shards: list[ShardPlan] = []
    per_shard = recipe.shards.scenes_per_shard
    for split in sorted({scene.split for scene in scenes}):
        members = [scene for scene in scenes if scene.split == split]
        for start in range(0, len(members), per_shard):
            name = f"shard-{len(shards):06d}"
            shards.append(ShardPlan(name=name, split=split, scenes=tuple(members[start : start + per_shard])))
    return Plan(engine=ENGINE_VERSION, source=dataset.name, recipe=recipe, shards=tuple(shards))


def _plan_scene(dataset: Dataset, recipe: Recipe, scene_id: str, annotations: SceneAnnotations) -> ScenePlan:
    split, origin = split_of(dataset, recipe, annotations)
    common: dict[str, Any] = {
        "scene_id": scene_id,
        "split": split,
        "split_origin": origin,
        "source_kind": dataset.kind(scene_id),
        "places": dataset.places(scene_id),
        "annotations": hashlib.sha256(annotations.to_json()).hexdigest() if annotations.provenance else "",
    }
    try:
        with open_upright(dataset, scene_id, recipe) as scan:
            usable = is_rigid(scan.camera_to_world)
            views = plan_views(scene_id, usable, recipe, annotations, evaluation=split != "train")
            around = expected_around(views, recipe, annotations)
            neighbours = 1 + 2 * (recipe.around.reach // recipe.around.interval)
            return ScenePlan(
                **common,
                digest=planned_digest(scan, recipe),
                frame_count=int(scan.present.sum()),
                lost_tracking=int((scan.present & ~usable).sum()),
                keys=tuple(view.key for view in views),
                view_frames=sum(len(view.frame_ids) for view in views) + around * neighbours,
                around=around,
                turned=scan.turned,
                unaligned=dataset.annotated(scene_id) and _lacks_alignment(scan),
            )
    except SourceError as error:
        return ScenePlan(
            **common,
            digest=dataset.unreadable_digest(scene_id),
            frame_count=0,
            lost_tracking=0,
            keys=(),
            view_frames=0,
            problem=error.problem,
        )


def _lacks_alignment(scan: Scan) -> bool:
    """Return whether the scan has no axis alignment; a damaged matrix is reported by the build."""
    try:
        return scan.axis_alignment is None
    except SourceError:
        return False


def planned_digest(scan: Scan, recipe: Recipe) -> str:
    """Return the digest of a scan's files as far as the recipe uses them.

    Raises:
        SourceError: one cannot be examined.
    """
    digest = scan.digest(masks=recipe.instances.route == "projected")
    listed = scan.objects_file
    return digest if listed is None else hashlib.sha256(digest.encode() + listed.digest_input()).hexdigest()


def split_of(dataset: Dataset, recipe: Recipe, annotations: SceneAnnotations) -> tuple[str, str]:
    """Return the split of a scene, and the annotation file that says so (empty for the data set itself)."""
    if recipe.annotations.splits:
        for item in annotations.provenance:
            if item.split is not None:
                return item.split, item.source
    return dataset.split(annotations.scene_id), ""
