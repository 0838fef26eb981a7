"""Relations between objects, with a margin: 1 or more clearly holds, -1 or less clearly does not.

Between the two a question would be unfair.

Viewpoints: a relation to the left or right of something is seen by a viewer who faces it, so that "right" is the
viewer's right hand; ``enter_*`` is seen by one who comes in through the door and looks straight ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.synthetic.releases.colors import SIMILAR
from gapdata.synthetic.releases.things import Thing

NO_COLOR = frozenset(
    {"picture", "window", "mirror", "tv", "monitor", "laptop", "clock", "plant", "book", "light", "rug"}
)
"""Objects that show or mirror colours that are not their own."""
SIDE = 0.12  # m beyond which something is to one side
BEYOND = 3.0  # a margin that is clear by far


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Another object that a relation names; ``color`` is part of its name where its noun alone is ambiguous."""

    object_id: int
    word: str
    color: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A relation without its subject: its name, a value ("red", "wooden", a raw category), and what it relates to."""

    relation: str
    value: str = ""
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The objects of a scene by id, and the outline of its floor."""

    things: tuple[Thing, ...]
    corners: NDArray[np.float64]  # (N, 2) counter-clockwise

    def family(self, raw_categories: frozenset[str]) -> tuple[int, ...]:
        """Return the ids of the objects of some categories."""
        return tuple(thing.object_id for thing in self.things if thing.label in raw_categories)


def margin(room: Room, constraint: Constraint, subject: int, rivals: Sequence[int]) -> float:
    """Return how clearly a constraint holds for an object.

    Superlatives compare it with ``rivals``, the other objects that its noun may mean.
    """
    name = constraint.relation
    thing = room.things[subject]
    anchors = [room.things[anchor.object_id] for anchor in constraint.anchors]
    if any(anchor.object_id == subject for anchor in anchors):
        return -BEYOND
    others = [room.things[k] for k in rivals if k != subject]
    if name in SUPERLATIVES:
        return SUPERLATIVES[name](thing, others, anchors)
    if name in PAIRWISE:
        return PAIRWISE[name](thing, *anchors)
    if name == "on_a":
        return _on_a(room, thing, constraint.value)
    if name == "corner":
        return _between_limits(_corner_distance(room, thing), 0.45, 1.2)
    if name == "color":
        return _color(thing, constraint.value)
    return _between_limits(thing.materials.get(constraint.value, 0.0), 0.6, 0.1)


def _between_limits(value: float, yes: float, no: float) -> float:
    """Interpolate from 1 at the limit ``yes`` to -1 at the limit ``no``."""
    return 1 - 2 * (value - yes) / (no - yes)


def _color(thing: Thing, name: str) -> float:
    if thing.label in NO_COLOR:
        return 0.0
    own = thing.colors.get(name, 0.0)
    if own >= 0.6:
        return own / 0.6
    possible = max(thing.perhaps.get(other, 0.0) for other in (name, *SIMILAR[name]))
    return -1.0 if possible < 0.3 else 0.0


def plan_gap(first: Thing, second: Thing) -> float:
    """Return the distance of two footprints in metres, 0 where they overlap."""
    a, b = first.footprint, second.footprint
    if _overlap(a, b):
        return 0.0
    return min(_point_to_outline(a, b), _point_to_outline(b, a))


def gap(first: Thing, second: Thing) -> float:
    """Return the distance of two upright boxes in metres."""
    vertical = max(0.0, float(first.low[2] - second.high[2]), float(second.low[2] - first.high[2]))
    return float(np.hypot(plan_gap(first, second), vertical))


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    for polygon in (a, b):
        edges = np.roll(polygon, -1, axis=0)[:2] - polygon[:2]
        for normal in np.stack([edges[:, 1], -edges[:, 0]], axis=1):
            p, q = a @ normal, b @ normal
            if p.max() <= q.min() or q.max() <= p.min():
                return False
    return True


