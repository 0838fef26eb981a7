"""ICL-NUIM: frames by number, and a left-handed truth that is read as the mirror image that it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gapdata
from gapdata.errors import SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.records.pose_diagnosis import diagnose_poses
from gapdata.sources.frame_reading import AS_DOCUMENTED
from gapdata.sources.icl_nuim import IclScan, parse_associations, parse_numbered_poses
from tests.support.builds import build_twice
from tests.support.exports import png
from tests.support.fused_clouds import compactness
from tests.support.phones import FRAMES, WIDTH, open_capture, present, walk
from tests.support.walks import compare_with_walk

HEIGHT = WIDTH * 3 // 4
CAMERA = Intrinsics(fx=481.2, fy=480.0, cx=319.5, cy=239.5, width=640, height=480).resized(WIDTH, HEIGHT)
NAME = "living_room_traj2_frei_png"


def icl_pose(camera_to_room: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose as the release has it: the camera's y up, and a left-handed world with y up."""
    # z up to y up, right-handed: (x, y, z) -> (x, z, -y); to left-handed: z mirrored, as POV-Ray has it.
    world = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return np.asarray(world @ camera_to_room @ np.diag([1.0, -1.0, 1.0, 1.0]))


def quaternion(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    vector = cv2.Rodrigues(pose[:3, :3])[0][:, 0]
    angle = float(np.linalg.norm(vector))
    return np.array([*(np.sin(angle / 2) * vector / angle), np.cos(angle / 2)])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walk as ICL-NUIM writes it: image 0 without a pose, poses from 1 on, one more pose than images."""
    root = tmp_path_factory.mktemp("icl")
    folder = root / NAME
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    rows, pairs = [], []
    for frame in range(FRAMES):
        (folder / "rgb" / f"{frame}.png").write_bytes(png(walk().color(frame, CAMERA)[..., ::-1]))
        (folder / "depth" / f"{frame}.png").write_bytes(png(5 * walk().depth(frame, CAMERA)))
        pairs.append(f"{frame} depth/{frame}.png {frame} rgb/{frame}.png")
        pose = icl_pose(walk().poses[frame])
        assert np.linalg.det(pose[:3, :3]) > 0
        values = [*pose[:3, 3], *quaternion(pose)]
        rows.append(f"{frame} " + " ".join(f"{value:.6f}" for value in values))
    (folder / "associations.txt").write_text("\n".join(pairs) + "\n")
    (folder / "livingRoom2.gt.freiburg").write_text("\n".join([*rows[1:], f"{FRAMES} 0 0 0 0 0 0 1"]) + "\n")
    return root


@pytest.fixture
def copy(twin: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin / NAME, tmp_path / "in" / NAME))


def test_the_poses_are_the_mirror_image_of_what_is_written(twin: Path) -> None:
    scan = open_capture(twin)
    assert isinstance(scan, IclScan)
    assert present(scan) == list(range(FRAMES))
    assert not np.isfinite(scan.camera_to_world[0]).any()
    assert scan.axis_alignment is not None
    found = scan.axis_alignment @ scan.camera_to_world[1:]
    # Right-handed and upright. The other horizontal axis is mirrored twice, so a half turn may remain.
    steps = np.linalg.inv(found[0]) @ found
    truth = np.linalg.inv(walk().poses[1]) @ walk().poses[1:]
    np.testing.assert_allclose(steps, truth, atol=1e-5)
    np.testing.assert_allclose(found[:, 2, :3], walk().poses[1:, 2, :3], atol=1e-5)
    assert scan.notes == {
        "frame_without_pose": 1,
        "intrinsics_of_another_size": FRAMES,
        "pose_of_no_frame": 1,
    }


def test_the_written_bytes_say_the_same_without_the_reader(twin: Path) -> None:
    scan = open_capture(twin)
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    for line in (twin / NAME / "livingRoom2.gt.freiburg").read_text().splitlines()[:-1]:
        number, tx, ty, tz, *turn = line.split()
        pose = np.eye(4)
        axis, w = np.array(list(map(float, turn[:3]))), float(turn[3])
        sine = np.linalg.norm(axis)
        pose[:3, :3] = cv2.Rodrigues(axis / sine * 2 * np.arctan2(sine, w))[0]
        pose[:3, 3] = float(tx), float(ty), float(tz)
        np.testing.assert_allclose(scan.camera_to_world[int(number)], mirror @ pose @ mirror, atol=1e-6)
    depth = cv2.imread(str(twin / NAME / "depth" / "3.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(scan.depth(3), depth)
    assert scan.depth_units_per_metre == 5000


def test_records_show_what_the_walk_saw_and_are_written_twice_alike(twin: Path, tmp_path: Path) -> None:
    built = build_twice(twin, tmp_path)
    compare_with_walk(gapdata.open(built), walk())


def test_poses_as_they_are_written_would_not_agree(twin: Path) -> None:
    """The check has teeth: without the mirror frames disagree, and inspect names the axes."""
    assert diagnose_poses(open_capture(twin)).verdict == "agree"
    with IclScan(NAME, twin / NAME, "icl-nuim", AS_DOCUMENTED) as scan:
        diagnosis = diagnose_poses(scan)
    assert diagnosis.verdict == "cure"
    assert "--axes unity" in str(diagnosis.cure)


def test_numbers_pair_the_files_where_there_is_no_list(copy: Path, twin: Path) -> None:
    (copy / "associations.txt").unlink()
    (copy / "depth" / "4.png").unlink()
    scan, listed = open_capture(copy.parent), open_capture(twin)
    assert scan.notes["frame_without_depth"] == 1
    assert present(scan) == [frame for frame in present(listed) if frame != 4]
    np.testing.assert_array_equal(scan.camera_to_world[6], listed.camera_to_world[6])


def test_a_listed_file_that_is_missing_is_counted(copy: Path) -> None:
    (copy / "rgb" / "7.png").unlink()
    scan = open_capture(copy.parent)
    assert scan.notes["listed_but_missing"] == 1
    assert 7 not in present(scan)


def remove_images(folder: Path) -> None:
    shutil.rmtree(folder / "depth")
    (folder / "depth").mkdir()


def two_truths(folder: Path) -> None:
    shutil.copy(folder / "livingRoom2.gt.freiburg", folder / "traj0.gt.freiburg")


def replace_line(name: str, line: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_text(line + "\n")

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_images, "has no complete frame"),
        (two_truths, "has both livingRoom2.gt.freiburg and traj0.gt.freiburg"),
        (replace_line("livingRoom2.gt.freiburg", "0.5 0 0 0 0 0 0 1"), "line 1 begins with 0.5, expected the number"),
        (replace_line("livingRoom2.gt.freiburg", "1 0 0 0 0 0 0 7"), "a quaternion of length 7, expected 1"),
        (replace_line("livingRoom2.gt.freiburg", "1 0 0 0"), "has 4 values, expected n tx ty tz"),
        (replace_line("associations.txt", "1 depth/1.png 1 rgb/../../x.png"), "names a file outside"),
        (replace_line("associations.txt", "1 depth/1.png 1"), "expected n depth/n.png n rgb/n.png"),
        (replace_line("associations.txt", "x depth/1.png x rgb/1.png"), "expected the number of a frame"),
    ],
)
def test_damage_is_one_clear_error(copy: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copy)
    with pytest.raises(SourceError, match=NAME) as caught:
        open_capture(copy.parent)
    assert said in str(caught.value)


def test_a_cut_image_is_named_and_the_others_are_read(copy: Path) -> None:
    image = copy / "depth" / "5.png"
    image.write_bytes(image.read_bytes()[:300])
    scan = open_capture(copy.parent)
    with pytest.raises(SourceError, match=r"5\.png"):
        scan.depth(5)
    assert scan.depth(6).any()


def test_a_number_stands_for_one_frame_only() -> None:
    with pytest.raises(ValueError, match="line 2 is a second pose of frame 1"):
        parse_numbered_poses(b"1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n")
    with pytest.raises(ValueError, match="line 2 lists frame 1 again"):
        parse_associations(b"1 rgb/1.png 1 depth/1.png\n1 rgb/1.png 1 depth/2.png\n")


def test_the_fused_cloud_is_most_compact_as_poses_are_read(twin: Path) -> None:
    scan = open_capture(twin)
    frames = [frame for frame in present(scan) if np.isfinite(scan.camera_to_world[frame]).all()]
    found = compactness(scan, frames[::3])
    read = found.pop("camera_to_world opencv")
    assert read < 0.8 * min(found.values())
