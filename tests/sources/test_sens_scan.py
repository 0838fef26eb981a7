"""A ``.sens`` of any name is a capture of ``--rgbd``: BundleFusion's files, and those of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.errors import SourceError, UsageError
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.pose_convention import TO_AXES
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.sens_scan import SensScan
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.builds import build_twice
from tests.support.phones import FRAMES, WIDTH, walk
from tests.support.walks import compare_with_walk

HEIGHT = WIDTH * 3 // 4
CAMERA = Intrinsics(fx=583.0, fy=583.0, cx=320.0, cy=240.0, width=640, height=480).resized(WIDTH, HEIGHT)
LOST = 11


def write_sens(path: Path, *, axes: str = "opencv", units: float = 1000.0) -> None:
    """The walk as BundleFusion stores it: version 4, JPEG, poses of -inf where tracking was lost."""
    turn = np.eye(4)
    turn[:3, :3] = TO_AXES[axes]
    with SensWriter(path, color_intrinsics=CAMERA, depth_intrinsics=CAMERA, depth_units_per_metre=units) as writer:
        for frame in range(FRAMES):
            color = cv2.imencode(".jpg", walk().color(frame, CAMERA)[..., ::-1])[1].tobytes()
            pose = walk().poses[frame] @ np.linalg.inv(turn)
            pose = np.full((4, 4), -np.inf) if frame == LOST else pose
            writer.write(color=color, depth=walk().depth(frame, CAMERA), camera_to_world=pose)


@pytest.fixture(scope="module")
def sens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sens") / "apt0" / "my kitchen.sens"
    path.parent.mkdir()
    write_sens(path)
    return path


def test_a_file_its_folder_and_the_folder_above_open_the_same_scan(sens: Path) -> None:
    for place, name in ((sens, "my_kitchen"), (sens.parent, "apt0"), (sens.parent.parent, "apt0")):
        dataset = RgbdFolder.open(place)
        assert dataset.scene_ids == (name,)
        assert dataset.kind(name) == "sens"
        with dataset.open_scan(name) as scan:
            assert isinstance(scan, SensScan)
            assert np.flatnonzero(~np.isfinite(scan.camera_to_world).all(axis=(1, 2))).tolist() == [LOST]
            known = [frame for frame in range(FRAMES) if frame != LOST]
            np.testing.assert_allclose(scan.camera_to_world[known], walk().poses[known], atol=1e-6)
            np.testing.assert_array_equal(scan.depth(3), walk().depth(3, CAMERA))
            assert scan.annotation() is None


def test_each_file_of_a_folder_is_a_scene(sens: Path, tmp_path: Path) -> None:
    for name in ("apt0.sens", "office1.SENS"):
        shutil.copy(sens, tmp_path / name)
    assert RgbdFolder.open(tmp_path).scene_ids == ("apt0", "office1")


def test_a_scene_of_scannet_stays_one_of_scannet(sens: Path, tmp_path: Path) -> None:
    """Read as a capture it would lose its annotation without a word."""
    folder = tmp_path / "scene0000_00"
    folder.mkdir()
    shutil.copy(sens, folder / "scene0000_00.sens")
    (folder / "scene0000_00.aggregation.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no RGB-D frames"):
        RgbdFolder.open(tmp_path)


def test_what_the_user_says_about_frames_counts(sens: Path, tmp_path: Path) -> None:
    write_sens(tmp_path / "gl.sens", axes="opengl")
    options = {"axes": "opengl", "depth_scale": 500.0, "depth_shift": 1}
    with gapdata.open_dataset(rgbd=tmp_path, **options).open_scan(tmp_path.name) as scan:
        np.testing.assert_allclose(scan.camera_to_world[5], walk().poses[5], atol=1e-6)
        assert scan.depth_units_per_metre == 500
        assert np.flatnonzero(~scan.present).tolist() == [FRAMES - 1]
        np.testing.assert_array_equal(scan.depth(3), walk().depth(4, CAMERA))
        plain = gapdata.open_dataset(rgbd=tmp_path).open_scan(tmp_path.name)
        assert plain.digest() != scan.digest()
        plain.close()
    with pytest.raises(SourceError, match="has no frame left when depth is moved"):
        gapdata.open_dataset(rgbd=tmp_path, depth_shift=FRAMES).open_scan(tmp_path.name)


def test_records_show_what_the_walk_saw_and_are_written_twice_alike(sens: Path, tmp_path: Path) -> None:
    built = build_twice(sens, tmp_path)
    compare_with_walk(gapdata.open(built), walk())


def test_a_file_that_is_cut_is_named_with_its_frame(sens: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.sens").write_bytes(sens.read_bytes()[:-3000])
    with pytest.raises(SourceError, match=r"cut\.sens.*truncated"):
        RgbdFolder.open(tmp_path).open_scan(tmp_path.name)
    (tmp_path / "cut.sens").write_bytes(b"")
    with pytest.raises(SourceError, match="too short to be a"):
        RgbdFolder.open(tmp_path).open_scan(tmp_path.name)
