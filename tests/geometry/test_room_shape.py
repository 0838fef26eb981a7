"""A room is recognised by its shape, however it lies in its world, and is not taken for another one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.geometry.room_shape import ALIKE, RoomShape, likeness, room_shape, upward
from gapdata.synthetic.scene import build_scene
from tests.benchmarks.alike_rooms import WALKS, shape_in_another_world, walked

ROOMS = (0, 1, 2)


@pytest.fixture(scope="module")
def shapes() -> dict[tuple[int, int], RoomShape]:
    """Each room as two walks saw it, in worlds that lie in any way."""
    random = np.random.default_rng(3)
    found = {}
    for room in ROOMS:
        scene = build_scene(0, room)
        for walk in WALKS:
            shape = shape_in_another_world(*walked(scene, walk), random)
            assert shape is not None
            found[room, walk] = shape
    return found


def test_two_walks_through_a_room_look_alike_and_two_rooms_do_not(shapes: dict[tuple[int, int], RoomShape]) -> None:
    for one, shape in shapes.items():
        for other, another in shapes.items():
            assert (likeness(shape, another) >= ALIKE) == (one[0] == other[0])


def test_likeness_does_not_depend_on_which_room_comes_first(shapes: dict[tuple[int, int], RoomShape]) -> None:
    one, other = shapes[0, WALKS[0]], shapes[1, WALKS[1]]
    assert likeness(one, other) == pytest.approx(likeness(other, one), abs=1e-3)
    assert likeness(one, one) == pytest.approx(1, abs=1e-3)


def test_the_vertical_is_found_from_horizontal_surfaces() -> None:
    scene = build_scene(0, 0)
    points, poses = walked(scene, WALKS[0])
    true = scene.axis_alignment[2, :3]
    looking = -poses[:, :3, 1].mean(axis=0)
    assert upward(points, looking) @ true > np.cos(np.radians(1.5))
    tipped = np.eye(4)
    tipped[1:3, 1:3] = [[0.6, -0.8], [0.8, 0.6]]
    assert upward(transform(tipped, points), tipped[:3, :3] @ looking) @ (tipped[:3, :3] @ true) > 0.999


@pytest.mark.parametrize(
    "points",
    [
        np.empty((0, 3)),
        np.full((5000, 3), np.nan),
        np.zeros((5000, 3)),
        np.random.default_rng(0).uniform(size=(100, 3)),
        np.random.default_rng(0).uniform(size=(5000, 3)) * [5, 5, 0.01],
    ],
)
def test_too_little_of_a_room_has_no_shape(points: NDArray[np.float64]) -> None:
    assert room_shape(points, np.array([0.0, 0.0, 1.0])) is None
