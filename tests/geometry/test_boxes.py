"""Oriented boxes and the two readings of their Euler angles."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.geometry.boxes import (
    EulerConvention,
    OrientedBox,
    axis_aligned_box,
    box_corners,
    euler_from_rotation,
    rotation_from_euler,
    upright_box,
)
from gapdata.geometry.camera import transform
from gapdata.tasks import detection
from gapdata.tasks.box_text import box_of, nine_numbers
from gapdata.tasks.detection import TextBox

angle = st.floats(-3.1, 3.1)
tilt = st.floats(-1.5, 1.5)
CONVENTIONS: tuple[EulerConvention, ...] = ("extrinsic_zxy", "intrinsic_zxy")
conventions = st.sampled_from(CONVENTIONS)


@given(angle, tilt, angle, conventions)
def test_angles_survive_the_trip_through_a_matrix(a: float, b: float, c: float, convention: EulerConvention) -> None:
    matrix = rotation_from_euler([a, b, c], convention)
    np.testing.assert_allclose(euler_from_rotation(matrix, convention), [a, b, c], atol=1e-6)


@given(angle, st.sampled_from([-np.pi / 2, np.pi / 2]), angle, conventions)
def test_at_the_poles_a_matrix_survives_the_trip_through_angles(
    a: float, b: float, c: float, convention: EulerConvention
) -> None:
    matrix = rotation_from_euler([a, b, c], convention)
    again = rotation_from_euler(euler_from_rotation(matrix, convention), convention)
    np.testing.assert_allclose(again, matrix, atol=1e-6)


@given(angle, st.floats(-1e-3, 1e-3), st.booleans(), angle, conventions)
def test_close_to_the_poles_nothing_is_lost(
    a: float, off: float, south: bool, c: float, convention: EulerConvention
) -> None:
    matrix = rotation_from_euler([a, (-1 if south else 1) * np.pi / 2 + off, c], convention)
    again = rotation_from_euler(euler_from_rotation(matrix, convention), convention)
    np.testing.assert_allclose(again, matrix, atol=1e-6)


@given(
    st.lists(st.floats(-10, 10), min_size=6, max_size=6), angle, st.floats(-np.pi / 2, np.pi / 2), angle, conventions
)
def test_a_box_survives_the_trip_through_nine_numbers(
    values: list[float], a: float, b: float, c: float, convention: EulerConvention
) -> None:
    box = box_of([*values[:3], *np.abs(values[3:]), a, b, c], convention)
    again = box_of(nine_numbers(box, convention), convention)
    np.testing.assert_allclose(again.corners, box.corners, atol=1e-6)


def test_the_two_conventions_differ_for_the_same_angles() -> None:
    angles = [0.5, 0.4, 0.3]
    extrinsic, intrinsic = (rotation_from_euler(angles, name) for name in ("extrinsic_zxy", "intrinsic_zxy"))
    assert np.abs(extrinsic - intrinsic).max() > 0.1


def test_an_unknown_convention_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="Euler convention 'xyz' is unknown; choose from extrinsic_zxy, intrinsic_zxy"):
        rotation_from_euler([0, 0, 0], "xyz")  # type: ignore[arg-type]


def test_the_published_gap_boxes_stand_upright_when_read_as_extrinsic_zxy(samples: Path) -> None:
    sample = json.loads((samples / "gap-detection-sample.json").read_text())
    to_aligned = np.array(sample["axis_align_matrix"]) @ np.array(sample["cam2global"][0])
    numbers = np.array([box["bbox_3d"] for box in sample["boxes"]])
    upright = to_aligned[:3, :3] @ rotation_from_euler(numbers[:, 6:], "extrinsic_zxy")
    np.testing.assert_allclose(upright[:, :, 2], np.tile([0, 0, 1], (len(numbers), 1)), atol=1e-3)
    tilted = to_aligned[:3, :3] @ rotation_from_euler(numbers[:, 6:], "intrinsic_zxy")
    assert np.abs(tilted[:, :, 2] - [0, 0, 1]).max() > 0.5


def test_the_published_gap_boxes_write_their_own_answer_after_a_trip_through_the_aligned_world(samples: Path) -> None:
    sample = json.loads((samples / "gap-detection-sample.json").read_text())
    to_aligned = np.array(sample["axis_align_matrix"]) @ np.array(sample["cam2global"][0])
    written = []
    for item in sample["boxes"]:
        box = box_of(item["bbox_3d"], "extrinsic_zxy").transformed(to_aligned)
        np.testing.assert_allclose(box.rotation[:, 2], [0, 0, 1], atol=1e-3)
        back = box.transformed(np.linalg.inv(to_aligned))
        written.append(TextBox(label=item["label"], values=nine_numbers(back, "extrinsic_zxy")))
    assert detection.answer_text(written) == sample["answer_text"]


@given(angle, st.floats(0.1, 4), st.floats(0.1, 4), st.floats(0.1, 3), st.integers(0, 1000))
def test_the_upright_box_of_a_box_is_that_box(yaw: float, x: float, y: float, z: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    center, size = rng.uniform(-5, 5, 3), np.array([x, y, z])
    rotation = rotation_from_euler([yaw, 0.0, 0.0], "extrinsic_zxy")
    inside = rng.uniform(-0.5, 0.5, (50, 3)) * size @ rotation.T + center
    found = upright_box(np.concatenate([box_corners(center, size, rotation), inside]))
    np.testing.assert_allclose(found.center, center, atol=1e-4)
    np.testing.assert_allclose(np.prod(found.size), np.prod(size), rtol=1e-3)
    np.testing.assert_allclose(found.rotation[:, 2], [0, 0, 1])
    distances = np.linalg.norm(found.corners[:, None] - box_corners(center, size, rotation)[None], axis=-1)
    assert distances.min(axis=1).max() < 1e-3


def test_the_upright_box_is_the_smallest_of_all_yaw_angles() -> None:
    points = np.random.default_rng(5).normal(size=(200, 3)) * [2.0, 0.5, 1.0]
    found = upright_box(points)
    yaws = np.linspace(0, np.pi / 2, 2000)
    turned = np.einsum(
        "nij,pj->npi", rotation_from_euler(np.stack([yaws, 0 * yaws, 0 * yaws], -1), "intrinsic_zxy"), points
    )
    areas = np.prod(np.ptp(turned[..., :2], axis=1), axis=-1)
    assert found.size[0] * found.size[1] <= areas.min() * (1 + 1e-6)
    local = (points - found.center) @ found.rotation
    assert (np.abs(local) <= found.size / 2 + 1e-5).all()


def test_points_on_one_line_still_have_a_box() -> None:
    found = upright_box(np.array([[0.0, 0, 0], [1.0, 0, 0.5], [2.0, 0, 1.0], [3.0, 0, 1.5]]))
    assert np.isfinite(found.corners).all()
    assert sorted(found.size.round(6)) == [0.0, 1.5, 3.0]


def test_a_transformed_box_has_the_transformed_corners() -> None:
    box = OrientedBox(center=np.array([1.0, 2, 3]), size=np.array([1.0, 2, 0.5]), rotation=np.eye(3))
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_euler([0.3, 0.2, 0.1], "intrinsic_zxy")
    matrix[:3, 3] = [0.5, -1, 2]
    moved = box.transformed(matrix)
    np.testing.assert_allclose(moved.corners, box.corners @ matrix[:3, :3].T + matrix[:3, 3])


def test_the_upright_box_stands_on_opencvs_rectangle_of_minimum_area() -> None:
    rng = np.random.default_rng(11)
    for _ in range(10):
        ground = rng.normal(size=(60, 2)) * rng.uniform(0.2, 2, 2)
        points = np.column_stack([ground, rng.uniform(0, 1.5, 60)])
        _, extents, _ = cv2.minAreaRect(ground.astype(np.float32))
        np.testing.assert_allclose(np.prod(upright_box(points).size[:2]), np.prod(extents), rtol=1e-4)


def test_scanrefers_box_is_made_of_aligned_vertices() -> None:
    points = np.random.default_rng(3).uniform(-1, 1, (40, 3))
    alignment = np.eye(4)
    alignment[:3, :3] = rotation_from_euler([0.7, 0, 0], "extrinsic_zxy")
    alignment[:3, 3] = [1.0, 2.0, 0.1]
    aligned = transform(alignment, points)
    box = axis_aligned_box(aligned)
    np.testing.assert_allclose(box.corners.min(axis=0), aligned.min(axis=0))
    np.testing.assert_allclose(box.corners.max(axis=0), aligned.max(axis=0))
    turned = axis_aligned_box(transform(alignment, axis_aligned_box(points).corners))
    assert np.prod(turned.size) > np.prod(box.size)
