"""Make the records of one scene: open it, plan its views, prepare their frames, judge, assemble, enter.

Each step takes what the one before hands on, and never goes back to it. Damage costs as little as it can: a frame that
cannot be decoded costs the views that need it; a scan that cannot be opened, or that has a broken annotation, costs its
scene. Everything else is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.asked_views import AskedView, around_views, ask_views, note_best_frames
from gapdata.engine.bad_scans import refuse_bad_scan
from gapdata.engine.bad_views import refuse_bad_poses
from gapdata.engine.open_scene import OpenScene, open_scene
from gapdata.engine.outcome import Ledger, SceneOutcome
from gapdata.engine.plan import ScenePlan
from gapdata.engine.prepare_views import PreparedView, ViewFrames, prepare_view
from gapdata.engine.recipe import Recipe
from gapdata.engine.suspicions import suspect_depth
from gapdata.errors import SourceError
from gapdata.prompts.sampling import PromptSampling
from gapdata.records.assemble import AssemblySettings, assemble_record
from gapdata.records.expressions import Expression
from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.sources.base import Dataset, Scan


def scene_records(
    dataset: Dataset,
    scan: Scan,
    plan: ScenePlan,
    recipe: Recipe,
    annotations: SceneAnnotations,
    outcome: SceneOutcome,
    progress: Callable[[int], None],
) -> Iterator[Record]:
    """Yield every record of a scene, in the order of its plan; views around a frame come last.

    Args:
        dataset: where the scene is from.
        scan: the scene, open.
        plan: what the build expects of it.
        recipe: what is wanted.
        annotations: what annotation files say about it.
        outcome: counts everything that is made, noticed or lost.
        progress: called with the number of frames of each view that is done.

    Raises:
        SourceError: the scan does not have a usable pose, its annotation is broken, or it is badly posed.
    """
    scene = open_scene(dataset, scan, plan, recipe, annotations, outcome)
    frames = ViewFrames(scene)
    views = ask_views(scene, frames.preparer.typical_camera, outcome)
    frames.preparer.expect(asked.view.frame_ids for asked in views)
    _judge_scan(scene, frames, views)
    ledger = Ledger(outcome, scene.reasons_if_lost())
    best: dict[int, list[Expression]] = {}
    for record in _records(scene, frames, views, ledger, progress):
        yield record
        note_best_frames(record, best)
    if recipe.around.enabled:
        views = around_views(scene, best)
        frames.preparer.expect(asked.view.frame_ids for asked in views)
        yield from _records(scene, frames, views, ledger, progress)
    ledger.close()
    outcome.empty_depth = len(frames.empty)
    outcome.suspicion = suspect_depth(scene, frames, outcome)
    outcome.notes.update({} if scene.masks is None else scene.masks.notes)


def _judge_scan(scene: OpenScene, frames: ViewFrames, views: Iterable[AskedView]) -> None:
    """Refuse a scan that is badly posed, before any view is made.

    Raises:
        SourceError: it is.
    """
    needed = scene.usable_frames(asked.view for asked in views)
    quality, far = scene.recipe.quality, scene.recipe.frames.far
    refuse_bad_scan(scene.scan, frames.preparer, frames.meter, scene.usable, needed, quality, far)


def _records(
    scene: OpenScene,
    frames: ViewFrames,
    views: Iterable[AskedView],
    ledger: Ledger,
    progress: Callable[[int], None],
) -> Iterator[Record]:
    """Make the record of each view and enter it; the outcome says why a view does not have one."""
    for asked in views:
        prepared = _prepared(scene, frames, asked, ledger.outcome)
        record = None if prepared is None else _assembled(scene, asked, prepared)
        progress(len(asked.view.frame_ids))
        if record is not None:
            ledger.enter(record)
            yield record


def _prepared(scene: OpenScene, frames: ViewFrames, asked: AskedView, outcome: SceneOutcome) -> PreparedView | None:
    """Prepare a view and judge it; return ``None`` where that fails, with the reason in the outcome."""
    try:
        prepared = prepare_view(scene, frames, asked.view, outcome)
        if prepared is not None:
            refuse_bad_poses(scene.scan, prepared.view, prepared.quality, scene.recipe.quality)
    except SourceError as error:
        outcome.quarantine(error, asked.view.key)
        return None
    return prepared


def _assembled(scene: OpenScene, asked: AskedView, prepared: PreparedView) -> Record:
    recipe, plan = scene.recipe, scene.plan
    prompts = recipe.prompts
    settings = AssemblySettings(
        pointmap_stride=recipe.frames.pointmap_stride,
        min_visible_pixels=recipe.instances.min_visible_pixels,
        prompts=PromptSampling(
            per_view=prompts.per_view,
            per_object=prompts.per_object,
            border=prompts.border,
            spacing=prompts.spacing,
        ),
        mark_native_width=prompts.mark_native_width,
    )
    return assemble_record(
        scene.scan,
        prepared.view,
        prepared.frames,
        scene.objects,
        settings,
        expressions=asked.expressions,
        quality=prepared.quality,
        split=plan.split,
        split_origin=plan.split_origin,
        source=scene.dataset,
        rng=generator_for(recipe.seed, "prompts", asked.view.key),
        masks=scene.masks_from,
        room=scene.room,
        distances=scene.distances,
    )
