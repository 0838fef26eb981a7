"""Measure how far the meshes of a scene's objects are apart, for the pairs that questions can name.

Each mesh is covered with points that are four centimetres apart or less, and the nearest points of two meshes count: at
the 20 cm and more of which questions ask, that is right to half a centimetre. Points lie in blocks, and two blocks are
compared only if their spheres can hold a pair that is nearer than the nearest middles of blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.box_distance import box_distances
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.cloud_distances import cloud_distances
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


def find_mesh_distances(annotation: Annotation, objects: SceneObjects) -> MeshDistances | None:
    """Return the distances of all pairs of objects with a name of their own; ``None`` without triangles of objects.

    Args:
        annotation: the labelled mesh.
        objects: its objects, with their boxes and names.
    """
    owner = _owners(annotation)
    counts = dict(zip(*(part.tolist() for part in np.unique(owner, return_counts=True)), strict=True))
    named = [key for key in nameable_ids(objects.labels) if key in objects.boxes and key in counts]
    if counts.keys() <= {NO_OBJECT}:
        return None
    object_ids = tuple(sorted(sorted(named, key=lambda key: (-counts[key], key))[:MOST_OBJECTS]))
    metres = np.full((len(object_ids), len(object_ids)), np.nan)
    pairs = _pairs_apart([objects.boxes[key] for key in object_ids])
    if len(pairs):
        # Most furniture stands along the walls: along its axes blocks are full, and most of them are left out.
        vertices = annotation.vertices @ objects.boxes[object_ids[0]].rotation
        place = np.full(owner.max() + 2, NO_OBJECT)  # the last one is that of NO_OBJECT
        place[list(object_ids)] = np.arange(len(object_ids))
        points, clouds = _points_on(vertices, annotation.faces, place[owner])
        ones, others = pairs.T
        metres[ones, others] = metres[others, ones] = cloud_distances(points, clouds, pairs)
    return MeshDistances(object_ids=object_ids, metres=np.rint(metres * MILLIMETRES_PER_METRE) / MILLIMETRES_PER_METRE)


def _owners(annotation: Annotation) -> NDArray[np.int32]:
    """Return the object that all corners of each triangle are of, (T,), ``NO_OBJECT`` where there is none."""
    one, two, three = annotation.vertex_object_ids()[annotation.faces.T]
    return np.where((one == two) & (one == three), one, NO_OBJECT)


def _pairs_apart(boxes: Sequence[OrientedBox]) -> NDArray[np.int64]:
    """Return the pairs of boxes (m, 2) that a question could be about."""
    pairs = np.array(list(itertools.combinations(range(len(boxes)), 2)), dtype=np.int64).reshape(-1, 2)
    gaps = box_distances([boxes[one] for one, _ in pairs], [boxes[other] for _, other in pairs])
    return pairs[gaps >= LEAST_GAP]


def _points_on(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], clouds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the corners of triangles, and points in between where their sides are long.

    Args:
        vertices: (V, 3) metres.
        faces: (T, 3) corners of triangles.
        clouds: (T,) the cloud that each triangle is of, or ``NO_OBJECT``.

    Returns:
        The points (n, 3) in metres, and the cloud of each (n,).
    """
    faces, clouds = faces[clouds != NO_OBJECT], clouds[clouds != NO_OBJECT].astype(np.uint8)
    owner = np.full(len(vertices), MOST_OBJECTS, dtype=np.uint8)
    owner[faces.T] = clouds
    corners = np.flatnonzero(owner != MOST_OBJECTS)
    points, owners = [vertices[corners]], [owner[corners]]
    rows = np.ascontiguousarray(vertices.T)  # whole rows: NumPy's axes of length three are slow
    first, second, third = (rows.take(corner, 1) for corner in faces.T)
    squares = [np.einsum("in,in->n", side, side) for side in (first - second, second - third, third - first)]
    longest = np.sqrt(np.maximum(np.maximum(squares[0], squares[1]), squares[2]))
    parts = np.clip(np.ceil(longest / SPACING), 1, MOST_PARTS).astype(int)
    for count in np.unique(parts[parts > 1]).tolist():
        steps = [(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)]
        weights = np.array([step for step in steps if count not in step], dtype=np.float32) / count
        chosen = parts == count
        points.append((weights @ vertices.take(faces[chosen], 0)).reshape(-1, 3))
        owners.append(np.repeat(clouds[chosen], len(weights)))
    return np.concatenate(points), np.concatenate(owners)
