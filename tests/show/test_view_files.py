"""The viewer's files: other people's programs open them and find everything where it is in the room."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record
from gapdata.show.model_files.glb import save_glb
from gapdata.show.model_files.ply import save_ply
from gapdata.show.model_files.solids import bars, solid_of
from gapdata.show.scene.cloud import fuse
from gapdata.show.scene.coloring import point_colors
from gapdata.show.scene.exhibit import Exhibit, record_exhibit
from gapdata.show.scene.pieces import Ball, Label
from tests.support.builds import write_build
from tests.support.showing import room_record


@pytest.fixture(scope="module")
def record() -> Record:
    return room_record(3, (96, 72), aligned=True)


@pytest.fixture(scope="module")
def exhibit(record: Record) -> Exhibit:
    return record_exhibit(record)


@pytest.fixture(scope="module")
def glb(exhibit: Exhibit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glb") / "view.glb"
    save_glb(exhibit, path)
    return path


@pytest.fixture(scope="module")
def model(glb: Path) -> trimesh.Scene:
    return trimesh.load(glb)


def placed(model: trimesh.Scene, node: str) -> np.ndarray:
    """A node's vertices in the viewer's world."""
    matrix, name = model.graph[node]
    return transform(matrix, np.asarray(model.geometry[name].vertices))


def test_a_ply_holds_the_cloud_for_open3d_and_trimesh_alike(record: Record, exhibit: Exhibit, tmp_path: Path) -> None:
    import open3d as o3d

    save_ply(exhibit, tmp_path / "cloud.ply")
    cloud = fuse(record)
    read = o3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))
    assert np.allclose(np.asarray(read.points), cloud.points, atol=1e-6)
    assert np.array_equal(np.rint(np.asarray(read.colors) * 255).astype(np.uint8), cloud.colors)
    assert np.allclose(np.asarray(read.normals), cloud.normals, atol=1e-6)
    other = trimesh.load(tmp_path / "cloud.ply")
    assert np.allclose(other.vertices, cloud.points, atol=1e-6)
    extra = o3d.t.io.read_point_cloud(str(tmp_path / "cloud.ply")).point
    assert np.array_equal(extra["instance"].numpy().ravel(), cloud.instances)
    assert np.array_equal(extra["frame"].numpy().ravel(), cloud.frames)
    assert os.listdir(tmp_path) == ["cloud.ply"]


def test_a_ply_has_the_colours_of_the_mode_and_names_its_frame_of_reference(exhibit: Exhibit, tmp_path: Path) -> None:
    save_ply(exhibit, tmp_path / "cloud.ply", "instance")
    expected = point_colors(exhibit.cloud, "instance", exhibit.frame_values)
    assert np.array_equal(trimesh.load(tmp_path / "cloud.ply").colors[:, :3], expected)
    header = (tmp_path / "cloud.ply").read_bytes().split(b"end_header")[0].decode()
    assert "room0000_00-clip-00000: metres, camera of frame 0; colours: instance" in header


def test_a_glb_holds_the_cloud_in_the_camera_of_the_first_frame(exhibit: Exhibit, model: trimesh.Scene) -> None:
    points = model.geometry["cloud"]
    assert isinstance(points, trimesh.PointCloud)
    assert np.allclose(points.vertices, exhibit.cloud.points, atol=1e-6)
    share = points.colors[:, :3] / 255.0
    srgb = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    assert np.abs(srgb * 255 - exhibit.cloud.colors).max() < 14  # eight linear bits are coarse where it is dark
    assert model.metadata["reference"] == "metres, camera of frame 0"


def test_a_glb_stands_upright_as_gltf_wants_it(exhibit: Exhibit, model: trimesh.Scene) -> None:
    to_world = model.graph["cloud"][0]
    turned = to_world[:3, :3]
    assert np.allclose(turned @ turned.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turned) == pytest.approx(1.0)
    assert exhibit.aligned_to_shown is not None
    up = turned @ exhibit.aligned_to_shown[:3, 2]
    assert np.allclose(up, [0.0, 1.0, 0.0], atol=1e-6)
    heights = placed(model, "cloud")[:, 1]
    assert abs(np.percentile(heights, 1)) < 0.05  # the floor


def test_a_glb_has_every_box_camera_prompt_and_axis_where_it_belongs(
    record: Record, exhibit: Exhibit, model: trimesh.Scene
) -> None:
    to_world = model.graph["cloud"][0]
    nodes = set(model.graph.nodes_geometry)
    for place, item in enumerate(sorted(record.objects, key=lambda item: -sum(item.visible_pixels))):
        node = f"boxes/{place} {item.label} box"
        corners = np.array([list(point) for point in trimesh.bounds.corners([[-0.5] * 3, [0.5] * 3])])
        expected = transform(to_world, corners * item.size @ np.array(item.rotation).T + item.center)
        found = placed(model, node)
        assert np.allclose([found.min(axis=0), found.max(axis=0)], [expected.min(0), expected.max(0)], atol=0.02)
    for place, prompt in enumerate(record.prompts):
        centre = placed(model, f"prompts/{place} prompt {prompt.index} ball").mean(axis=0)
        assert np.allclose(centre, transform(to_world, np.array(prompt.point)), atol=0.005)
        assert f"prompts/{place} prompt {prompt.index} ray" in nodes
    for frame in range(len(record)):
        name = f"cameras/{frame} frame {record.frame_ids[frame]}"
        assert {name, f"{name} image"} <= nodes
    assert {"room/grid", "room/room x", "room/room y", "room/room z"} <= nodes


def test_a_glb_follows_the_specification_s_container_and_asks_for_no_light(glb: Path) -> None:
    data = glb.read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack("<I4s", data[12:20])
    assert kind == b"JSON"
    tree = json.loads(data[20 : 20 + size])
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert all(primitive["material"] == 0 for mesh in tree["meshes"] for primitive in mesh["primitives"])
    assert os.listdir(glb.parent) == ["view.glb"]


def test_a_frustum_carries_its_image_the_right_way_up(exhibit: Exhibit, model: trimesh.Scene) -> None:
    import cv2

    camera = exhibit.cameras[1]
    mesh = model.geometry[f"cameras/1 {camera.caption} image"]
    vertices, colors = np.asarray(mesh.vertices), np.asarray(mesh.visual.vertex_attributes["color"])[:, :3] / 255.0
    pixels = camera.camera.project(transform(np.linalg.inv(camera.to_shown), vertices))
    size = (camera.camera.width, camera.camera.height)
    image = cv2.resize(camera.image, size, interpolation=cv2.INTER_AREA).astype(int)
    column, row = (np.clip(np.rint(pixels[:, axis]).astype(int), 0, size[axis] - 1) for axis in (0, 1))
    assert np.median(np.abs(255 * colors ** (1 / 2.2) - image[row, column])) < 6


def test_a_label_reads_from_left_to_right_from_either_side() -> None:
    axes = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])  # right, forward, up
    solid = solid_of(Label(text="L", at=np.zeros(3), color=(250, 250, 250)), axes, 10.0)
    half = len(solid.vertices) // 2
    ink = solid.visual.vertex_colors[:, :3].mean(axis=1) < 120
    for side, away in ((slice(None, half), -1.0), (slice(half, None), 1.0)):
        points = solid.vertices[side][ink[side]]
        to_the_right = points[:, 0] * -away  # as one sees it who stands on that side
        assert (np.sign(solid.vertices[side][:, 1]) == away).all()
        low = points[:, 2] <= np.percentile(points[:, 2], 15)  # the foot of an L points to the right
        assert to_the_right[low].mean() > to_the_right.mean()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_bars_are_closed_and_contain_their_segments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segments, radius = rng.normal(size=(3, 2, 3)), float(rng.uniform(0.01, 0.1))
    segments[2] = np.array([[1, 2, 3], [1, 2, 4.5]])  # along an axis
    solid = bars(segments, radius, (1, 2, 3))
    mesh = trimesh.Trimesh(solid.vertices, solid.faces)
    assert mesh.is_watertight
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    assert mesh.volume == pytest.approx(((2 * radius) ** 2 * (lengths + 2 * radius)).sum())
    for part, segment in zip(mesh.split(), segments, strict=False):
        assert part.is_winding_consistent
        assert np.linalg.norm(part.centroid - segments.mean(axis=1), axis=1).min() < 1e-6, segment


def test_a_ball_is_a_sphere_and_an_answer_an_octahedron() -> None:
    center = np.array([1.0, -2.0, 3.0])
    for answer, faces in ((False, 320), (True, 8)):
        ball = Ball(center=center, radius=0.5, color=(9, 8, 7), answer=answer)
        mesh = solid_of(ball, np.eye(3), 1.0)
        assert np.allclose(np.linalg.norm(mesh.vertices - center, axis=1), 0.5)
        mesh.merge_vertices()
        mesh.update_faces(mesh.nondegenerate_faces())
        assert len(mesh.faces) == faces
        assert mesh.is_watertight
        assert mesh.volume > 0


def test_a_thinned_cloud_has_the_points_that_open3d_would_leave(record: Record, tmp_path: Path) -> None:
    import open3d as o3d

    build = write_build(tmp_path / "build", [record])
    for suffix in ("ply", "glb"):
        target = tmp_path / f"whole.{suffix}"
        assert main(["view", str(build), "--save", str(target)]) == 0
        assert main(["view", str(build), "--save", str(tmp_path / f"thin.{suffix}"), "--voxel", "0.2"]) == 0
    whole = o3d.io.read_point_cloud(str(tmp_path / "whole.ply"))
    theirs = whole.voxel_down_sample(0.2)
    ours = o3d.io.read_point_cloud(str(tmp_path / "thin.ply"))
    assert len(whole.points) > 4 * len(ours.points)
    assert abs(len(ours.points) - len(theirs.points)) <= 0.01 * len(theirs.points)
    # A point on the border of two cubes may fall into either.
    assert np.mean(np.asarray(ours.compute_point_cloud_distance(theirs)) < 1e-4) > 0.99
    assert len(trimesh.load(tmp_path / "thin.glb").geometry["cloud"].vertices) == len(ours.points)


@pytest.mark.parametrize("value", ["0", "-0.02", "nan", "inf", "1e-9", "1e9", "small", ""])
def test_a_voxel_of_no_sensible_size_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["view", "build", "--save", "x.ply", f"--voxel={value}"])
    assert caught.value.code == 2
    assert "is not a length in metres from 0.001 to 10, such as 0.02" in capsys.readouterr().err


@pytest.mark.parametrize("where", [[], ["--save", "x.png"]])
def test_a_voxel_is_for_clouds_that_are_written(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "build", *where, "--voxel", "0.02"]) == 2
    assert "--voxel is only for a cloud that is saved; add --save x.ply or --save x.glb" in capsys.readouterr().err
