"""Exports of RTAB-Map: nodes with a camera each, and poses of the camera or, if the user says so, of the robot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gapdata
from gapdata.commands.main import main
from gapdata.errors import SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.sources.rtabmap import RtabmapScan, parse_node_camera, parse_node_poses
from tests.support.builds import build_twice
from tests.support.exports import png
from tests.support.fused_clouds import compactness
from tests.support.phones import FRAMES, WIDTH, open_capture, present, walk
from tests.support.walks import Tolerances, compare_with_walk

HEIGHT = WIDTH * 3 // 4
NODES = {3 * frame + 2: frame for frame in range(FRAMES)}
"""By the id of a node, the frame of the walk; ids of a map have gaps."""
LOST = 41
"""A node without a pose."""
START = 1786504901.25
OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
CALIBRATION = """%YAML:1.0
---
camera_name: "{node}"
image_width: {width}
image_height: {height}
camera_matrix:
   rows: 3
   cols: 3
   data: [ {fx:.16e}, 0., {cx}, 0., {fy:.16e},
       {cy}, 0., 0., 1. ]
distortion_coefficients:
   rows: 1
   cols: 5
   data: [ 0., 0., 0., 0., 0. ]
distortion_model: plumb_bob
projection_matrix:
   rows: 3
   cols: 4
   data: [ {fx:.16e}, 0., {cx}, 0., 0., {fy:.16e}, {cy}, 0., 0., 0., 1.,
       0. ]
local_transform:
   rows: 3
   cols: 4
   data: [ {local} ]
