"""7-Scenes: depth that another camera saw is registered by a measured calibration, or it is said that it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gapdata
from gapdata.errors import SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.base import Scan
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.seven_scenes import DEPTH_TO_COLOR, UNREGISTERED
from gapdata.synthetic.sensor import exact_millimetres
from tests.support.builds import build_twice
from tests.support.exports import png
from tests.support.phones import walk
from tests.support.walks import Tolerances, compare_with_walk

DEPTH = Intrinsics(fx=585.0, fy=585.0, cx=320.0, cy=240.0, width=640, height=480)
COLOR = Intrinsics(fx=525.0, fy=525.0, cx=320.0, cy=240.0, width=640, height=480)
FRAMES = (0, 6, 12, 18)
"""Frames of the walk; the sequence has them as its frames 0, 1, 2, 3."""


@pytest.fixture(scope="module")
def chess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence as it was released: the poses are those of the depth sensor, beside which colour was seen."""
    folder = tmp_path_factory.mktemp("7scenes") / "chess" / "seq-01"
    folder.mkdir(parents=True)
    for number, frame in enumerate(FRAMES):
        pose = walk().poses[frame] @ DEPTH_TO_COLOR
        depth = exact_millimetres(walk().renderer.depth(DEPTH, pose).depth)
        depth[depth == 0] = 65535
        depth[:3] = 65535
        (folder / f"frame-{number:06d}.depth.png").write_bytes(png(depth))
        (folder / f"frame-{number:06d}.color.png").write_bytes(png(walk().color(frame, COLOR)[..., ::-1]))
        text = "\n".join("\t ".join(f"{value:.7e}" for value in row) for row in pose)
        (folder / f"frame-{number:06d}.pose.txt").write_text(text + "\n")
    return folder.parent


def edges_on_edges(scan: Scan) -> float:
    """How much stronger colour changes where depth has an edge than elsewhere, in standard deviations."""
    total = count = 0.0
    for frame in np.flatnonzero(scan.present)[::8]:
        depth = scan.depth(int(frame)).astype(np.float32) / np.float32(scan.depth_units_per_metre)
        near, far = cv2.erode(depth, np.ones((3, 3))), cv2.dilate(depth, np.ones((3, 3)))
        hole = cv2.dilate((depth == 0).astype(np.uint8), np.ones((7, 7))) > 0
        v, u = np.nonzero((far - near > 0.08 * np.maximum(depth, 0.001)) & ~hole)
        points = scan.depth_intrinsics.unproject(np.stack([u, v], axis=-1), near[v, u].astype(np.float64))
        moved = points @ scan.depth_to_color[:3, :3].T + scan.depth_to_color[:3, 3]
        pixels = scan.color_intrinsics.project(moved).astype(np.float32)
        gray = cv2.cvtColor(scan.color(int(frame)), cv2.COLOR_RGB2GRAY).astype(np.float32)
        change: NDArray[np.float32] = np.hypot(cv2.Sobel(gray, -1, 1, 0), cv2.Sobel(gray, -1, 0, 1))
        change = np.minimum(change, np.percentile(change, 97))
        change = (change - change.mean()) / change.std()
        total += float(cv2.remap(change, pixels[None, :, 0], pixels[None, :, 1], cv2.INTER_LINEAR).sum())
        count += len(pixels)
    return total / count


def test_a_sequence_as_released_is_registered_by_the_measured_calibration(chess: Path, tmp_path: Path) -> None:
    dataset = RgbdFolder.open(chess)
    assert dataset.kind("seq-01") == "7-scenes"
    assert dataset.lacks(dataset.scene_ids, splits_given=False) == ()
    with dataset.open_scan("seq-01") as scan:
        np.testing.assert_allclose(scan.camera_to_world, walk().poses[list(FRAMES)], atol=1e-6)
        assert (scan.color_intrinsics, scan.depth_intrinsics) == (COLOR, DEPTH)
        assert scan.notes["depth_registered_by_a_measured_calibration"] == len(FRAMES)
        assert not (scan.depth(0) == 65535).any()
        assert not scan.depth(0)[:3].any()
    settings = ("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=1", "clips.step=1", "clips.max_shift=0")
    built = build_twice(chess, tmp_path, settings)
    numbers = dict(enumerate(FRAMES))
    compare_with_walk(gapdata.open(built), walk(), Tolerances(valid=0.8, share=0.94), walk_frame=numbers)


def test_the_calibration_fits_real_frames_and_one_camera_for_both_does_not(samples: Path, tmp_path: Path) -> None:
    """The figures behind it: on real frames, edges of depth fall on edges of colour with it, and only with it."""
    given = RgbdFolder.open(samples / "7scenes-redkitchen")
    shutil.copytree(samples / "7scenes-redkitchen", tmp_path / "kitchen")
    (tmp_path / "kitchen" / "camera-intrinsics.txt").unlink()
    stated = json.loads(UNREGISTERED[UNREGISTERED.index("{") :])
    (tmp_path / "kitchen" / "intrinsics.json").write_text(json.dumps(stated))
    with given.open_scan(given.scene_ids[0]) as one, RgbdFolder.open(tmp_path).open_scan("kitchen") as both:
        assert one.notes["depth_not_registered_to_color"] == int(one.present.sum())
        assert "depth_not_registered_to_color" not in both.notes
        apart, fitting = edges_on_edges(one), edges_on_edges(both)
    assert fitting > 0.6
    assert fitting > 3 * apart
    said = given.lacks(given.scene_ids, splits_given=False)
    assert len(said) == 1
    assert "depth of 7-Scenes is not registered to colour" in said[0]
    assert RgbdFolder.open(tmp_path).lacks(("kitchen",), splits_given=False) == ()


def test_frames_of_other_cameras_with_these_names_are_not_suspected(chess: Path, tmp_path: Path) -> None:
    shutil.copytree(chess / "seq-01", tmp_path / "desk")
    (tmp_path / "desk" / "intrinsics.txt").write_text("525 525 319.5 239.5")
    dataset = RgbdFolder.open(tmp_path)
    assert dataset.lacks(("desk",), splits_given=False) == ()
    with dataset.open_scan("desk") as scan:
        assert set(scan.notes) == set()
        np.testing.assert_array_equal(scan.depth_to_color, np.eye(4))


def test_nothing_is_guessed_of_a_folder_that_is_not_a_sequence_as_released(chess: Path, tmp_path: Path) -> None:
    shutil.copytree(chess / "seq-01", tmp_path / "desk")
    with pytest.raises(SourceError, match="has no intrinsics file"):
        RgbdFolder.open(tmp_path).open_scan("desk")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"depth_to_color": [1, 2, 3]}, "depth_to_color is not a list of sixteen numbers"),
        ({"depth_to_color": [[1, 0, 0, 0]] * 4}, "depth_to_color is not a rigid transform"),
        ({"depth": {"fx": 585}}, "has no fy"),
    ],
)
def test_a_calibration_of_two_cameras_says_what_is_wrong_with_it(
    chess: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    shutil.copytree(chess / "seq-01", tmp_path / "desk")
    stated = json.loads(UNREGISTERED[UNREGISTERED.index("{") :])
    (tmp_path / "desk" / "intrinsics.json").write_text(json.dumps({**stated, **change}))
    with pytest.raises(SourceError, match=said):
        RgbdFolder.open(tmp_path).open_scan("desk")
