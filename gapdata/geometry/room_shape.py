"""Compare the shapes of rooms: what stands where, at four heights, whichever way the room lies in its world.

A room's shape is a map of its surfaces from above, with cells of 10 cm, in four layers of height between 15 cm above
the floor and 2.55 m; floor and ceiling are left out because all rooms have them. It is turned so that its walls follow
the axes, which leaves four quarter turns. Two maps are compared by the largest normalised correlation over all shifts
and these four turns. ``python -m tests.benchmarks.alike_rooms`` prints how often that misses a room that was walked
through twice, and how often it takes two rooms for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL = 0.1  # m
SIDE = 128  # cells of the map: rooms beyond 12.8 m are cut
PADDED = 2 * SIDE  # so that no shift wraps around
LOWEST, LAYER, LAYERS = 0.15, 0.6, 4  # m above the floor, m, and their number
WALL_HEIGHTS = (0.5, 2.0)  # m above the floor, between which surfaces tell how the walls run
FEWEST = 2000
"""Points below which a shape says nothing."""
HITS = 2  # points of a cell that count as a surface
ALIKE = 0.7
"""The likeness from which two rooms look alike: of synthetic rooms, few that were walked through twice lie below it,
and hardly any two rooms above."""
FLOOR_SHARE = 1.0  # percent of all points that may lie below the floor: noise, and what windows mirror
TILT = 50.0  # degrees that cameras may look down on average
REACH = 3  # pixels between the points that give a normal, so that noise does not turn it
SPREAD = np.cos(np.radians(10.0))  # of normals that belong to one direction
TILTS = (4.0, 1.5, 0.5)  # degrees of the steps in which the vertical is refined


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoomShape:
    """The map of a room, without its mean in each layer, and of unit length; and its spectrum."""

    map: NDArray[np.float32]  # (LAYERS, SIDE, SIDE)
    spectrum: NDArray[np.complex64]  # (LAYERS, PADDED, PADDED // 2 + 1)
    size: tuple[float, float]  # metres along its own axes, the longer one first


def room_shape(points: NDArray[np.floating], up: NDArray[np.float64]) -> RoomShape | None:
    """Return the shape of a room; ``None`` if too little of it is seen.

    Args:
        points: (N, 3) metres, what was seen of it; NaN where unknown.
        up: (3,) unit vector against gravity.
    """
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < FEWEST:
        return None
    level = points @ _levelling(up).T
    height = level[:, 2] - np.percentile(level[:, 2], FLOOR_SHARE)
    walls = (height > WALL_HEIGHTS[0]) & (height < WALL_HEIGHTS[1])
    if walls.sum() < FEWEST // 4:
        return None
    flat = level[:, :2] @ _turn(_run_of_walls(level[walls, :2]))
    low, high = np.percentile(flat, [1, 99], axis=0)
    cells = np.floor((flat - (low + high) / 2) / CELL).astype(int) + SIDE // 2
    layer = np.floor((height - LOWEST) / LAYER).astype(int)
    ceiling = np.percentile(height, 99.5) - LOWEST
    inside = ((cells >= 0) & (cells < SIDE)).all(axis=1) & (layer >= 0) & (layer < LAYERS) & (height < ceiling)
    counts = np.zeros((LAYERS, SIDE, SIDE), dtype=np.int32)
    np.add.at(counts, (layer[inside], cells[inside, 0], cells[inside, 1]), 1)
    smooth = _smoothed((counts >= HITS).astype(np.float32))
    smooth -= smooth.mean(axis=(1, 2), keepdims=True)
    length = float(np.linalg.norm(smooth))
    if length == 0:
        return None
    smooth /= length
    longer, shorter = sorted((high - low).tolist(), reverse=True)
    return RoomShape(map=smooth, spectrum=_spectrum(smooth), size=(longer, shorter))


def likeness(one: RoomShape, other: RoomShape) -> float:
    """Return how well two rooms agree in their best position, at most 1; from :data:`ALIKE` on they look alike."""
    best = 0.0
    for quarter in range(4):
        turned = _spectrum(np.rot90(other.map, quarter, axes=(1, 2)))
        agreement = np.fft.irfft2((one.spectrum * turned.conj()).sum(axis=0), s=(PADDED, PADDED))
        best = max(best, float(agreement.max()))
    return best


def upward(points: NDArray[np.floating], camera_up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the vertical of a room from its horizontal surfaces, (3,) unit vector.

    Args:
        points: (F, H, W, 3) metres, the pointmaps of frames in one world; NaN where unknown.
        camera_up: (3,) the mean direction of the images' upper edge, in that world.
    """
    across = points[:, :-REACH, REACH:] - points[:, :-REACH, :-REACH]
    down = points[:, REACH:, :-REACH] - points[:, :-REACH, :-REACH]
    normals = np.cross(across.reshape(-1, 3), down.reshape(-1, 3)).astype(np.float64)
    length = np.linalg.norm(normals, axis=1)
    normals = normals[np.isfinite(length) & (length > 0)]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    start = camera_up / np.linalg.norm(camera_up)
    normals *= np.where(normals @ start < 0, -1.0, 1.0)[:, None]
    near = normals[normals @ start > np.cos(np.radians(TILT))]
    known = points.reshape(-1, 3)[np.isfinite(points.reshape(-1, 3)).all(axis=1)]
    if len(near) < FEWEST // 4:
        return np.asarray(start)
    near, known = _some(near, 4000), _some(known, 6000)
    candidates = _some(near, 500)
    mode = candidates[int(np.argmax((candidates @ near.T > SPREAD).sum(axis=1)))]
    mean = near[near @ mode > SPREAD].mean(axis=0)
    return _flattest(known, mean / np.linalg.norm(mean))


