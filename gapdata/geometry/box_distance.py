"""Compute exact distances of boxes: between two of them, and from points to one.

The nearest points of two convex polyhedra are a corner and a face, or two edges. So the distance of two boxes that do
not overlap is the least of the distances of each corner to the other box, which has a closed form, and of all pairs of
edges (Ericson, Real-Time Collision Detection, 2005, sections 5.1.4 and 5.1.9). Two boxes overlap unless one of fifteen
axes separates them (Gottschalk, Lin, Manocha 1996).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox, box_corners

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
    return float(box_distances([one], [other])[0])


def box_distances(ones: Sequence[OrientedBox], others: Sequence[OrientedBox]) -> NDArray[np.float64]:
    """Return the distance of each pair of solid boxes, (n,) metres, 0 where they touch or overlap."""
    if not ones:
        return np.zeros(0)
    one, other = _Boxes.of(ones), _Boxes.of(others)
    nearest = np.minimum(_corner_distances(one, other), _corner_distances(other, one))
    edges = _edge_distances(one.corners[:, _EDGES], other.corners[:, _EDGES])
    return np.where(_overlapping(one, other), 0.0, np.minimum(nearest, edges))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Boxes:
    """Boxes in one frame, metres."""

    center: NDArray[np.float64]  # (n, 3)
    size: NDArray[np.float64]  # (n, 3)
    rotation: NDArray[np.float64]  # (n, 3, 3)
    corners: NDArray[np.float64]  # (n, 8, 3)

    @classmethod
    def of(cls, boxes: Sequence[OrientedBox]) -> _Boxes:
        center, size = np.array([box.center for box in boxes]), np.array([box.size for box in boxes])
        rotation = np.array([box.rotation for box in boxes])
        return cls(center=center, size=size, rotation=rotation, corners=box_corners(center, size, rotation))


def _corner_distances(one: _Boxes, other: _Boxes) -> NDArray[np.float64]:
    """Return the least distance of the corners of boxes to other boxes, (n,)."""
    local = (one.corners - other.center[:, None]) @ other.rotation
    beyond = np.maximum(np.abs(local) - other.size[:, None] / 2, 0.0)
    return np.asarray(np.linalg.norm(beyond, axis=-1).min(axis=-1))


def _overlapping(one: _Boxes, other: _Boxes) -> NDArray[np.bool_]:
    """Return which pairs no axis separates, (n,)."""
    own, theirs = np.swapaxes(one.rotation, 1, 2), np.swapaxes(other.rotation, 1, 2)  # rows are axes
    crossed = np.cross(own[:, :, None], theirs[:, None]).reshape(-1, 9, 3)
    crossed[np.einsum("nai,nai->na", crossed, crossed) <= PARALLEL] = 0.0  # separates nothing
    axes = np.concatenate([own, theirs, crossed], axis=1)
    reach = [np.einsum("nak,nk->na", np.abs(axes @ boxes.rotation), boxes.size / 2) for boxes in (one, other)]
    apart = np.abs(np.einsum("nai,ni->na", axes, other.center - one.center)) > reach[0] + reach[1]
    return ~np.asarray(apart.any(axis=-1))


def _edge_distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least distance of the insides of edges (n, k, 2, 3) and (n, m, 2, 3); corners have their ends."""
    start, along = one[:, :, None, 0], (one[:, :, 1] - one[:, :, 0])[:, :, None]
    begin, across = other[:, None, :, 0], (other[:, :, 1] - other[:, :, 0])[:, None]
    between = start - begin
    a, e = _dot(along, along), _dot(across, across)
    b, c, f = _dot(along, across), _dot(along, between), _dot(across, between)
    square = a * e - b * b
    usable = square > PARALLEL * a * e
    square = np.where(usable, square, 1.0)
    s, t = (b * f - c * e) / square, (a * f - b * c) / square
    inside = usable & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    gap = between + s[..., None] * along - t[..., None] * across
    return np.asarray(np.sqrt(np.where(inside, _dot(gap, gap), np.inf)).min(axis=(1, 2)))


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("...i,...i->...", one, other))
