"""Builds one shard: a pure function of its task, wherever an executor runs it.

Damage is contained at the smallest thing that it spoils: a frame that cannot be decoded takes its views with it, a
scan that cannot be opened or whose annotation is broken takes its scene; everything else is built. What is lost is
written to ``failed/<scene>.json`` and counted in the shard's commit record.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.atomic import write_atomically
from gapdata.engine.allocation import keep_freed_memory
from gapdata.engine.plan import ScenePlan, ShardPlan, shard_fingerprint
from gapdata.engine.quality import refuse_bad_poses
from gapdata.engine.recipe import Recipe
from gapdata.engine.views import plan_views
from gapdata.errors import SourceError
from gapdata.prompts.instances import InstanceMasks, InstanceRenderer
from gapdata.prompts.projected import ProjectedInstances
from gapdata.prompts.sampling import PromptSampling
from gapdata.records.assemble import AssemblySettings, SceneObjects, assemble_record, scene_objects
from gapdata.records.prepare import FramePreparer, FrameSettings, usable_poses
from gapdata.records.quality import QualityMeter
from gapdata.records.schema import Record
from gapdata.records.views import View
from gapdata.seeding import generator_for
from gapdata.shards.writer import ShardWriter
from gapdata.sources.base import Dataset, Scan
from gapdata.storage import Location

FAILED_FOLDER = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """All that is needed to build one shard: small, so that it travels to any worker."""

    dataset: Dataset
    out: Location
    recipe: Recipe
    shard: ShardPlan


@dataclass(slots=True, kw_only=True)
class SceneOutcome:
    """What became of one scene, for the commit record."""

    scene_id: str
    split: str
    frames: int = 0
    lost_tracking: int = 0
    empty_depth: int = 0
    annotated: bool = False
    records: int = 0
    prompts: int = 0
    dropped_views: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    prompts_by_label: dict[str, int] = field(default_factory=dict)
    quarantined: list[dict[str, Any]] = field(default_factory=list)


def build_shard(task: ShardTask, progress: Callable[[int], None] = lambda frames: None) -> dict[str, Any]:
    """Write the shard's tar and then its commit record, and return that record.

    Args:
        task: what to build.
        progress: called with the number of view frames that are done.

    Raises:
        OSError: the output cannot be written (a full disk); nothing is left under the shard's name then.
    """
    keep_freed_memory()
    outcomes: list[SceneOutcome] = []
    tar = task.out / f"{task.shard.name}.tar"
    with ShardWriter(tar) as writer:
        for scene in task.shard.scenes:
            outcome = SceneOutcome(
                scene_id=scene.scene_id, split=scene.split, frames=scene.frame_count, lost_tracking=scene.lost_tracking
            )
            _build_scene(task, scene, outcome, writer, progress)
            outcomes.append(outcome)
    if not writer.records:
        # Tools treat an empty tar as an error; a shard without records has a commit record only.
        tar.unlink()
    for outcome in outcomes:
        _write_failures(task.out, outcome)
    commit = {
        "shard": task.shard.name,
        "fingerprint": shard_fingerprint(task.dataset.name, task.recipe, task.shard),
        "split": task.shard.split,
        "tar_bytes": writer.size if writer.records else 0,
        "sha256": writer.sha256 if writer.records else "",
        "scenes": [_outcome_fields(outcome) for outcome in outcomes],
        "records": writer.records,
    }
    write_atomically(task.out / f"{task.shard.name}.json", json.dumps(commit, indent=1).encode())
    return commit


def _build_scene(
    task: ShardTask, scene: ScenePlan, outcome: SceneOutcome, writer: ShardWriter, progress: Callable[[int], None]
) -> None:
    try:
        with task.dataset.open_scan(scene.scene_id) as scan:
            outcome.notes.update(scan.notes)
            usable = usable_poses(scan)
            objects, masks = _read_annotation(task, scan, outcome)
            frames = task.recipe.frames
            preparer = FramePreparer(
                scan,
                FrameSettings(
                    image_size=frames.image_size,
                    jpeg_quality=frames.jpeg_quality,
                    near=frames.near,
                    far=frames.far,
                    min_valid_depth=frames.min_valid_depth,
                ),
                masks,
            )
            meter = QualityMeter(preparer.camera, scan.camera_to_world, task.recipe.quality.min_overlap)
            empty: set[int] = set()
            for view in plan_views(scene.scene_id, usable, task.recipe):
                record = _build_view(task, scene, scan, view, preparer, meter, objects, usable, outcome, empty)
                progress(len(view.frame_ids))
                if record is not None:
                    writer.write(record)
                    _count(outcome, record)
            outcome.empty_depth = len(empty)
            if masks is not None:
                outcome.notes.update(masks.notes)
            if not outcome.records and not outcome.quarantined:
                _note(outcome.dropped_views, "scan_too_short_for_any_view")
    except SourceError as error:
        _quarantine(outcome, error)


def _build_view(
    task: ShardTask,
    scene: ScenePlan,
    scan: Scan,
    view: View,
    preparer: FramePreparer,
    meter: QualityMeter,
    objects: SceneObjects | None,
    usable: NDArray[np.bool_],
    outcome: SceneOutcome,
    empty: set[int],
) -> Record | None:
    """One record, or ``None`` after saying why there is none."""
    recipe = task.recipe
    try:
        final = _without_empty_frames(view, preparer, usable, recipe, empty)
        if final is None:
            _note(outcome.dropped_views, "empty_depth")
            return None
        prepared = [preparer.prepare(frame) for frame in final.frame_ids]
        quality = meter.measure(prepared)
        refuse_bad_poses(scan, final, quality, recipe.quality)
    except SourceError as error:
        _quarantine(outcome, error, view.key)
        return None
    prompts = recipe.prompts
    return assemble_record(
        scan,
        final,
        prepared,
        preparer.camera,
        objects,
        AssemblySettings(
            pointmap_stride=recipe.frames.pointmap_stride,
            min_visible_pixels=recipe.instances.min_visible_pixels,
            prompts=PromptSampling(
                per_view=prompts.per_view, per_object=prompts.per_object, border=prompts.border, spacing=prompts.spacing
            ),
            mark_native_width=prompts.mark_native_width,
        ),
        quality=quality,
        split=scene.split,
        source=task.dataset.name,
        rng=generator_for(recipe.seed, "prompts", view.key),
    )


def _without_empty_frames(
    view: View, preparer: FramePreparer, usable: NDArray[np.bool_], recipe: Recipe, empty: set[int]
) -> View | None:
    """The view if all its frames have depth. A clip with an empty frame is dropped, because its key and timing name
    exact frames; a scene view is spread anew over the frames that are left."""
    while True:
        found = {frame for frame in view.frame_ids if frame in empty or not preparer.has_depth(frame)}
        if not found:
            return view
        empty |= found
        if view.kind == "clip":
            return None
        remaining = usable.copy()
        remaining[list(empty)] = False
        again = [other for other in plan_views(preparer.scene_id, remaining, recipe) if other.key == view.key]
        if not again:
            return None
        view = again[0]


def _read_annotation(
    task: ShardTask, scan: Scan, outcome: SceneOutcome
) -> tuple[SceneObjects | None, InstanceMasks | None]:
    annotation = scan.annotation()
    if annotation is None:
        return None, None
    outcome.annotated = True
    outcome.notes.update(annotation.notes)
    labels = {item.object_id: task.dataset.labels(item.label) for item in annotation.objects}
    unmapped = sum("nyu40" not in names for names in labels.values())
    objects = scene_objects(annotation, labels, scan.axis_alignment)
    for name, count in (("label_not_in_map", unmapped), ("object_without_box", len(objects.without_box))):
        if count:
            outcome.notes[name] = count
    instances = task.recipe.instances
    if instances.route == "projected":
        return objects, ProjectedInstances(scan, annotation, task.recipe.frames.image_size)
    return objects, InstanceRenderer(annotation, instances.tolerance, instances.relative_tolerance)


def _count(outcome: SceneOutcome, record: Record) -> None:
    outcome.records += 1
    outcome.prompts += len(record.prompts)
    for prompt in record.prompts:
        _note(outcome.prompts_by_label, prompt.label or "")


def _note(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _quarantine(outcome: SceneOutcome, error: SourceError, key: str | None = None) -> None:
    outcome.quarantined.append(
        {
            "scene_id": outcome.scene_id,
            "key": key,
            "frame": error.frame,
            "path": error.path,
            "problem": error.problem,
            "cure": error.cure,
            "traceback": "".join(traceback.format_exception(error)),
        }
    )


def _write_failures(out: Location, outcome: SceneOutcome) -> None:
    path = out / FAILED_FOLDER / f"{outcome.scene_id}.json"
    if outcome.quarantined:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(outcome.quarantined, indent=1).encode())
    else:
        path.unlink(missing_ok=True)


def _outcome_fields(outcome: SceneOutcome) -> dict[str, Any]:
    fields = {name: getattr(outcome, name) for name in SceneOutcome.__dataclass_fields__}
    without_traces = [{k: v for k, v in item.items() if k != "traceback"} for item in outcome.quarantined]
    return {**fields, "prompts_by_label": dict(sorted(outcome.prompts_by_label.items())), "quarantined": without_traces}
