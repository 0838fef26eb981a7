"""Find out whether the frames of a scan agree, and if not, which of the usual mistakes explains it and what to do.

A few depth images are decoded, spread over the scan in groups that are near in time; see
:mod:`gapdata.geometry.pose_search` for what is tried on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.camera import is_rigid
from gapdata.geometry.depth_scales import NO_READING
from gapdata.geometry.lens import pinhole_behind
from gapdata.geometry.pose_search import Finding, explain
from gapdata.geometry.pose_trials import APART, PosedDepth, Reading, Score, Trials, near_pairs
from gapdata.records.pose_cures import describe_cure
from gapdata.records.poses import reading_of, usable_poses
from gapdata.records.shifted_frames import depth_is_shifted
from gapdata.runtime.counting import counted
from gapdata.sources.base import Scan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.pose_scale import pinhole_depth

ANCHORS = 8
REACHES = (60, 600)
"""Raw frames within which partners are sought; the second where the cameras hardly move within the first."""
DEGREES = (5.0, 10.0)
FEWEST_PAIRS = 2
LEAST_DEPTH = 0.1
"""Share of a frame's pixels that must have depth for it to be compared."""
CHOICES = 4
"""Rounds in which frames without depth are replaced by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict on the poses of a scan."""

    verdict: str  # "agree", "cure", "unexplained", "still" or "too few"
    text: str  # one sentence
    cure: str | None  # what to do, without the finding
    misalignment: float | None  # metres, as given; None where frames share no surface
    cured: float | None  # metres, with the cure

    def to_facts(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        figures = {"misalignment_m": self.misalignment, "misalignment_cured_m": self.cured}
        rounded = {name: None if value is None else round(value, 4) for name, value in figures.items()}
        return {"verdict": self.verdict, **rounded, "cure": self.cure, "text": self.text}


def diagnose_poses(scan: Scan) -> Diagnosis:
    """Compare frames of a scan as given and under other readings.

    Raises:
        SourceError: no pose can be used.
    """
    usable_poses(scan)
    frames = np.flatnonzero(scan.present)
    written = scan.written_poses[frames].copy()
    written[~is_rigid(written)] = np.nan
    told = reading_of(scan)
    given = Reading(convention=told.convention, units_per_metre=scan.depth_units_per_metre, pose_shift=told.pose_shift)
    for reach in REACHES:
        trials = _trials(scan, frames, written, reach)
        if len(trials.frames.pairs) < FEWEST_PAIRS:
            return _verdict(
                "too few", "has too few frames with poses and depth to compare", None, Finding(given=Score())
            )
        finding = explain(trials, given)
        if not finding.still:
            break
    return _diagnosis(scan, told, given, trials, finding)


def _trials(scan: Scan, frames: NDArray[np.intp], written: NDArray[np.float64], reach: int) -> Trials:
    seen = written.copy()  # NaN also for frames without depth
    images: dict[int, NDArray[np.uint16]] = {}  # by place; frames with depth
    for _ in range(CHOICES):
        places, pairs = near_pairs(seen, frames, anchors=ANCHORS, reach=reach, degrees=DEGREES)
        for place in map(int, places):
            if place not in images and (depth := _usable_depth(scan, int(frames[place]))) is not None:
                images[place] = depth
        blind = [place for place in map(int, places) if place not in images]
        if not blind:
            break
        seen[blind] = np.nan  # others serve as well
    chosen = [position for position, place in enumerate(places) if int(place) in images]
    at = {position: index for index, position in enumerate(chosen)}
    kept = tuple((at[a], at[b]) for a, b in pairs if a in at and b in at)
    return Trials(
        frames=PosedDepth(
            depth=tuple(images[int(places[position])] for position in chosen),
            places=places[chosen],
            written=written,
            pairs=kept,
            camera=pinhole_behind(scan.depth_lens, scan.depth_intrinsics),
            depth_to_camera=scan.depth_to_color,
        )
    )


def _usable_depth(scan: Scan, frame: int) -> NDArray[np.uint16] | None:
    """Return the depth of a frame, or ``None`` where it is nearly empty or cannot be read.

    A build reports frames that cannot be read when it reads them.
    """
    try:
        depth = pinhole_depth(scan, frame)
    except SourceError:
        return None
    return depth if np.count_nonzero((depth > 0) & (depth < NO_READING)) >= LEAST_DEPTH * depth.size else None


def _diagnosis(scan: Scan, told: FrameReading, given: Reading, trials: Trials, finding: Finding) -> Diagnosis:
    count = len(trials.frames.pairs)
    if finding.agrees:
        text = f"as given they agree within {_length(finding.given.misalignment)}"
        return _verdict("agree", text, None, finding)
    if finding.still:
        text = "the cameras hardly move between frames, so frames agree whatever the poses say"
        return _verdict("still", text, None, finding)
    state = "share no surface" if _apart(finding) else f"disagree by {_length(finding.given.misalignment)}"
    if finding.cure is None:
        text = (
            f"as given, frames near in time {state} ({counted(count, 'pair')}), and none of the usual "
            "mistakes explains it:"
            " direction, axes, units, depth scale, shifted frames, intrinsics"
        )
        return _verdict("unexplained", text, None, finding)
    cure = finding.cure
    moved_depth = cure.pose_shift != given.pose_shift and depth_is_shifted(
        scan, trials, replace(given, pose_shift=cure.pose_shift), cure.pose_shift - given.pose_shift
    )
    read, action = describe_cure(scan, told, given, cure, moved_depth=moved_depth)
    agree = f"{read} they agree within {_length(finding.cured.misalignment)}"
    return _verdict("cure", f"as given, frames near in time {state}; {agree}: {action}", action, finding)


def _verdict(verdict: str, text: str, cure: str | None, finding: Finding) -> Diagnosis:
    return Diagnosis(
        verdict=verdict,
        text=text,
        cure=cure,
        misalignment=None if _apart(finding) else finding.given.misalignment,
        cured=finding.cured.misalignment if finding.cure is not None else None,
    )


def _apart(finding: Finding) -> bool:
    return finding.given.misalignment >= APART


def _length(metres: float) -> str:
    return f"{100 * metres:.1f} cm" if metres < 1 else f"{metres:.3g} m"
