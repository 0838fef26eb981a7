"""The floor that records hold is the floor of the plan that the synthetic room was built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.geometry.camera import transform
from gapdata.records.find_floor import WALKER, find_floor
from gapdata.records.room_floor import CELL, RoomFloor
from gapdata.sources.base import Annotation, SceneObject
from gapdata.synthetic.scene import Scene, build_scene

OUTLINE = 3 * CELL
AREA = 0.045
"""The floors of the synthetic rooms reach two centimetres below their walls."""


@pytest.fixture(scope="module", params=[(1, 1), (3, 0), (3, 3)], ids=str)
def scene(request: pytest.FixtureRequest) -> Scene:
    return build_scene(*request.param)


def annotation_of(scene: Scene) -> tuple[Annotation, Mapping[int, Mapping[str, str]]]:
    objects = tuple(
        SceneObject(object_id=key, label=label, vertices=np.flatnonzero(scene.vertex_object == key))
        for key, label in enumerate(scene.labels)
    )
    annotation = Annotation(
        vertices=scene.mesh.vertices.astype(np.float32),
        faces=scene.mesh.faces.astype(np.int32),
        colors=np.zeros((len(scene.mesh.vertices), 3), dtype=np.uint8),
        objects=objects,
    )
    return annotation, {key: {"raw": label} for key, label in enumerate(scene.labels)}


def found(scene: Scene) -> RoomFloor:
    room = find_floor(*annotation_of(scene), scene.axis_alignment)
    assert room is not None
    return room


def test_the_area_is_that_of_the_plan(scene: Scene) -> None:
    room = found(scene)
    assert room.area == pytest.approx(scene.plan.area, rel=AREA)
    assert room.height == pytest.approx(0.0, abs=0.01)
    assert room.walled > 0.95


def test_the_outline_is_the_plan_within_three_cells(scene: Scene) -> None:
    room = found(scene)
    outline = room.outline.astype(np.float32)
    for corner in scene.plan.corners.astype(np.float32):
        assert abs(cv2.pointPolygonTest(outline, (float(corner[0]), float(corner[1])), measureDist=True)) < OUTLINE
    for corner in outline:
        plan = scene.plan.corners.astype(np.float32)
        assert abs(cv2.pointPolygonTest(plan, (float(corner[0]), float(corner[1])), measureDist=True)) < OUTLINE
    x, y = room.outline.T
    assert np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1))  # counter-clockwise


def test_a_person_on_the_free_floor_touches_nothing(scene: Scene) -> None:
    room = found(scene)
    assert room.free.any()
    rows, columns = np.nonzero(room.free)
    places = np.stack([columns + 0.5, rows + 0.5], axis=-1) * CELL + room.free_origin
    assert scene.plan.inside(places).all()
    points = transform(scene.axis_alignment, scene.mesh.vertices)
    labels = np.array([*scene.labels, ""])[scene.vertex_object]
    tall = points[(points[:, 2] > 0.1) & (points[:, 2] < 1.7) & (labels != "") & (labels != "lamp")]
    for place in places[:: max(1, len(places) // 300)]:
        assert np.linalg.norm(tall[:, :2] - place, axis=-1).min() > WALKER - CELL


def test_a_world_that_is_turned_gives_the_same_room(scene: Scene) -> None:
    annotation, labels = annotation_of(scene)
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    turned = replace(annotation, vertices=transform(turn, annotation.vertices).astype(np.float32))
    room = find_floor(turned, labels, scene.axis_alignment @ np.linalg.inv(turn))
    assert room is not None
    assert room.area == pytest.approx(found(scene).area, rel=0.005)


def test_a_room_without_walls_is_open(scene: Scene) -> None:
    annotation, labels = annotation_of(scene)
    shell = {"wall", "door", "window", "doorframe", "curtain", "blinds"}
    bare = replace(annotation, objects=tuple(item for item in annotation.objects if item.label not in shell))
    room = find_floor(bare, labels, scene.axis_alignment)
    assert room is not None
    assert room.walled == 0.0


def test_without_a_labelled_floor_there_is_no_room(scene: Scene) -> None:
    annotation, labels = annotation_of(scene)
    bare = replace(annotation, objects=tuple(item for item in annotation.objects if item.label not in ("floor", "rug")))
    assert find_floor(bare, labels, scene.axis_alignment) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_a_room_is_read_back_from_its_fields(seed: int, rows: int, columns: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    room = RoomFloor(
        outline=rng.uniform(-5, 5, (5, 2)).round(3),
        area=12.345,
        walled=0.875,
        height=-0.012,
        free_origin=(-1.25, 2.5),
        free=rng.random((rows, columns)) < share,
    )
    again = RoomFloor.from_fields(room.to_fields())
    np.testing.assert_array_equal(again.free, room.free)
    np.testing.assert_array_equal(again.outline, room.outline)
    assert (again.area, again.walled, again.height, again.free_origin) == (12.345, 0.875, -0.012, (-1.25, 2.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2000, 3000]}, "the free floor has 2000x3000 cells of 0.05 m"),
        ({"runs": [3]}, "the runs of the free floor do not fill 2x2 cells"),
        ({"runs": [-1, 5]}, "the runs of the free floor do not fill 2x2 cells"),
        ({"cell": 0.1}, "the free floor has 2x2 cells of 0.1 m"),
    ],
)
def test_a_forged_room_is_refused_before_it_is_allocated(change: dict[str, object], message: str) -> None:
    fields = RoomFloor(
        outline=np.zeros((3, 2)), area=1.0, walled=1.0, height=0.0, free_origin=(0.0, 0.0), free=np.ones((2, 2), bool)
    ).to_fields()
    fields["free"].update(change)
    with pytest.raises(ValueError, match=message):
        RoomFloor.from_fields(fields)
