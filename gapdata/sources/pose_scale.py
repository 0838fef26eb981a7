"""Find out whether the positions of a scan's cameras are in metres, by its depth, which is.

Reconstructions from images alone have any scale. A few frames that are near in time and some degrees apart are compared
(:mod:`gapdata.geometry.pose_trials`): as they are, as if the camera stood still, and with positions stretched by the
factor at which they agree best. About ten depth images are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.camera import is_rigid
from gapdata.geometry.depth_scales import NO_READING
from gapdata.geometry.lens import pinhole_behind
from gapdata.geometry.pose_convention import OURS
from gapdata.geometry.pose_search import AGREES, CLEARLY, STARTS, SURELY, TWICE
from gapdata.geometry.pose_trials import PosedDepth, Reading, Score, Trials, near_pairs
from gapdata.geometry.registration import register_depth
from gapdata.sources.base import Scan

ANCHORS = 5
REACHES = (60, 600)
"""Raw frames within which partners are sought; the second where cameras hardly move within the first."""
DEGREES = (5.0, 10.0)
FEWEST_PAIRS = 2
LEAST_DEPTH = 0.1
"""Share of a frame's pixels that must have depth for it to be compared."""
ROUNDS, REFINING, PAIRS = 5, 10, 8
SAME = 1.1
"""Positions that agree best with a factor below this are in metres: on short walks with noise the search is off by some
hundredths, and a build judges each view besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseScale:
    """What the comparison found."""

    verdict: str  # "metres", "other", "still", "no scale" or "too few"
    metres_per_unit: float | None = None
    """Of the positions as they are read now, where the verdict is "other"."""


def find_pose_scale(scan: Scan) -> PoseScale:
    """Compare a few frames of a scan; those that cannot be read are passed over.

    The verdict is ``metres`` where frames agree and no other scale is clearly better; ``other`` where one is; ``still``
    where the camera hardly moves, so that any scale would do; ``no scale`` where frames share no surface at any scale;
    ``too few`` where there are not enough frames with poses and depth.
    """
    given = Reading(units_per_metre=scan.depth_units_per_metre)
    frames = np.flatnonzero(scan.present)
    poses = scan.camera_to_world[frames].copy()
    poses[~is_rigid(poses)] = np.nan
    trials, standing = None, Score()
    for reach in REACHES:
        found = _trials(scan, frames, poses, reach)
        if len(found.frames.pairs) >= FEWEST_PAIRS:
            trials, standing = found, found.score(None)
            if standing.worst > AGREES:
                break
    if trials is None:
        return PoseScale(verdict="too few")
    as_given = trials.score(given)
    factor, best = _best_stretch(trials, given)
    off = max(factor, 1 / factor)
    times = TWICE if best.worst <= SURELY else CLEARLY
    better = best.worst <= AGREES and times * best.worst <= as_given.worst
    if off > SAME and better and standing.worst > AGREES:
        refined = trials.stretched(given, factor, rounds=REFINING, pairs=PAIRS)
        return PoseScale(verdict="other", metres_per_unit=refined)
    if standing.worst <= AGREES:
        return PoseScale(verdict="still")
    if as_given.worst <= AGREES or off <= SAME:
        return PoseScale(verdict="metres")
    return PoseScale(verdict="no scale")


def pinhole_depth(scan: Scan, frame: int) -> NDArray[np.uint16]:
    """Return the sensor's depth, (H, W), as the pinhole camera behind its lens would have it."""
    raw, lens, camera = scan.depth(frame), scan.depth_lens, scan.depth_intrinsics
    if lens is None:
        return raw
    metres = raw.astype(np.float32) / np.float32(scan.depth_units_per_metre)
    seen = register_depth(metres, camera, pinhole_behind(lens, camera), lens=lens)
    return np.asarray(np.rint(seen * np.float32(scan.depth_units_per_metre)), dtype=np.uint16)


def _best_stretch(trials: Trials, given: Reading) -> tuple[float, Score]:
    """Return the factor on all translations with which frames agree best, and how well they do."""
    spacing = trials.spacing(OURS)
    starts = [1.0, *(start / spacing for start in STARTS if spacing > 0)]
    found: list[tuple[float, Score]] = []
    for start in starts:
        factor = trials.stretched(given, start, rounds=ROUNDS, pairs=PAIRS)
        convention = type(OURS)(metres_per_unit=factor)
        found.append((factor, trials.score(Reading(convention=convention, units_per_metre=given.units_per_metre))))
        if found[-1][1].worst <= AGREES / 2:
            break
    return min(found, key=lambda item: item[1].worst)


def _trials(scan: Scan, frames: NDArray[np.intp], poses: NDArray[np.float64], reach: int) -> Trials:
    places, pairs = near_pairs(poses, frames, anchors=ANCHORS, reach=reach, degrees=DEGREES)
    images = {at: _usable_depth(scan, int(frames[place])) for at, place in enumerate(places)}
    chosen = [at for at, image in images.items() if image is not None]
    positions = {at: position for position, at in enumerate(chosen)}
    return Trials(
        frames=PosedDepth(
            depth=tuple(image for image in images.values() if image is not None),
            places=places[chosen],
            written=poses,
            pairs=tuple((positions[a], positions[b]) for a, b in pairs if a in positions and b in positions),
            camera=pinhole_behind(scan.depth_lens, scan.depth_intrinsics),
            depth_to_camera=scan.depth_to_color,
        )
    )


def _usable_depth(scan: Scan, frame: int) -> NDArray[np.uint16] | None:
    """Return the depth of a frame, or ``None`` where it is nearly empty or cannot be read."""
    try:
        depth = pinhole_depth(scan, frame)
    except SourceError:
        return None
    return depth if np.count_nonzero((depth > 0) & (depth < NO_READING)) >= LEAST_DEPTH * depth.size else None
