"""Good scans keep their views and mistaken ones lose them: the benchmark's ratios with fewer views, and odd scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.sources.scannet import ScanNetDataset
from gapdata.synthetic.sens_writer import SensWriter
from tests.conftest import look_from
from tests.support.pose_judgement import BEGIN, PAGE, Capture, clips, kitchen, scene_views
from tests.support.pose_mistakes import FINE, GOOD, GROSS, MISTAKES, Mistake, Poses, off_by

pytestmark = pytest.mark.slow

CAMERA = Intrinsics(fx=140.0, fy=140.0, cx=79.5, cy=59.5, width=160, height=120)
ROOM = np.array([[-2.5, -2.5, 0.0], [2.5, 2.5, 2.6]])
BOXES = ((1.2, 0.4, 0.0, 1.7, 1.0, 1.1), (1.0, -1.0, 0.0, 1.6, -0.5, 0.8), (-1.5, 1.4, 0.0, -0.7, 2.0, 1.5))
SECOND = 30
PERSON = 2.0  # metres from the camera
DepthEdit = Callable[[int, NDArray[np.float64]], NDArray[np.float64]]


def cast(pose: Poses) -> NDArray[np.float64]:
    """z-depth of a room with three boxes, (120, 160) metres."""
    rays, origin = CAMERA.rays() @ pose[:3, :3].T, pose[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.where(rays > 0, (ROOM[1] - origin) / rays, (ROOM[0] - origin) / rays).min(-1)
        for box in BOXES:
            low, high = (np.array(corner) - origin for corner in (box[:3], box[3:]))
            enter, leave = np.minimum(low / rays, high / rays).max(-1), np.maximum(low / rays, high / rays).min(-1)
            depth = np.where((enter < leave) & (enter > 0.1) & (enter < depth), enter, depth)
    return np.asarray(depth)


def walk(frames: int = 8) -> list[Poses]:
    """A camera that moves by 12 cm and turns by 6 degrees between two frames."""
    return [look_from((-1.5 + 0.12 * k, 0.02 * k, 1.4), -0.35 + 0.1 * k, 0.25) for k in range(frames)]


def scan_of(
    folder: Path,
    poses: list[Poses],
    edit: DepthEdit = lambda frame, depth: depth,
    truth: list[Poses] | None = None,
    interval: int = SECOND,
) -> Capture:
    """A scan with sensor noise and a frame every ``interval`` raw ones, its clips, and a view of all its frames.
    ``truth``: where the camera really was.
    """
    rng = np.random.default_rng(0)
    scene = folder / "scans" / "scene0000_00"
    scene.mkdir(parents=True)
    color = cv2.imencode(".jpg", np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8))[1].tobytes()
    blank = np.zeros((CAMERA.height, CAMERA.width), np.uint16)
    with SensWriter(scene / "scene0000_00.sens", color_intrinsics=CAMERA, depth_intrinsics=CAMERA) as writer:
        for raw in range((len(poses) - 1) * interval + 1):
            frame, between = divmod(raw, interval)
            if between:
                writer.write(color=color, depth=blank, camera_to_world=np.full((4, 4), -np.inf))
                continue
            depth = cast((truth or poses)[frame])
            depth = edit(frame, depth + rng.normal(size=depth.shape) * (0.0012 + 0.0019 * (depth - 0.4) ** 2))
            writer.write(color=color, depth=(1000 * depth).astype(np.uint16), camera_to_world=poses[frame])
    scan = ScanNetDataset.open(folder).open_scan("scene0000_00")
    return Capture(scan=scan, views=[*clips(scan, interval, interval=interval), *scene_views(scan, [(1.0, 1)])])


def person(frame: int, depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Somebody who walks through every second frame and covers a fifth of it."""
    if frame % 2:
        left = 20 * (frame % 5)
        depth[:, left : left + 32] = np.minimum(depth[:, left : left + 32], PERSON)
    return depth


