"""The synthetic dataset: ScanNet's formats read independently, determinism, and truth that agrees with the files."""

from __future__ import annotations

import csv
import functools
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from gapdata.annotations.categories import category_table
from gapdata.errors import UsageError
from gapdata.geometry.camera import is_rigid, transform
from gapdata.sources.scannet import ScanNetDataset
from gapdata.synthetic.categories import CATEGORIES
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.synthetic.scene import build_scene
from gapdata.synthetic.trajectory import SAFE_DISTANCE, clearance, scan_poses
from tests.support.synthetic_truth import render_truth

OPTIONS = SynthesisOptions(
    scenes=2, test_scenes=1, frames=60, seed=3, color_size=(64, 48), depth_size=(48, 36), noise=0.0, lost_tracking=0.05
)
SCENE = "scene0001_00"
cached_scene = functools.cache(build_scene)


@dataclass(frozen=True)
class Frame:
    pose: NDArray[np.float32]
    color: bytes
    depth: NDArray[np.uint16]
    time: int


def read_sens(path: Path) -> tuple[dict[str, object], list[Frame], list[tuple[float, ...]]]:
    """A reader of its own, straight from the format's description."""
    data = path.read_bytes()
    version, length = struct.unpack_from("<IQ", data)
    name = data[12 : 12 + length].decode()
    at = 12 + length
    matrices = np.frombuffer(data, "<f4", 64, at).reshape(4, 4, 4)
    color_code, depth_code, cw, ch, dw, dh, shift, count = struct.unpack_from("<2i4IfQ", data, at + 256)
    at += 256 + 36
    frames = []
    for _ in range(count):
        pose = np.frombuffer(data, "<f4", 16, at).reshape(4, 4)
        time, _, c, d = struct.unpack_from("<4Q", data, at + 64)
        color, packed = data[at + 96 : at + 96 + c], data[at + 96 + c : at + 96 + c + d]
        depth = np.frombuffer(zlib.decompress(packed), "<u2").reshape(dh, dw)
        frames.append(Frame(pose=pose, color=color, depth=depth, time=time))
        at += 96 + c + d
    (imu,) = struct.unpack_from("<Q", data, at)
    samples = [struct.unpack_from("<15dQ", data, at + 8 + 128 * k) for k in range(imu)]
    assert at + 8 + 128 * imu == len(data)
    header: dict[str, object] = {
        "version": version, "name": name, "matrices": matrices, "codes": (color_code, depth_code),
        "color": (cw, ch), "depth": (dw, dh), "shift": shift,
    }  # fmt: skip
    return header, frames, samples


def read_meta(path: Path) -> dict[str, str]:
    return dict(line.split(" = ") for line in path.read_text().splitlines())


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    assert synthesise_dataset(out, OPTIONS, workers=1) == ["scene0000_00", "scene0001_00", "scene0002_00"]
    return out


@pytest.fixture(scope="session")
def scene_folder(dataset: Path) -> Path:
    return dataset / "scans" / SCENE


def test_named_kinds_of_room_take_turns_and_an_unknown_one_is_refused_before_anything_is_written() -> None:
    rooms = ("bathroom", "bedroom")
    found = [build_scene(0, index, rooms) for index in range(3)]
    assert [scene.scene_type for scene in found] == ["Bathroom", "Bedroom / Hotel", "Bathroom"]
    assert "bed" in found[1].labels
    with pytest.raises(UsageError, match="kind of room 'bedrom'"):
        replace(OPTIONS, rooms=("bedrom",))


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes_whatever_the_workers(tmp_path: Path) -> None:
    small = replace(OPTIONS, test_scenes=0, frames=4, noise=1.0)
    synthesise_dataset(tmp_path / "a", small, workers=1)
    synthesise_dataset(tmp_path / "b", small, workers=2)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 5 + 2 * 7
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    first, second = ((tmp_path / "a" / "scans" / s / f"{s}_vh_clean_2.ply").read_bytes() for s in small.scene_ids)
    assert first != second
    annotated = replace(small, annotations=True)
    for folder, workers in (("c", 1), ("d", 2)):
        synthesise_dataset(tmp_path / folder, annotated, workers=workers)
    more = sorted(p.relative_to(tmp_path / "c") for p in (tmp_path / "c").rglob("*") if p.is_file())
    assert {name for name in more if name.parts[0] != "annotations"} == set(files)
    assert len(more) == len(files) + 17 + 2
    for name in more:
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "d" / name).read_bytes(), name
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "c" / name).read_bytes(), name


