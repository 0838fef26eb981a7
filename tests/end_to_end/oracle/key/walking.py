"""The free floor of a room on a raster of 2.5 cm, and the shortest ways over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.oracle.key.true_room import TrueRoom

CELL = 0.025
KNEE, HEAD = 0.08, 1.8
CLEARANCE = 0.15
"""Metres that a person keeps from what stands there: 5 cm less than the generator's, whose raster is coarser."""
LEAST_FLOOR = 0.3
"""Square metres of free floor in one piece, below which one does not walk there: the gaps between pieces of furniture.
"""
BESIDE, AROUND = 0.75, 0.35
"""Metres from an object within which one stands beside it, and by which such places may be farther than the nearest."""
FLAT = ("floor", "rug", "ceiling", "lamp", "light", "wall", "door", "window", "doorframe", "curtain", "blinds")
"""What does not stand on the floor, or stands along the walls."""
STEPS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2))
SAMPLES = np.array([[i, j, 6 - i - j] for i in range(7) for j in range(7 - i)]) / 6
"""Barycentric places (28, 3) of a triangle that are drawn."""


@dataclass(frozen=True, eq=False)
class Floor:
    """The cells where one can stand; the first has its centre at ``low``."""

    free: NDArray[np.bool_]  # (rows along y, columns along x)
    low: NDArray[np.float64]  # (2,) metres
    _ways: dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]] = field(default_factory=dict)
    _beside: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def beside(self, room: TrueRoom, member: int) -> NDArray[np.bool_]:
        """Return the cells beside an object, (rows, columns), by the distance to its footprint."""
        if member not in self._beside:
            rows, columns = np.nonzero(self.free)
            place = self.low + np.stack([columns, rows], axis=1) * CELL
            low, high = _heights(room, member)
            height = min(max(1.0, low), high)
            cells = np.concatenate([place, np.full((len(place), 1), height)], axis=1)
            boxes = room.boxes.part([member])
            gap = np.linalg.norm(boxes.nearest(cells[None])[0] - cells, axis=1)
            chosen = gap <= min(gap.min(initial=np.inf) + AROUND, BESIDE)
            found = np.zeros_like(self.free)
            found[rows[chosen], columns[chosen]] = True
            self._beside[member] = found
        return self._beside[member]

    def detour(self, room: TrueRoom, start: int, end: int) -> float:
        """Return by how many times the best way from beside an object to beside another exceeds its straight line."""
        length, source = self._from(room, start)
        goals = np.nonzero(self.beside(room, end) & np.isfinite(length))
        if not len(goals[0]):
            return np.inf
        begin = np.stack(np.divmod(source[goals], self.free.shape[1]), axis=1)
        straight = np.linalg.norm(np.stack(goals, axis=1) - begin, axis=1)
        return float((length[goals] / np.maximum(straight, 1)).min())

    def _from(self, room: TrueRoom, start: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the way's length in cells from beside an object to each cell, and the cell where it begins.

        All cells pass their ways on to neighbours at once, until no way becomes shorter (Bellman and Ford).
        """
        if start not in self._ways:
            length = np.where(self.beside(room, start), 0.0, np.inf)
            source = np.arange(length.size).reshape(length.shape)
            steps = [*STEPS, *((-y, -x) for y, x in STEPS)]
            changed = True
            while changed:
                changed = False
                for down, right in steps:
                    to, since = _window(length.shape, down, right), _window(length.shape, -down, -right)
                    longer = length[since] + np.hypot(down, right)
                    better = (longer < length[to] - 1e-9) & self.free[to]
                    if better.any():
                        changed = True
                        length[to] = np.where(better, longer, length[to])
                        source[to] = np.where(better, source[since], source[to])
            self._ways[start] = length, source
        return self._ways[start]


def _window(shape: tuple[int, ...], down: int, right: int) -> tuple[slice, slice]:
    rows, columns = shape
    return (
        slice(max(down, 0), rows + min(down, 0)),
        slice(max(right, 0), columns + min(right, 0)),
    )


def _heights(room: TrueRoom, member: int) -> tuple[float, float]:
    middle, half = float(room.boxes.center[member, 2]), float(room.boxes.half[member, 2])
    return middle - half, middle + half


@lru_cache(maxsize=2)
def floor_of(room: TrueRoom) -> Floor:
    """Draw the plan and what stands on it between knee and head; keep a person's distance from both."""
    import cv2

    low = room.corners.min(axis=0) - 4 * CELL
    columns, rows = np.ceil((room.corners.max(axis=0) - low) / CELL).astype(int) + 4
    inside = np.zeros((rows, columns), dtype=np.uint8)
    cv2.fillPoly(inside, [np.round((room.corners - low) / CELL).astype(np.int32)], 1)
    furniture = np.array([label not in FLAT for label in room.labels] + [False])
    corners = room.vertices[room.faces[furniture[room.face_object]]]
    standing = (corners[..., 2].max(axis=1) > KNEE) & (corners[..., 2].min(axis=1) < HEAD)
    drawn = (SAMPLES @ corners[standing])[..., :2].reshape(-1, 2)
    place = np.round((drawn - low) / CELL).astype(int).clip(0, [columns - 1, rows - 1])
    inside[place[:, 1], place[:, 0]] = 0
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * CELL
    _, parts, stats, _ = cv2.connectedComponentsWithStats((distance > CLEARANCE).astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] * CELL**2 > LEAST_FLOOR
    large[0] = False  # what is not free
    return Floor(free=large[parts], low=low)
