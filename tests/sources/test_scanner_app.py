"""Exports of 3D Scanner App: many frames of which some have images, posed by row and calibrated for the sensor."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.errors import SourceError
from gapdata.files.image_tags import orientation_tag
from gapdata.sources.base import Scan
from gapdata.synthetic.formats.scanner_app import badly_tracked, without_confidence
from tests.support.phones import FRAMES, WIDTH, Twin, held_poses, open_capture, present, upright_poses, write_twin

USED = [frame for frame in range(0, FRAMES, 2) if frame != badly_tracked(FRAMES)]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("3dscanner", tmp_path_factory.mktemp("scanner"))


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin.capture, tmp_path / "in" / "room"))


def edit(capture: Path, change: Callable[[dict[str, Any]], object], frames: range | tuple[int, ...]) -> None:
    for frame in frames:
        path = capture / f"frame_{frame:05d}.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))


def test_frames_with_images_have_the_poses_of_the_walk(twin: Twin) -> None:
    scan = twin.open()
    assert present(scan) == USED
    assert np.abs(upright_poses(scan, USED) - held_poses(USED, 90)).max() < 1e-9
    assert scan.notes == {
        "color_orientation_tag_left_out": len(USED),
        "frame_of_low_tracking_quality": 1,
        "frame_without_color": FRAMES // 2,
        "frame_without_confidence": 1,
        "intrinsics_of_another_size": len(USED),
    }
    assert scan.describe_frames()["frames"]["frames_per_second"] == 30


def test_raw_indices_are_30ths_of_a_second_at_any_rate(copy: Path) -> None:
    edit(copy, lambda values: values.update(time=100 + values["frame_index"] / 60), range(FRAMES))
    scan = open_capture(copy)
    assert present(scan) == [USED[0] + round((frame - USED[0]) / 2) for frame in USED]
    assert scan.describe_frames()["frames"]["frames_per_second"] == 60


@pytest.mark.parametrize("wrong", [1e12, 0, float("nan"), None, "noon"])
def test_a_frame_whose_time_is_wrong_does_not_move_the_others(copy: Path, wrong: object) -> None:
    edit(copy, lambda values: values.update(time=wrong), (USED[3],))
    scan = open_capture(copy)
    assert set(present(scan)) < set(USED)
    assert len(present(scan)) >= len(USED) - 2
    assert scan.notes["frame_out_of_time"] == len(USED) - len(present(scan))


def test_without_times_the_number_is_the_raw_index(copy: Path) -> None:
    edit(copy, lambda values: values.pop("time"), range(FRAMES))
    scan = open_capture(copy)
    assert present(scan) == USED
    assert scan.notes["frame_time_not_known"] == len(USED)


def test_the_files_say_what_the_scan_gives(twin: Twin) -> None:
    """Read without the reader: plain JSON, and OpenCV for pixels as they lie in the file."""
    scan = twin.open()
    for frame in USED[::3]:
        text = (twin.capture / f"frame_{frame:05d}.json").read_text()
        (numbers,) = re.findall(r'"cameraPoseARFrame": \[([^\]]*)\]', text)
        pose = np.array([float(word) for word in numbers.split(",")]).reshape(4, 4)
        assert np.allclose(scan.camera_to_world[frame], pose * [1, -1, -1, 1])
        fx, _, cx = json.loads(text)["intrinsics"][:3]
        scale = WIDTH / 1920
        camera = scan.color_camera(frame)
        assert (camera.fx, camera.cx) == pytest.approx((fx * scale, (cx + 0.5) * scale - 0.5))
        data = (twin.capture / f"frame_{frame:05d}.jpg").read_bytes()
        assert orientation_tag(data) == 6
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert np.array_equal(scan.color(frame), stored[..., ::-1])
        assert np.array_equal(scan.depth(frame), cv2.imread(str(twin.capture / f"depth_{frame:05d}.png"), -1))
        confidence = scan.confidence(frame)
        if frame != without_confidence(FRAMES):
            assert confidence is not None
            assert np.array_equal(confidence, cv2.imread(str(twin.capture / f"conf_{frame:05d}.png"), -1))
        else:
            assert confidence is None


def test_poses_by_column_are_recognised_by_their_last_row(twin: Twin, copy: Path) -> None:
    def by_column(values: dict[str, Any]) -> None:
        values["cameraPoseARFrame"] = np.reshape(values["cameraPoseARFrame"], (4, 4)).T.ravel().tolist()

    edit(copy, by_column, range(FRAMES))
    scan = open_capture(copy)
    assert scan.notes["pose_written_by_column"] == len(USED)
    assert np.allclose(scan.camera_to_world, twin.open().camera_to_world, equal_nan=True)


def test_one_pose_that_is_no_pose_does_not_turn_the_others(twin: Twin, copy: Path) -> None:
    edit(copy, lambda values: values.update(cameraPoseARFrame=[float("nan")] * 16), (USED[1],))
    edit(copy, lambda values: values.update(cameraPoseARFrame=list(range(16))), (USED[2],))
    scan = open_capture(copy)
    assert present(scan) == USED
    assert np.isnan(scan.camera_to_world[USED[1]]).any()
    assert np.array_equal(scan.camera_to_world[USED[3]], twin.open().camera_to_world[USED[3]])


@pytest.mark.parametrize(
    ("qualities", "kept"),
    [
        ((0.9, 0.49, 0.5), (True, False, True)),
        ((2, 1, 0), (True, False, False)),
        ((100, 40, 60), (True, False, True)),
        (("normal", "limited", "Normal"), (True, False, True)),
        ((None, None, None), (True, True, True)),
    ],
)
def test_low_tracking_quality_is_left_out_on_any_scale(
    copy: Path, qualities: tuple[object, ...], kept: tuple[bool, ...]
) -> None:
    edit(copy, lambda values: values.update(trackingQuality=qualities[0]), range(FRAMES))
    for frame, quality in zip(USED[1:4], qualities, strict=True):
        edit(copy, lambda values, quality=quality: values.update(trackingQuality=quality), (frame,))  # type: ignore[misc]
    scan = open_capture(copy)
    assert tuple(bool(scan.present[frame]) for frame in USED[1:4]) == kept
    assert scan.notes.get("frame_of_low_tracking_quality", 0) == kept.count(False)


def test_intrinsics_of_the_image_itself_stay_as_they_are(copy: Path) -> None:
    def for_the_image(values: dict[str, Any]) -> None:
        scale = WIDTH / 1920
        values["intrinsics"] = [value * scale if value > 1 else value for value in values["intrinsics"]]

    before = open_capture(copy).color_camera(USED[0]).fx
    edit(copy, for_the_image, range(FRAMES))
    scan = open_capture(copy)
    assert scan.color_camera(USED[0]).fx == pytest.approx(before)
    assert "intrinsics_of_another_size" not in scan.notes


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "change", "note"),
    [
        ("frame_{}.json", cut, "frame_with_damaged_camera"),
        ("frame_{}.json", lambda path: path.write_text('{"intrinsics": [1]}'), "frame_with_damaged_camera"),
        ("frame_{}.json", lambda path: path.write_text("[" * 100_000), "frame_with_damaged_camera"),
        ("frame_{}.json", Path.unlink, "frame_without_camera"),
        ("depth_{}.png", Path.unlink, "frame_without_depth"),
    ],
)
def test_a_damaged_frame_is_left_out_and_counted(
    copy: Path, name: str, change: Callable[[Path], object], note: str
) -> None:
    change(copy / name.format(f"{USED[1]:05d}"))
    scan = open_capture(copy)
    assert scan.notes[note] == 1
    assert present(scan) == [frame for frame in USED if frame != USED[1]]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("frame_{}.jpg", lambda scan, frame: scan.color(frame)),
        ("depth_{}.png", lambda scan, frame: scan.depth(frame)),
        ("conf_{}.png", lambda scan, frame: scan.confidence(frame)),
    ],
)
def test_a_damaged_image_is_an_error_that_names_file_and_frame(
    copy: Path, name: str, read: Callable[[Scan, int], object]
) -> None:
    path = copy / name.format(f"{USED[1]:05d}")
    cut(path)
    with pytest.raises(SourceError, match=path.name) as error:
        read(open_capture(copy), USED[1])
    assert error.value.frame == USED[1]


def test_an_export_without_images_says_what_to_export(copy: Path) -> None:
    for path in copy.glob("frame_*.jpg"):
        path.unlink()
    with pytest.raises(SourceError, match=r"no complete frame \(frame without color: 26\); export with .All Data."):
        open_capture(copy)


def test_images_that_were_turned_are_refused(copy: Path) -> None:
    for path in copy.glob("frame_*.jpg"):
        cv2.imwrite(str(path), cv2.imread(str(path)))  # turned as its tag asks, without the tag
    with pytest.raises(SourceError, match="for images of 1920x1440, but the images are 96x128"):
        open_capture(copy)
