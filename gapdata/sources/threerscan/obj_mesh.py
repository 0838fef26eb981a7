"""Read places and triangles of a Wavefront OBJ mesh, vertex by vertex in file order, which segment files refer to."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import numbers_of

VERTEX = re.compile(rb"^v[ \t]+([^\n]*)", re.MULTILINE)
FACE = re.compile(rb"^f[ \t]+(-?\d+)\S*[ \t]+(-?\d+)\S*[ \t]+(-?\d+)\S*[ \t]*\r?$", re.MULTILINE)
ANY_FACE = re.compile(rb"^f[ \t]", re.MULTILINE)


def read_obj(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return vertices (V, 3) and triangles (T, 3), numbered from 0; colours behind the places do not count.

    Raises:
        ValueError: it has no triangle, a face is not one or names a vertex that does not exist, or a place is not
            finite.
    """
    rows = VERTEX.findall(data)
    width = len(rows[0].split()) if rows else 0
    values = numbers_of(b"\n".join(rows).decode("ascii", errors="replace"))
    if width not in (3, 4, 6, 7) or len(values) != len(rows) * width:
        raise ValueError("has no vertices, or vertices with unequally many numbers")
    points = values.reshape(len(rows), width)[:, :3].astype(np.float32)
    corners = FACE.findall(data)
    if not corners or len(corners) != len(ANY_FACE.findall(data)):
        raise ValueError("has no faces, or a face that is not a triangle")
    try:
        faces = np.array(corners, dtype=np.bytes_).astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError("has a face with an impossible number") from error
    faces = np.where(faces < 0, faces + len(points), faces - 1)  # negative numbers count from the last vertex
    if not np.isfinite(points).all() or faces.min() < 0 or faces.max() >= len(points):
        raise ValueError("has a place that is not finite, or a face with a vertex that does not exist")
    return points, faces.astype(np.int32)
