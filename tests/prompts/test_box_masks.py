"""Masks of objects that have boxes only: a pixel shows the smallest box that its depth lies in."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.prompts.box_masks import SCATTER, SUPPORT, BoxMasks, beyond_box, with_vertices_in_boxes
from gapdata.sources.base import Annotation, SceneObject

CAMERA = Intrinsics(fx=100.0, fy=100.0, cx=63.5, cy=47.5, width=128, height=96)
UP = np.array([0.0, 0.0, 1.0])
RNG = np.random.default_rng(0)


def pose() -> np.ndarray:
    """Return a level camera at (0, -3, 1) that looks along +y."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    matrix[:3, 3] = [0, -3, 1]
    return matrix


def boxes() -> dict[int, OrientedBox]:
    """Return boxes that overlap, one of them behind the camera."""
    return {
        0: OrientedBox(center=np.array([0.0, 0.0, 1.0]), size=np.array([2.0, 1.0, 1.5]), rotation=np.eye(3)),
        4: OrientedBox(
            center=np.array([0.3, -0.3, 1.2]),
            size=np.array([0.5, 0.6, 0.7]),
            rotation=rotation_from_euler([0.4, 0.1, 0.2], "intrinsic_zxy"),
        ),
        7: OrientedBox(center=np.array([0.0, -5.0, 1.0]), size=np.ones(3), rotation=np.eye(3)),
    }


def brute_force(depth: np.ndarray, up: np.ndarray | None) -> np.ndarray:
    """Compute the same pixel by pixel, from corners and half spaces."""
    found = np.zeros(depth.shape, dtype=np.uint16)
    for v in range(depth.shape[0]):
        for u in range(depth.shape[1]):
            z = float(depth[v, u])
            if z == 0:
                continue
            point = transform(pose(), np.array([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z]))
            owner = owner_of(point, up)
            found[v, u] = 0 if owner is None else owner + 1
    return found


def owner_of(point: np.ndarray, up: np.ndarray | None) -> int | None:
    """Return the smallest box around a point (3,), else the smallest one near it."""
    for margin in (0.0, SCATTER):
        held = [
            object_id
            for object_id, box in boxes().items()
            if (np.abs(box.rotation.T @ (point - box.center)) <= box.size / 2 + margin).all()
            and (up is None or point[2] - box.corners[:, 2].min() > SUPPORT)
        ]
        if held:
            return min(held, key=lambda object_id: boxes()[object_id].size.prod())
    return None


@pytest.mark.parametrize("up", [UP, None])
def test_masks_are_those_of_each_pixel_by_itself(up: np.ndarray | None) -> None:
    depth = RNG.uniform(1.5, 4.5, (96, 128)).astype(np.float32)
    depth[RNG.random(depth.shape) < 0.1] = 0
    mask = BoxMasks(boxes(), up).render(0, CAMERA, pose(), depth)
    expected = brute_force(depth, up)
    assert set(np.unique(expected)) == {0, 1, 5}
    np.testing.assert_array_equal(mask, expected)


def test_a_box_around_the_camera_is_seen_from_within() -> None:
    around = OrientedBox(center=np.array([0.0, -3.0, 1.0]), size=np.array([4.0, 4.0, 4.0]), rotation=np.eye(3))
    depth = np.full((96, 128), 1.0, dtype=np.float32)
    assert (BoxMasks({2: around}, None).render(0, CAMERA, pose(), depth) == 3).all()


def test_the_floor_below_a_box_does_not_belong_to_it() -> None:
    box = OrientedBox(center=np.array([0.0, 0.0, 0.5]), size=np.ones(3), rotation=np.eye(3))
    heights = np.array([[0.0, 0.0, z] for z in (0.0, SUPPORT - 0.005, SUPPORT + 0.005, 0.9)])
    assert (beyond_box(box, heights, UP) <= 0).tolist() == [False, False, True, True]
    assert (beyond_box(box, heights, None) <= 0).all()


def test_a_face_belongs_to_its_object_although_readings_scatter_about_it() -> None:
    box = OrientedBox(center=np.array([0.0, 0.0, 1.0]), size=np.array([2.0, 1.0, 1.5]), rotation=np.eye(3))
    depth = RNG.normal(2.5, 0.007, (96, 128)).astype(np.float32)  # the box's face is 2.5 m away
    mask = BoxMasks({3: box}, UP).render(0, CAMERA, pose(), depth)
    rows, columns = np.mgrid[32:72, 30:98]
    assert (mask[rows, columns] == 4).all()


def test_flush_boxes_keep_their_own_faces() -> None:
    left, right = (
        OrientedBox(center=np.array([x, 0.0, 1.0]), size=np.array([width, 1.0, 1.5]), rotation=np.eye(3))
        for x, width in ((-1.0, 2.0), (0.5, 1.0))
    )
    depth = np.full((96, 128), 2.51, dtype=np.float32)
    depth[:, 64:] = 2.499
    mask = BoxMasks({1: left, 2: right}, UP).render(0, CAMERA, pose(), depth)
    assert (mask[40:60, 30:61] == 2).all()
    assert (mask[40:60, 64:90] == 3).all()


def test_vertices_belong_to_the_smallest_box_around_them() -> None:
    vertices = RNG.uniform(-1.2, 2.0, (500, 3)).astype(np.float32)
    annotation = Annotation(
        vertices=vertices,
        faces=np.zeros((0, 3), dtype=np.int32),
        colors=np.zeros((500, 3), dtype=np.uint8),
        objects=tuple(SceneObject(object_id=key, label="box", box=box) for key, box in boxes().items()),
    )
    owners = with_vertices_in_boxes(annotation, UP).vertex_object_ids()
    for vertex, owner in zip(vertices.astype(np.float64), owners.tolist(), strict=True):
        expected = owner_of(vertex, UP)
        assert owner == (-1 if expected is None else expected)