def test_the_sens_file_follows_the_format(scene_folder: Path) -> None:
    header, frames, samples = read_sens(scene_folder / f"{SCENE}.sens")
    assert (header["version"], header["codes"], header["shift"]) == (4, (2, 1), 1000.0)
    assert (header["color"], header["depth"], len(frames)) == ((64, 48), (48, 36), 60)
    matrices = np.asarray(header["matrices"])
    assert (matrices[[1, 3]] == np.eye(4)).all()
    color = cv2.imdecode(np.frombuffer(frames[0].color, np.uint8), cv2.IMREAD_COLOR)
    assert color.shape == (48, 64, 3)
    assert color.std() > 10
    steps = np.diff([frame.time for frame in frames])
    assert set(steps) <= {33333, 33334}
    assert len(samples) == 60
    gravity = np.array(samples)[:, 12:15]
    np.testing.assert_allclose(np.linalg.norm(gravity, axis=1), 1.0, atol=1e-6)


def test_rotation_rates_of_the_imu_integrate_to_the_camera_motion(scene_folder: Path) -> None:
    _, frames, samples = read_sens(scene_folder / f"{SCENE}.sens")
    for k in range(5, 25):
        if not all(np.isfinite(f.pose).all() for f in frames[k - 1 : k + 2]):
            continue
        turn = frames[k - 1].pose[:3, :3].astype(np.float64).T @ frames[k + 1].pose[:3, :3].astype(np.float64)
        axis, _ = cv2.Rodrigues(turn)
        np.testing.assert_allclose(axis[:, 0] * 15, samples[k][:3], atol=0.03)


def test_lost_frames_are_all_minus_infinity_and_their_masks_empty(scene_folder: Path) -> None:
    _, frames, _ = read_sens(scene_folder / f"{SCENE}.sens")
    lost = [k for k, frame in enumerate(frames) if not np.isfinite(frame.pose).all()]
    assert len(lost) == 3
    assert 0 not in lost
    assert all((frames[k].pose == -np.inf).all() for k in lost)
    valid = np.array([frame.pose for k, frame in enumerate(frames) if k not in lost], dtype=np.float64)
    assert is_rigid(valid).all()
    for kind in ("instance", "label"):
        with zipfile.ZipFile(scene_folder / f"{SCENE}_2d-{kind}-filt.zip") as archive:
            assert archive.namelist() == [f"{kind}-filt/{k}.png" for k in range(60)]
            for k in range(60):
                mask = cv2.imdecode(np.frombuffer(archive.read(f"{kind}-filt/{k}.png"), np.uint8), cv2.IMREAD_UNCHANGED)
                assert mask.dtype == (np.uint8 if kind == "instance" else np.uint16)
                assert (mask == 0).all() == (k in lost)


def test_mesh_segments_and_aggregation_fit_together(scene_folder: Path) -> None:
    mesh = trimesh.load(scene_folder / f"{SCENE}_vh_clean_2.ply", process=False)
    segments = json.loads((scene_folder / f"{SCENE}_vh_clean_2.0.010000.segs.json").read_text())
    aggregation = json.loads((scene_folder / f"{SCENE}.aggregation.json").read_text())
    index = np.array(segments["segIndices"])
    assert len(index) == len(mesh.vertices)
    assert 20_000 < len(index) < 120_000
    assert len(np.unique(index)) < index.max()
    ids = [group["objectId"] for group in aggregation["segGroups"]]
    assert sorted(ids) == list(range(len(ids)))
    claimed = [s for group in aggregation["segGroups"] for s in group["segments"]]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) < set(index.tolist())
    assert all(group["segments"] for group in aggregation["segGroups"])
    colors = mesh.visual.vertex_colors
    assert (colors[:, 3] == 255).all()
    assert colors[:, :3].std() > 20


def test_the_alignment_puts_the_floor_at_zero_and_walls_along_the_axes(scene_folder: Path) -> None:
    meta = read_meta(scene_folder / f"{SCENE}.txt")
    assert meta["axisAlignment"].endswith(" ")
    alignment = np.array(meta["axisAlignment"].split(), dtype=np.float64).reshape(4, 4)
    assert np.abs(alignment - np.eye(4)).max() > 0.05
    mesh = trimesh.load(scene_folder / f"{SCENE}_vh_clean_2.ply", process=False)
    aggregation = json.loads((scene_folder / f"{SCENE}.aggregation.json").read_text())
    segments = np.array(json.loads((scene_folder / f"{SCENE}_vh_clean_2.0.010000.segs.json").read_text())["segIndices"])
    normals = mesh.face_normals @ alignment[:3, :3].T
    vertices = transform(alignment, np.asarray(mesh.vertices))
    for group in aggregation["segGroups"]:
        chosen = np.isin(segments, group["segments"])
        faces = chosen[mesh.faces].all(axis=1)
        if group["label"] == "floor":
            np.testing.assert_allclose(vertices[chosen, 2], 0, atol=1e-5)
        if group["label"] == "wall":
            area = mesh.area_faces[faces]
            along = np.abs(normals[faces][:, :2]).max(axis=1) > 0.999
            assert area[along].sum() > 0.9 * area.sum()


