"""How one turns on the way from an object over a second to a third, where both legs cross free floor.

A leg is walkable if the shortest way over the free floor (:class:`gapdata.records.room_floor.RoomFloor`), between the
places nearest to the two objects, is hardly longer than the straight line: then there is one way, and it goes straight.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.box_distance import distance_to_box
from gapdata.geometry.camera import transform
from gapdata.records.room_floor import CELL, RoomFloor
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts
from gapdata.tasks.spatial.wanted_answers import OTHER_ANSWER, ask_for_wanted

BESIDE = 0.7  # metres from an object to the place where one stands beside it
SHORTEST_LEG = 0.8  # metres
DETOUR = 1.1
"""Factor by which a leg may be longer than the straight line."""
LEAST_MARGIN = 15.0  # degrees to the next limit
LIMITS = (0.0, 45.0, 135.0)
"""Degrees: up to 45 one goes straight on, from 135 on one turns back."""
COARSE = 2  # cells of the free floor along a side of a cell of the search
TEXT = (
    "I stand at the {start} and face the {way}. I walk to the {way}, then turn and walk to the {end}. How do I turn at "
    "the {way}?"
)
TURNS = ("left", "right", "back", "straight on")
Place = tuple[Named, NDArray[np.int64]]
"""An object, and the cell (column, row) of the free floor where one stands beside it."""


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random triples of objects that one can walk between; the answer is drawn first."""
    room = facts.record.room
    if room is None or facts.first_to_aligned is None:
        yield NotAsked("the scan has no labelled floor, or does not tell what is up")
        return
    ways = _Ways(room)
    places = {item.name: (item, ways.beside(facts, item)) for item in facts.nameable}
    reachable = [(item, place) for item, place in places.values() if place is not None]
    if len(reachable) < 3:
        yield NotAsked("one can stand beside too few objects")
        return
    triples = list(itertools.permutations(reachable, 3))

    def draw() -> str:
        return TURNS[int(rng.integers(len(TURNS)))]

    def ask(chosen: Sequence[Place], wanted: str) -> SpatialQuestion | NotAsked:
        return _ask(facts, ways, chosen, wanted, rng)

    yield from ask_for_wanted([triples[place] for place in rng.permutation(len(triples)).tolist()], draw, ask)


def _ask(
    facts: ViewFacts,
    ways: _Ways,
    chosen: Sequence[Place],
    wanted: str,
    rng: np.random.Generator,
) -> SpatialQuestion | NotAsked:
    assert facts.first_to_aligned is not None
    centres = [transform(facts.first_to_aligned, item.box.center)[:2] for item, _ in chosen]
    standing = [ways.metres(place) for _, place in chosen]
    angle, margin = turn_at(*centres)
    turn, sector = turn_at(*standing)[0], _name(angle)
    if margin < LEAST_MARGIN or _name(turn) != sector:
        return NotAsked("the turn is too near to a limit")
    if sector != wanted:
        return OTHER_ANSWER
    legs = [(chosen[0][1], chosen[1][1]), (chosen[1][1], chosen[2][1])]
    if not all(ways.is_straight(begin, end) for begin, end in legs):
        return NotAsked("one cannot walk straight from one object to the next")
    options, letter = shuffled(sector, [turn for turn in TURNS if turn != sector], rng)
    start, way, end = (item for item, _ in chosen)
    return SpatialQuestion(
        kind="route",
        text=with_letters(TEXT.format(start=start.name, way=way.name, end=end.name), options),
        answer=letter,
        value=angle,
        margin=margin,
        options=options,
        object_ids=tuple(item.item.object_id for item, _ in chosen),
        names=(start.name, way.name, end.name),
    )


def turn_at(start: NDArray[np.float64], way: NDArray[np.float64], end: NDArray[np.float64]) -> tuple[float, float]:
    """Return the turn at ``way`` in degrees, to the left positive, -180..180, and the degrees to the nearest limit."""
    came, goes = way - start, end - way
    turn = float(np.degrees(np.arctan2(came[0] * goes[1] - came[1] * goes[0], came @ goes)))
    return turn, min(abs(abs(turn) - limit) for limit in LIMITS[1:])


def _name(turn: float) -> str:
    if abs(turn) < LIMITS[1]:
        return "straight on"
    if abs(turn) > LIMITS[2]:
        return "back"
    return "left" if turn > 0 else "right"


class _Ways:
    """The free floor of a room, on a coarser raster of which a cell is free if all of it is."""

    def __init__(self, room: RoomFloor) -> None:
        rows, columns = (side // COARSE * COARSE for side in room.free.shape)
        blocks = room.free[:rows, :columns].reshape(rows // COARSE, COARSE, columns // COARSE, COARSE)
        self._free: NDArray[np.bool_] = np.asarray(blocks.all(axis=(1, 3)))
        self._origin = np.array(room.free_origin)
        self._size = CELL * COARSE
        self._height = room.height

    def metres(self, place: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the centre of a cell (column, row), (2,) metres, aligned world."""
        return np.asarray(self._origin + (place + 0.5) * self._size)

    def beside(self, facts: ViewFacts, item: Named) -> NDArray[np.int64] | None:
        """Return the free cell (column, row) that is nearest to an object, or ``None`` where none is near."""
        assert facts.first_to_aligned is not None
        rows, columns = np.nonzero(self._free)
        if not len(rows):
            return None
        cells = np.stack([columns, rows], axis=-1)
        box = item.box.transformed(facts.first_to_aligned)
        level = np.full(len(cells), np.clip(self._height + 1.0, box.corners[:, 2].min(), box.corners[:, 2].max()))
        distance = distance_to_box(np.concatenate([self.metres(cells), level[:, None]], axis=-1), box)
        nearest = int(distance.argmin())
        return cells[nearest] if distance[nearest] <= BESIDE else None

    def is_straight(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> bool:
        """Return whether the shortest way between two cells is hardly longer than the straight line."""
        straight = float(np.hypot(*(end - begin)))
        if straight * self._size < SHORTEST_LEG:
            return False
        # A way over cells and their diagonals is up to 8 % longer than the line that it follows.
        return self._shortest(begin, end, DETOUR * 1.08 * straight) is not None

    def _shortest(self, begin: NDArray[np.int64], end: NDArray[np.int64], limit: float) -> float | None:
        """Return the length of the shortest way in cells, or ``None`` where it is longer than the limit (A*)."""
        goal, start = (int(end[0]), int(end[1])), (int(begin[0]), int(begin[1]))
        best = {start: 0.0}
        queue = [(float(np.hypot(goal[0] - start[0], goal[1] - start[1])), start)]
        while queue:
            estimate, place = heapq.heappop(queue)
            if estimate > limit:
                return None
            if place == goal:
                return best[place]
            for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
                x, y = place[0] + step_x, place[1] + step_y
                if not (0 <= y < self._free.shape[0] and 0 <= x < self._free.shape[1] and self._free[y, x]):
                    continue
                length = best[place] + (1.0 if step_x == 0 or step_y == 0 else 2**0.5)
                if length < best.get((x, y), np.inf):
                    best[x, y] = length
                    heapq.heappush(queue, (length + float(np.hypot(goal[0] - x, goal[1] - y)), (x, y)))
        return None


KIND = Kind(name="route", metric="letter", find=find, views=("scene",))
