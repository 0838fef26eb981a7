"""Find which of the usual mistakes explains that the frames of a scan disagree.

Directions and axes are tried one by one. For each of them it searches how far translations must be stretched to fit the
depth, because poses in millimetres and a wrong depth scale are the same mistake up to the size of the room; the depth
of a room decides which of the two it is. Frame shifts and intrinsics are tried where that does not help.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gapdata.geometry.depth_scales import USUAL_SCALES
from gapdata.geometry.pose_convention import MIXTURES, PoseConvention
from gapdata.geometry.pose_names import AXES, DIRECTIONS, UNITS
from gapdata.geometry.pose_trials import APART, NOTHING_SHARED, USUAL_DEPTH, Reading, Score, Trials

AGREES, SURELY = 0.025, 0.012
"""Metres within which frames that are near in time agree if poses are right, and within which no other reading is
tried."""
CLEARLY, TWICE = 3.0, 2.0
"""A reading explains the disagreement if it is this many times better than the scan as given; TWICE is enough if frames
agree within SURELY."""
FEW_PAIRS, RANKING_PAIRS = 8, 5
"""Pairs by which a stretch is found, and by which many readings are ranked; all decide."""
REFINED = 3
"""Readings of the best rank that are searched further."""
STARTS, ROUNDS = (0.05, 0.25), 5
"""Metres that the cameras of a pair may be apart where the median depth is USUAL_DEPTH: from there the stretch of
translations is searched, in ROUNDS rounds."""
FOCAL_NEIGHBOUR, SECTIONS = 1.2, 6
SNAP = 0.07
"""Share by which a depth scale that was found may differ from a known one."""
MOST_SHIFT = 60
COARSE_SHIFTS = (*range(1, 9), *range(10, 21, 2), *range(24, MOST_SHIFT + 1, 4))
FOCALS = (0.5, 0.57, 0.65, 0.72, 0.8, 0.87, 0.94, 1.06, 1.15, 1.25, 1.37, 1.5, 1.7, 2.0)
RESOLUTIONS = (0.5, 2 / 3, 0.75, 0.8, 1.25, 4 / 3, 1.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a search.

    ``agrees``: the frames agree as given. ``cure``: the reading that explains the disagreement. ``still``: the cameras
    hardly move, so that poses cannot be judged. If none of the three is set, no reading that was tried helps.
    """

    given: Score
    agrees: bool = False
    still: bool = False
    cure: Reading | None = None
    cured: Score = NOTHING_SHARED


def explain(trials: Trials, given: Reading) -> Finding:
    """Decide whether frames agree as given, and if not, which other reading makes them agree.

    Args:
        trials: the frames.
        given: how the scan is read now.
    """
    as_given, standing = trials.score(given), trials.score(None)
    plausible = trials.plausible(given.units_per_metre)
    bound = min(AGREES, standing.worst / CLEARLY)
    agrees = plausible and as_given.worst <= bound
    if agrees and as_given.worst <= SURELY:
        return Finding(given=as_given, agrees=True)
    if plausible:
        bound = min(bound, max(as_given.worst / CLEARLY, min(SURELY, as_given.worst / TWICE)))
    best: tuple[float, Score, Reading | None] = bound, NOTHING_SHARED, None
    for stage in (_conventions, _shifts, _intrinsics):
        for reading in stage(trials, given):
            score = trials.score(reading)
            if score.worst <= best[0]:
                best = score.worst, score, reading
        if best[0] <= bound / 2:
            break
    _, cured, cure = best
    if cure is None:
        return Finding(given=as_given, agrees=agrees, still=not agrees and standing.worst <= AGREES)
    return Finding(given=as_given, cure=cure, cured=cured)


def _conventions(trials: Trials, given: Reading) -> Iterator[Reading]:
    """Yield readings with other directions, axes, units and depth scales."""
    pairs = [*itertools.product(DIRECTIONS, AXES), *itertools.product(MIXTURES, ("opencv",))]
    scale = max(trials.median_depth, 1e-6) / USUAL_DEPTH
    ranked: list[tuple[float, Reading]] = []
    for direction, axes in pairs:
        convention = PoseConvention(direction=direction, axes=axes)
        spacing = trials.spacing(convention)
        if not spacing > 0:
            continue
        for start in STARTS:
            begun = Reading(convention=convention, units_per_metre=scale)
            factor = trials.stretched(begun, start / spacing, rounds=ROUNDS, pairs=FEW_PAIRS)
            found = _stretched(convention, factor, scale)
            ranked.append((trials.score(found, thin=True, pairs=RANKING_PAIRS).mean, found))
            if ranked[-1][0] <= AGREES / 2:
                break
    for _, found in sorted(ranked, key=_first)[:REFINED]:
        yield from _snapped(trials, given, found)


