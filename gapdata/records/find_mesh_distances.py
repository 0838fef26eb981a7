"""Measure how far the meshes of a scene's objects are apart, for the pairs that questions can name.

Each mesh is covered with points that are four centimetres apart or less, and the nearest points of two meshes count: at
the 20 cm and more of which questions ask, that is right to half a centimetre. Points lie in blocks, and two blocks are
compared only if their spheres can hold a pair that is nearer than the nearest middles of blocks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.box_distance import box_distances
from gapdata.records.mesh_distances import MILLIMETRES_PER_METRE, MeshDistances
from gapdata.records.objects import SceneObjects
from gapdata.records.unique_names import nameable_ids
from gapdata.sources.base import Annotation

NO_OBJECT = -1
LEAST_GAP = 0.15
"""Metres between the boxes of two objects below which no question asks for their distance."""
SPACING = 0.04
"""Metres between points on a triangle; one with longer sides gets points inside."""
MOST_PARTS = 200
"""Parts that a side is cut into at most, which is a side of eight metres."""
MOST_OBJECTS = 64
"""Objects that are measured at most, those with the most triangles; a room has about twenty with a name of their own.
"""
CELL = 0.0025
"""Metres; of points in one cell the first one counts."""
SIDES = (128, 64, 32, 16)
"""Cells along a side of the blocks, from large to small, powers of two: a block holds whole blocks of the next size."""
MOST_CELLS = 256 * SIDES[0]
"""Cells along an object; the points of a longer one, beyond 82 metres, share the last ones."""


def find_mesh_distances(annotation: Annotation, objects: SceneObjects) -> MeshDistances | None:
    """Return the distances of all pairs of objects with a name of their own; ``None`` without triangles of objects.

    Args:
        annotation: the labelled mesh.
        objects: its objects, with their boxes and names.
    """
    owner = annotation.vertex_object_ids()[annotation.faces]  # (T, 3)
    owner = np.where((owner[:, 0] == owner[:, 1]) & (owner[:, 0] == owner[:, 2]), owner[:, 0], NO_OBJECT)
    counts = dict(zip(*(part.tolist() for part in np.unique(owner, return_counts=True)), strict=True))
    named = [key for key in nameable_ids(objects.labels) if key in objects.boxes and key in counts]
    if counts.keys() <= {NO_OBJECT}:
        return None
    object_ids = tuple(sorted(sorted(named, key=lambda key: (-counts[key], key))[:MOST_OBJECTS]))
    boxes = [objects.boxes[key] for key in object_ids]
    # Most furniture stands along the walls: along its axes blocks are full, and most of them are left out.
    vertices = annotation.vertices if not boxes else annotation.vertices @ boxes[0].rotation
    clouds = [_Cloud(_points_on(vertices, annotation.faces[owner == key])) for key in object_ids]
    metres = np.full((len(clouds), len(clouds)), np.nan)
    pairs = list(itertools.combinations(range(len(clouds)), 2))
    gaps = box_distances([boxes[one] for one, _ in pairs], [boxes[other] for _, other in pairs])
    for (one, other), gap in zip(pairs, gaps, strict=True):
        if gap >= LEAST_GAP:
            metres[one, other] = metres[other, one] = clouds[one].distance(clouds[other])
    return MeshDistances(object_ids=object_ids, metres=np.rint(metres * MILLIMETRES_PER_METRE) / MILLIMETRES_PER_METRE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Blocks:
    """Blocks of points, each with one of its points as the middle, and its parts: smaller blocks, or points."""

    middles: NDArray[np.float64]  # (n, 3) metres
    low: NDArray[np.float64]  # (n, 3) lower corner of the points
    high: NDArray[np.float64]  # (n, 3) upper corner
    begins: NDArray[np.int64]  # (n,) the first part of each
    counts: NDArray[np.int64]  # (n,) of parts

    @classmethod
    def of(cls, points: NDArray[np.float64], starts: NDArray[np.int64], parts: NDArray[np.int64]) -> _Blocks:
        """Make blocks of points that are in their order.

        Args:
            points: (n, 3) of all blocks.
            starts: the first point of each block.
            parts: the first point of each part of a block.
        """
        sizes = np.diff(np.append(starts, len(points)))
        low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
        begins = np.searchsorted(parts, starts)
        counts = np.diff(np.append(begins, len(parts)))
        return cls(middles=points[starts + sizes // 2], low=low, high=high, begins=begins, counts=counts)


class _Cloud:
    """Points (n, 3) of one object, in blocks within blocks."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        cells = np.minimum((points - points.min(axis=0)) / CELL, MOST_CELLS - 1).astype(np.int64)
        key = np.zeros(len(points), dtype=np.int64)
        for outer, inner in itertools.pairwise((MOST_CELLS, *SIDES, 1)):
            for axis in range(3):
                key = key << _bits(outer // inner) | cells[:, axis] >> _bits(inner) & outer // inner - 1
        key, first = np.unique(key, return_index=True)
        self._points = points[first]
        starts = [*(_changes(key >> 3 * _bits(side)) for side in SIDES), np.arange(len(key))]
        self._levels = [_Blocks.of(self._points, *pair) for pair in itertools.pairwise(starts)]

    def distance(self, other: _Cloud) -> float:
        """Return the least distance of two points, one of each cloud, in metres."""
        return float(np.sqrt(self._nearest(other, self._nearest(other, None))))

    def _nearest(self, other: _Cloud, best: float | None) -> float:
        """Return the least squared distance of two points of pairs of blocks that may be nearer than ``best``.

        Without that only the pair that may be nearest is followed, so that the result may be too large.
        """
        sizes = len(self._levels[0].middles), len(other._levels[0].middles)
        ones, others = (side.ravel() for side in np.indices(sizes))
        for one, another in zip(self._levels, other._levels, strict=True):
            apart = _squares(one.middles.take(ones, 0) - another.middles.take(others, 0))
            if best is None:
                near = np.array([apart.argmin()])
            else:
                best = min(best, float(apart.min()))
                beyond = np.maximum(
                    another.low.take(others, 0) - one.high.take(ones, 0),
                    one.low.take(ones, 0) - another.high.take(others, 0),
                )
                near = np.flatnonzero(_squares(np.maximum(beyond, 0, out=beyond)) <= best)
            ones, others = _pairs_of_parts(one, another, ones[near], others[near])
        return float(_squares(self._points.take(ones, 0) - other._points.take(others, 0)).min())


def _pairs_of_parts(
    one: _Blocks, other: _Blocks, ones: NDArray[np.int64], others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of a part of a block and a part of another block, for pairs of blocks."""
    widths = other.counts[others]
    sizes = one.counts[ones] * widths
    place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row, column = np.divmod(place, np.repeat(widths, sizes))
    return row + np.repeat(one.begins[ones], sizes), column + np.repeat(other.begins[others], sizes)


def _bits(count: int) -> int:
    """Return the exponent of a power of two."""
    return count.bit_length() - 1


def _changes(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))


def _squares(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared lengths (n,) of vectors (n, 3)."""
    return np.asarray(np.einsum("ni,ni->n", vectors, vectors))


def _points_on(vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the corners of triangles, and points in between where their sides are long, (n, 3) metres.

    Args:
        vertices: (V, 3) metres, of all triangles.
        faces: (T, 3) corners of some triangles.
    """
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    found = [vertices[used]]
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    squares = [np.einsum("ni,ni->n", side, side) for side in (first - second, second - third, third - first)]
    longest = np.sqrt(np.maximum(np.maximum(squares[0], squares[1]), squares[2]))
    parts = np.clip(np.ceil(longest / SPACING), 1, MOST_PARTS).astype(int)
    for count in np.unique(parts[parts > 1]).tolist():
        steps = [(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)]
        weights = np.array([step for step in steps if count not in step], dtype=np.float32) / count
        found.append((weights @ vertices[faces[parts == count]]).reshape(-1, 3))
    return np.concatenate(found).astype(np.float64)
