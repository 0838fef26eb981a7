"""The distances between meshes that records hold are those of the triangles, for pairs that questions can name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import open3d as o3d
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry.box_distance import box_distance
from gapdata.geometry.boxes import axis_aligned_box
from gapdata.records.find_mesh_distances import LEAST_GAP, find_mesh_distances
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.objects import SceneObjects, scene_objects
from gapdata.records.unique_names import nameable_ids
from gapdata.sources.base import Annotation, SceneObject
from gapdata.synthetic.scene import build_scene
from tests.records.test_room_floor import annotation_of

METHOD = 0.005
"""Metres by which points four centimetres apart may miss the nearest points of two meshes."""


@pytest.fixture(scope="module")
def scene() -> tuple[Annotation, SceneObjects]:
    """A furnished room."""
    built = build_scene(3, 2)
    annotation, labels = annotation_of(built)
    return annotation, scene_objects(annotation, labels, built.axis_alignment)


def of_triangles(annotation: Annotation, one: int, other: int) -> float:
    """The distance by Open3D: from the vertices of each object to the triangles of the other."""
    owner = annotation.vertex_object_ids()[annotation.faces]
    found = []
    for begin, end in ((one, other), (other, one)):
        mesh = o3d.t.geometry.RaycastingScene()
        faces = annotation.faces[(owner == end).all(axis=-1)].astype(np.uint32)
        mesh.add_triangles(o3d.core.Tensor(annotation.vertices), o3d.core.Tensor(faces))
        points = annotation.vertices[annotation.faces[(owner == begin).all(axis=-1)].reshape(-1)]
        found.append(float(mesh.compute_distance(o3d.core.Tensor(points)).min().item()))
    return min(found)


def test_they_are_those_of_the_triangles(scene: tuple[Annotation, SceneObjects]) -> None:
    annotation, objects = scene
    distances = find_mesh_distances(annotation, objects)
    assert distances is not None
    ids = distances.object_ids
    assert set(ids) == set(nameable_ids(objects.labels))
    pairs = [(one, other) for place, one in enumerate(ids) for other in ids[:place]]
    for one, other in pairs[::6]:
        gap, found = box_distance(objects.boxes[one], objects.boxes[other]), distances.between(one, other)
        if gap < LEAST_GAP:
            assert found is None
        else:
            assert found is not None
            assert found == pytest.approx(of_triangles(annotation, one, other), abs=METHOD)
            assert found > gap - METHOD  # the boxes are around the vertices
            assert found == distances.between(other, one)


def test_large_triangles_are_measured_inside() -> None:
    corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1.3, 1.1, 0.5], [1.3, 1.2, 2.0], [1.4, 1.1, 2.0]], np.float32)
    named = {0: "table", 1: "lamp"}
    annotation = Annotation(
        vertices=corners,
        faces=np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32),
        colors=np.zeros((6, 3), dtype=np.uint8),
        objects=tuple(SceneObject(object_id=key, label=named[key], vertices=np.arange(3) + 3 * key) for key in named),
    )
    boxes = {key: axis_aligned_box(corners[item.vertices]) for key, item in enumerate(annotation.objects)}
    objects = SceneObjects(names=named, labels={key: {"raw": named[key]} for key in named}, boxes=boxes, aligned={})
    distances = find_mesh_distances(annotation, objects)
    assert distances is not None
    assert distances.between(0, 1) == pytest.approx(0.5, abs=METHOD)
    without = find_mesh_distances(replace(annotation, faces=annotation.faces[:0]), objects)
    assert without is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_they_are_read_back_from_their_fields(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    metres = np.round(rng.uniform(0, 9, (count, count)), 3)
    metres[rng.random(metres.shape) < 0.2] = np.nan
    metres = np.triu(metres, 1) + np.triu(metres, 1).T
    np.fill_diagonal(metres, np.nan)
    ids = tuple(rng.permutation(50)[:count].tolist())
    again = MeshDistances.from_fields(MeshDistances(object_ids=ids, metres=metres).to_fields())
    assert again.object_ids == ids
    np.testing.assert_array_equal(again.metres, metres)
    some = again.among(set(ids[::2]) | {99})
    assert some.object_ids == ids[::2]
    assert all(some.between(one, other) == again.between(one, other) for one in ids[::2] for other in ids[::2])
    assert again.between(99, 0) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"object_ids": [1, 2], "millimetres": []},
        {"object_ids": [1, 1], "millimetres": [3]},
        {"object_ids": [1, 2], "millimetres": [-3]},
        {"object_ids": [1, 2], "millimetres": [1e12]},
        {"object_ids": [1, 2], "millimetres": [[3]]},
    ],
)
def test_fields_that_contradict_themselves_are_refused(fields: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="distance"):
        MeshDistances.from_fields(fields)