def _stretched(convention: PoseConvention, metres_per_unit: float, units_per_metre: float) -> Reading:
    return Reading(convention=replace(convention, metres_per_unit=metres_per_unit), units_per_metre=units_per_metre)


def _snapped(trials: Trials, given: Reading, found: Reading) -> Iterator[Reading]:
    """Yield the likeliest unit of poses and depth scale with the ratio that was found.

    If possible only one of the two changes.
    """
    product = found.convention.metres_per_unit * found.units_per_metre  # larger rooms: smaller units, longer poses
    options: list[tuple[int, Reading]] = []
    for metres in dict.fromkeys((given.convention.metres_per_unit, *UNITS.values())):
        units = product / metres
        near = min((given.units_per_metre, *USUAL_SCALES), key=lambda known: abs(np.log(known / units)))
        if abs(given.units_per_metre / units - 1) <= SNAP:
            near = given.units_per_metre
        known = abs(near / units - 1) <= SNAP
        near = near if known else float(f"{units:.3g}")
        changes = (metres != given.convention.metres_per_unit) + (near != given.units_per_metre)
        if trials.plausible(near):
            options.append((2 * changes + (not known), _stretched(found.convention, metres, near)))
    options.sort(key=_first)
    yield from (reading for _, reading in options[:1])


def _shifts(trials: Trials, given: Reading) -> Iterator[Reading]:
    """Yield readings with the poses of frames before or after: a coarse search, and the neighbours of the best."""
    most = min(MOST_SHIFT, len(trials.frames.written) // 2)
    needed = min(RANKING_PAIRS, len(trials.frames.pairs)) / 2
    costs: dict[int, float] = {0: APART}

    def rank(steps: Iterable[int]) -> None:
        for step in steps:
            if step not in costs and abs(step) <= most:
                reading = replace(given, pose_shift=given.pose_shift + step)
                score = trials.score(reading, thin=True, pairs=RANKING_PAIRS)
                costs[step] = score.mean if score.pairs >= needed else APART

    rank(sign * step for step in COARSE_SHIFTS for sign in (1, -1))
    for reach in (3, 2, 1):
        best = min(costs, key=lambda step: (costs[step], abs(step)))
        rank((best - reach, best + reach))
    for step in sorted(costs, key=lambda step: (costs[step], abs(step)))[:REFINED]:
        if step:
            yield replace(given, pose_shift=given.pose_shift + step)


def _intrinsics(trials: Trials, given: Reading) -> Iterator[Reading]:
    """Yield readings with intrinsics of another resolution, and with other focal lengths."""
    camera = trials.frames.camera
    sizes = {*RESOLUTIONS, camera.width / (2 * camera.cx + 1), camera.height / (2 * camera.cy + 1)}
    yield _best(trials, [replace(given, resolution=size) for size in sorted(sizes)])
    coarse = _best(trials, [replace(given, focal=focal) for focal in FOCALS])

    def cost(focal: float) -> float:
        return trials.score(replace(given, focal=focal), thin=True, pairs=FEW_PAIRS).mean

    yield replace(given, focal=round(_section(cost, coarse.focal, FOCAL_NEIGHBOUR), 2))


def _best(trials: Trials, readings: Sequence[Reading]) -> Reading:
    return min(readings, key=lambda item: trials.score(item, thin=True, pairs=RANKING_PAIRS).mean)


def _section(cost: Callable[[float], float], start: float, ratio: float) -> float:
    """Return the factor between ``start / ratio`` and ``start * ratio`` that costs least.

    It is found by golden section of its logarithm.
    """
    golden = (np.sqrt(5) - 1) / 2
    low, high = np.log(start / ratio), np.log(start * ratio)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = cost(float(np.exp(left))), cost(float(np.exp(right)))
    for _ in range(SECTIONS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = cost(float(np.exp(left)))
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = cost(float(np.exp(right)))
    return float(np.exp((low + high) / 2))


def _first(item: tuple[float, Reading] | tuple[int, Reading]) -> float:
    return item[0]
