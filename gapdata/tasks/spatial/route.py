"""How one turns on the way from an object over a second to a third, where both legs cross free floor.

A leg goes straight: every cell of the free floor (:class:`gapdata.records.room_floor.RoomFloor`) along the line between
two places beside its objects is free. So it is the shortest way, whatever other ways there are, and one arrives from
where one set out: a longer way around would have to be compared only where the straight one is not free, and such
routes are not asked. The turn is that between the centres of the boxes; between the places where one stands it is one
of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.box_distance import distance_to_box
from gapdata.records.room_floor import CELL, RoomFloor
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.level_geometry import ViewPlan, plan_of, turned_left
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.spatial.wanted_answers import draw_answers

BESIDE = 0.7  # metres from an object to the place where one stands beside it
SHORTEST_LEG = 0.8  # metres
LEAST_MARGIN, LEAST_MARGIN_ON_FOOT = 15.0, 5.0
"""Degrees to the next limit, either way: between the centres, and between the places where one stands."""
SIDES = 4
"""Places beside an object that are looked at: the nearest in each direction from its centre."""
LIMITS = (45.0, 135.0)
"""Degrees: up to 45 one goes straight on, from 135 on one turns back."""
STEP = CELL  # metres between the places of a leg that are looked at
EYES = 1.0
"""Metres above the floor at which the distance to an object is measured, within its height."""
TEXT = (
    "I stand at the {start} and face the {way}. I walk to the {way}, then turn and walk to the {end}. How do I turn at "
    "the {way}, where back means a turn of at least 135 degrees, and straight on one of at most 45?"
)
TURNS = ("left", "right", "back", "straight on")
FEWEST = 3
"""Turns that are offered at least, of those that routes of the room have: in few rooms one can go straight on."""


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random triples of objects that one can walk between; the answer is drawn first."""
    room = facts.record.room
    if room is None:
        yield NotAsked("the scan has no labelled floor")
        return
    plan = plan_of(facts)
    owner, places = _beside(facts, plan, room)
    triples, legs = _routes(owner, places, _walkable(room, places))
    if not triples.shape[1]:
        yield NotAsked("one cannot walk straight from an object to a second and on to a third")
        return
    turn, margin = turns(plan.centers, triples)
    on_foot, margin_on_foot = turns(places, legs)
    answers = _names(turn)
    clear = (margin >= LEAST_MARGIN) & (margin_on_foot >= LEAST_MARGIN_ON_FOOT) & (answers == _names(on_foot))
    if not clear.all():
        yield NotAsked("the turn is too near to a limit", int((~clear).sum()))
    choices = {answer: np.flatnonzero(clear & (answers == answer)) for answer in TURNS}
    for drawn in draw_answers(choices, rng, fewest=FEWEST, most=len(TURNS)):
        if isinstance(drawn, NotAsked):
            yield drawn
            continue
        chosen = drawn.candidate
        options, letter = shuffled(drawn.answer, drawn.wrong, rng)
        start, way, end = (facts.nameable[place] for place in triples[:, chosen].tolist())
        yield SpatialQuestion(
            kind="route",
            text=with_letters(TEXT.format(start=start.name, way=way.name, end=end.name), options),
            answer=letter,
            value=float(turn[chosen]),
            margin=float(margin[chosen]),
            options=options,
            object_ids=(start.item.object_id, way.item.object_id, end.item.object_id),
            names=(start.name, way.name, end.name),
        )


