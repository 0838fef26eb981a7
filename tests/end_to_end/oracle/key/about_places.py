"""Answers about where things lie for somebody in the room: direction, imagined view; angles by complex numbers."""

from __future__ import annotations

import cmath
import math

import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.oracle.key.grammar import Asked
from tests.end_to_end.oracle.key.names import the
from tests.end_to_end.oracle.key.sightings import unseen
from tests.end_to_end.oracle.key.upright_boxes import CORNERS
from tests.end_to_end.oracle.key.verdict import DEGREES, METRES, Verdict, View, chosen

LEAST_MARGIN = 10.0
LEAST_GAP = 0.15
SECTORS = {
    "sides": (("left", 0, 135), ("", 135, 225), ("right", 225, 360)),
    "thirds": (("left", 0, 135), ("behind", 135, 225), ("right", 225, 360)),
    "quarters": (("front left", 0, 90), ("back left", 90, 180), ("back right", 180, 270), ("front right", 270, 360)),
}
"""Answers between degrees to the left."""


def plan(view: View, member: int) -> complex:
    """Return the middle of a box on the floor: x + iy."""
    x, y, _ = view.room.boxes.center[member].tolist()
    return complex(x, y)


def degrees_left(ratio: complex) -> float:
    """Return the angle of a ratio of two ways, degrees to the left in 0..360."""
    return math.degrees(cmath.phase(ratio)) % 360


def direction(asked: Asked, view: View) -> Verdict:
    """Divide the way to the object by the way ahead: the angle of the quotient is that between them."""
    at, to, what = (the(view.room, name) for name in asked.names)
    ahead = plan(view, to) - plan(view, at)
    angle = degrees_left((plan(view, what) - plan(view, at)) / ahead)
    sectors = SECTORS[asked.form]
    answer = _sector(angle, sectors)
    problems = unseen(view, [at, to, what])
    margin = min(abs((angle - limit + 180) % 360 - 180) for _, limit, _ in sectors)
    if margin < LEAST_MARGIN - DEGREES and not view.room.disturbed:
        problems.append(f"{angle:.1f} degrees are {margin:.1f} from another sector")
    corners = view.room.boxes.part([what]).points(CORNERS)[0]
    for x, y, _ in corners.tolist():
        if _sector(degrees_left((complex(x, y) - plan(view, at)) / ahead), sectors) != answer:
            problems.append("a corner lies in another sector")
    for member in (to, what):
        if not 0.3 - METRES <= view.room.gap(at, member) <= 5 + METRES:
            problems.append(f"the {view.room.labels[member]} is too near or too far")
    return chosen(asked.options, answer, figure=angle, near=DEGREES, problems=tuple(problems))


def _sector(angle: float, sectors: tuple[tuple[str, int, int], ...]) -> str:
    return next(name for name, low, high in sectors if low <= angle < high)


def imagined_view(asked: Asked, view: View) -> Verdict:
    """Turn the plan so that the way ahead is the imaginary axis, and compare the boxes' corners."""
    at, to, one, other = (the(view.room, name) for name in asked.names)
    ahead = plan(view, to) - plan(view, at)
    intervals, reach = [], 0.0
    for member in (one, other):
        corners = view.room.boxes.part([member]).points(CORNERS)[0]
        local = (corners[:, 0] + 1j * corners[:, 1] - plan(view, at)) / ahead * abs(ahead) * 1j
        reach = max(reach, float(abs(local).max()))
        intervals.append(local.real if asked.form == "side" else local.imag)
    words = ("left", "right") if asked.form == "side" else ("nearer", "farther")
    answer, gap = lower_or_higher(intervals[0], intervals[1], words)
    problems = unseen(view, [at, to, one, other])
    if gap < LEAST_GAP - METRES and not view.room.disturbed:
        problems.append(f"the intervals are {gap:.3f} m apart")
    if asked.form == "depth" and min(values.min() for values in intervals) < -METRES:
        problems.append("an object is not ahead")
    # The line of sight turns with the two centres that it goes through, and what lies far away moves most.
    near = 2 * METRES + 2 * METRES * reach / abs(ahead)
    return chosen(asked.options, answer, figure=gap, near=near, problems=tuple(problems))


def lower_or_higher(one: NDArray[np.float64], other: NDArray[np.float64], words: tuple[str, str]) -> tuple[str, float]:
    """Return the word for where one interval lies to the other, and the gap between them, negative if they overlap."""
    if one.mean() < other.mean():
        return words[0], float(other.min() - one.max())
    return words[1], float(one.min() - other.max())
