"""A view's quality figures tell good poses from bad ones and sharp images from blurred ones; bad views are named."""

from __future__ import annotations

import itertools
import json
import shutil
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.engine.recipe import Recipe, read_recipe
from gapdata.frames.sharpness import sharpness
from gapdata.geometry.consistency import Surface, compare_surfaces, sample_surface
from gapdata.geometry.view_agreement import guessed_overlap
from gapdata.shards.index import read_index
from gapdata.shards.reader import ShardReader
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.conftest import REPOSITORY, look_from
from tests.support.scannet_scenes import COLOR, DEPTH, ray_cast, write_scene


def off_by(pose: NDArray[np.float64], degrees: float, metres: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The pose turned by ``degrees`` about a random axis and moved by ``metres`` in a random direction."""
    axis, direction = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 3)))
    moved = pose.copy()
    moved[:3, :3] = pose[:3, :3] @ cv2.Rodrigues(axis * np.deg2rad(degrees))[0]
    moved[:3, 3] += metres * direction
    return moved


def rewrite(path: Path, poses: NDArray[np.float64]) -> None:
    """Replace the poses of a ``.sens`` and nothing else."""
    edited = path.with_suffix(".edited")
    with (
        SensReader(path) as sens,
        SensWriter(edited, color_intrinsics=sens.color_intrinsics, depth_intrinsics=sens.depth_intrinsics) as writer,
    ):
        for frame in range(len(sens)):
            writer.write(color=sens.color_bytes(frame), depth=sens.depth(frame), camera_to_world=poses[frame])
    edited.replace(path)


def drifting(poses: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Poses that wander slowly: off by up to 2 degrees and 5 cm one way, and half a scan later another way."""
    knots = rng.normal(size=(2, 3, 3))
    knots /= np.linalg.norm(knots, axis=-1, keepdims=True)
    place = np.linspace(0, 2, len(poses))
    turn, shift = (
        np.stack([np.interp(place, [0, 1, 2], curve[:, axis]) for axis in range(3)], axis=1) for curve in knots
    )
    moved = poses.copy()
    for frame in range(len(poses)):
        moved[frame, :3, :3] = poses[frame, :3, :3] @ cv2.Rodrigues(turn[frame] * np.deg2rad(2.0))[0]
        moved[frame, :3, 3] += 0.05 * shift[frame]
    return moved


@pytest.fixture(scope="module")
def room() -> tuple[list[Surface], NDArray[np.float64]]:
    """Three frames of a room of boxes, and their poses."""
    import trimesh

    boxes = [((6, 5, 2.6), (0, 0, 1.3)), ((0.8, 0.6, 1.0), (1.5, 0.5, 0.5)), ((0.5, 0.5, 0.7), (1.2, -0.7, 0.35))]
    meshes = [trimesh.creation.box(extents=size).apply_translation(center) for size, center in boxes]
    meshes[0].invert()
    mesh = trimesh.util.concatenate(meshes)
    poses = np.stack([look_from((-1.0 + 0.2 * k, 0.1 * k, 1.4), 0.12 * k, 0.3) for k in range(3)])
    return [sample_surface(ray_cast(mesh, COLOR, pose), COLOR) for pose in poses], poses


def between(poses: NDArray[np.float64], first: int, second: int) -> NDArray[np.float64]:
    return np.linalg.inv(poses[second]) @ poses[first]


def test_frames_with_true_poses_agree_to_millimetres(room: tuple[list[Surface], NDArray[np.float64]]) -> None:
    surfaces, poses = room
    for first, second in ((0, 1), (1, 2), (0, 2)):
        found = compare_surfaces(surfaces[first], surfaces[second], between(poses, first, second))
        assert found.overlap > 0.5
        assert found.reprojection_error < 0.002
        assert found.misalignment < 0.003
        assert found.free_space < 0.01


def test_comparing_in_either_order_gives_the_same_figures(room: tuple[list[Surface], NDArray[np.float64]]) -> None:
    surfaces, poses = room
    there = between(poses, 0, 2) @ off_by(np.eye(4), 1, 0.03, rng_of(1))
    one = compare_surfaces(surfaces[0], surfaces[2], there)
    other = compare_surfaces(surfaces[2], surfaces[0], np.asarray(np.linalg.inv(there)))
    assert other.overlap == pytest.approx(one.overlap)
    assert other.reprojection_error == pytest.approx(one.reprojection_error, rel=0.02)
    assert other.misalignment == pytest.approx(one.misalignment, rel=0.05)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_two_degrees_and_five_centimetres_show_unless_they_cancel(
    room: tuple[list[Surface], NDArray[np.float64]],
) -> None:
    """A turn and a shift can nearly undo each other for what a pair sees, but rarely do; no pair looks well posed."""
    surfaces, poses = room
    found = [
        compare_surfaces(
            surfaces[0], surfaces[1], between(poses, 0, 1) @ off_by(np.eye(4), 2.0, 0.05, rng_of(seed))
        ).misalignment
        for seed in range(200)
    ]
    assert np.mean(np.array(found) > 0.02) > 0.95
    assert min(found) > 0.006


def test_the_misalignment_is_the_displacement_of_the_points(room: tuple[list[Surface], NDArray[np.float64]]) -> None:
    """A pure shift by 4 cm across the surfaces in view (the floor, the far wall) is found as about 4 cm."""
    surfaces, poses = room
    for axis in (1, 2):
        shift = np.eye(4)
        shift[axis, 3] = 0.04
        found = compare_surfaces(surfaces[0], surfaces[1], between(poses, 0, 1) @ shift)
        assert found.misalignment == pytest.approx(0.04, abs=0.012)


def test_gross_errors_cannot_hide_as_occlusion(room: tuple[list[Surface], NDArray[np.float64]]) -> None:
    surfaces, poses = room
    wrong = between(poses, 0, 1)
    wrong[2, 3] -= 1.0
    found = compare_surfaces(surfaces[0], surfaces[1], wrong)
    assert found.free_space > 0.3
    assert found.reprojection_error > 0.1


def test_frames_that_share_nothing_are_not_judged(room: tuple[list[Surface], NDArray[np.float64]]) -> None:
    surfaces, _ = room
    behind = np.diag([-1.0, 1.0, -1.0, 1.0])
    found = compare_surfaces(surfaces[0], surfaces[1], behind)
    assert (found.overlap, found.misalignment, found.free_space) == (0.0, 0.0, 0.0)
    assert guessed_overlap([surfaces[0], surfaces[0]], np.stack([np.eye(4), behind]))[0, 1] == 0
    assert guessed_overlap([surfaces[0], surfaces[0]], np.stack([np.eye(4), np.eye(4)]))[0, 1] == 1


def test_an_empty_frame_is_no_surface() -> None:
    empty = sample_surface(np.zeros((DEPTH.height, DEPTH.width), np.uint16), DEPTH)
    assert empty.points.shape == (3, 0)
    assert compare_surfaces(empty, empty, np.eye(4)).overlap == 0


def textured() -> NDArray[np.uint8]:
    noise = rng_of(0).normal(size=(384, 512, 3))
    image = cv2.GaussianBlur(noise, (0, 0), 3.0)
    return np.clip(128 + 40 * image / image.std(), 0, 255).astype(np.uint8)


def test_blur_lowers_sharpness_and_contrast_or_exposure_do_not() -> None:
    image = textured()
    values = [sharpness(cv2.GaussianBlur(image, (0, 0), sigma)) for sigma in (0.1, 2.0, 4.0, 8.0)]
    assert all(a > 1.3 * b for a, b in itertools.pairwise(values))
    darker = (image // 2).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(image), rel=0.1)
    assert sharpness(np.full((96, 128, 3), 90, np.uint8)) == 0


def test_the_stored_size_hardly_matters_for_sharpness() -> None:
    image = textured()
    larger = cv2.resize(image, (1024, 768), interpolation=cv2.INTER_CUBIC)
    assert sharpness(larger) == pytest.approx(sharpness(image), rel=0.1)


def test_the_written_out_recipe_is_the_defaults_and_names_every_field() -> None:
    path = REPOSITORY / "manifests" / "scannet-pretrain.toml"
    assert read_recipe(path) == Recipe()
    written = tomllib.loads(path.read_text())
    assert {name: set(value) if isinstance(value, dict) else None for name, value in written.items()} == {
        name: set(value) if isinstance(value, dict) else None for name, value in Recipe().to_dict().items()
    }


def build(root: Path, out: Path, *overrides: str) -> int:
    chosen = [part for override in overrides for part in ("--set", override)]
    return main(["build-shards", "--scannet", str(root), "--out", str(out), *chosen, "--executor", "inline"])


TINY = ("frames.image_size=[128,96]", "clips.frames=3", "clips.interval=1", "clips.max_shift=0")


def test_a_badly_posed_view_is_quarantined_with_its_figure_and_the_others_are_built(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "in" / "scene0000_00", frames=8) / "scene0000_00.sens"
    with SensReader(path) as sens:
        poses = np.array(sens.camera_to_world)
    poses[6] = off_by(poses[6], 2.0, 0.05, rng_of(3))
    rewrite(path, poses)
    assert build(tmp_path / "in", tmp_path / "out", *TINY, "clips.step=1", "scene_views.frames=8") == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    lost = {item["key"]: item for item in report["quarantined"]}
    assert set(lost) == {*(f"scene0000_00-clip-0000{first}" for first in (4, 5)), "scene0000_00-scene-0"}
    entry = lost["scene0000_00-clip-00004"]
    assert entry["frame"] == 6
    assert "is badly posed: a frame must be moved by " in entry["problem"]
    assert "quality.max_misalignment is 0.06 m" in entry["problem"]
    assert entry["path"].endswith("scene0000_00.sens")
    (row,) = [row for row in report["losses"] if row["what"] == "views"]
    assert (row["count"], row["scenes"]) == (3, 1)
    assert len(ShardReader(tmp_path / "out")) == 4


def test_the_figures_are_in_the_record_and_in_the_index(tmp_path: Path) -> None:
    write_scene(tmp_path / "in" / "scene0000_00", frames=6)
    assert build(tmp_path / "in", tmp_path / "out", *TINY) == 0
    rows = read_index(tmp_path / "out").to_pylist()
    for row, record in zip(rows, ShardReader(tmp_path / "out"), strict=True):
        quality = record.quality
        assert len(quality["valid_depth"]) == len(quality["sharpness"]) == len(record)
        assert quality["pairs"] > 0
        assert row["misalignment"] == pytest.approx(quality["misalignment"])
        assert quality["neighbour_misalignment"] <= quality["misalignment"] < 0.04
        for name in ("neighbour_misalignment", "neighbour_residual", "neighbour_free_space", "overlap"):
            assert row[name] == pytest.approx(quality[name])
        assert row["free_space"] == pytest.approx(quality["free_space"])
        assert row["reprojection_error"] == pytest.approx(quality["reprojection_error"])
        assert row["valid_depth"] == pytest.approx(np.mean(quality["valid_depth"]))
        assert row["sharpness"] == pytest.approx(np.mean(quality["sharpness"]))


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four furnished rooms with sensor noise, 60 frames each."""
    root = tmp_path_factory.mktemp("scans")
    arguments = ["--scenes", "4", "--frames", "60", "--seed", "11", "--workers", "1"]
    assert main(["synth", str(root), *arguments, "--color-size", "324x242", "--depth-size", "160x120"]) == 0
    return root


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clean", "independent", "drift"])
def test_clean_scans_pass_and_every_scan_that_is_off_by_two_degrees_and_five_centimetres_is_caught(
    scans: Path, tmp_path: Path, kind: str
) -> None:
    root = Path(shutil.copytree(scans, tmp_path / "in"))
    for path in sorted(root.glob("scans/*/*.sens")):
        with SensReader(path) as sens:
            poses = np.array(sens.camera_to_world)
        rng = rng_of(int(path.stem[5:9]))
        if kind == "independent":
            poses = np.stack([off_by(pose, 2.0, 0.05, rng) for pose in np.nan_to_num(poses, neginf=np.nan)])
        elif kind == "drift":
            poses = drifting(np.nan_to_num(poses, neginf=np.nan), rng)
        rewrite(path, poses)
    views = ("frames.image_size=[256,192]", "clips.interval=10", "clips.step=10", "scene_views.frames=12")
    status = build(root, tmp_path / "out", *views)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    caught = {item["scene_id"] for item in report["quarantined"] if "badly posed" in item["problem"]}
    if kind == "clean":
        assert (status, report["quarantined"]) == (0, [])
    else:
        assert status == 3
        assert caught == {f"scene{index:04d}_00" for index in range(4)}
    if kind == "independent":
        assert report["records"] == 0