def sparse(frame: int, depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth in a tenth of the image only."""
    depth[:, 16:] = 0
    return depth


def wall(frame: int, depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nothing but a wall, seen straight on."""
    return np.full_like(depth, 1.8) + np.random.default_rng(frame).normal(size=depth.shape) * 0.004


@pytest.mark.parametrize(
    ("poses", "edit"),
    [
        pytest.param(walk(), lambda frame, depth: depth, id="a walk"),
        pytest.param(walk(1) * 8, lambda frame, depth: depth, id="a camera that stands still"),
        pytest.param(walk(), person, id="people walking through"),
        pytest.param(walk(), sparse, id="little depth"),
        pytest.param([look_from((0, 0.05 * k, 1.4), 0.0) for k in range(8)], wall, id="a bare wall"),
        pytest.param([look_from((0, 0, 1.4), 0.7 * k) for k in range(8)], lambda f, d: d, id="a camera that spins"),
    ],
)
def test_odd_but_sound_scans_keep_all_views(tmp_path: Path, poses: list[Poses], edit: DepthEdit) -> None:
    capture = scan_of(tmp_path, poses, edit)
    assert capture.judge(GOOD).views >= 6
    assert capture.judge(GOOD).refused == 0


@pytest.mark.parametrize("mistake", GROSS, ids=lambda mistake: mistake.name)
def test_every_gross_mistake_takes_all_views(tmp_path: Path, mistake: Mistake) -> None:
    assert scan_of(tmp_path, walk()).judge(mistake).share == 1


def test_frames_far_apart_in_time_need_not_overlap(tmp_path: Path) -> None:
    """A camera that was turned away between frames two seconds apart: nothing is compared, and nothing refused."""
    capture = scan_of(tmp_path, [look_from((0, 0, 1.4), 2.5 * k) for k in range(8)], interval=2 * SECOND)
    assert capture.judge(GOOD).views >= 6
    assert capture.judge(GOOD).refused == 0


def test_one_frame_that_is_off_takes_the_clips_that_show_it_and_no_other(tmp_path: Path) -> None:
    poses = walk()
    capture = scan_of(
        tmp_path, [*poses[:6], off_by(poses[6], 5.0, 0.15, np.random.default_rng(2)), poses[7]], truth=poses
    )
    for view in capture.views:
        verdict = Capture(scan=capture.scan, views=[view]).judge(GOOD)
        assert verdict.refused == (6 * SECOND in view.frame_ids), view.key


def test_a_track_that_breaks_takes_the_views_across_the_break(tmp_path: Path) -> None:
    """Half of each frame's neighbours are on its own side, so only the pairs across the break tell."""
    poses = walk()
    jump = np.eye(4)
    jump[:3, 3] = 0.25, 0.1, 0.1
    capture = scan_of(tmp_path, [*poses[:4], *(jump @ pose for pose in poses[4:])], truth=poses)
    for view in capture.views:
        across = min(view.frame_ids) < 4 * SECOND <= max(view.frame_ids)
        assert Capture(scan=capture.scan, views=[view]).judge(GOOD).refused == across, view.key


@pytest.fixture(scope="module")
def real(samples: Path) -> Capture:
    return kitchen(samples, step=50)


@pytest.mark.parametrize("mistake", [GOOD, *GROSS, *FINE], ids=lambda mistake: mistake.name)
def test_the_real_kitchen_keeps_its_views_and_loses_them_to_mistakes(real: Capture, mistake: Mistake) -> None:
    share = real.judge(mistake).share
    assert mistake.refused is not None
    assert share == 0 if mistake is GOOD else share >= mistake.refused


def test_the_page_shows_every_mistake_of_the_benchmark() -> None:
    rows = PAGE.read_text().partition(BEGIN)[2]
    assert all(f"| {mistake.name} |" in rows for mistake in MISTAKES)
