"""SUN3D: depth is rotated back, images are paired by time, and the newest poses count."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.errors import SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.sun3d import Sun3dScan, parse_extrinsics, rotated_back
from tests.support.builds import build_twice
from tests.support.exports import png
from tests.support.fused_clouds import compactness
from tests.support.phones import FRAMES, WIDTH, open_capture, present, walk
from tests.support.walks import compare_with_walk

HEIGHT = WIDTH * 3 // 4
CAMERA = Intrinsics(fx=570.342205, fy=570.342205, cx=310.0, cy=225.0, width=640, height=480).resized(WIDTH, HEIGHT)
NAME = "hotel_umd"
LOST = 9
"""The frame without a depth image."""
STRAYS = 2
"""Depth images before the first colour image."""


def stamp(frame: int) -> int:
    return round(frame * 1e6 / 30)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sun3d")
    folder = root / NAME
    for part in ("image", "depth", "extrinsics"):
        (folder / part).mkdir(parents=True)
    rows: list[str] = []
    for frame in range(FRAMES):
        color = cv2.imencode(".jpg", walk().color(frame, CAMERA)[..., ::-1])[1].tobytes()
        (folder / "image" / f"{frame + 1:07d}-{stamp(frame):012d}.jpg").write_bytes(color)
        millimetres = walk().depth(frame, CAMERA)
        stored = [int(value) << 3 & 0xFFFF | int(value) >> 13 for value in millimetres.reshape(-1)]
        number = frame + 1 + STRAYS - (frame > LOST)
        if frame != LOST:
            late = stamp(frame) + 4000 + 137 * frame
            image = png(np.array(stored, dtype=np.uint16).reshape(millimetres.shape))
            (folder / "depth" / f"{number:07d}-{late:012d}.png").write_bytes(image)
        rows += [" ".join(f"{value:.8f}" for value in row) for row in walk().poses[frame][:3]]
    for number in range(STRAYS):
        (folder / "depth" / f"{number + 1:07d}-{10**9 + number:012d}.png").write_bytes(image)
    matrix = f"{CAMERA.fx} 0 {CAMERA.cx}\n0 {CAMERA.fy} {CAMERA.cy}\n0 0 1\n"
    (folder / "intrinsics.txt").write_text(matrix)
    (folder / "extrinsics" / "20130512130736.txt").write_text("\n".join(rows) + "\n")
    (folder / "extrinsics" / "20120101000000.txt").write_text("1 0 0 9\n0 1 0 9\n0 0 1 9\n" * FRAMES)
    return root


@pytest.fixture
def copy(twin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin / NAME, tmp_path / "in" / NAME))


def test_frames_are_paired_by_time_and_have_the_newest_poses(twin: Path) -> None:
    scan = open_capture(twin)
    assert isinstance(scan, Sun3dScan)
    frames = [frame for frame in range(FRAMES) if frame != LOST]
    assert present(scan) == frames
    np.testing.assert_allclose(scan.camera_to_world[frames], walk().poses[frames], atol=1e-7)
    assert scan.notes == {
        "depth_file_of_no_frame": STRAYS,
        "frame_without_depth": 1,
        "older_poses_left_out": 1,
    }
    assert scan.axis_alignment is None


def test_depth_is_in_millimetres_again(twin: Path) -> None:
    scan = open_capture(twin)
    for frame in (0, 12, 20):
        np.testing.assert_array_equal(scan.depth(frame), walk().depth(frame, CAMERA))
    assert scan.depth_units_per_metre == 1000


def test_all_sixteen_bits_come_back() -> None:
    far = np.arange(65536, dtype=np.uint32)
    stored = ((far << 3) | (far >> 13)).astype(np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(rotated_back(stored[:32]).reshape(-1), far[: 32 * 256])
    assert rotated_back(np.array([[0]], dtype=np.uint16)) == 0


def test_depth_that_was_never_rotated_is_refused_unless_the_user_states_its_unit(copy: Path) -> None:
    for path in (copy / "depth").iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        path.write_bytes(png((image >> 3) | (image << 13)))
    with pytest.raises(SourceError, match=r"bits are not rotated.*--depth-scale 1000"):
        open_capture(copy).depth(0)
    with gapdata.open_dataset(rgbd=copy, depth_scale=1000.0).open_scan(NAME) as scan:
        np.testing.assert_array_equal(scan.depth(0), walk().depth(0, CAMERA))


def test_records_show_what_the_walk_saw_and_are_written_twice_alike(twin: Path, tmp_path: Path) -> None:
    built = build_twice(twin, tmp_path)
    compare_with_walk(gapdata.open(built), walk())


def test_poses_of_all_images_fit_a_download_of_some(copy: Path, twin: Path) -> None:
    for path in sorted((copy / "image").iterdir())[:4]:
        path.unlink()
    scan, whole = open_capture(copy), open_capture(twin)
    frame = present(scan)[0]
    np.testing.assert_array_equal(scan.camera_to_world[frame], whole.camera_to_world[frame + 4])


def cut_poses(folder: Path) -> None:
    path = folder / "extrinsics" / "20130512130736.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]))


def fewer_poses(folder: Path) -> None:
    path = folder / "extrinsics" / "20130512130736.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]))


def no_poses(folder: Path) -> None:
    for path in (folder / "extrinsics").iterdir():
        path.unlink()


def other_names(folder: Path) -> None:
    for number, path in enumerate((folder / "image").iterdir()):
        path.rename(path.with_name(f"{number}.jpg"))


def text_in_poses(folder: Path) -> None:
    (folder / "extrinsics" / "20130512130736.txt").write_text("moved to another server\n")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_poses, "expected 12 for each pose"),
        (fewer_poses, f"has {FRAMES - 1} poses for {FRAMES} images up to number {FRAMES}"),
        (no_poses, "has no file of poses in extrinsics/"),
        (other_names, "has no file such as image/0000001-000000033369"),
        (text_in_poses, "moved"),
    ],
)
def test_damage_is_one_clear_error(copy: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copy)
    with pytest.raises(SourceError, match=NAME) as caught:
        open_capture(copy)
    assert said in str(caught.value)


def test_lost_poses_stay_lost() -> None:
    poses = parse_extrinsics(b"nan nan nan nan\nnan nan nan nan\nnan nan nan nan\n1 0 0 2\n0 1 0 3\n0 0 1 4\n")
    assert not np.isfinite(poses[0]).all()
    np.testing.assert_array_equal(poses[1, :3, 3], [2, 3, 4])


def test_the_fused_cloud_is_most_compact_as_poses_are_read(twin: Path) -> None:
    scan = open_capture(twin)
    frames = [frame for frame in present(scan) if np.isfinite(scan.camera_to_world[frame]).all()]
    found = compactness(scan, frames[::3])
    read = found.pop("camera_to_world opencv")
    assert read < 0.8 * min(found.values())
