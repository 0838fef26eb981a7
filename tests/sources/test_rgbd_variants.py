"""Further forms of folders of frames: quaternions without stamps, Open3D's whole scene, BundleFusion, Replica."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.errors import SourceError, UsageError
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.pose_files import parse_trajectory
from gapdata.sources.rgbd import RgbdFolder
from tests.support.exports import matrix_text, png
from tests.support.phones import WIDTH, walk

HEIGHT = WIDTH * 3 // 4
CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480).resized(WIDTH, HEIGHT)
STATED = {"fx": CAMERA.fx, "fy": CAMERA.fy, "cx": CAMERA.cx, "cy": CAMERA.cy}
FRAMES = 3


def write_images(folder: Path, color: str, depth: str) -> None:
    for frame in range(FRAMES):
        for name, image in ((color, walk().color(frame, CAMERA)[..., ::-1]), (depth, walk().depth(frame, CAMERA))):
            path = folder / name.format(frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            data = png(image) if path.suffix == ".png" else cv2.imencode(".jpg", image)[1].tobytes()
            path.write_bytes(data)


def log(poses: np.ndarray) -> str:
    blocks = ("\n".join(" ".join(f"{value:.9f}" for value in row) for row in pose) for pose in poses)
    return "".join(f"{k} {k} {k + 1}\n{block}\n" for k, block in enumerate(blocks))


def test_the_real_sample_of_pgm_depth_and_quaternions_without_stamps_is_read(samples: Path, tmp_path: Path) -> None:
    sample, folder = samples / "samples" / "pgm16-rgbd", tmp_path / "rgbd"
    (folder / "color").mkdir(parents=True)
    (folder / "depth").mkdir()
    lines = (sample / "pose.txt").read_text().splitlines()
    for number in range(1, len(lines) + 1):
        shutil.copy(sample / "1.png", folder / "color" / f"{number}.png")
        shutil.copy(sample / "1.pgm", folder / "depth" / f"{number}.pgm")
    shutil.copy(sample / "pose.txt", folder / "pose.txt")
    camera = {"fx": 518.0, "fy": 519.0, "cx": 325.5, "cy": 253.5, "depth_scale": 1000}
    (folder / "intrinsics.json").write_text(json.dumps(camera))
    with RgbdFolder.open(folder).open_scan("rgbd") as scan:
        frames = np.flatnonzero(scan.present)
        assert len(frames) == len(lines)
        for frame, line in zip(frames, lines, strict=True):
            x, y, z, qx, qy, qz, qw = map(float, line.split())
            sine = np.linalg.norm([qx, qy, qz])
            turn = cv2.Rodrigues(np.array([qx, qy, qz]) / sine * 2 * np.arctan2(sine, qw))[0]
            np.testing.assert_allclose(scan.camera_to_world[frame][:3, :3], turn, atol=1e-5)
            np.testing.assert_allclose(scan.camera_to_world[frame][:3, 3], [x, y, z])
        header, payload = (sample / "1.pgm").read_bytes().split(b"\n", 1)
        assert header.split() == [b"P5", b"640", b"480", b"65535"]
        stored = np.frombuffer(payload[-2 * 640 * 480 :], dtype=">u2").reshape(480, 640)
        np.testing.assert_array_equal(scan.depth(int(frames[0])), stored)


def test_a_quaternion_that_is_not_a_rotation_is_named_by_its_line() -> None:
    with pytest.raises(ValueError, match="line 2 has seven numbers, but the last four are not a unit quaternion"):
        parse_trajectory(b"0 0 0 0 0 0 1\n0 0 0 0 0 0 3\n")
    with pytest.raises(ValueError, match="line 3 has 7 values"):
        parse_trajectory(b"0 0 0 1\n0 0 0 1\n0 0 0 0 0 0 1\n")


def test_poses_of_the_whole_scene_count_and_those_of_fragments_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "lounge"
    write_images(folder, "image/{:06d}.jpg", "depth/{:06d}.png")
    (folder / "fragments").mkdir()
    (folder / "fragments" / "fragment_000.json").write_text("{}")
    (folder / "scene").mkdir()
    (folder / "scene" / "trajectory.log").write_text(log(walk().poses[:FRAMES]))
    matrix = CAMERA.matrix.T.reshape(-1).tolist()  # by column, as Open3D writes it
    stated = {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": matrix}
    (folder / "camera_primesense.json").write_text(json.dumps(stated))
    with RgbdFolder.open(tmp_path).open_scan("lounge") as scan:
        np.testing.assert_allclose(scan.camera_to_world, walk().poses[:FRAMES], atol=1e-8)
        assert scan.color_intrinsics == CAMERA


def test_frames_of_bundlefusion_bring_their_cameras_in_info_txt_and_lost_poses(tmp_path: Path) -> None:
    folder = tmp_path / "apt0"
    write_images(folder, "frame-{:06d}.color.jpg", "frame-{:06d}.depth.png")
    for frame in range(FRAMES):
        pose = np.full((4, 4), -np.inf) if frame == 1 else walk().poses[frame]
        (folder / f"frame-{frame:06d}.pose.txt").write_text("\n".join(" ".join(map(str, row)) for row in pose))
    matrix = np.eye(4)
    matrix[:3, :3] = CAMERA.matrix
    numbers = " ".join(map(str, matrix.reshape(-1)))
    unit = " ".join(map(str, np.eye(4).reshape(-1)))
    lines = [
        "m_versionNumber = 4",
        "m_sensorName = StructureSensor",
        "m_depthShift = 1000",
        f"m_frames.size = {FRAMES}",
    ]
    for kind in ("Color", "Depth"):
        lines += [f"m_{kind.lower()}Width = {WIDTH}", f"m_{kind.lower()}Height = {HEIGHT}"]
        lines += [f"m_calibration{kind}Intrinsic = {numbers}", f"m_calibration{kind}Extrinsic = {unit}"]
    (folder / "info.txt").write_text("\n".join(lines) + "\n")
    with RgbdFolder.open(tmp_path).open_scan("apt0") as scan:
        assert np.isfinite(scan.camera_to_world).all(axis=(1, 2)).tolist() == [True, False, True]
        assert scan.color_intrinsics == CAMERA
        assert scan.depth_units_per_metre == 1000


def test_renders_of_replica_by_other_tools_are_refused_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "room_0"
    write_images(folder, "rgb/rgb_{}.png", "depth/depth_{}.png")
    lines = (" ".join(f"{value:.9f}" for value in pose.reshape(-1)) for pose in walk().poses[:FRAMES])
    (folder / "traj_w_c.txt").write_text("\n".join(lines))
    with pytest.raises(SourceError, match="a render of Replica by Semantic-NeRF or vMAP"):
        RgbdFolder.open(tmp_path).open_scan("room_0")
    (folder / "intrinsics.json").write_text(json.dumps({**STATED, "depth_scale": 1000}))
    with gapdata.open_dataset(rgbd=tmp_path).open_scan("room_0") as scan:
        np.testing.assert_allclose(scan.camera_to_world, walk().poses[:FRAMES], atol=1e-8)


def test_replica_without_its_camera_file_says_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "room0"
    write_images(folder, "results/frame{:06d}.jpg", "results/depth{:06d}.png")
    lines = (" ".join(map(str, pose.reshape(-1))) for pose in walk().poses[:FRAMES])
    (folder / "traj.txt").write_text("\n".join(lines))
    with pytest.raises(SourceError, match=r"copy cam_params\.json from the top of NICE-SLAM's Replica\.zip"):
        RgbdFolder.open(tmp_path).open_scan("room0")


def test_one_room_of_replica_finds_the_camera_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "room0"
    write_images(folder, "results/frame{:06d}.jpg", "results/depth{:06d}.png")
    (folder / "traj.txt").write_text("\n".join(" ".join(map(str, pose.reshape(-1))) for pose in walk().poses[:FRAMES]))
    (tmp_path / "intrinsics.json").write_text("of something else")
    (tmp_path / "cam_params.json").write_text(json.dumps({"camera": {**STATED, "scale": 6553.5}}))
    with RgbdFolder.open(folder).open_scan("room0") as scan:
        assert scan.depth_units_per_metre == 6553.5


@pytest.mark.parametrize("lost", ["rgb.txt", "depth.txt"])
def test_a_sequence_of_tum_without_a_list_is_told_which_lists_it_needs(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "rgbd_dataset_freiburg1_desk"
    write_images(folder, "rgb/{}.png", "depth/{}.png")
    for name in ("rgb.txt", "depth.txt", "groundtruth.txt"):
        (folder / name).write_text("# empty\n")
    (folder / lost).unlink()
    with pytest.raises(SourceError, match=r"needs rgb\.txt and depth\.txt beside groundtruth\.txt"):
        RgbdFolder.open(folder).open_scan(folder.name)


def test_folders_of_scans_one_level_further_down_are_named(tmp_path: Path) -> None:
    for scene in ("office/seq-01", "chess/seq-01"):
        write_images(tmp_path / scene, "frame-{:06d}.color.png", "frame-{:06d}.depth.png")
        for frame in range(FRAMES):
            (tmp_path / scene / f"frame-{frame:06d}.pose.txt").write_text(matrix_text(walk().poses[frame]))
    with pytest.raises(
        UsageError, match=r"chess holds scans one level further down, such as seq-01/: give .*chess its"
    ):
        RgbdFolder.open(tmp_path)
    assert RgbdFolder.open(tmp_path / "office").scene_ids == ("seq-01",)


def test_replicas_own_release_is_told_apart_from_a_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "apartment_0" / "habitat").mkdir(parents=True)
    (tmp_path / "apartment_0" / "mesh.ply").write_bytes(b"ply\n")
    for place in (tmp_path, tmp_path / "apartment_0"):
        with pytest.raises(UsageError, match="is Replica's own release, which has meshes but no frames"):
            RgbdFolder.open(place)
