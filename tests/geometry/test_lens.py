"""A lens is undone once, so that a stored frame is a pinhole's, or it is refused by name; it is never dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, behind_lens, lens_map, pinhole_behind
from gapdata.geometry.registration import register_depth
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.sources.camera_files import parse_intrinsics
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.lenses import CAMERA, Undistort, fisheye, perspective, pose, seen, skewed, straight, write_room
from tests.support.reprojection import reprojection_distances

TUM = {"k1": 0.2624, "k2": -0.9531, "p1": -0.0054, "p2": 0.0026, "k3": 1.1633}  # freiburg1's colour camera
PHONE = {"k1": -0.11, "k2": 0.03, "p1": 0.001, "p2": -0.0007}
RATIONAL = {"k1": 0.9, "k2": 0.2, "p1": 0.0004, "p2": -0.0003, "k3": 0.01, "k4": 1.2, "k5": 0.4, "k6": 0.04}
PRISM = [0.002, -0.001, 0.001, 0.0005]
FISH = {"k1": 0.05, "k2": -0.01, "k3": 0.004, "k4": -0.001}
LENSES: dict[str, tuple[Mapping[str, Any], Undistort]] = {
    "TUM's five": ({"camera_model": "OPENCV", **TUM}, perspective(list(TUM.values()))),
    "a phone's four": (PHONE, perspective(list(PHONE.values()))),
    "eight, as a list": (
        {
            "camera_model": "FULL_OPENCV",
            "distortion_coefficients": {"rows": 1, "cols": 8, "data": [*RATIONAL.values()]},
        },
        perspective(list(RATIONAL.values())),
    ),
    "twelve, as a matrix's row": (
        {"dist_coeffs": [[*RATIONAL.values(), *PRISM]]},
        perspective([*RATIONAL.values(), *PRISM]),
    ),
    "one radial": (
        {"camera": {"camera_model": "SIMPLE_RADIAL", "k": -0.08, "fx": 230, "fy": 230, "cx": 127.5, "cy": 95.5}},
        perspective([-0.08, 0, 0, 0]),
    ),
    "a fisheye": ({"camera_model": "OPENCV_FISHEYE", **FISH}, fisheye(list(FISH.values()))),
    "a fisheye of zeros": ({"distortion_model": "equidistant", "D": [0, 0, 0, 0]}, fisheye([0.0] * 4)),
    "ORB-SLAM's name": ({"camera_model": "KannalaBrandt8", "distortion": [*FISH.values()]}, fisheye([*FISH.values()])),
    "a skew": ({"skew": 25}, skewed(25)),
}


def build(root: Path, out: Path, *arguments: str) -> int:
    settings = ["frames.image_size=[128,96]", "clips.interval=1", "clips.max_shift=0", "scene_views.enabled=false"]
    overrides = [part for setting in (*settings, *arguments) for part in ("--set", setting)]
    return main(["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline"])


def built(root: Path, out: Path, *arguments: str) -> Record:
    assert build(root, out, *arguments) == 0
    (record,) = ShardReader(out)
    return record


def pixels_off(image: np.ndarray, truth: np.ndarray) -> float:
    """By how many pixels an image is shifted against the truth: the 90th percentile over the tiles that show enough,
    by Lucas and Kanade's method.
    """
    shifts = []
    blurred, true = (cv2.GaussianBlur(picture.astype(np.float64), (0, 0), 1.5) for picture in (image, truth))
    down, along = np.gradient(true, axis=(0, 1))
    for top in range(0, image.shape[0] - 15, 8):
        for left in range(0, image.shape[1] - 15, 8):
            part = (slice(top, top + 16), slice(left, left + 16))
            slopes = np.stack([along[part].ravel(), down[part].ravel()], axis=-1)
            if np.linalg.eigvalsh(slopes.T @ slopes)[0] > 2000:
                change = (true - blurred)[part].ravel()
                shifts.append(np.linalg.norm(np.linalg.lstsq(slopes, change, rcond=None)[0]))
    assert len(shifts) > 20
    return float(np.percentile(shifts, 90))


@pytest.mark.parametrize("name", LENSES)
def test_a_stored_frame_is_what_a_pinhole_of_its_intrinsics_would_have_seen(name: str, tmp_path: Path) -> None:
    calibration, undistort = LENSES[name]
    record = built(write_room(tmp_path / "room", calibration, undistort, depth_size=(160, 120)), tmp_path / "out")
    camera = record.camera(2)
    color, z = seen(camera, pose(2), straight)
    assert pixels_off(record.image(2), color) < 0.3
    depth = record.depth(2)
    inner = (slice(2, -2), slice(2, -2))
    assert (depth[inner] > 0).mean() > 0.98, "pixels without a place in the source image"
    error = np.abs(depth - z)[depth > 0]
    assert np.median(error) < 0.002
    assert np.mean(error < 0.02) > 0.985  # the others lie on the pillar's edge


def test_a_lens_that_is_dropped_would_be_seen_by_these_measures(tmp_path: Path) -> None:
    record = built(write_room(tmp_path / "room", {}, perspective([*TUM.values()])), tmp_path / "out")
    assert pixels_off(record.image(2), seen(record.camera(2), pose(2), straight)[0]) > 0.5


def test_frames_agree_in_space_once_a_lens_is_undone(tmp_path: Path) -> None:
    rooms = {"lens": (TUM, perspective([*TUM.values()])), "pinhole": ({}, straight)}
    apart = {}
    for name, (calibration, undistort) in rooms.items():
        record = built(write_room(tmp_path / name, calibration, undistort), tmp_path / f"{name}-out")
        points, cameras = record.pointmap(), record.cameras
        distances = reprojection_distances(points[0], points[3], cameras[3], record.camera_to_first[3])
        apart[name] = np.median(distances)
        assert record.quality["misalignment"] < 0.003
    assert apart["lens"] < 1.1 * apart["pinhole"]


def test_what_was_undone_is_in_the_report_and_shown_by_inspect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "room", {"camera_model": "opencv fisheye", **FISH}, fisheye([*FISH.values()]))
    built(room, tmp_path / "out")
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert notes == {"color_undistorted_from_OPENCV_FISHEYE": 4, "depth_undistorted_from_OPENCV_FISHEYE": 4}
    assert "OPENCV_FISHEYE" in capsys.readouterr().out
    assert main(["inspect", str(room)]) == 0
    assert "OPENCV_FISHEYE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "calibration",
    [
        {},
        {"camera_model": "PINHOLE"},
        {"camera_model": "OPENCV", "k1": 0, "k2": 0.0, "p1": 0, "p2": 0},
        {"distortion": [0.0] * 5, "skew": 0},
        {"model": "Inverse Brown Conrady", "coeffs": [0.0] * 5},
        {"model": "iPhone 12", "undistorted": True, "distortion_model": "none"},
        {"max_distance": 5, "skew": 1e-9},
    ],
)
def test_a_pinhole_keeps_its_frames_byte_for_byte(calibration: dict[str, Any], tmp_path: Path) -> None:
    room = write_room(tmp_path / "room", calibration)
    record = built(room, tmp_path / "out", "frames.image_size=[256,192]")
    assert record.camera(0) == CAMERA
    assert record.members["00.jpg"] == (room / "color" / "00000.jpg").read_bytes()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["notes"] == {}


@pytest.mark.parametrize(
    ("calibration", "named"),
    [
        (
            {"camera_model": "OPENCV_FISHEYE", **TUM},
            "p1 is -0.0054, but camera model OPENCV_FISHEYE has only k1, k2, k3, k4",
        ),
        ({"camera_model": "THIN_PRISM_FISHEYE", "k1": 0.1}, "camera_model is 'THIN_PRISM_FISHEYE'"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model is 'EQUIRECTANGULAR'"),
        ({"model": "fov", "omega": 0.9}, "omega is 0.9"),
        ({"model": "distortion.inverse_brown_conrady", "coeffs": [0.1, 0, 0, 0, 0]}, "inverse_brown_conrady"),
        ({"camera_model": "SIMPLE_RADIAL", "k1": 0.1, "k2": 0.2}, "k2 is 0.2"),
        ({"k1": 0.1, "k2": 0.0, "k3": 0.0, "k4": 0.2}, "k4 is 0.2 without k5 and k6"),
        ({"distortion": [0.1, 0.2, 0.3]}, "distortion has 3 coefficients, expected 4, 5, 8, 12, 14"),
        ({"distortion": [0.1] * 4, "k1": 0.2}, "k1 is stated twice, as 0.2 and as 0.1 (in distortion)"),
        ({"camera_model": "equidistant", "D": [0.1, 0, 0, 0, 0.2]}, "D has 5 coefficients"),
        ({"distortion": "yes"}, "distortion is 'yes'"),
        ({"is_fisheye": True}, "is_fisheye is True"),
        ({"k1": "0.1"}, "k1 is '0.1', expected a number"),
        ({"k7": 0.1}, "k7 is 0.1"),
        ({"p2": 10**400}, "p2 is 1000"),
        ({"kappa1": 0.1}, "kappa1 is 0.1"),
        ({"model": "OPENCV", "params": [230, 230, 127.5, 95.5, 0.1, 0, 0, 0]}, "COLMAP's list"),
        ({"model": "SIMPLE_RADIAL", "params": [230, 127.5, 95.5, 0.1]}, "COLMAP's list"),
        ({"depth_distortion": [0.1, 0, 0, 0, 0]}, "depth_distortion"),
        ({"depth_camera": {"fx": 200, "k1": 0.1}}, "depth_camera.k1 is 0.1"),
        ({"undistorted": False}, "undistorted"),
        ({"undistorted": True, "k1": 0.1}, "undistorted"),
        ({"k1": -3.0, "k2": -9.0, "p1": 0, "p2": 0}, "folds rays back"),
        ("230 0 127.5\n0.4 230 95.5\n0 0 1\n", "expected fx s cx / 0 fy cy / 0 0 1"),
        ("230 0 127.5\n0 230 95.5\n0 0 0.5\n", "expected fx s cx / 0 fy cy / 0 0 1"),
        ("230 0 127.5 -40\n0 230 95.5 0\n0 0 1 0\n", "fourth column"),
    ],
)
def test_a_lens_that_cannot_be_undone_is_refused_by_name(
    calibration: dict[str, Any] | str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "room", calibration, frames=2)
    assert build(room, tmp_path / "out") == 3
    said = capsys.readouterr().out
    assert named in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "intrinsics" in report["quarantined"][0]["path"]
    assert report["records"] == 0


def test_a_skew_in_a_matrix_file_is_undone(tmp_path: Path) -> None:
    text = "230 25 127.5\n0 230 95.5\n0 0 1\n"
    record = built(write_room(tmp_path / "room", text, skewed(25)), tmp_path / "out")
    assert pixels_off(record.image(2), seen(record.camera(2), pose(2), straight)[0]) < 0.3


def test_a_lens_in_lines_of_text_is_known() -> None:
    text = "camera_model = OPENCV\nfx = 230\nfy = 230\ncx = 127.5\ncy = 95.5\ndist_coeffs = -0.1, 0.02, 0, 0\n"
    assert parse_intrinsics(text.encode()).lens == Lens(name="OPENCV", coefficients=(-0.1, 0.02, 0.0, 0.0))


def test_a_skew_in_a_sens_header_is_known(tmp_path: Path) -> None:
    path = tmp_path / "scene0000_00.sens"
    with SensWriter(path, color_intrinsics=CAMERA, depth_intrinsics=CAMERA):
        pass
    data = bytearray(path.read_bytes())
    start = 12 + len("StructureSensor")
    data[start + 4 : start + 8] = np.float32(25).tobytes()
    path.write_bytes(data)
    with SensReader(path) as sens:
        assert sens.color_lens is not None
        assert sens.color_lens.skew == pytest.approx(25 / 230)
        assert sens.color_lens == Lens(name="SKEW", skew=sens.color_lens.skew)
        assert sens.depth_lens is None


def test_a_pixel_is_found_again_behind_any_lens() -> None:
    for lens in (
        Lens(name="X", coefficients=tuple(TUM.values()), skew=0.01),
        Lens(name="X", model="fisheye", coefficients=tuple(FISH.values()), skew=0.01),
    ):
        target = pinhole_behind(lens, CAMERA).resized(512, 384)
        columns, rows = lens_map(lens, CAMERA, target)
        for u, v in ((20, 30), (256, 192), (480, 350)):
            place = behind_lens(lens, CAMERA, target, (float(columns[v, u]), float(rows[v, u])))
            np.testing.assert_allclose(place, (u, v), atol=0.01)


def test_a_lens_that_sees_less_than_its_pinhole_gives_a_frame_without_empty_borders(tmp_path: Path) -> None:
    cushion = {"k1": 0.35, "k2": 0.1, "p1": 0, "p2": 0}
    record = built(write_room(tmp_path / "room", cushion, perspective([*cushion.values()])), tmp_path / "out")
    assert record.camera(0).fx > 1.02 * CAMERA.resized(128, 96).fx
    assert (record.depth(0) > 0).mean() > 0.995


def test_depth_through_a_lens_is_registered_across_a_baseline() -> None:
    lens = Lens(name="X", coefficients=tuple(TUM.values()))
    undistort = perspective([*TUM.values()])
    _, z = seen(CAMERA, pose(0), undistort)
    moved = np.eye(4)
    moved[0, 3] = 0.03
    target = Intrinsics(fx=115.0, fy=115.0, cx=63.5, cy=47.5, width=128, height=96)
    registered = register_depth(z.astype(np.float32), CAMERA, target, np.asarray(np.linalg.inv(moved)), lens)
    _, truth = seen(target, pose(0) @ moved, straight)
    error = np.abs(registered - truth)[registered > 0]
    assert (registered > 0).mean() > 0.9
    assert np.median(error) < 0.003


def test_poses_are_judged_behind_the_lens_too(tmp_path: Path) -> None:
    wide = Intrinsics(fx=110.0, fy=110.0, cx=127.5, cy=95.5, width=256, height=192)
    found = {}
    for name, calibration in (("stated", {"camera_model": "fisheye"}), ("dropped", {})):
        room = write_room(tmp_path / name, calibration, fisheye([0.0] * 4), camera=wide, frames=12)
        with RgbdFolder.open(room).open_scan(name) as scan:
            found[name] = diagnose_poses(scan)
    assert found["stated"].verdict == "agree"
    assert found["stated"].misalignment is not None
    assert found["stated"].misalignment < 0.005
    assert found["dropped"].misalignment is None or found["dropped"].misalignment > 0.01
