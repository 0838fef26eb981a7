"""Vertices are found as projecting all of them finds them, however large the scan."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.geometry.camera import Intrinsics
from gapdata.prompts.mesh_vertices import NEAR, MeshVertices
from gapdata.sources.base import Annotation, SceneObject
from tests.conftest import look_from

CAMERA = Intrinsics(fx=230.0, fy=210.0, cx=120.5, cy=101.5, width=256, height=192)


def annotated(vertices: np.ndarray) -> Annotation:
    """A mesh of these vertices, of which every third belongs to object 4."""
    return Annotation(
        vertices=vertices.astype(np.float32),
        faces=np.zeros((1, 3), np.int32),
        colors=np.zeros((len(vertices), 3), np.uint8),
        objects=(SceneObject(object_id=4, label="chair", vertices=np.arange(0, len(vertices), 3)),),
    )


def projected(vertices: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Rows of (column, row, nearness, value) of all vertices within the image, one by one."""
    points = (vertices.astype(np.float64) - pose[:3, 3]) @ pose[:3, :3]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = points[:, 0] / points[:, 2] * CAMERA.fx + CAMERA.cx
        v = points[:, 1] / points[:, 2] * CAMERA.fy + CAMERA.cy
        value = np.where(np.arange(len(vertices)) % 3 == 0, 5, 0)
        rows = np.stack([u, v, 1 / points[:, 2], value], axis=1)
        inside = (points[:, 2] > NEAR) & (u >= 0) & (v >= 0) & (u < CAMERA.width - 1) & (v < CAMERA.height - 1)
    return rows[inside]


@pytest.mark.parametrize("extent", [0.3, 4.0, 60.0])
def test_the_vertices_of_an_image_are_those_that_project_into_it(extent: float) -> None:
    rng = np.random.default_rng(2)
    vertices = rng.uniform(-extent, extent, (4000, 3)).astype(np.float32)
    index = MeshVertices(annotated(vertices))
    for yaw in rng.uniform(0, 6.28, 6):
        pose = look_from(tuple(rng.uniform(-0.5, 0.5, 3) * extent), float(yaw))
        expected = projected(vertices, pose)
        found = index.project(CAMERA, pose)
        # One that lies on the image's edge but for rounding may be in either.
        assert abs(len(found.column) - len(expected)) <= 1
        if len(found.column) == len(expected):
            rows = np.stack([found.column, found.row, found.nearness, found.value], axis=1)
            np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(expected, axis=0), rtol=1e-3, atol=0.05)


def test_a_building_takes_no_more_memory_than_its_vertices() -> None:
    rng = np.random.default_rng(5)
    rooms = rng.uniform(0, 3, (40, 100, 3)) + rng.integers(0, 20_000, (40, 1, 3))
    index = MeshVertices(annotated(rooms.reshape(-1, 3)))
    held = sum(value.nbytes for value in vars(index).values())
    assert held < 4000 * 60
