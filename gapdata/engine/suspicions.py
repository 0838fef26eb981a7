"""Say what is likely wrong with a scene's depth or poses, for the report of the build."""

from __future__ import annotations

from gapdata.engine.bad_views import BADLY_POSED
from gapdata.engine.open_scene import OpenScene
from gapdata.engine.outcome import SceneOutcome
from gapdata.engine.prepare_views import ViewFrames
from gapdata.errors import SourceError
from gapdata.records.depth_range import median_reading, why_without_depth
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.sources.base import Scan

MANY = 0.5
"""Share of a scan's views that must be refused for its poses to be examined; fewer are a bad stretch of it."""
EXAMINED = 8
"""Frames without depth that are read again to say why."""


def suspect_depth(scene: OpenScene, frames: ViewFrames, outcome: SceneOutcome) -> str | None:
    """Return why half of a scene's frames are without depth, as far as their readings tell; ``None`` otherwise."""
    if 2 * len(frames.empty) < max(len(frames.examined), 1):
        return None
    limits = scene.recipe.frames
    some = sorted(frames.empty)[:: -(-len(frames.empty) // EXAMINED)]
    medians = [median_reading(scene.scan, frame) for frame in some]
    found = why_without_depth(scene.scan, medians, limits.near, limits.far)
    if found is None and not outcome.records:
        share = f"{limits.min_valid_depth:.0%} of its pixels between {limits.near:g} and {limits.far:g} m"
        return f"every frame has depth in less than {share} (frames.min_valid_depth)"
    return found


def explain_bad_poses(scan: Scan, outcome: SceneOutcome) -> None:
    """Examine the poses of a scan that was refused as badly posed, whole or in most of its views.

    The diagnosis becomes the scene's ``suspicion``, and its cure the cure of what was quarantined for the poses.
    """
    refused = [item for item in outcome.quarantined if BADLY_POSED in item["problem"]]
    whole = any(item["key"] is None for item in refused)
    if not refused or (not whole and len(refused) < MANY * (len(refused) + outcome.records)):
        return
    try:
        diagnosis = diagnose_poses(scan)
    except SourceError:
        return  # a frame that cannot be read is quarantined by itself
    text = diagnosis.text
    if diagnosis.verdict == "agree":
        text = f"frames near in time agree ({text}): poses drift over time, or single ones are off"
    outcome.suspicion = text if outcome.suspicion is None else f"{outcome.suspicion}; {text}"
    for item in refused:
        item["cure"] = diagnosis.cure or item["cure"]
