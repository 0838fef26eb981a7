"""The iPhone's stream: video, depth and poses joined by the number of the frame, on a clock of 30 Hz."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.errors import MissingInput, SourceError
from gapdata.sources.base import Scan
from gapdata.sources.registry import open_dataset
from gapdata.sources.scannetpp.frame_rows import parse_rows
from tests.support.scannetpp_scenes import (
    FRAMES,
    SCENE,
    camera_at,
    color_image,
    depth_bin,
    depth_image,
    intrinsic,
    rows,
    video,
    write_colmap,
    write_scene,
)


def opened(root: Path, **options: str) -> Scan:
    return open_dataset(scannetpp=root, **options).open_scan(SCENE)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scannetpp")
    write_scene(root)
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "in"))


@pytest.fixture
def iphone(root: Path) -> Path:
    return root / "data" / SCENE / "iphone"


def edit(iphone: Path, change: Callable[[dict[str, dict[str, Any]]], object]) -> None:
    content = rows()
    change(content)
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(content))


@pytest.mark.parametrize("encoding", ["stream", "lz4", "deflate"])
def test_raw_index_r_is_frame_2r_of_the_video_of_the_depth_and_of_the_rows(encoding: str, tmp_path: Path) -> None:
    write_scene(tmp_path, encoding)
    with opened(tmp_path) as scan:
        assert scan.frame_count == FRAMES // 2
        assert scan.present.all()
        assert scan.in_order
        for frame in (0, 3, 1, 5):
            assert (scan.color(frame) == color_image(2 * frame)).all()
            assert (scan.depth(frame) == depth_image(2 * frame)).all()
            assert np.array_equal(scan.camera_to_world[frame], camera_at(2 * frame))
            assert scan.color_camera(frame).matrix.tolist() == intrinsic(2 * frame)
            assert scan.depth_camera(frame).fx == pytest.approx(4 * intrinsic(2 * frame)[0][0])
            assert scan.depth_camera(frame).cx == pytest.approx((31.0 + 0.5) * 4 - 0.5)
        assert (scan.depth_intrinsics.width, scan.depth_intrinsics.height) == (256, 192)
        assert not scan.notes
        assert scan.axis_alignment is not None
        assert np.array_equal(scan.axis_alignment, np.eye(4))
        assert scan.color(2, reduction=2).shape == (24, 32, 3)


def test_a_video_of_30_hz_keeps_all_its_frames(root: Path, iphone: Path) -> None:
    slow = rows()
    for frame, row in enumerate(slow.values()):
        row["timestamp"] = 100 + frame / 30
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(slow))
    with opened(root) as scan:
        assert scan.frame_count == FRAMES
        assert (scan.color(5) == color_image(5)).all()


def test_a_row_without_a_usable_pose_stays_a_hole(root: Path, iphone: Path) -> None:
    bent, content = camera_at(6) * 1.1, rows()
    del content["frame_000004"]["aligned_pose"]
    content["frame_000006"]["aligned_pose"] = bent.tolist()
    content["frame_000008"]["aligned_pose"] = [[float("nan")] * 4] * 4
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(content))
    with opened(root) as scan:
        assert scan.notes == {"row_without_aligned_pose": 1}
        assert scan.present.all()
        assert np.isnan(scan.camera_to_world[[2, 4]]).all()
        assert np.allclose(scan.camera_to_world[3], bent), "as written: the engine refuses it"


def test_a_row_with_an_impossible_camera_is_left_out(root: Path, iphone: Path) -> None:
    content = rows()
    content["frame_000002"]["intrinsic"][0][0] = 0.001
    content["frame_000003"]["intrinsic"] = None
    content["frame_000006"]["intrinsic"][1][2] = 1e9
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(content))
    with opened(root) as scan:
        assert scan.notes == {"row_without_intrinsic": 1, "row_with_impossible_intrinsic": 2}
        assert np.flatnonzero(scan.present).tolist() == [0, 2, 3, 4, 5]
        assert (scan.color(3) == color_image(7)).all(), "the next frame stands in"
        assert np.array_equal(scan.camera_to_world[3], camera_at(7)), "with its own pose"


def test_a_tail_that_one_file_lacks_is_left_out_and_counted(root: Path, iphone: Path) -> None:
    (iphone / "depth.bin").write_bytes(depth_bin("lz4", [*map(depth_image, range(FRAMES - 3))]))
    with opened(root) as scan:
        assert scan.notes == {"row_without_depth": 3}
        assert np.flatnonzero(scan.present).tolist() == [0, 1, 2, 3, 4]
    (iphone / "depth.bin").write_bytes(depth_bin("lz4", [*map(depth_image, range(FRAMES + 2))]))
    with opened(root) as scan:
        assert scan.notes == {"depth_without_row": 2}
        assert scan.frame_count == FRAMES // 2


def test_a_video_that_ends_early_is_an_error_of_the_frames_behind_its_end(root: Path, iphone: Path) -> None:
    video(iphone / "rgb.mkv", map(color_image, range(7)))
    with opened(root) as scan:
        assert (scan.color(3) == color_image(6)).all()
        with pytest.raises(SourceError, match=rf"rgb\.mkv: scene {SCENE}, frame 4: ends after 7 frames; download"):
            scan.color(4)
        assert (scan.color(1) == color_image(2)).all()


def test_a_stream_that_ends_early_is_an_error_of_the_frames_behind_its_end(root: Path, iphone: Path) -> None:
    data = depth_bin("stream", [*map(depth_image, range(FRAMES))])
    (iphone / "depth.bin").write_bytes(data[: len(data) * 2 // 3])
    with opened(root) as scan:
        assert (scan.depth(2) == depth_image(4)).all()
        with pytest.raises(SourceError, match=rf"depth\.bin: scene {SCENE}, frame 5: is cut off within image"):
            scan.depth(5)
        assert (scan.depth(1) == depth_image(2)).all()


def test_extracted_frames_and_depth_are_read_where_the_video_is_not_there(root: Path, iphone: Path) -> None:
    (iphone / "rgb.mkv").unlink()
    (iphone / "depth.bin").unlink()
    (iphone / "rgb").mkdir()
    (iphone / "depth").mkdir()
    for frame in (0, 3, 5, 6, 8):
        cv2.imwrite(str(iphone / "rgb" / f"frame_{frame:06d}.jpg"), color_image(frame))
        cv2.imwrite(str(iphone / "depth" / f"frame_{frame:06d}.png"), depth_image(frame))
    (iphone / "rgb" / "notes.txt").touch()
    with opened(root) as scan:
        assert not scan.in_order
        assert np.flatnonzero(scan.present).tolist() == [0, 1, 2, 3, 4]
        for frame, number in enumerate((0, 3, 5, 6, 8)):
            assert abs(int(scan.color(frame)[0, 0, 0]) - 20 * number) < 3
            assert (scan.depth(frame) == depth_image(number)).all()
            assert np.array_equal(scan.camera_to_world[frame], camera_at(number))
    cv2.imwrite(str(iphone / "rgb" / "frame_000003.jpg"), np.zeros((10, 10, 3), np.uint8))
    with opened(root) as scan, pytest.raises(SourceError, match=r"frame 1: frame_000003\.jpg is 10x10, but the first"):
        scan.color(1)


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_anonymised_pixels_are_masked(kind: str, root: Path, iphone: Path) -> None:
    masks = [np.full((48, 64), 255, dtype=np.uint8) for _ in range(FRAMES)]
    for frame, mask in enumerate(masks):
        mask[:10, : frame + 1] = 0
    if kind == "video":
        video(iphone / "rgb_mask.mkv", (np.dstack([mask] * 3) for mask in masks))
    else:
        (iphone / "rgb_masks").mkdir()
        for frame, mask in enumerate(masks):
            cv2.imwrite(str(iphone / "rgb_masks" / f"frame_{frame:06d}.png"), mask)
    with opened(root) as scan:
        for frame in (1, 4, 2):
            found = scan.color_mask(frame)
            assert found is not None
            assert np.array_equal(found, masks[2 * frame])
    with opened(root) as scan:
        assert scan.digest() != opened_without_mask(root).digest()


def opened_without_mask(root: Path) -> Scan:
    for name in ("rgb_mask.mkv", "rgb_masks"):
        place = root / "data" / SCENE / "iphone" / name
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
    return opened(root)


def test_poses_of_colmap_replace_arkits_and_bring_their_lens(root: Path, iphone: Path) -> None:
    edit(iphone, lambda all: [row.update(aligned_pose=np.eye(4).tolist()) for row in all.values()])
    write_colmap(iphone / "colmap", (0, 5, 10), "1 OPENCV 64 48 51 52 31.5 24.5 0.01 0.02 0.003 0.004")
    with opened(root, scannetpp_poses="colmap") as scan:
        assert np.flatnonzero(scan.present).tolist() == [0, 2, 5]
        for frame, number in ((0, 0), (2, 5), (5, 10)):
            assert np.allclose(scan.camera_to_world[frame], camera_at(number))
            assert (scan.color(frame) == color_image(number)).all()
        camera = scan.color_camera(2)
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (51, 52, 31, 24)
        assert scan.color_lens is not None
        assert scan.color_lens.coefficients == (0.01, 0.02, 0.003, 0.004)
        assert scan.depth_lens == scan.color_lens
        assert not scan.notes
    shutil.rmtree(iphone / "colmap")
    write_colmap(iphone / "colmap", (0, 5), "1 OPENCV 64 48 51 52 31.5 24.5 -9 0 0 0")
    with pytest.raises(SourceError, match=r"colmap: scene \w+: its cameras have a lens \(OPENCV\) that does not fit"):
        opened(root, scannetpp_poses="colmap")
    shutil.rmtree(iphone / "colmap")
    with pytest.raises(MissingInput, match="no COLMAP poses in colmap/; download iphone_colmap_dir"):
        opened(root, scannetpp_poses="colmap")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rgb.mkv", "neither rgb.mkv, rgb.mp4 nor extracted frames in rgb/; download iphone_video_path"),
        ("depth.bin", "neither depth.bin nor extracted images in depth/; download iphone_depth_path"),
        ("pose_intrinsic_imu.json", "no pose_intrinsic_imu.json; download iphone_pose_intrinsic_imu_path"),
    ],
)
def test_a_missing_file_names_its_download(name: str, message: str, root: Path, iphone: Path) -> None:
    (iphone / name).unlink()
    with pytest.raises(MissingInput, match=f"has {message}: name them in download_assets .* run python download_scan"):
        opened(root, scannetpp_camera="iphone")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("rgb.mkv", b"not a video", "is not an mp4, mov or mkv video"),
        ("depth.bin", b"\0" * 500, "holds no depth image of 256x192"),
        ("pose_intrinsic_imu.json", b'{"frame_000000": {"intr', "is not valid JSON, as if it were cut off"),
        ("pose_intrinsic_imu.json", b"[]", "is not an object of frames"),
        ("pose_intrinsic_imu.json", b'{"frame_000000": {}}', "has no row such as frame_000000 with a 3x3 intrinsic"),
        ("pose_intrinsic_imu.json", json.dumps(rows(intrinsic=[[1600, 0, 960], [0, 1600, 720], [0, 0, 1]])).encode(),
         "has cameras of images of about 1920x1440, but colour is 64x48; extract the frames at the size of the video"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_clear_error(name: str, data: bytes, message: str, root: Path, iphone: Path) -> None:
    (iphone / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        opened(root)
    assert message in str(caught.value)
    assert str(iphone / name) in str(caught.value)
    assert f"scene {SCENE}" in str(caught.value)


def test_rows_of_any_damage_keep_the_sound_ones() -> None:
    content: dict[str, Any] = rows(range(6))
    content["frame_000001"]["aligned_pose"] = [[1, 2], [3]]
    content["frame_000002"]["intrinsic"] = "none"
    content["frame_000003"] = None
    content["frame_000004"]["timestamp"] = "noon"
    content["frame_000005"]["timestamp"] = 10**400
    content["meta"] = {}
    content["frame_99999999999"] = {}
    found = parse_rows(json.dumps(content).encode())
    assert found.listed.tolist() == [True, True, True, False, True, True]
    assert np.isnan(found.camera_to_world[[1, 3]]).all()
    assert np.isfinite(found.camera_to_world[[0, 2, 4, 5]]).all()
    assert np.isnan(found.matrices[2]).all()
    assert found.step == 2
    assert found.notes == {
        "row_without_aligned_pose": 1,
        "row_without_intrinsic": 1,
        "row_that_names_no_frame": 3,
        "frame_without_row": 1,
    }


def test_a_hole_among_the_rows_is_counted(root: Path, iphone: Path) -> None:
    edit(iphone, lambda content: content.pop("frame_000002"))
    with opened(root) as scan:
        assert scan.notes["frame_without_row"] == 1


def test_the_digest_follows_what_matters(root: Path, iphone: Path) -> None:
    def digest(**options: str) -> str:
        with opened(root, **options) as scan:
            return scan.digest()

    groups = iphone.parent / "scans" / "segments_anno.json"
    depth = iphone / "depth.bin"
    changes: list[Callable[[], object]] = [
        lambda: edit(iphone, lambda content: content["frame_000000"]["aligned_pose"][0].__setitem__(3, 0.001)),
        lambda: groups.write_text(groups.read_text().replace("wall", "WALL")),
        lambda: depth.write_bytes(depth.read_bytes()[:-1]),
        lambda: video(iphone / "rgb.mkv", map(color_image, range(FRAMES - 1))),
    ]
    seen = [digest(), digest()]
    assert len(set(seen)) == 1
    for change in changes:
        change()
        seen.append(digest())
    assert len(set(seen)) == 1 + len(changes)
