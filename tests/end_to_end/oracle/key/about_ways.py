"""Answers about ways through the room: the turn by complex numbers, whether one can walk by the shortest way."""

from __future__ import annotations

import cmath
import math

from tests.end_to_end.oracle.key.about_places import plan
from tests.end_to_end.oracle.key.grammar import Asked
from tests.end_to_end.oracle.key.names import the
from tests.end_to_end.oracle.key.sightings import unseen
from tests.end_to_end.oracle.key.verdict import DEGREES, Verdict, View, chosen
from tests.end_to_end.oracle.key.walking import floor_of

STRAIGHT, BACK = 45.0, 135.0
LEAST_MARGIN = 15.0
MOST_DETOUR = 1.15
"""Length of the best way over the straight line; sixteen neighbours make it up to 3 % longer than it is."""


def route(asked: Asked, view: View) -> Verdict:
    """Divide the way on by the way that one came: the angle of the quotient is the turn to the left."""
    start, way, end = (the(view.room, name) for name in asked.names)
    came, goes = plan(view, way) - plan(view, start), plan(view, end) - plan(view, way)
    turn = math.degrees(cmath.phase(goes / came))
    answer = "straight on" if abs(turn) < STRAIGHT else "back" if abs(turn) > BACK else "left" if turn > 0 else "right"
    problems = unseen(view, [start, way, end])
    margin = min(abs(abs(turn) - limit) for limit in (STRAIGHT, BACK))
    if not view.room.disturbed:
        if margin < LEAST_MARGIN - DEGREES:
            problems.append(f"a turn by {turn:.1f} degrees is {margin:.1f} from another answer")
        floor = floor_of(view.room)
        for begin, goal in ((start, way), (way, end)):
            detour = floor.detour(view.room, begin, goal)
            if detour > MOST_DETOUR:
                names = [view.room.labels[member] for member in (begin, goal)]
                problems.append(f"the way from {names[0]} to {names[1]} is {detour:.2f} times the straight line")
    return chosen(asked.options, answer, figure=turn, near=DEGREES, problems=tuple(problems))
