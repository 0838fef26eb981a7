"""Prepare the frames of a view; where some are nearly without depth, draw the view again from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapdata.engine.open_scene import OpenScene, frame_settings
from gapdata.engine.outcome import SceneOutcome, note
from gapdata.engine.plan_views import around_view, scene_view
from gapdata.records.prepare import FramePreparer, PreparedFrame
from gapdata.records.quality import QualityMeter
from gapdata.records.views import View


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedView:
    """A view with its frames at training size, and the figures by which it is judged."""

    view: View  # the frames that it has in the end
    frames: tuple[PreparedFrame, ...]
    quality: Mapping[str, Any]  # see gapdata.records.quality.QualityMeter


class ViewFrames:
    """The frames of a scene while its views are prepared.

    Attributes:
        preparer: prepares a frame, and remembers the last ones.
        meter: measures how well prepared frames agree.
        examined: the frames seen so far.
        empty: those of them that are nearly without depth.
    """

    def __init__(self, scene: OpenScene) -> None:
        self.preparer = FramePreparer(scene.scan, frame_settings(scene.recipe.frames), scene.masks)
        self.meter = QualityMeter(self.preparer.camera, scene.scan.camera_to_world, scene.recipe.quality.min_overlap)
        self.empty: set[int] = set()
        self.examined: set[int] = set()

    def without_depth(self, view: View) -> set[int]:
        """Return the frames of a view that are nearly without depth.

        Raises:
            SourceError: a frame is damaged.
        """
        self.examined.update(view.frame_ids)
        found = {frame for frame in view.frame_ids if frame in self.empty or not self.preparer.has_depth(frame)}
        self.empty |= found
        return found


def prepare_view(scene: OpenScene, frames: ViewFrames, view: View, outcome: SceneOutcome) -> PreparedView | None:
    """Prepare the frames of a view; return ``None`` after noting why the view is dropped.

    Raises:
        SourceError: a frame is damaged.
    """
    if not all(map(scene.has_pose, view.frame_ids)):
        note(outcome.dropped_views, "names_a_frame_without_a_pose")
        return None
    final: View | None = view
    while final is not None and (found := frames.without_depth(final)):
        final = _drawn_again(scene, frames, final, found)
    if final is None:
        note(outcome.dropped_views, "empty_depth")
        return None
    prepared = tuple(frames.preparer.prepare(frame) for frame in final.frame_ids)
    return PreparedView(view=final, frames=prepared, quality=frames.meter.measure(prepared))


def _drawn_again(scene: OpenScene, frames: ViewFrames, view: View, found: set[int]) -> View | None:
    """Draw a view without the frames that are nearly without depth.

    A scene view is spread over the frames that are left, a view around a frame loses the neighbour. Neither a view that
    names exact frames nor one around such a frame can be drawn again.
    """
    remaining = scene.usable.copy()
    remaining[list(frames.empty)] = False
    if view.exact:
        return None
    if view.kind == "around":
        first = view.frame_ids[0]
        return None if first in found else around_view(scene.plan.scene_id, remaining, scene.recipe, first)
    return scene_view(view.key, remaining, scene.recipe, view.about, scene.sightings)
