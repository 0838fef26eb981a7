"""Mask3D's proposals in both forms: boxes from JSON, boxes from sparse masks over the mesh's vertices."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapdata.annotations.proposals import USED_MASKS, read_masks, read_proposals
from gapdata.errors import FileError
from tests.support.annotation_records import npy, sparse_members, write_json, write_npz

one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def test_boxes_are_read_by_scene(tmp_path: Path) -> None:
    rows = [[1.5, -2, 0.25, 1, 2, 3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]
    table = {"scannet/scene0011_00": rows, "scannet/scene0011_01": [], "scene0012_00": rows[:1]}
    found = read_proposals(write_json(tmp_path / "scannet_val_pred_box.json", table))
    assert list(found.scenes) == ["scene0011_00", "scene0011_01", "scene0012_00"]
    assert found.scenes["scene0011_00"].tolist() == rows
    assert found.scenes["scene0011_01"].shape == (0, 6)
    assert (found.report.split, found.report.items, found.report.taken) == ("val", 3, 3)


def test_unsound_boxes_and_scenes_are_left_out_and_counted(tmp_path: Path) -> None:
    sound = [1, 2, 3, 1, 1, 1]
    table = {
        "scannet/scene0000_00": [sound, [1, 2, 3, 1, 1, 0], [1, 2, 3, 1, 1, float("nan")], [1, 2], "box", [True] * 6],
        "scannet/scene0000_01": 5,
        "3rscan/abc": [sound],
        "scannet/scene9999_00": [sound],
    }
    found = read_proposals(write_json(tmp_path / "boxes.json", table), {"scene0000_00", "scene0000_01"})
    assert found.scenes["scene0000_00"].tolist() == [sound]
    assert found.report.defects == {"box_is_not_six_finite_numbers": 4, "box_without_extent": 1}
    assert found.report.ignored == {"boxes_are_not_a_list": 1, "no_scene_id": 1, "scene_not_in_data_set": 1}


def test_a_list_is_no_table_of_proposals(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not a JSON object with scenes; expected"):
        read_proposals(write_json(tmp_path / "boxes.json", [[1]]))


@one_file
@given(
    dense=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)),
    form=st.sampled_from(["csr", "csc", "coo"]),
)
def test_masks_of_every_sparse_format_are_read_exactly(tmp_path: Path, dense: np.ndarray, form: str) -> None:
    masks = read_masks(write_npz(tmp_path / "scene0011_00.mask.npz", sparse_members(dense, form)))
    assert (masks.scene_id, masks.vertex_count) == ("scene0011_00", dense.shape[1])
    assert [mask.tolist() for mask in masks.masks] == [np.flatnonzero(row).tolist() for row in dense]


def test_only_the_first_masks_are_used_and_their_boxes_enclose_their_vertices(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    dense = rng.random((70, 40)) < 0.2
    dense[4] = False
    vertices = rng.normal(size=(40, 3))
    masks = read_masks(write_npz(tmp_path / "scene0011_00.mask.npz", sparse_members(dense, "csr")))
    assert len(masks.masks) == USED_MASKS
    boxes = masks.boxes(vertices)
    used = [row for row in dense[:USED_MASKS] if row.any()]
    assert len(boxes) == len(used)
    for row, box in zip(used, boxes, strict=True):
        points = vertices[row]
        np.testing.assert_allclose(box[:3] - box[3:] / 2, points.min(axis=0), atol=1e-12)
        np.testing.assert_allclose(box[:3] + box[3:] / 2, points.max(axis=0), atol=1e-12)


def test_entries_of_value_zero_cover_nothing(tmp_path: Path) -> None:
    members = sparse_members(np.ones((2, 3), bool), "csr")
    members["data"] = npy(np.array([1, 0, 1, 0, 0, 1], np.uint8))
    masks = read_masks(write_npz(tmp_path / "s.mask.npz", members))
    assert [mask.tolist() for mask in masks.masks] == [[0, 2], [2]]


def test_masks_of_another_mesh_are_refused(tmp_path: Path) -> None:
    masks = read_masks(write_npz(tmp_path / "s.mask.npz", sparse_members(np.eye(3, dtype=bool), "csr")))
    with pytest.raises(FileError, match="scene s: masks are for 3 vertices, but the mesh has 4"):
        masks.boxes(np.zeros((4, 3)))


def claimed(shape: str, dtype: str = "<i4") -> bytes:
    """A header that states too much, and eight bytes."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 8


SOUND = sparse_members(np.eye(3, dtype=bool), "csr")
DAMAGE: dict[str, dict[str, bytes]] = {
    "states 1152921504606846976 values": {"indices": claimed(f"({2**60},)")},
    "states 1000000 values of int32": {"indices": claimed("(1000, 1000)")},
    "its header does not describe": {"indices": claimed("(2,)", "|O")},
    "it is not a .npy": {"data": b"\x80\x04N."},
    "is a sparse matrix in format 'dia'": {"format": npy(np.array(b"dia"))},
    "its shape is [-1, 3]": {"shape": npy(np.array([-1, 3]))},
    "its shape is [3, 4611686018427387904]": {"shape": npy(np.array([3, 2**62]))},
    "its indptr does not fit its shape": {"indptr": npy(np.array([0, 2, 1, 3]))},
    "has fewer entries than its indptr says": {"indptr": npy(np.array([0, 1, 2, 30]))},
    "names an entry outside its shape": {"indices": npy(np.array([0, 1, 3]))},
    "holds 3 values of float64": {"indices": npy(np.array([0.0, 1, 2]))},
    "has no member indptr": {"indptr": b""},
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_damaged_masks_are_refused_before_memory_is_taken(tmp_path: Path, problem: str) -> None:
    members = {name: data for name, data in {**SOUND, **DAMAGE[problem]}.items() if data}
    path = write_npz(tmp_path / "scene0011_00.mask.npz", members)
    tracemalloc.start()
    with pytest.raises(FileError) as caught:
        read_masks(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert peak < 4 << 20


def test_a_mask_file_without_a_scene_in_its_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"does not name a scene; name files of masks <scene>\.mask\.npz"):
        read_masks(write_npz(tmp_path / "masks.npz", SOUND))


@one_file
@given(st.data())
def test_damaged_archives_raise_only_annotation_errors(tmp_path: Path, data: Any) -> None:
    path = write_npz(tmp_path / "scene0011_00.mask.npz", SOUND)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else content)
    with suppress(FileError):
        read_masks(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "s.mask.npz", SOUND)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 1)
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    with pytest.raises(FileError, match="is encrypted"):
        read_masks(path)
