"""Instance masks show what a ray through every pixel hits, unless the sensor contradicts it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import open3d as o3d
import pytest
from conftest import look_from
from scannet_fixtures import write_scene

from gapdata.geometry.camera import Intrinsics
from gapdata.prompts.instances import InstanceRenderer
from gapdata.sources.base import Annotation
from gapdata.sources.scannet import ScanNetScan
from gapdata.sources.synthetic import SynthesisOptions, synthesise_dataset

CAMERA = Intrinsics(fx=230.0, fy=230.0, cx=127.5, cy=95.5, width=256, height=192)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Annotation, np.ndarray]:
    """A furnished room's annotation and the poses of its frames."""
    root = tmp_path_factory.mktemp("room")
    options = SynthesisOptions(scenes=1, frames=40, color_size=(64, 48), depth_size=(64, 48), seed=5)
    synthesise_dataset(root, options, workers=1)
    with ScanNetScan(root / "scans" / "scene0000_00") as scan:
        annotation = scan.annotation()
        assert annotation is not None
        return annotation, scan.camera_to_world


def cast_every_pixel(annotation: Annotation, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and object id + 1 by one ray a pixel and the object of the nearest corner's majority."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(annotation.vertices, annotation.faces.astype(np.uint32))
    directions = CAMERA.rays() @ pose[:3, :3].T
    rays = np.concatenate([np.broadcast_to(pose[:3, 3], directions.shape), directions], axis=-1).astype(np.float32)
    hits = scene.cast_rays(o3d.core.Tensor(rays))
    depth, faces = hits["t_hit"].numpy(), hits["primitive_ids"].numpy()
    corners = annotation.vertex_object_ids()[annotation.faces[np.where(np.isfinite(depth), faces, 0)]]
    majority = np.where(corners[..., 1] == corners[..., 2], corners[..., 1], corners[..., 0])
    return np.where(np.isfinite(depth), depth, 0), np.where(np.isfinite(depth), majority + 1, 0)


def test_casting_a_part_of_the_rays_gives_the_mask_of_casting_all(room: tuple[Annotation, np.ndarray]) -> None:
    annotation, poses = room
    renderer = InstanceRenderer(annotation, tolerance=0.1, relative_tolerance=0.05)
    for pose in (poses[0], poses[15], poses[39]):
        depth, expected = cast_every_pixel(annotation, pose)
        mask = renderer.render(0, CAMERA, pose, depth.astype(np.float32))
        wrong = mask != expected
        assert wrong.mean() < 6e-4
        window = np.ones((5, 5), np.uint8)
        inside = cv2.erode(expected.astype(np.uint16), window) == cv2.dilate(expected.astype(np.uint16), window)
        # Away from its border an object is missed only where something of itself is thinner than a pixel.
        assert (wrong & inside).mean() < 1e-4


@pytest.mark.parametrize("size", [(256, 192), (255, 191), (33, 17), (2, 2)])
def test_odd_image_sizes_are_covered_to_the_last_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    with ScanNetScan(write_scene(tmp_path / "scene0000_00", frames=2)) as scan:
        annotation = scan.annotation()
    assert annotation is not None
    camera = CAMERA.resized(*size)
    no_depth = np.zeros(size[::-1], np.float32)
    mask = InstanceRenderer(annotation, 0.1, 0.05).render(0, camera, look_from((0, 0, 1.2), 0.0), no_depth)
    assert mask.shape == size[::-1]
    assert (mask > 0).all()


def test_where_the_sensor_sees_something_else_there_is_no_object(room: tuple[Annotation, np.ndarray]) -> None:
    annotation, poses = room
    renderer = InstanceRenderer(annotation, tolerance=0.1, relative_tolerance=0.05)
    depth, expected = cast_every_pixel(annotation, poses[0])
    person = depth.astype(np.float32)
    person[50:120, 100:150] *= 0.5
    holes = depth.astype(np.float32)
    holes[50:120, 100:150] = 0
    assert (renderer.render(0, CAMERA, poses[0], person)[50:120, 100:150] == 0).all()
    kept = renderer.render(0, CAMERA, poses[0], holes)[50:120, 100:150]
    assert (kept == expected[50:120, 100:150]).mean() > 0.99