def _flattest(points: NDArray[np.floating], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tilt a direction by a few degrees so that points (N, 3) gather at the fewest heights along it."""
    for step in TILTS:
        frame = _levelling(up)
        offsets = np.tan(np.radians(step)) * np.arange(-3, 4)
        tilted = [up + x * frame[0] + y * frame[1] for x in offsets for y in offsets]
        candidates = np.stack([direction / np.linalg.norm(direction) for direction in tilted])
        up = candidates[int(np.argmax([_gathered(points @ direction) for direction in candidates]))]
    return np.asarray(up)


def _gathered(heights: NDArray[np.floating]) -> float:
    """Return how much values (N,), metres, gather: the sum of the squares of the counts of bins of half a cell."""
    bins = np.floor((heights - heights.min()) / (CELL / 2)).astype(int)
    return float((np.bincount(bins).astype(float) ** 2).sum())


def _some(rows: NDArray[np.floating], count: int) -> NDArray[np.floating]:
    return rows[:: max(1, len(rows) // count)]


def _levelling(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation, (3, 3), that brings ``up`` to the z axis."""
    side = np.eye(3)[int(np.argmin(np.abs(up)))]
    x = np.cross(side, up)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(up, x), up])


def _turn(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _run_of_walls(flat: NDArray[np.floating]) -> float:
    """Return the angle, radians, by which points (N, 2) of walls gather on the fewest lines along the axes."""
    best, angle = 0.0, 0.0
    for candidate in np.radians(np.arange(0.0, 90.0, 1.0)):
        turned = flat @ _turn(candidate)
        gathered = _gathered(turned[:, 0]) + _gathered(turned[:, 1])
        if gathered > best:
            best, angle = gathered, float(candidate)
    return angle


def _smoothed(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur each layer by a cell, which forgives errors of a cell between two walks."""
    for axis in (1, 2):
        layers = 0.5 * layers + 0.25 * (np.roll(layers, 1, axis) + np.roll(layers, -1, axis))
    return np.asarray(layers, dtype=np.float32)


def _spectrum(layers: NDArray[np.float32]) -> NDArray[np.complex64]:
    return np.fft.rfft2(layers, s=(PADDED, PADDED)).astype(np.complex64)