def turns(places: NDArray[np.float64], triples: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the turns at the second of three places, and the degrees to the nearest limit, (n,) each.

    Args:
        places: (k, 2) metres, seen from above.
        triples: (3, n) of them.

    Returns:
        Degrees to the left positive, -180..180; and degrees.
    """
    start, way, end = triples
    turn = turned_left(places[way] - places[start], places[end] - places[way])
    return turn, np.abs(np.abs(turn)[:, None] - np.array(LIMITS)).min(axis=-1)


def _names(turn: NDArray[np.float64]) -> NDArray[np.str_]:
    sideways = np.where(turn > 0, "left", "right")
    return np.where(np.abs(turn) < LIMITS[0], "straight on", np.where(np.abs(turn) > LIMITS[1], "back", sideways))


def _beside(facts: ViewFacts, plan: ViewPlan, room: RoomFloor) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return places beside objects: the number of the object of each, (k,), and the place, (k, 2) metres."""
    assert facts.first_to_aligned is not None
    rows, columns = np.nonzero(room.free)
    cells = np.array(room.free_origin) + (np.stack([columns, rows], axis=-1) + 0.5) * CELL
    owner, places = [], [np.zeros((0, 2))]
    for number, item in enumerate(facts.nameable):
        box = item.box.transformed(facts.first_to_aligned)
        low, high = box.corners.min(axis=0), box.corners.max(axis=0)
        around = cells[((cells > low[:2] - BESIDE) & (cells < high[:2] + BESIDE)).all(axis=-1)]
        level = np.full(len(around), np.clip(room.height + EYES, low[2], high[2]))
        distance = distance_to_box(np.concatenate([around, level[:, None]], axis=-1), box)
        around, distance = around[distance <= BESIDE], distance[distance <= BESIDE]
        x, y = (around - plan.centers[number]).T
        side = ((np.arctan2(y, x) + np.pi) * SIDES / (2 * np.pi)).astype(int) % SIDES
        order = np.lexsort([distance, side])
        nearest = order[np.unique(side[order], return_index=True)[1]]
        owner += [number] * len(nearest)
        places.append(around[nearest])
    return np.array(owner, dtype=np.int64), np.concatenate(places)


def _routes(
    owner: NDArray[np.int64], places: NDArray[np.float64], walkable: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all triples of objects with two straight legs, (3, n), and the three places of each, the shortest way.

    Args:
        owner: (k,) object of each place.
        places: (k, 2) metres.
        walkable: (k, k) between which of them one can walk straight.
    """
    length = np.linalg.norm(places[:, None] - places, axis=-1)
    length[~walkable | (owner[:, None] == owner)] = np.inf
    objects = np.unique(owner)
    own = [np.flatnonzero(owner == number) for number in objects]
    # From each place to the nearest place beside each object, that place, and how far it is.
    first = np.array([numbers[length[:, numbers].argmin(axis=1)] for numbers in own]).reshape(len(objects), -1)
    reach = np.take_along_axis(length, first.T, axis=1)  # (k, objects)
    both = reach[:, :, None] + reach[:, None, :]
    both[:, np.arange(len(objects)), np.arange(len(objects))] = np.inf  # one does not go back to where one was
    found: list[list[int]] = []
    for way, numbers in enumerate(own):
        best = numbers[both[numbers].argmin(axis=0)]  # (objects, objects)
        for start, end in np.argwhere(np.isfinite(both[numbers].min(axis=0))).tolist():
            at = int(best[start, end])
            found.append([objects[start], objects[way], objects[end], first[start, at], at, first[end, at]])
    table = np.array(found, dtype=np.int64).reshape(-1, 6).T
    return table[:3], table[3:]


def _walkable(room: RoomFloor, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return between which places (n, 2) one can walk straight over the free floor, and far enough, (n, n)."""
    one, other = np.triu_indices(len(places), 1)
    length = np.linalg.norm(places[one] - places[other], axis=-1)
    steps = np.linspace(0, 1, 2 + int(length.max(initial=0.0) / STEP))[:, None, None]
    along = places[one] + steps * (places[other] - places[one])  # (steps, pairs, 2)
    cells = np.floor((along - room.free_origin) / CELL).astype(np.int64)
    inside = np.asarray(((cells >= 0) & (cells < room.free.shape[::-1])).all(axis=-1))
    cells = np.where(inside[..., None], cells, 0)
    free = inside & room.free[cells[..., 1], cells[..., 0]]
    walkable = np.zeros((len(places), len(places)), dtype=bool)
    walkable[one, other] = free.all(axis=0) & (length >= SHORTEST_LEG)
    return walkable | walkable.T


KIND = Kind(name="route", metric="letter", find=find, views=("scene",), needs_up=True, least_objects=3)