def test_masks_agree_with_the_mesh_annotation_and_the_label_table(dataset: Path, scene_folder: Path) -> None:
    with open(dataset / "scannetv2-labels.combined.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows[0]) == 17
    names = {**category_table("nyu40"), "24": "refridgerator"}  # the release's own spelling
    assert all(names[row["nyu40id"]] == row["nyu40class"] for row in rows)
    number = {row["raw_category"]: int(row["id"]) for row in rows}
    assert len(set(number.values())) == len(number)
    groups = json.loads((scene_folder / f"{SCENE}.aggregation.json").read_text())["segGroups"]
    label_of = {0: 0} | {group["objectId"] + 1: number[group["label"]] for group in groups}
    seen: set[int] = set()
    with (
        zipfile.ZipFile(scene_folder / f"{SCENE}_2d-instance-filt.zip") as instances,
        zipfile.ZipFile(scene_folder / f"{SCENE}_2d-label-filt.zip") as labels,
    ):
        for k in range(0, 60, 7):
            instance = cv2.imdecode(
                np.frombuffer(instances.read(f"instance-filt/{k}.png"), np.uint8), cv2.IMREAD_UNCHANGED
            )
            label = cv2.imdecode(np.frombuffer(labels.read(f"label-filt/{k}.png"), np.uint8), cv2.IMREAD_UNCHANGED)
            assert all((label[instance == value] == label_of[int(value)]).all() for value in np.unique(instance))
            seen |= {int(value) for value in np.unique(instance)}
    assert len(seen) > 6


def test_depth_without_noise_is_the_truth_in_millimetres(scene_folder: Path) -> None:
    _, frames, _ = read_sens(scene_folder / f"{SCENE}.sens")
    with zipfile.ZipFile(scene_folder / f"{SCENE}_2d-instance-filt.zip") as archive:
        for k in (0, 31):
            truth = render_truth(SCENE, OPTIONS, k, OPTIONS.cameras[1], scene=cached_scene(OPTIONS.seed, 1))
            np.testing.assert_array_equal(frames[k].depth, np.round(truth.depth.astype(np.float64) * 1000))
            pose = scan_poses(cached_scene(OPTIONS.seed, 1), OPTIONS.frames)[k]
            camera = transform(np.linalg.inv(pose), truth.points.astype(np.float64))
            np.testing.assert_allclose(camera[..., 2], truth.depth, atol=1e-4)
            seen = render_truth(SCENE, OPTIONS, k)
            mask = cv2.imdecode(np.frombuffer(archive.read(f"instance-filt/{k}.png"), np.uint8), cv2.IMREAD_UNCHANGED)
            if np.isfinite(frames[k].pose).all():
                np.testing.assert_array_equal(mask, seen.object_ids + 1)


def test_true_points_lie_on_the_mesh_of_their_object(scene_folder: Path) -> None:
    truth = render_truth(SCENE, OPTIONS, 10)
    scene = cached_scene(OPTIONS.seed, 1)
    for object_id in np.unique(truth.object_ids):
        own = scene.mesh.vertices[scene.vertex_object == object_id]
        points = truth.points[truth.object_ids == object_id][::11]
        nearest = np.linalg.norm(points[:, None] - own[None], axis=2).min(axis=1)
        assert nearest.max() < 0.11


def test_sensor_noise_makes_holes_and_grows_with_distance(tmp_path: Path) -> None:
    noisy = replace(OPTIONS, scenes=1, test_scenes=0, frames=2, noise=1.0)
    synthesise_dataset(tmp_path, noisy, workers=1)
    _, frames, _ = read_sens(tmp_path / "scans" / "scene0000_00" / "scene0000_00.sens")
    exact = render_truth("scene0000_00", noisy, 0, noisy.cameras[1]).depth
    measured = frames[0].depth / 1000
    valid = measured > 0
    assert 0.4 < valid.mean() < 1.0
    error = np.abs(measured - exact)[valid]
    assert 0.001 < np.median(error) < 0.05
    assert measured[valid].max() < 8


def test_a_shared_camera_gives_both_images_one_grid() -> None:
    color, depth = replace(OPTIONS, shared_camera=True).cameras
    assert color == depth


@pytest.mark.parametrize("index", range(6))
def test_every_kind_of_room_is_rich_turned_and_walkable(index: int) -> None:
    scene = cached_scene(0, index)
    assert set(scene.labels) <= set(CATEGORIES)
    assert len(set(scene.labels)) >= 12
    assert {"wall", "floor", "ceiling", "door", "window"} <= set(scene.labels)
    turned = [
        yaw % 90 for label, yaw in zip(scene.labels, scene.object_yaw, strict=True) if label not in ("wall", "floor")
    ]
    assert sum(4 < yaw < 86 for yaw in turned) >= 2
    poses = scan_poses(scene, 90)
    assert clearance(scene, poses[:, :3, 3]).min() > SAFE_DISTANCE - 0.04
    room = transform(scene.axis_alignment, poses[:, :3, 3])
    assert scene.plan.inside(room[:, :2]).all()
    assert ((room[:, 2] > 1.2) & (room[:, 2] < 1.9)).all()
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) * 30
    turn = np.einsum("nij,nij->n", poses[1:, :3, :3], poses[:-1, :3, :3])
    assert step.max() < 1.0
    assert np.degrees(np.arccos(np.clip((turn - 1) / 2, -1, 1))).max() * 30 < 75


