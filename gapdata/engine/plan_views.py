"""Plan the views of a scan: a pure function of the recipe, the usable frames and the annotations."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.recipe import Recipe, SceneViewRecipe
from gapdata.frames.selection import ClipSelection, select_around, select_uniform
from gapdata.records.keys import around_key, scene_key
from gapdata.records.views import View, clip_views, conversation_views
from gapdata.seeding import generator_for

Sightings = Mapping[int, Collection[int]]
"""Object id -> raw frames that show it, as EmbodiedScan has it."""


def plan_views(
    scene_id: str,
    usable: NDArray[np.bool_],
    recipe: Recipe,
    annotations: SceneAnnotations,
    *,
    evaluation: bool = False,
    sightings: Sightings | None = None,
) -> list[View]:
    """Return all views of a scan that can be named before its frames are read.

    These are clips, scene views, and the views that conversations ask about. Views around a frame follow from the scene
    views, see :func:`around_view`.

    Args:
        scene_id: of the scan.
        usable: (N,) bool, frames that may enter a view.
        recipe: what is wanted.
        annotations: what annotation files say about the scan.
        evaluation: whether the scan is for validation or test.
        sightings: for views that are drawn for one description: a description has no view if no frame shows its object.
            Without them the keys are the same, and the frames are not final.
    """
    views: list[View] = []
    if recipe.clips.enabled:
        views += _clips(scene_id, usable, recipe, evaluation)
    if recipe.scene_views.enabled and recipe.scene_views.per_description:
        views += _described_views(scene_id, usable, recipe, annotations, sightings)
    elif recipe.scene_views.enabled:
        shared = scene_view(scene_key(scene_id, 0), usable, recipe)
        views += [] if shared is None else [shared]
    if recipe.annotations.conversations:
        views += conversation_views(scene_id, annotations.about_frames)
    return views


def scene_view(
    key: str,
    usable: NDArray[np.bool_],
    recipe: Recipe,
    about: tuple[int, str] | None = None,
    sightings: Sightings | None = None,
) -> View | None:
    """Return frames spread over a scan, or ``None`` where no frame can be used or shows the object.

    Args:
        key: of the view; together with the recipe's seed it decides where the frames begin.
        usable: (N,) bool, frames that may enter a view.
        recipe: what is wanted.
        about: object id and ``ann_id`` of the description that the view is drawn for; ``None`` for the shared view.
        sightings: the frames that show each object; ``None`` where that is not known.
    """
    rng = generator_for(recipe.seed, "rotation", key)
    if about is None or sightings is None:
        frames = _spread(usable, recipe.scene_views, rng)
    else:
        frames = _drawn(usable, recipe.scene_views, rng, set(sightings.get(about[0], ())))
    return View(key=key, kind="scene", frame_ids=frames, about=about) if frames else None


def around_view(scene_id: str, usable: NDArray[np.bool_], recipe: Recipe, frame: int) -> View:
    """Return the view of a frame and its neighbours."""
    frames = select_around(usable, frame, reach=recipe.around.reach, interval=recipe.around.interval)
    return View(key=around_key(scene_id, frame), kind="around", frame_ids=frames)


def expected_around(views: Collection[View], recipe: Recipe, annotations: SceneAnnotations) -> int:
    """Return the most views around a frame that there can be.

    A scene view gives one for each described object, at most one for each of its frames.
    """
    if not recipe.around.enabled:
        return 0
    described = len({item.object_id for item in annotations.descriptions})
    scene_views = [view for view in views if view.kind == "scene" and not view.exact]
    if recipe.scene_views.per_description:
        return len(scene_views)
    return sum(min(described, len(view.frame_ids)) for view in scene_views)


def _clips(scene_id: str, usable: NDArray[np.bool_], recipe: Recipe, evaluation: bool) -> list[View]:
    clips = recipe.clips
    selection = ClipSelection(
        frames=clips.frames,
        interval=clips.interval,
        step=clips.step,
        max_shift=clips.max_shift,
        unbroken=clips.unbroken,
    )
    found = clip_views(scene_id, usable, selection)
    limit = clips.max_per_evaluation_scan
    if evaluation and 0 < limit < len(found):
        kept = generator_for(recipe.seed, "clips", scene_id).choice(len(found), limit, replace=False)
        found = [found[index] for index in np.sort(kept)]
    return found


def _described_views(
    scene_id: str,
    usable: NDArray[np.bool_],
    recipe: Recipe,
    annotations: SceneAnnotations,
    sightings: Sightings | None,
) -> list[View]:
    views = []
    for number, item in enumerate(annotations.descriptions):
        for turn in range(recipe.scene_views.per_description):
            key = scene_key(scene_id, number * recipe.scene_views.per_description + turn)
            views.append(scene_view(key, usable, recipe, (item.object_id, item.ann_id), sightings))
    return [view for view in views if view is not None]


def _drawn(
    usable: NDArray[np.bool_], recipe: SceneViewRecipe, rng: np.random.Generator, shown: set[int]
) -> tuple[int, ...]:
    """Draw until a frame shows the object (VG-LLM: at most 20 times), then put in one that does, in order of time."""
    frames = _spread(usable, recipe, rng)
    showing = [frame for frame in sorted(shown) if frame < len(usable) and usable[frame]]
    if not showing:
        return ()
    for _ in range(recipe.attempts - 1):
        if shown & set(frames):
            return frames
        frames = _spread(usable, recipe, rng)
    if shown & set(frames):
        return frames
    return tuple(sorted({*frames[:-1], showing[int(rng.integers(len(showing)))]}))


def _spread(usable: NDArray[np.bool_], recipe: SceneViewRecipe, rng: np.random.Generator) -> tuple[int, ...]:
    candidates = int(np.count_nonzero(usable[:: recipe.grid]))
    first = int(rng.integers(candidates)) if recipe.rotate and candidates else 0
    return select_uniform(usable, recipe.frames, grid=recipe.grid, first=first)