def _point_to_outline(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> float:
    """Return the smallest distance of points (N, 2) from the sides of a polygon (M, 2)."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    offset = points[:, None] - polygon[None]
    t = np.clip(np.einsum("nmk,mk->nm", offset, edges) / np.maximum((edges**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.linalg.norm(offset - t[..., None] * edges, axis=2).min())


def _corner_distance(room: Room, thing: Thing) -> float:
    """Return the distance of the footprint from the nearest corner of the room that does not project into it."""
    before, after = np.roll(room.corners, 1, axis=0), np.roll(room.corners, -1, axis=0)
    a, b = room.corners - before, after - room.corners
    convex = room.corners[a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0]
    return float(np.linalg.norm(thing.footprint[:, None] - convex[None], axis=2).min())


def _on(thing: Thing, anchor: Thing) -> float:
    if thing.support == anchor.object_id:
        return BEYOND
    resting = plan_gap(thing, anchor) < 0.02 and float(thing.low[2] - anchor.low[2]) > -0.05
    return -0.5 if resting else -BEYOND


def _on_a(room: Room, thing: Thing, label: str) -> float:
    carriers = [_on(thing, other) for other in room.things if other.label == label and other is not thing]
    return max(carriers, default=-BEYOND)


def _next_to(thing: Thing, anchor: Thing) -> float:
    if anchor.object_id == thing.support or thing.object_id == anchor.support:
        return 0.0
    distance = gap(thing, anchor)
    if distance == 0.0 and plan_gap(thing, anchor) == 0.0:
        return 0.0
    beside = min(thing.high[2], anchor.high[2]) - max(thing.low[2], anchor.low[2])
    return _between_limits(distance, 0.40, 1.0) if beside > 0.05 or distance > 0.7 else 0.0


def _under(thing: Thing, anchor: Thing) -> float:
    """Judge whether a thing is below the top of a table or desk, within its outline."""
    outside = plan_gap(thing, anchor)
    if outside > 0.1:
        return -BEYOND
    c, s = np.cos(anchor.yaw), np.sin(anchor.yaw)
    local = np.abs((thing.footprint - anchor.center[:2]) @ np.array([[c, -s], [s, c]])) - anchor.size[:2] / 2
    lower = float(anchor.high[2] - thing.high[2])
    return 1.0 if local.max() < 0.12 and lower > 0.1 and thing.low[2] < 0.1 else 0.0


def _lateral(thing: Thing, anchor: Thing) -> tuple[float, float, float]:
    """Return the range to the right of a viewer who faces the anchor, about its centre, and the anchor's half width."""
    across = (thing.footprint - anchor.center[:2]) @ anchor.right
    half = float(np.abs((anchor.footprint - anchor.center[:2]) @ anchor.right).max())
    return float(across.min()), float(across.max()), half


def _side(thing: Thing, anchor: Thing, sign: int) -> float:
    low, high, half = _lateral(thing, anchor)
    if sign < 0:
        low, high = -high, -low
    middle = (low + high) / 2
    if middle < 0:
        return -1.0 if middle < -0.15 else 0.0
    # Seen from before the anchor: next to it rather than far in front of or behind it.
    depth = abs(float((thing.center[:2] - anchor.center[:2]) @ anchor.front))
    beside = low > half * 0.8 + SIDE / 2 and middle < 2.4 and depth < 1.0 * middle + 0.1
    return 1.0 if beside else 0.0


def _enter(thing: Thing, door: Thing, sign: int) -> float:
    """Judge the side for a viewer who comes in: the right hand is the left one of a viewer who faces the door."""
    low, high, _ = _lateral(thing, door)
    low, high = (-high, -low) if sign > 0 else (low, high)
    if low > 0.5:
        return 1.0
    return -1.0 if (low + high) / 2 < -0.25 else 0.0


def _stacked(thing: Thing, anchor: Thing, *, above: bool) -> float:
    """Judge whether a thing is above or below another at the same place of a wall, and does not rest on it."""
    low, high, half = _lateral(thing, anchor)
    middle, own = (low + high) / 2, (high - low) / 2
    away = plan_gap(thing, anchor)
    clearance = float(thing.low[2] - anchor.high[2] if above else anchor.low[2] - thing.high[2])
    if abs(middle) > half + own + 0.2 or away > 1.2 or clearance < -0.8:
        return -1.0
    carried = thing.support == anchor.object_id or anchor.support == thing.object_id
    good = abs(middle) < 0.6 * half and away < 0.45 and -0.1 < clearance < 1.3
    return 1.0 if good and not carried else 0.0


def _in_the_middle(thing: Thing, first: Thing, second: Thing) -> float:
    line = second.center[:2] - first.center[:2]
    length = float(np.linalg.norm(line))
    if length < 0.3:
        return 0.0
    offset = thing.center[:2] - first.center[:2]
    t = float(offset @ line) / length**2
    lateral = abs(float(offset[0] * line[1] - offset[1] * line[0])) / length
    if t < -0.05 or t > 1.05 or lateral > 0.65 * length + 0.3:
        return -1.0
    near = max(gap(thing, first), gap(thing, second)) < 1.6
    heights = max(thing.low[2], first.low[2], second.low[2]) < min(thing.high[2], first.high[2], second.high[2])
    return 1.0 if 0.22 < t < 0.78 and lateral < 0.25 * length and near and heights and length < 4.5 else 0.0


def _ordered(thing: Thing, others: Sequence[Thing], anchor: Thing, sign: int) -> float:
    """Judge who is nearest (sign 1) or farthest by the gap in plan and by centres at once: both must agree."""
    worst = BEYOND
    for other in others:
        if other.object_id == anchor.object_id:
            continue
        a, b = plan_gap(thing, anchor), plan_gap(other, anchor)
        c, d = (float(np.linalg.norm(x.center[:2] - anchor.center[:2])) for x in (thing, other))
        leads = sign * (b - a), sign * (d - c)
        lead = min(leads) if min(leads) > 0 else max(leads) if max(leads) < 0 else 0.0
        worst = min(worst, lead / (0.35 + 0.15 * max(min(a, b), 0.0)))
    return worst


def _extreme(
    measure: Callable[[Thing], float], sign: int, ratio: float, *, standing: bool = False
) -> Callable[..., float]:
    """Return the judge of the largest (sign 1) or smallest measure; ``standing`` asks that all stand on the floor."""

    def judge(thing: Thing, others: Sequence[Thing], anchors: Sequence[Thing]) -> float:
        if standing and max(float(t.low[2]) for t in (thing, *others)) > 0.05:
            return 0.0
        own = measure(thing)
        leads = [sign * float(np.log(own / measure(other))) / float(np.log(ratio)) for other in others]
        return min(leads, default=0.0)

    return judge


def _outermost(sign: int) -> Callable[..., float]:
    """Return the judge of the leftmost (-1) or rightmost (1), for a viewer who faces the anchor behind them all."""

    def judge(thing: Thing, others: Sequence[Thing], anchors: Sequence[Thing]) -> float:
        anchor = anchors[0]
        before = [float((t.center[:2] - anchor.center[:2]) @ anchor.front) for t in (thing, *others)]
        if min(before) < 0.1 or not others:
            return 0.0
        places = [float(t.center[:2] @ anchor.right) * sign for t in (thing, *others)]
        return min(places[0] - place for place in places[1:]) / 0.45

    return judge


PAIRWISE: Mapping[str, Callable[..., float]] = {
    "on": _on,
    "next_to": _next_to,
    "under": _under,
    "above": lambda thing, anchor: _stacked(thing, anchor, above=True),
    "below": lambda thing, anchor: _stacked(thing, anchor, above=False),
    "left_of": lambda thing, anchor: _side(thing, anchor, -1),
    "right_of": lambda thing, anchor: _side(thing, anchor, 1),
    "enter_left": lambda thing, anchor: _enter(thing, anchor, -1),
    "enter_right": lambda thing, anchor: _enter(thing, anchor, 1),
    "between": _in_the_middle,
}
SUPERLATIVES: Mapping[str, Callable[..., float]] = {
    "closest": lambda thing, others, anchors: _ordered(thing, others, anchors[0], 1),
    "farthest": lambda thing, others, anchors: _ordered(thing, others, anchors[0], -1),
    "largest": _extreme(lambda t: t.volume, 1, 1.7),
    "smallest": _extreme(lambda t: t.volume, -1, 1.7),
    "tallest": _extreme(lambda t: float(t.high[2]), 1, 1.3, standing=True),
    "shortest": _extreme(lambda t: float(t.high[2]), -1, 1.3, standing=True),
    "leftmost": _outermost(-1),
    "rightmost": _outermost(1),
}
