"""Meshes are read as trimesh reads them, and the layout that ScanNet uses without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from gapdata.sources.ply import read_mesh

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 1, 2], [3, 1, 2], [4, 0, 1]], dtype=np.int32)
COLORS = np.arange(15, dtype=np.uint8).reshape(5, 3)


def scannet_ply(
    index_type: str = "int", name: str = "vertex_indices", comment: str = "comment VCGLIB generated"
) -> bytes:
    properties = [f"property float {axis}" for axis in "xyz"]
    properties += [f"property uchar {channel}" for channel in ("red", "green", "blue", "alpha")]
    faces = [f"element face {len(FACES)}", f"property list uchar {index_type} {name}", "end_header"]
    start = ["ply", "format binary_little_endian 1.0", comment, f"element vertex {len(VERTICES)}"]
    header = "\n".join([*start, *properties, *faces, ""]).encode()
    vertices = b"".join(v.tobytes() + c.tobytes() + b"\xff" for v, c in zip(VERTICES, COLORS, strict=True))
    return header + vertices + b"".join(b"\x03" + face.tobytes() for face in FACES)


def assert_is_the_mesh(data: bytes) -> None:
    vertices, faces, colors = read_mesh(data)
    assert [str(part.dtype) for part in (vertices, faces, colors)] == ["float32", "int32", "uint8"]
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)
    np.testing.assert_array_equal(colors, COLORS)


@pytest.mark.parametrize("index_type", ["int", "uint", "int32"])
@pytest.mark.parametrize("name", ["vertex_indices", "vertex_index"])
def test_the_layout_of_scannet_is_read_in_file_order(index_type: str, name: str) -> None:
    assert_is_the_mesh(scannet_ply(index_type, name))


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_other_layouts_are_read_as_trimesh_reads_them(encoding: str) -> None:
    mesh = trimesh.Trimesh(VERTICES, FACES, vertex_colors=COLORS, process=False)
    assert_is_the_mesh(
        trimesh.exchange.ply.export_ply(mesh, encoding={"binary_little_endian": "binary"}.get(encoding, encoding))
    )


@pytest.mark.parametrize("cut", [1, 13, 40])
def test_a_mesh_that_is_cut_short_is_an_error(cut: int) -> None:
    with pytest.raises((ValueError, KeyError, IndexError, TypeError, EOFError)):
        read_mesh(scannet_ply()[:-cut])


def test_a_header_that_claims_a_terabyte_allocates_nothing() -> None:
    data = scannet_ply().replace(b"element vertex 5", b"element vertex 99999999999")
    with pytest.raises((ValueError, KeyError, IndexError, TypeError, EOFError)):
        read_mesh(data)


def test_reading_scannets_layout_does_not_import_trimesh(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    path.write_bytes(scannet_ply())
    code = (
        "import sys, pathlib; from gapdata.sources.ply import read_mesh;"
        "read_mesh(pathlib.Path(sys.argv[1]).read_bytes()); print('trimesh' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
