"""Why a scan's views were refused as badly posed, and what cures it, for the report of the build."""

from __future__ import annotations

from gapdata.engine.outcome import SceneOutcome
from gapdata.engine.quality import BADLY_POSED
from gapdata.errors import SourceError
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.sources.base import Scan

MANY = 0.5
"""Share of a scan's views that must be refused for the scan to be examined: fewer are a bad stretch of it."""


def explain_bad_poses(scan: Scan, outcome: SceneOutcome) -> None:
    """Examine a scan that was refused as badly posed, or most of whose views were, and say so in its outcome.

    The diagnosis becomes the scene's ``suspicion``, and its cure that of what was quarantined for the poses.
    """
    refused = [item for item in outcome.quarantined if BADLY_POSED in item["problem"]]
    whole = any(item["key"] is None for item in refused)
    if not refused or (not whole and len(refused) < MANY * (len(refused) + outcome.records)):
        return
    try:
        diagnosis = diagnose_poses(scan)
    except SourceError:
        return  # what cannot be read is quarantined by itself
    text = diagnosis.text
    if diagnosis.verdict == "agree":
        text = f"frames near in time agree ({text}): poses drift over time, or single ones are off"
    outcome.suspicion = text if outcome.suspicion is None else f"{outcome.suspicion}; {text}"
    for item in refused:
        item["cure"] = diagnosis.cure or item["cure"]
