"""Read a PLY file with all properties of its vertices, such as the object ids of 3RScan's labelled meshes.

ASCII and binary little-endian files are read, with numbers for vertices and one list for faces, which must be
triangles. :mod:`gapdata.sources.ply` reads meshes of which only places and colours count.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.sources.ply import LONGEST_HEADER, NUMBERS

HEADER = re.compile(rb"ply\r?\nformat (ascii|binary_little_endian) 1\.0\r?\n((?:[^\n]*\n)*?)end_header\r?\n")
CORNERS = ("vertex_indices", "vertex_index")
TRIANGLE = 3
FEWEST_BYTES = 2
"""Of a number in text: a digit and a blank. A header that states more numbers than fit into the file is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlyColumns:
    """The content of a PLY file, in file order."""

    vertices: Mapping[str, NDArray[Any]]  # by the property's name, (V,) of the type that the header states
    faces: NDArray[np.int32]  # (T, 3), empty for a cloud of points

    def points(self) -> NDArray[np.float32]:
        """Return the places of the vertices, (V, 3).

        Raises:
            ValueError: one of x, y and z is missing or not finite.
        """
        return stacked(self.vertices, ("x", "y", "z")).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    binary: bool
    count: int
    properties: tuple[tuple[str, str], ...]  # name and type of each property of a vertex
    faces: int
    face_types: tuple[str, str] | None  # of the count and of an index
    end: int


def read_columns(data: bytes) -> PlyColumns:
    """Read the bytes of a PLY file.

    Raises:
        ValueError: they are not such a file, or are cut short; faces have other than three corners, or name a vertex
            that does not exist.
    """
    header = _header(data)
    vertices, faces = (_binary if header.binary else _ascii)(data, header)
    if len(faces) and (faces.min() < 0 or faces.max() >= header.count):
        raise ValueError("has a face with a vertex that does not exist")
    return PlyColumns(vertices=vertices, faces=faces)


def stacked(columns: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> NDArray[Any]:
    """Return some columns side by side, (V, n).

    Raises:
        ValueError: one is missing, or has a number that is not finite.
    """
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(f"has no vertex property {', '.join(missing)}; it has {', '.join(columns)[:200]}")
    values = np.stack([columns[name] for name in names], axis=1)
    if not np.isfinite(values).all():
        raise ValueError(f"has a vertex with {'/'.join(names)} that is not finite")
    return values


def _header(data: bytes) -> _Header:
    match = HEADER.match(data, 0, LONGEST_HEADER)
    if match is None:
        raise ValueError("is not a PLY file in ASCII or binary little-endian")
    elements: dict[str, tuple[int, list[list[str]]]] = {}
    for line in match[2].decode("ascii", errors="replace").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "element" and words[2].isdecimal() and len(words[2]) < 10:
            elements[words[1]] = int(words[2]), []
        elif words and words[0] == "property" and elements:
            next(reversed(elements.values()))[1].append(words[1:])
        elif words and words[0] not in ("comment", "obj_info"):
            raise ValueError(f"has a header line that is not understood: {line[:60]!r}")
    if list(elements) not in (["vertex"], ["vertex", "face"]):
        raise ValueError(f"has the elements {', '.join(elements)[:60] or 'none'}, expected vertex and face")
    count, properties = elements["vertex"]
    if any(len(words) != 2 or words[0] not in NUMBERS for words in properties):
        raise ValueError("has a vertex property that is not a number")
    faces, lists = elements.get("face", (0, []))
    face_types = None
    if "face" in elements:
        if len(lists) != 1 or len(lists[0]) != 4 or lists[0][0] != "list" or lists[0][3] not in CORNERS:
            raise ValueError("has faces with other properties than one list of vertex indices")
        face_types = NUMBERS.get(lists[0][1], ""), NUMBERS.get(lists[0][2], "")
        if not all(name and name[-2] in "iu" for name in face_types):
            raise ValueError("has faces whose indices are not integers")
    names = tuple((words[1], NUMBERS[words[0]]) for words in properties)
    if len({name for name, _ in names}) != len(names):
        raise ValueError("has two vertex properties of one name")
    return _Header(
        binary=match[1] != b"ascii", count=count, properties=names, faces=faces, face_types=face_types, end=match.end()
    )


def _binary(data: bytes, header: _Header) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    vertex = np.dtype(list(header.properties))
    counts, indices = header.face_types or ("u1", "<i4")
    face = np.dtype([("count", counts), ("corners", indices, (TRIANGLE,))])
    expected = header.end + header.count * vertex.itemsize + header.faces * face.itemsize
    if len(data) < expected:
        raise ValueError(f"is cut short, or has faces that are not triangles: {len(data)} of {expected} bytes")
    rows = np.frombuffer(data, vertex, header.count, header.end)
    faces = np.frombuffer(data, face, header.faces, header.end + rows.nbytes)
    if (faces["count"] != TRIANGLE).any():
        raise ValueError("has a face that is not a triangle")
    return {name: rows[name] for name, _ in header.properties}, faces["corners"].astype(np.int32)


def _ascii(data: bytes, header: _Header) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    width, corners = len(header.properties), TRIANGLE + 1
    expected = header.count * width + header.faces * corners
    if expected * FEWEST_BYTES > len(data) - header.end + 1:
        raise ValueError(f"is cut short: {len(data)} bytes cannot hold {expected} numbers")
    values = _numbers(data[header.end :], expected)
    rows = values[: header.count * width].reshape(header.count, width)
    faces = values[header.count * width :].reshape(header.faces, corners)
    if (faces[:, 0] != TRIANGLE).any():
        raise ValueError("has a face that is not a triangle")
    columns = {name: _as_type(rows[:, place], kind, name) for place, (name, kind) in enumerate(header.properties)}
    return columns, _as_type(faces[:, 1:], "<i4", "vertex index").astype(np.int32)


def _numbers(text: bytes, expected: int) -> NDArray[np.float64]:
    """Return the numbers of a text, which must be exactly so many."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy stops at a word that is not a number
        try:
            values = np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning) as error:
            raise ValueError("has a word that is not a number") from error
    if len(values) != expected:
        raise ValueError(f"has {len(values)} numbers, but its header states {expected}; it is cut short or damaged")
    return values


def _as_type(values: NDArray[np.float64], kind: str, name: str) -> NDArray[Any]:
    """Return numbers of a text in the type that the header states."""
    if kind[-2] == "f":
        return values.astype(kind)
    info = np.iinfo(kind)
    if not ((values >= info.min) & (values <= info.max) & (values == np.floor(values))).all():
        raise ValueError(f"has a {name} that is not a whole number from {info.min} to {info.max}")
    return values.astype(kind)