def test_a_dataset_holds_many_categories_and_several_instances_of_one() -> None:
    labels = [cached_scene(0, index).labels for index in range(4)]
    assert len({label for scene in labels for label in scene}) >= 25
    assert all(max(scene.count(label) for label in set(scene) - {"wall"}) >= 3 for scene in labels)


def test_frames_a_second_apart_share_much_of_what_they_see() -> None:
    options = replace(OPTIONS, seed=0, scenes=4, frames=90)
    camera = options.cameras[1]
    for index in (0, 1):
        scene = cached_scene(options.seed, index)
        poses = scan_poses(scene, options.frames)
        shares = []
        for first in (0, 30, 55):
            points = render_truth(scene.scene_id, options, first, camera, scene=scene).points.astype(np.float64)
            pixels = camera.project(transform(np.linalg.inv(poses[first + 30]), points))
            inside = (
                (pixels > -0.5).all(axis=-1)
                & (pixels[..., 0] < camera.width - 0.5)
                & (pixels[..., 1] < camera.height - 0.5)
            )
            shares.append(float(inside.mean()))
        assert np.mean(shares) > 0.35
        assert min(shares) > 0.2


def test_the_scannet_reader_takes_it_for_scannet(dataset: Path) -> None:
    opened = ScanNetDataset.open(dataset)
    assert [opened.split(scene_id) for scene_id in opened.scene_ids] == ["train", "val", "test"]
    scene = cached_scene(OPTIONS.seed, 1)
    with opened.open_scan(SCENE) as scan:
        color, depth = OPTIONS.cameras
        assert (scan.color_intrinsics, scan.depth_intrinsics) == (color, depth)
        assert scan.axis_alignment is not None
        np.testing.assert_array_equal(scan.axis_alignment, scene.axis_alignment)
        annotation = scan.annotation()
        assert annotation is not None
        np.testing.assert_array_equal(annotation.vertices, scene.mesh.vertices.astype(np.float32))
        assert [item.label for item in sorted(annotation.objects, key=lambda o: o.object_id)] == list(scene.labels)
        ids = annotation.vertex_object_ids()
        assert ((ids == scene.vertex_object) | (ids == -1)).all()
        assert 0 < (ids != scene.vertex_object).mean() < 0.05
    with opened.open_scan("scene0002_00") as scan:
        assert scan.axis_alignment is None
        assert scan.annotation() is None


def test_test_scenes_have_no_annotation(dataset: Path) -> None:
    folder = dataset / "scans_test" / "scene0002_00"
    assert sorted(p.name for p in folder.iterdir()) == [
        "scene0002_00.sens", "scene0002_00.txt", "scene0002_00_vh_clean_2.ply",
    ]  # fmt: skip
    assert not {"axisAlignment", "sceneType"} & set(read_meta(folder / "scene0002_00.txt"))
    splits = {name: (dataset / f"scannetv2_{name}.txt").read_text() for name in ("train", "val", "test")}
    assert splits == {"train": "scene0000_00\n", "val": "scene0001_00\n", "test": "scene0002_00\n"}


def test_an_existing_scene_is_not_overwritten_unasked(dataset: Path) -> None:
    with pytest.raises(
        UsageError, match="scene0000_00: is not empty; choose another folder, or replace its scenes with --overwrite"
    ):
        synthesise_dataset(dataset, OPTIONS)
