"""Read triangle meshes with vertex colours from PLY files.

ScanNet's are binary, little-endian, with a vertex element of numbers and a face element of one list: these are read
straight into arrays. trimesh reads any other PLY; importing it takes longer than reading such a mesh.
"""

from __future__ import annotations

import io
import re
import struct

import numpy as np
from numpy.typing import NDArray

UNREADABLE = (
    *(ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, NameError, OSError),
    *(RuntimeError, struct.error, SyntaxError, TypeError, ValueError),
)
"""The errors of trimesh for a damaged file; they do not have a common class."""
Mesh = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.uint8]]
"""Vertices (V, 3), faces (T, 3) and colours (V, 3) RGB, in file order."""

NUMBERS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "<i2", "int16": "<i2", "ushort": "<u2",
    "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4", "float": "<f4", "float32": "<f4",
    "double": "<f8", "float64": "<f8",
}  # fmt: skip
LONGEST_HEADER = 1 << 16
HEADER = re.compile(
    rb"ply\r?\nformat binary_little_endian 1\.0\r?\n((?:[^\n]*\n)*?)end_header\r?\n",
)


def read_mesh(data: bytes) -> Mesh:
    """Read the mesh in the bytes of a PLY file; vertices and faces keep their order and number.

    Raises:
        ValueError: the bytes are not a PLY file with vertex colours, or are cut short.
    """
    plain = _plain_mesh(data)
    return _any_mesh(data) if plain is None else plain


def read_sound_mesh(data: bytes) -> Mesh:
    """Read a mesh with at least one face, whose coordinates are finite and whose faces have vertices that exist.

    Raises:
        ValueError: it is not one; the message says why.
    """
    try:
        vertices, faces, colors = read_mesh(data)
    except ValueError as error:
        raise ValueError(f"mesh cannot be read: {error}") from error
    if not len(vertices) or not len(faces) or not np.isfinite(vertices).all():
        raise ValueError("mesh is empty or has coordinates that are not finite")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("mesh has a face with a vertex that does not exist")
    return vertices, faces, colors


def _plain_mesh(data: bytes) -> Mesh | None:
    """Read a file that is laid out as ScanNet's are; return ``None`` for another one."""
    header = HEADER.match(data, 0, LONGEST_HEADER)
    elements = None if header is None else _elements(header[1].decode("ascii", errors="replace"))
    if header is None or elements is None:
        return None
    vertex_count, properties, face_count, index_type = elements
    vertex = np.dtype(properties)
    face = np.dtype([("count", "u1"), ("corners", index_type, (3,))])
    start = header.end()
    if len(data) != start + vertex_count * vertex.itemsize + face_count * face.itemsize:
        return None
    vertices = np.frombuffer(data, vertex, vertex_count, start)
    faces = np.frombuffer(data, face, face_count, start + vertices.nbytes)
    if (faces["count"] != 3).any():
        return None
    return (
        np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float32),
        faces["corners"].astype(np.int32),
        np.stack([vertices[channel] for channel in ("red", "green", "blue")], axis=1),
    )


def _elements(header: str) -> tuple[int, list[tuple[str, str]], int, str] | None:
    """Return the number of vertices, their properties with types, the number of faces and the type of an index."""
    lines = [
        words for line in header.splitlines() if (words := line.split()) and words[0] not in ("comment", "obj_info")
    ]
    starts = [place for place, words in enumerate(lines) if words[0] == "element"]
    if len(starts) != 2 or starts[0] != 0 or any(len(lines[place]) != 3 for place in starts):
        return None
    (_, vertex, vertex_count), (_, face, face_count) = (lines[place] for place in starts)
    properties, lists = lines[1 : starts[1]], lines[starts[1] + 1 :]
    if (vertex, face) != ("vertex", "face") or not (vertex_count.isdecimal() and face_count.isdecimal()):
        return None
    if any(len(words) != 3 or words[0] != "property" or words[1] not in NUMBERS for words in properties):
        return None
    types = {words[2]: NUMBERS[words[1]] for words in properties}
    colored = all(types.get(channel) == "u1" for channel in ("red", "green", "blue"))
    if len(types) != len(properties) or not colored or not {"x", "y", "z"} <= types.keys():
        return None
    if len(lists) != 1 or len(lists[0]) != 5 or lists[0][:2] != ["property", "list"]:
        return None
    _, _, count_type, index_type, name = lists[0]
    if NUMBERS.get(count_type) != "u1" or NUMBERS.get(index_type) not in ("<i4", "<u4"):
        return None
    if name not in ("vertex_indices", "vertex_index"):
        return None
    return int(vertex_count), list(types.items()), int(face_count), NUMBERS[index_type]


def _any_mesh(data: bytes) -> Mesh:
    import trimesh

    try:
        mesh = trimesh.load(io.BytesIO(data), file_type="ply", process=False, maintain_order=True, force="mesh")
        return (
            np.asarray(mesh.vertices, dtype=np.float32),
            np.asarray(mesh.faces, dtype=np.int32),
            np.asarray(mesh.visual.vertex_colors, dtype=np.uint8)[:, :3],
        )
    except UNREADABLE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
