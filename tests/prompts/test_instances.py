"""Instance masks show what a ray through every pixel hits, unless the sensor contradicts it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import open3d as o3d
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gapdata.geometry.camera import Intrinsics
from gapdata.prompts.borders import SensorCheck, checked_mask
from gapdata.prompts.cast_image import cast_image
from gapdata.prompts.instances import InstanceRenderer, pixels_by_value
from gapdata.prompts.mesh_vertices import MeshVertices
from gapdata.prompts.ray_casting import MeshCaster
from gapdata.sources.base import Annotation
from gapdata.sources.scannet import ScanNetScan
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from tests.conftest import look_from
from tests.support.scannet_scenes import write_scene

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


def away_from_borders(mask: np.ndarray) -> np.ndarray:
    """Pixels with nothing else within two pixels of them."""
    window = np.ones((5, 5), np.uint8)
    return cv2.erode(mask.astype(np.uint16), window) == cv2.dilate(mask.astype(np.uint16), window)


def test_casting_a_part_of_the_rays_gives_the_mask_of_casting_all(room: tuple[Annotation, np.ndarray]) -> None:
    annotation, poses = room
    renderer = InstanceRenderer(annotation, tolerance=0.1, relative_tolerance=0.05)
    for pose in (poses[0], poses[15], poses[39]):
        depth, expected = cast_every_pixel(annotation, pose)
        mask = renderer.render(0, CAMERA, pose, depth.astype(np.float32))
        wrong = mask != expected
        assert wrong.mean() < 6e-4
        assert not (wrong & away_from_borders(expected)).any()


def test_a_noisy_sensor_with_holes_and_people_gives_the_mask_of_casting_all(
    room: tuple[Annotation, np.ndarray],
) -> None:
    annotation, poses = room
    renderer = InstanceRenderer(annotation, tolerance=0.1, relative_tolerance=0.05)
    rng = np.random.default_rng(3)
    for pose in poses[4:40:7]:
        mesh_depth, values = cast_every_pixel(annotation, pose)
        # Noise of disparity grows with the square of depth; 1 cm at 2 m.
        depth = mesh_depth + rng.normal(0.0, 0.0025, mesh_depth.shape) * mesh_depth**2
        for factor in (0.0, 0.0, 0.5, 0.8):
            u, v = rng.integers(0, 200), rng.integers(0, 140)
            depth[v : v + 50, u : u + 40] *= factor
        contradicted = (depth > 0) & ~(np.abs(mesh_depth - depth) <= np.maximum(0.1, 0.05 * depth))
        expected = np.where(contradicted, 0, values)
        mask = renderer.render(0, CAMERA, pose, depth.astype(np.float32))
        wrong = mask != expected
        assert wrong.mean() < 6e-4
        assert (wrong & away_from_borders(expected)).mean() < 1e-4
        for value in np.unique(expected[expected > 0]):
            if (expected == value).sum() >= 500:
                overlap = ((mask == value) & (expected == value)).sum() / ((mask == value) | (expected == value)).sum()
                assert overlap > 0.985


def test_every_border_rests_on_rays(room: tuple[Annotation, np.ndarray]) -> None:
    annotation, poses = room
    image = cast_image(MeshCaster(annotation), MeshVertices(annotation), CAMERA, poses[7])
    shape, inside = (image.camera.height, image.stride), (slice(0, CAMERA.height), slice(0, CAMERA.width))
    before = np.count_nonzero(image.settled)
    check = SensorCheck(tolerance=np.float32(0.1), relative_tolerance=np.float32(0.05))
    mask = checked_mask(image, np.zeros((CAMERA.height, CAMERA.width), np.float32), check)
    settled = image.settled.reshape(shape)[inside]
    beside, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    assert beside.any()
    assert below.any()
    assert settled[:, 1:][beside].all()
    assert settled[:, :-1][beside].all()
    assert settled[1:][below].all()
    assert settled[:-1][below].all()
    assert before < np.count_nonzero(settled) < 0.25 * settled.size


def test_a_camera_that_sees_nothing_of_the_mesh_sees_no_object(room: tuple[Annotation, np.ndarray]) -> None:
    annotation, _ = room
    renderer = InstanceRenderer(annotation, tolerance=0.1, relative_tolerance=0.05)
    outside = look_from((100.0, 0.0, 1.0), 0.0)
    for depth in (0.0, 1.5):
        assert not renderer.render(0, CAMERA, outside, np.full((192, 256), depth, np.float32)).any()


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


@given(
    mask=arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 300])),
)
def test_pixels_are_counted_by_their_value(mask: np.ndarray) -> None:
    assert pixels_by_value(mask).tolist() == np.bincount(mask.ravel()).tolist()
