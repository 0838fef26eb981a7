"""``transforms.json`` with depth: lenses and cameras by frame, half a pixel less, and positions that must be metres."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.errors import GapDataError, SourceError
from gapdata.geometry.lens import Lens
from gapdata.sources.nerfstudio import NerfstudioScan
from gapdata.sources.rgbd import open_folder
from gapdata.synthetic.formats.nerfstudio import FIRST, LENS, is_masked
from gapdata.synthetic.formats.phone import UP_FROM_Z
from tests.support.phones import FRAMES, WIDTH, Twin, held_poses, open_capture, present, write_twin

IDS = list(range(FIRST, FRAMES + FIRST))


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("nerfstudio", tmp_path_factory.mktemp("nerfstudio"))


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin.capture, tmp_path / "in" / "room"))


def edit(capture: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = capture / "transforms.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_frames(capture: Path, change: Callable[[dict[str, Any]], object], names: str = "") -> None:
    def each(values: dict[str, Any]) -> None:
        for frame in values["frames"]:
            if names in frame["file_path"]:
                change(frame)

    edit(capture, each)


def scaled(capture: Path, factor: float) -> Path:
    def scale(frame: dict[str, Any]) -> None:
        for row in frame["transform_matrix"][:3]:
            row[3] *= factor

    edit_frames(capture, scale)
    return capture


def test_frames_are_numbered_by_name_and_posed_as_the_walk(twin: Twin) -> None:
    scan = twin.open()
    assert present(scan) == IDS
    truth = UP_FROM_Z @ held_poses(list(range(FRAMES)), 90)
    assert np.abs(scan.camera_to_world[IDS] - truth).max() < 1e-9
    assert scan.axis_alignment is None
    assert scan.world_up is None
    assert scan.color_lens == scan.depth_lens == Lens(name="OPENCV", coefficients=LENS.coefficients)
    assert scan.notes == {}


def test_the_files_say_what_the_scan_gives(twin: Twin) -> None:
    """Read without the reader: plain JSON, and OpenCV for pixels."""
    scan = twin.open()
    frames = {
        frame["file_path"]: frame for frame in json.loads((twin.capture / "transforms.json").read_text())["frames"]
    }
    for frame in IDS[::5]:
        written = frames[f"./images/frame_{frame:05d}"]
        assert np.allclose(scan.camera_to_world[frame], np.array(written["transform_matrix"]) * [1, -1, -1, 1])
        camera, depth = scan.color_camera(frame), scan.depth_camera(frame)
        assert (camera.fx, camera.cx) == pytest.approx((written["fl_x"], written["cx"] - 0.5))
        assert depth.cx == pytest.approx(written["cx"] / 2 - 0.5)
        stored = cv2.imread(str(twin.capture / f"images/frame_{frame:05d}.jpg"))
        assert np.array_equal(scan.color(frame), stored[..., ::-1])
        image = cv2.imread(str(twin.capture / written["depth_file_path"]), -1)
        assert np.array_equal(scan.depth(frame), image)
        mask = scan.color_mask(frame)
        if is_masked(frame - FIRST):
            assert mask is not None
            assert np.array_equal(mask, cv2.imread(str(twin.capture / written["mask_path"]), -1))
        else:
            assert mask is None


@pytest.mark.parametrize("factor", [0.2, 0.8, 1.2, 40.0])
def test_positions_of_another_scale_are_refused_with_the_option_that_mends_them(copy: Path, factor: float) -> None:
    with pytest.raises(SourceError, match="fit its depth only if one unit is") as error:
        open_capture(scaled(copy, factor))
    words = str(error.value.cure).split()
    assert words[:2] == ["pass", "--pose-units"]
    assert float(words[2]) == pytest.approx(1 / factor, rel=0.05)
    dataset = open_folder(copy, pose_units=1 / factor)
    scan = dataset.open_scan(dataset.scene_ids[0])
    assert np.allclose(scan.camera_to_world[IDS], UP_FROM_Z @ held_poses(list(range(FRAMES)), 90))


def test_a_stated_unit_is_not_doubted_and_does_not_change_the_digest(copy: Path, twin: Twin) -> None:
    scaled(copy, 0.2)
    dataset = open_folder(copy, pose_units=1.0)
    assert len(present(dataset.open_scan(dataset.scene_ids[0]))) == FRAMES
    folder = open_folder(twin.capture, pose_units=1.0)
    assert folder.open_scan(folder.scene_ids[0]).digest() == twin.open().digest()


def test_wrong_axes_share_no_surface(copy: Path) -> None:
    def in_opencv(frame: dict[str, Any]) -> None:
        frame["transform_matrix"] = (np.array(frame["transform_matrix"]) * [1, -1, -1, 1]).tolist()

    edit_frames(copy, in_opencv)
    with pytest.raises(SourceError, match=r"no surface at any scale|fit its depth only"):
        open_capture(copy)
    dataset = open_folder(copy, axes="opengl", pose_units=1.0)
    assert np.allclose(
        dataset.open_scan(dataset.scene_ids[0]).camera_to_world[IDS], UP_FROM_Z @ held_poses(list(range(FRAMES)), 90)
    )


def test_a_camera_that_stands_still_has_any_scale(copy: Path) -> None:
    edit_frames(copy, lambda frame: frame.update(transform_matrix=np.eye(4).tolist()))
    first = next((copy / "depth").iterdir()).read_bytes()
    for path in (copy / "depth").iterdir():
        path.write_bytes(first)
    assert open_capture(copy).notes["pose_scale_unchecked"] == 1


def test_up_is_known_where_the_file_says_it(copy: Path) -> None:
    edit(copy, lambda values: values.update(up=[0, 2, 0]))
    scan = open_capture(copy)
    assert scan.axis_alignment is not None
    assert scan.world_up is not None
    assert np.allclose(scan.world_up, [0, 1, 0])
    assert np.allclose(scan.axis_alignment[:3, :3] @ scan.axis_alignment[:3, :3].T, np.eye(3))


def test_intrinsics_of_the_file_serve_frames_without_their_own(copy: Path) -> None:
    def to_file(values: dict[str, Any]) -> None:
        for name in ("fl_x", "fl_y", "cx", "cy"):
            values[name] = values["frames"][0][name]
            for frame in values["frames"]:
                del frame[name]
        values |= {"w": 2 * WIDTH, "h": 2 * WIDTH * 3 // 4, "fl_x": 2 * values["fl_x"], "fl_y": 2 * values["fl_y"]}
        values |= {"cx": 2 * values["cx"], "cy": 2 * values["cy"]}

    edit(copy, to_file)
    scan = open_capture(copy)
    assert len({scan.color_camera(frame) for frame in IDS}) == 1
    assert scan.color_intrinsics.fx == pytest.approx(1597.8 * WIDTH / 1920, rel=2e-3)
    assert scan.color_intrinsics.cx == pytest.approx((957.3 + 0.5) * WIDTH / 1920 - 0.5, abs=1e-6)
    assert scan.notes == {"intrinsics_of_another_size": FRAMES}


def test_depth_in_other_units(copy: Path, twin: Twin) -> None:
    for path in (copy / "depth").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), -1) // 4)
    edit(copy, lambda values: values.update(depth_unit_scale_factor=0.004))
    scan = open_capture(copy)
    assert scan.depth_units_per_metre == pytest.approx(250)
    known = scan.depth(IDS[0]) * 4.0 - twin.open().depth(IDS[0])
    assert np.abs(known).max() < 4


@pytest.mark.parametrize("model", ["PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "OPENCV", "OPENCV_FISHEYE"])
def test_camera_models_that_are_read(copy: Path, model: str) -> None:
    def change(values: dict[str, Any]) -> None:
        for name in ("k1", "k2", "p1", "p2"):
            del values[name]
        values["camera_model"] = model
        if model not in ("PINHOLE", "SIMPLE_PINHOLE"):
            values["k1"] = 0.02

    edit(copy, change)
    dataset = open_folder(copy, pose_units=1.0)
    lens = dataset.open_scan(dataset.scene_ids[0]).color_lens
    assert (lens is None) == model.endswith("PINHOLE")
    assert lens is None or (lens.model == "fisheye") == (model == "OPENCV_FISHEYE")


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda capture: edit(capture, lambda values: values.update(camera_model="EQUIRECTANGULAR")), "is 'EQUIRECT"),
        (lambda capture: edit(capture, lambda values: values.update(is_fisheye=True)), "is_fisheye is True"),
        (lambda capture: edit(capture, lambda values: values.update(frames=7)), "has no list of frames"),
        (lambda capture: edit(capture, lambda values: values.update(frames=[])), "no complete frame"),
        (
            lambda capture: edit(capture, lambda values: values.update(depth_unit_scale_factor=0)),
            "depth_unit_scale_factor is 0",
        ),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.pop("depth_file_path")),
            "has 26 frames without depth_file_path; this engine needs depth",
        ),
        (lambda capture: edit_frames(capture, lambda frame: frame.pop("fl_x")), "has no number fl_x"),
        (lambda capture: edit_frames(capture, lambda frame: frame.pop("file_path"), "00003"), "without file_path"),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.update(file_path="../../secret.jpg"), "00003"),
            "outside of its folder: ../../secret.jpg",
        ),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.update(depth_file_path="/etc/passwd"), "00003"),
            "outside of its folder: /etc/passwd",
        ),
        (lambda capture: edit_frames(capture, lambda frame: frame.update(k1=0.3), "00003"), "has another lens"),
        (lambda capture: (capture / "transforms.json").write_text("[" * 100_000), "is not valid JSON"),
        (lambda capture: (capture / "transforms.json").write_text("[]"), "is a list, expected a JSON object"),
        (lambda capture: edit(capture, lambda values: values.update(w=100, h=100)), "intrinsics for images of 100x100"),
        (lambda capture: shutil.rmtree(capture / "images"), r"no complete frame \(frame without color: 26\)"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_says_why(copy: Path, change: Change, words: str) -> None:
    change(copy)
    with pytest.raises(GapDataError, match=words) as error:
        open_capture(copy)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda capture: (capture / "images/frame_00003.jpg").unlink(), "frame_without_color"),
        (lambda capture: (capture / "depth/frame_00003.png").unlink(), "frame_without_depth"),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.update(mask_path="masks/none.png"), "00003"),
            "frame_without_mask",
        ),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.update(transform_matrix=[[1, 0]]), "00003"),
            "frame_with_damaged_camera",
        ),
        (lambda capture: edit_frames(capture, lambda item: item.update(cx="?"), "00003"), "frame_with_damaged_camera"),
        (
            lambda capture: edit_frames(capture, lambda frame: frame.update(fl_x=-2), "00003"),
            "frame_with_impossible_intrinsics",
        ),
    ],
)  # fmt: skip
def test_a_damaged_frame_is_left_out_and_counted(copy: Path, change: Change, note: str) -> None:
    change(copy)
    scan = open_capture(copy)
    assert scan.notes == {note: 1}
    assert present(scan) == [frame for frame in IDS if frame != 3]


def test_a_pose_that_is_not_finite_leaves_a_frame_without_pose(copy: Path) -> None:
    edit_frames(copy, lambda frame: frame.update(transform_matrix=[[float("nan")] * 4] * 4), "00003")
    scan = open_capture(copy)
    assert present(scan) == IDS
    assert not np.isfinite(scan.camera_to_world[3]).any()


def test_frames_without_numbers_are_in_the_order_of_their_names(copy: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"[:FRAMES]

    def rename(frame: dict[str, Any]) -> None:
        number = int(frame["file_path"][-5:])
        (copy / f"images/frame_{number:05d}.jpg").rename(copy / f"images/{letters[number - FIRST]}.jpg")
        frame["file_path"] = f"images/{letters[number - FIRST]}.jpg"

    edit_frames(copy, rename)
    edit(copy, lambda values: values["frames"].append(values["frames"][0]))
    scan = open_capture(copy)
    assert present(scan) == list(range(FRAMES))
    assert scan.notes == {"frame_listed_again": 1}
    assert np.allclose(scan.camera_to_world, UP_FROM_Z @ held_poses(list(range(FRAMES)), 90))


def test_a_folder_with_poses_of_its_own_does_not_need_the_list(copy: Path) -> None:
    (copy / "pose").mkdir()
    with pytest.raises(GapDataError) as error:
        open_capture(copy)
    assert "transforms.json" not in str(error.value)
    (copy / "pose").rmdir()
    assert isinstance(open_capture(copy), NerfstudioScan)
