"""Plan the views of an open scene, each with what may be asked about it: descriptions and conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapdata.annotations.benchmark import BenchmarkQuestion
from gapdata.engine.open_scene import OpenScene
from gapdata.engine.outcome import SceneOutcome, note
from gapdata.engine.plan_views import around_view, plan_views
from gapdata.geometry.camera import Intrinsics
from gapdata.records.expressions import Conversation, Expression, descriptions
from gapdata.records.language import stored_conversation, stored_question
from gapdata.records.schema import Record
from gapdata.records.views import View, conversation_views

UNWANTED = "the recipe does not use conversations"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedView:
    """A view that is wanted, with what may be asked about it."""

    view: View
    expressions: tuple[Expression | Conversation, ...] = ()


def ask_views(scene: OpenScene, camera: Intrinsics, outcome: SceneOutcome) -> list[AskedView]:
    """Return the views that can be named before frames are read, in the order of the plan.

    Args:
        scene: the scene.
        camera: of the stored frames, in which the marks of conversations are placed.
        outcome: counts the conversations and views that are dropped.
    """
    asked = _conversations(scene, camera, outcome)
    views = plan_views(
        scene.plan.scene_id,
        scene.usable,
        scene.recipe,
        scene.annotations,
        evaluation=scene.plan.split != "train",
        sightings=scene.sightings,
    )
    keys = {view.key for view in views}
    unshown = sum(key not in keys for key in scene.plan.keys)
    if unshown:
        note(outcome.dropped_views, "no_frame_shows_the_described_object", unshown)
    about_scan = _questions(scene, camera, outcome, shown=any(view.shows_scan for view in views))
    return [
        AskedView(
            view=view,
            expressions=asked[view.key]
            if view.key in asked
            else (*_descriptions(scene, view), *(about_scan if view.shows_scan else ())),
        )
        for view in views
    ]


def note_best_frames(record: Record, best: dict[int, list[Expression]]) -> None:
    """Add the raw frame that shows each described object of a record best, with the description.

    Args:
        record: of a scene view; others do not carry descriptions.
        best: raw frame -> descriptions, added to.
    """
    listed = {item.object_id: item for item in record.objects}
    for expression in descriptions(record):
        frame = record.frame_ids[listed[expression.object_id].best_frame()]
        if expression not in best.setdefault(frame, []):
            best[frame].append(expression)


def around_views(scene: OpenScene, best: Mapping[int, Sequence[Expression]]) -> list[AskedView]:
    """Return a view around each frame that shows a described object best, in order of time."""
    return [
        AskedView(
            view=around_view(scene.plan.scene_id, scene.usable, scene.recipe, frame), expressions=tuple(best[frame])
        )
        for frame in sorted(best)
    ]


def _descriptions(scene: OpenScene, view: View) -> tuple[Expression, ...]:
    """Return all descriptions for the shared scene view, and its own for a view that was drawn for one."""
    if view.kind != "scene":
        return ()
    if view.about is None:
        return scene.expressions
    return tuple(item for item in scene.expressions if (item.object_id, item.ann_id) == view.about)


def _conversations(scene: OpenScene, camera: Intrinsics, outcome: SceneOutcome) -> dict[str, tuple[Conversation, ...]]:
    """Return the conversations about each view that they name, by its key, with their marks in stored pixels."""
    given, dropped = scene.annotations.about_frames, outcome.dropped_conversations
    if not scene.recipe.annotations.conversations:
        if given:
            note(dropped, UNWANTED, len(given))
        return {}
    scan, asked = scene.scan, {}
    for view, items in conversation_views(scene.plan.scene_id, given).items():
        stored = []
        for item in items:
            placed = (
                stored_question(item, scan.color_intrinsics, camera, scan.color_lens)
                if isinstance(item, BenchmarkQuestion)
                else stored_conversation(item, scan.color_intrinsics, camera, scan.color_lens)
            )
            if scan.turned:
                note(dropped, "is about frames as they were captured, and the recipe turns them (frames.upright)")
            elif not item.question:
                note(dropped, "has no question")
            elif placed is None:
                note(dropped, "the mark lies outside the stored image")
            else:
                stored.append(placed)
        asked[view.key] = tuple(stored)
    return asked


def _questions(scene: OpenScene, camera: Intrinsics, outcome: SceneOutcome, *, shown: bool) -> tuple[Conversation, ...]:
    """Return the questions about the whole scan, if there is a view that shows it."""
    given, dropped = scene.annotations.about_scan, outcome.dropped_conversations
    if given and not scene.recipe.annotations.conversations:
        note(dropped, UNWANTED, len(given))
    elif given and not shown:
        note(dropped, "asks about the whole scan, of which the recipe makes no shared view (scene_views)", len(given))
    else:
        placed = [stored_question(item, scene.scan.color_intrinsics, camera) for item in given]
        return tuple(item for item in placed if item is not None)
    return ()