"""


def camera(frame: int) -> Intrinsics:
    """The colour camera, which refocuses."""
    base = Intrinsics(fx=599.77, fy=599.1, cx=318.9, cy=241.2, width=640, height=480).resized(WIDTH, HEIGHT)
    return replace(base, fx=base.fx * (1 + 0.004 * np.sin(frame)))


def quaternion(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    vector = cv2.Rodrigues(pose[:3, :3])[0][:, 0]
    angle = float(np.linalg.norm(vector))
    return np.array([*(np.sin(angle / 2) * vector / angle), np.cos(angle / 2)])


def write_poses(path: Path, poses: dict[int, NDArray[np.float64]]) -> None:
    lines = ["#timestamp x y z qx qy qz qw id"]
    for node, pose in poses.items():
        values = [START + NODES[node] / 30, *pose[:3, 3], *quaternion(pose)]
        lines.append(" ".join(f"{value:f}" for value in values) + f" {node}")
    path.write_text("\n".join(lines) + "\n")


def write_export(folder: Path, camera_to_robot: NDArray[np.float64]) -> None:
    for kind in ("rgb", "depth", "calib"):
        (folder / f"map_{kind}").mkdir(parents=True)
    for node, frame in NODES.items():
        seen = camera(frame)
        jpeg = cv2.imencode(".jpg", walk().color(frame, seen)[..., ::-1])[1].tobytes()
        (folder / "map_rgb" / f"{node}.jpg").write_bytes(jpeg)
        depth = walk().depth(frame, seen.resized(WIDTH // 2, HEIGHT // 2))
        (folder / "map_depth" / f"{node}.png").write_bytes(png(depth))
        local = ", ".join(f"{value:.10f}" for value in camera_to_robot[:3].reshape(-1))
        fields = {"fx": seen.fx, "fy": seen.fy, "cx": seen.cx, "cy": seen.cy, "local": local, "node": node}
        text = CALIBRATION.format(width=WIDTH, height=HEIGHT, **fields)
        (folder / "map_calib" / f"{node}.yaml").write_text(text)
    known = {node: walk().poses[frame] for node, frame in NODES.items() if node != LOST}
    write_poses(folder / "map_camera_poses.txt", known)
    write_poses(folder / "map_poses.txt", {node: pose @ np.linalg.inv(camera_to_robot) for node, pose in known.items()})


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rtabmap")
    on_mast = OPTICAL.copy()
    on_mast[:3, 3] = 0.12, 0.03, 0.9
    write_export(root / "lab", on_mast)
    return root


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export / "lab", tmp_path / "in" / "lab"))


def test_nodes_have_their_own_cameras_and_the_moments_and_poses_of_the_walk(export: Path) -> None:
    scan = open_capture(export)
    assert isinstance(scan, RtabmapScan)
    assert present(scan) == [frame for node, frame in NODES.items() if node != LOST]
    for frame in present(scan)[::5]:
        found, depth = scan.color_camera(frame), scan.depth_camera(frame)
        assert found.fx == pytest.approx(camera(frame).fx)
        assert (depth.width, depth.height) == (WIDTH // 2, HEIGHT // 2)
        assert depth.cx == pytest.approx((camera(frame).cx + 0.5) / 2 - 0.5)
        np.testing.assert_allclose(scan.camera_to_world[frame], walk().poses[frame], atol=2e-6)
        stored = cv2.imread(str(export / "lab" / "map_depth" / f"{3 * frame + 2}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(scan.depth(frame), stored)
    assert scan.notes == {"frame_without_pose": 1}
    assert scan.world_up is not None
    np.testing.assert_array_equal(scan.world_up, [0, 0, 1])


def test_records_show_what_the_walk_saw_and_are_written_twice_alike(export: Path, tmp_path: Path) -> None:
    built = build_twice(export, tmp_path)
    # Depth has half of colour's pixels along a side.
    compare_with_walk(gapdata.open(built), walk(), Tolerances(share=0.9))


def test_rows_of_the_robot_are_noted_and_moved_to_the_camera_when_the_user_says_so(copy: Path, export: Path) -> None:
    (copy / "map_camera_poses.txt").unlink()
    scan = open_capture(copy)
    assert scan.notes["poses_may_be_of_the_robot"] == len(NODES) - 1
    with gapdata.open_dataset(rgbd=copy, axes="ros").open_scan("lab") as told, open_capture(export) as right:
        assert told.notes["pose_moved_from_the_robot_to_its_camera"] == len(NODES) - 1
        frames = present(right)
        np.testing.assert_allclose(told.camera_to_world[frames], right.camera_to_world[frames], atol=1e-5)
        assert diagnose_poses(told).verdict == "agree"
        assert told.digest() != scan.digest()


def test_inspect_finds_out_that_rows_are_the_robot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in the numbers says it: as given, frames disagree; with ROS's axes they do not."""
    write_export(tmp_path / "hand", OPTICAL)
    (tmp_path / "hand" / "map_camera_poses.txt").unlink()
    assert main(["inspect", str(tmp_path / "hand"), "--poses"]) == 0
    assert "pass --axes ros" in capsys.readouterr().out


def test_names_by_stamp_and_without_a_prefix_are_read_too(copy: Path, export: Path) -> None:
    for node, frame in NODES.items():
        for kind, ending in (("rgb", "jpg"), ("depth", "png"), ("calib", "yaml")):
            old = copy / f"map_{kind}" / f"{node}.{ending}"
            old.rename(old.with_name(f"{START + frame / 30:f}.{ending}"))
    for entry in list(copy.iterdir()):
        entry.rename(copy / entry.name.removeprefix("map_"))
    scan, right = open_capture(copy), open_capture(export)
    assert present(scan) == present(right)
    np.testing.assert_array_equal(scan.camera_to_world, right.camera_to_world)


def test_a_camera_matrix_with_shifted_rows_is_mended_from_the_projection_matrix(copy: Path, export: Path) -> None:
    for path in (copy / "map_calib").iterdir():
        shifted = re.sub(r"data: \[ (\S+), 0., (\S+), 0., (\S+),\s+(\S+), 0., 0., 1. \]",
                         r"data: [ \1, 0., \2, 0., 0.,\n \3, \4, 0., 0. ]", path.read_text())  # fmt: skip
        path.write_text(shifted)
    scan, right = open_capture(copy), open_capture(export)
    assert scan.notes["camera_matrix_from_the_projection_matrix"] == len(NODES) - 1
    assert scan.color_camera(6) == right.color_camera(6)


