"""The labelled mesh: segments by vertices, vertices of several objects, labels that are to be left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.errors import MissingInput, SourceError
from gapdata.geometry.boxes import axis_aligned_box
from gapdata.sources.base import Annotation
from gapdata.sources.scannetpp.annotation import SceneMesh, objects_of, parse_groups
from tests.support.scannetpp_scenes import SCENE, group, write_mesh


def objects(groups: list[dict[str, Any]], segments: list[int], dropped: frozenset[str] = frozenset()) -> Any:
    found, notes = objects_of(parse_groups(json.dumps({"segGroups": groups}).encode()), np.array(segments), dropped)
    return {item.object_id: (item.label, item.vertices.tolist()) for item in found}, notes


def annotation(tmp_path: Path, dropped: frozenset[str] = frozenset()) -> Annotation | None:
    return SceneMesh(SCENE, tmp_path, dropped).annotation()


def test_the_smallest_object_has_a_vertex_of_several(tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans")
    found = annotation(tmp_path)
    assert found is not None
    assert {item.label: item.vertices.tolist() for item in found.objects} == {"wall": [0, 1, 2, 5], "monitor": [3, 4]}
    assert [item.object_id for item in found.objects] == [2, 4], "objectId, not id"
    assert found.vertex_object_ids().tolist() == [4, 4, 4, 2, 2, 4]
    assert found.notes == {"object_to_be_removed": 1, "vertex_of_several_objects": 2}
    assert found.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_of_three_nested_objects_each_keeps_what_no_smaller_one_has() -> None:
    groups = [group(0, "cup", (3,)), group(1, "room", range(6)), group(2, "table", (1, 2, 3))]
    found, notes = objects(groups, list(range(6)))
    assert found == {0: ("cup", [3]), 1: ("room", [0, 4, 5]), 2: ("table", [1, 2])}
    assert notes == {"vertex_of_several_objects": 3}


def test_of_equally_small_objects_the_first_of_the_file_has_the_vertex() -> None:
    found, _ = objects([group(9, "a", (0, 1)), group(3, "b", (1, 2))], list(range(4)))
    assert found == {3: ("b", [2]), 9: ("a", [0, 1])}


def test_segments_are_looked_up_and_not_taken_for_vertices() -> None:
    found, _ = objects([group(0, "table", (70, 12)), group(1, "chair", (5, 999))], [5, 12, 70, 5, 12, 4])
    assert found == {0: ("table", [1, 2, 4]), 1: ("chair", [0, 3])}


@pytest.mark.parametrize("label", ["REMOVE", "remove", "Removed", "REMOVE_ghost", "remove this", "to be removed", ""])
def test_what_annotators_marked_is_left_out(label: str) -> None:
    found, notes = objects([group(0, label, (0,)), group(1, "stain remover", (0, 1))], [0, 1])
    assert found == {1: ("stain remover", [0, 1])}
    assert notes == {"object_to_be_removed": 1}


def test_groups_that_cannot_be_objects_are_counted_and_the_others_stay() -> None:
    groups = [
        group(0, "chair", (0, 1)),
        group(0, "table", (2,)),
        group(1, "unsure", (3,)),
        group(2, "lamp", (77,)),
        group(70000, "plant", (4,)),
        group(5, "floor", (0, 5)),
        group(6, "cover", (6, 7)),
        group(7, "a", (6,)),
        group(8, "b", (7,)),
    ]
    found, notes = objects(groups, list(range(8)), frozenset({"unsure"}))
    assert sorted(found) == [0, 5, 7, 8]
    assert notes == {
        "repeated_object_id": 1,
        "object_of_a_dropped_label": 1,
        "object_without_vertices": 1,
        "object_id_out_of_range": 1,
        "object_covered_by_smaller_ones": 1,
        "vertex_of_several_objects": 3,
    }


def test_boxes_come_from_the_vertices_and_not_from_obb(tmp_path: Path) -> None:
    wrong = {"obb": {"centroid": [9, 9, 9], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
    write_mesh(tmp_path / "scans", [{**group(4, "wall", range(4)), **wrong}])
    found = annotation(tmp_path)
    assert found is not None
    (wall,) = found.objects
    assert wall.box is None
    assert axis_aligned_box(found.vertices[wall.vertices]).center.tolist() == [0, 2, 0]


def test_a_hidden_test_scene_has_a_mesh_and_no_annotation(tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans")
    (tmp_path / "scans" / "segments_anno.json").unlink()
    assert annotation(tmp_path) is None
    assert len(SceneMesh(SCENE, tmp_path, frozenset()).surface[0]) == 6


@pytest.mark.parametrize(
    ("name", "asset"), [("mesh_aligned_0.05.ply", "scan_mesh_path"), ("segments.json", "scan_mesh_segs_path")]
)
def test_a_file_that_is_missing_beside_the_groups_names_its_download(name: str, asset: str, tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans")
    (tmp_path / "scans" / name).unlink()
    with pytest.raises(MissingInput, match=rf"scans: scene {SCENE}: has no {name}; download {asset}: name them in"):
        annotation(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("segments_anno.json", '{"segGroups": [{"id": 1', "is not valid JSON, as if it were cut off"),
        ("segments_anno.json", '{"groups": []}', "has no list segGroups"),
        ("segments_anno.json", '{"segGroups": [{"objectId": 1, "label": "x"}]}', r"segGroups[0] is malformed"),
        ("segments_anno.json", '{"segGroups": [7]}', r"segGroups[0] is malformed"),
        ("segments_anno.json", '{"segGroups": [{"objectId": 1, "label": "x", "segments": ["a"]}]}', "is malformed"),
        ("segments.json", '{"segIndices": [0, 1]}', "has 2 segment indices for 6 vertices of mesh_aligned_0.05.ply"),
        ("segments.json", '{"segIndices": [0, 1, 2, 3, 4, "x"]}', "segIndices are not integers"),
        ("segments.json", "[" * 100_000, "is nested too deeply"),
        ("mesh_aligned_0.05.ply", "ply\nformat ascii 1.0\nend_header\n", "mesh"),
    ],
)
def test_a_damaged_file_is_one_error_that_names_it(name: str, content: str, message: str, tmp_path: Path) -> None:
    write_mesh(tmp_path / "scans")
    (tmp_path / "scans" / name).write_text(content)
    with pytest.raises(SourceError) as caught:
        annotation(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "scans" / name) in str(caught.value)
