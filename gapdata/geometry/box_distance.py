"""Compute exact distances of boxes: between two of them, and from points to one.

The nearest points of two convex polyhedra are a corner and a face, or two edges. So the distance of two boxes that do
not overlap is the least of the distances of each corner to the other box, which has a closed form, and of all pairs of
edges (Ericson, Real-Time Collision Detection, 2005, sections 5.1.4 and 5.1.9). Two boxes overlap unless one of fifteen
axes separates them (Gottschalk, Lin, Manocha 1996).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox

PARALLEL = 1e-12
"""Squared sine of the angle between two edges below which they count as parallel; their ends decide then."""
_SIGNS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
_EDGES = np.array([(a, b) for a, b in itertools.combinations(range(8), 2) if np.abs(_SIGNS[a] - _SIGNS[b]).sum() == 1])


def distance_to_box(points: NDArray[np.floating], box: OrientedBox) -> NDArray[np.float64]:
    """Return the distance of points (..., 3) to a solid box, (...) in metres, 0 inside."""
    local = (points - box.center) @ box.rotation
    beyond = np.maximum(np.abs(local) - box.size / 2, 0.0)
    return np.asarray(np.linalg.norm(beyond, axis=-1))


def box_distance(one: OrientedBox, other: OrientedBox) -> float:
    """Return the distance of two solid boxes in metres, 0 where they touch or overlap."""
    if _overlap(one, other):
        return 0.0
    corners = one.corners, other.corners
    nearest = min(float(distance_to_box(corners[0], other).min()), float(distance_to_box(corners[1], one).min()))
    return min(nearest, _edge_distance(corners[0][_EDGES], corners[1][_EDGES]))


def _overlap(one: OrientedBox, other: OrientedBox) -> bool:
    axes = np.concatenate([one.rotation.T, other.rotation.T, _crossed(one.rotation.T, other.rotation.T)])
    reach = [np.abs(axes @ box.rotation) @ (box.size / 2) for box in (one, other)]
    apart = np.abs(axes @ (other.center - one.center)) > reach[0] + reach[1]
    return not bool(apart.any())


def _crossed(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cross products of all pairs of axes that are not parallel, (n, 3)."""
    crossed = np.cross(one[:, None], other[None]).reshape(-1, 3)
    return np.asarray(crossed[np.einsum("ni,ni->n", crossed, crossed) > PARALLEL])


def _edge_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the least distance of the insides of segments (n, 2, 3) and (m, 2, 3); their ends are left to corners."""
    start, along = one[:, None, 0], (one[:, 1] - one[:, 0])[:, None]
    begin, across = other[None, :, 0], (other[:, 1] - other[:, 0])[None]
    between = start - begin
    a, e = (along * along).sum(-1), (across * across).sum(-1)
    b, c, f = (along * across).sum(-1), (along * between).sum(-1), (across * between).sum(-1)
    square = a * e - b * b
    usable = square > PARALLEL * a * e
    square = np.where(usable, square, 1.0)
    s, t = (b * f - c * e) / square, (a * f - b * c) / square
    inside = usable & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    gap = between + s[..., None] * along - t[..., None] * across
    return float(np.where(inside, np.linalg.norm(gap, axis=-1), np.inf).min())