def test_a_lens_is_stated_by_the_calibration(copy: Path) -> None:
    for path in (copy / "map_calib").iterdir():
        path.write_text(path.read_text().replace("data: [ 0., 0., 0., 0., 0. ]", "data: [ 0.02, -0.01, 0., 0., 0. ]"))
    scan = open_capture(copy)
    assert scan.color_lens is not None
    assert scan.color_lens.coefficients[:2] == (0.02, -0.01)
    first = copy / "map_calib" / "2.yaml"
    first.write_text(first.read_text().replace("0.02", "0.03"))
    with pytest.raises(SourceError, match="has 2 different lenses"):
        open_capture(copy)


def test_a_damaged_calibration_costs_its_own_frame(copy: Path) -> None:
    (copy / "map_calib" / "5.yaml").write_text("camera_matrix: none")
    (copy / "map_depth" / "8.png").unlink()
    scan = open_capture(copy)
    assert scan.notes["frame_with_damaged_calibration"] == 1
    assert scan.notes["frame_without_depth"] == 1
    assert {NODES[5], NODES[8]}.isdisjoint(present(scan))


def write(name: str, text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_text(text)

    return damage


def without_poses(folder: Path) -> None:
    for name in ("map_poses.txt", "map_camera_poses.txt"):
        (folder / name).unlink()


def without_calibration(folder: Path) -> None:
    for path in (folder / "map_calib").iterdir():
        path.write_text("%YAML:1.0\n---\nimage_width: 640\n")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_poses, "but no map_camera_poses.txt or map_poses.txt"),
        (without_calibration, "has no camera_matrix whose last row is 0 0 1, and no projection_matrix"),
        (write("map_camera_poses.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n"), "has 12 numbers a line, without stamps"),
        (write("map_camera_poses.txt", "5.5 0 0 0 0 0 0 1 x\n"), "line 1 ends with 'x', expected the id of a node"),
        (write("map_camera_poses.txt", "5.5 0 0 0 0 0 0 2 1\n"), "a quaternion of length 2, expected 1"),
        (write("map_camera_poses.txt", "#\n"), "has no line stamp tx ty tz qx qy qz qw id"),
    ],
)
def test_damage_is_one_clear_error(copy: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copy)
    with pytest.raises(SourceError, match="lab") as caught:
        open_capture(copy)
    assert said in str(caught.value)


def test_rows_have_an_id_once_and_a_stamp_that_is_a_time() -> None:
    with pytest.raises(ValueError, match="line 2 is a second pose of node 7"):
        parse_node_poses(b"1.0 0 0 0 0 0 0 1 7\n2.0 0 0 0 0 0 0 1 7\n")
    with pytest.raises(ValueError, match=r"has the stamp -1\.0, expected seconds"):
        parse_node_poses(b"-1.0 0 0 0 0 0 0 1 7\n")


def test_a_local_transform_is_rigid() -> None:
    text = CALIBRATION.format(node=1, width=64, height=48, fx=50, fy=50, cx=31.5, cy=23.5, local=", ".join(["1."] * 12))
    with pytest.raises(ValueError, match="local_transform is not a rigid transform"):
        parse_node_camera(text.encode())


def test_the_fused_cloud_is_most_compact_as_poses_are_read(export: Path) -> None:
    scan = open_capture(export)
    frames = [frame for frame in present(scan) if np.isfinite(scan.camera_to_world[frame]).all()]
    found = compactness(scan, frames[::3])
    read = found.pop("camera_to_world opencv")
    assert read < 0.8 * min(found.values())
