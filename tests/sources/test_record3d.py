"""Recordings of Record3D: a zip read in place, packed depth, metadata of old and new versions; damage is one line."""

from __future__ import annotations

import base64
import importlib.util
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.errors import MissingInput, SourceError, UsageError
from gapdata.files.lzfse import needs_library, unpack, unpacked_size
from gapdata.geometry.upright import find_turn
from gapdata.sources.base import Scan
from gapdata.sources.record3d_metadata import parse_metadata
from gapdata.sources.rgbd import RgbdFolder
from gapdata.synthetic.formats.record3d import lost_depth, recorded, stored
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.phones import Twin, held_poses, open_capture, present, upright_poses, walk, write_twin

LOST = lost_depth(walk())
FRAMES = recorded(walk())
HAS_LIBRARY = importlib.util.find_spec("liblzfse") is not None
PACKED_METRES = base64.b64decode(
    "YnZ4MgAwAAAkALAAAAcAAP75J3CrFAAgkgAAADrQkA5vAQBwAQDABRcAAAAA8B+8J98AAAB8AwAAAAAAAAAAAAAAAMCrBwAAAAAAAAAAAAAAAAAAAI8O"
    "AAAAAAAAAAAAAAAAAAAAwBMAAAAAPAEAAADAEwAAAAA8AQAAAMCHAAAAAHwIAAAAwBMAAAAAAAAAAACAEu0tGMGmi3byAAAAAAAAAAAAwEj8v//7//+D"
    "/wcFYnZ4JA=="
)
"""64x48 floats, k % 7 / 8 + 1, packed by Apple's own library."""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("record3d", tmp_path_factory.mktemp("record3d"))


@pytest.fixture
def members(twin: Twin) -> dict[str, bytes]:
    """The members, read without the reader."""
    with zipfile.ZipFile(twin.root / f"{twin.name}.r3d") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def edited(members: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The members with other metadata; ``...`` leaves a field out."""
    fields = {**json.loads(members["metadata"]), **changes}
    kept = {name: value for name, value in fields.items() if value is not ...}
    return {**members, "metadata": json.dumps(kept).encode()}


def refusal(path: Path, read: Callable[[Scan], object] = lambda scan: None) -> str:
    with pytest.raises(SourceError) as caught, open_capture(path) as scan:
        read(scan)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_frames_have_the_poses_and_moments_of_the_walk(twin: Twin) -> None:
    scan = open_capture(twin.root)
    assert scan.scene_id == twin.name
    assert not scan.in_order
    assert present(scan) == [frame for number, frame in enumerate(FRAMES) if number != LOST]
    assert scan.notes == {"frame_without_depth": 1}
    assert np.abs(upright_poses(scan, present(scan)) - held_poses(present(scan), 90)).max() < 1e-6
    assert scan.world_up is not None
    assert find_turn(scan.camera_to_world, scan.world_up) == 90


def test_the_members_say_what_the_scan_gives(twin: Twin, members: dict[str, bytes]) -> None:
    """Parsed with a few plain lines."""
    assert list(members) == sorted(members)
    assert list(members).index("rgbd/10.jpg") < list(members).index("rgbd/9.jpg")
    scan, fields = open_capture(twin.root), json.loads(members["metadata"])
    for number in (0, 5, 10, 12):
        frame = FRAMES[number]
        fx, fy, cx, cy = fields["perFrameIntrinsicCoeffs"][number]
        camera = scan.color_camera(frame)
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (fx, fy, cx, cy)
        assert scan.camera_to_world[frame][:3, 3].tolist() == fields["poses"][number][4:]
        qx, qy, qz, qw = fields["poses"][number][:4]
        backward = [2 * (qx * qz + qy * qw), 2 * (qy * qz - qx * qw), 1 - 2 * (qx * qx + qy * qy)]
        assert np.allclose(scan.camera_to_world[frame][:3, 2], -np.array(backward))
        image = cv2.imdecode(np.frombuffer(members[f"rgbd/{number}.jpg"], np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(scan.color(frame), image[..., ::-1])
        packed = members[f"rgbd/{number}.depth"]
        assert packed[:8] == b"bvx-" + struct.pack("<I", 64 * 48 * 4)
        metres = np.frombuffer(packed[8:-4], "<f4").reshape(48, 64)
        assert np.array_equal(scan.depth(frame), np.nan_to_num(metres * 1000).round())
        confidence = scan.confidence(frame)
        assert confidence is not None
        assert confidence.tobytes() == members[f"rgbd/{number}.conf"][8:-4]
        assert scan.color_jpeg(frame) is not None


def test_intrinsics_follow_each_frame(twin: Twin) -> None:
    scan = open_capture(twin.root)
    lengths = [scan.color_camera(frame).fx for frame in present(scan)]
    assert 0.0005 < max(lengths) / min(lengths) - 1 < 0.003
    assert scan.color_intrinsics.fx == pytest.approx(np.median(lengths), rel=1e-3)


def test_an_older_recording_has_one_camera_and_larger_images(tmp_path: Path) -> None:
    older = Walk(1, WalkOptions(frames=9, width=128, noise=0.0))
    FORMATS["record3d"].load().write(tmp_path, [older])
    scan = open_capture(tmp_path)
    assert scan.notes == {"frame_without_depth": 1, "intrinsics_of_another_size": 9}
    assert (scan.color_intrinsics.width, scan.depth_intrinsics.width) == (128, 64)
    with zipfile.ZipFile(tmp_path / "room01.r3d") as archive:
        fields = json.loads(archive.read("metadata"))
    assert (fields["w"], set(fields)) == (64, {"h", "w", "fps", "K", "poses"})
    assert scan.color_intrinsics.fx == pytest.approx(2 * fields["K"][0])
    assert scan.depth_intrinsics.cx == pytest.approx(fields["K"][6])
    truth = np.array([older.held(frame, 90) for frame in present(scan)])
    assert np.abs(upright_poses(scan, present(scan)) - truth).max() < 1e-6


def test_a_folder_reads_as_its_zip(twin: Twin, members: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "room" / "rgbd").mkdir(parents=True)
    for name, data in members.items():
        (tmp_path / "room" / name).write_bytes(data)
    folder, archive = open_capture(tmp_path), open_capture(twin.root)
    assert folder.notes == archive.notes
    frame = present(folder)[3]
    for read in (Scan.color, Scan.depth, Scan.confidence):
        assert np.array_equal(read(folder, frame), read(archive, frame))  # type: ignore[arg-type]


def test_a_folder_that_was_zipped_again_is_read(members: dict[str, bytes], tmp_path: Path) -> None:
    inside = {f"walk/{name}": data for name, data in members.items()}
    scan = open_capture(write(tmp_path / "a.r3d", {**inside, "__MACOSX/walk/._metadata": b"x"}))
    assert len(present(scan)) == len(FRAMES) - 1


def test_the_first_pose_is_applied_and_said(members: dict[str, bytes], tmp_path: Path) -> None:
    turned = [0, np.sin(0.2), 0, np.cos(0.2), 1, 2, 3]
    moved = open_capture(write(tmp_path / "a.r3d", edited(members, initPose=turned)))
    plain = open_capture(write(tmp_path / "b.r3d", members))
    assert moved.notes["pose_moved_by_init_pose"] == len(FRAMES)
    change = moved.camera_to_world[0] @ np.linalg.inv(plain.camera_to_world[0])
    assert np.allclose(change[:3, 3], [1, 2, 3])
    assert np.allclose(change[:3, 0], [np.cos(0.4), 0, -np.sin(0.4)])


def test_poses_that_begin_with_the_identity_do_not_tell_which_way_is_up(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    scan = open_capture(write(tmp_path / "a.r3d", members))
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    first = scan.camera_to_world[FRAMES[0]] @ flip
    rows = json.loads(members["metadata"])["poses"]
    relative = []
    for number, row in enumerate(rows):
        pose = np.eye(4)
        qx, qy, qz, qw = row[:4]
        pose[:3, :3] = cv2.Rodrigues(2 * np.arctan2(np.linalg.norm([qx, qy, qz]), qw) * unit([qx, qy, qz]))[0]
        pose[:3, 3] = row[4:]
        pose = np.linalg.inv(first) @ pose
        half = cv2.Rodrigues(pose[:3, :3])[0][:, 0] / 2
        angle = np.linalg.norm(half)
        vector = np.sin(angle) * unit(half) if number else np.zeros(3)
        relative.append([*vector, np.cos(angle), *pose[:3, 3]])
    found = open_capture(write(tmp_path / "b.r3d", edited(members, poses=relative)))
    assert found.axis_alignment is None
    assert found.world_up is None
    assert found.notes["vertical_not_known"] == 1


def unit(vector: Any) -> np.ndarray:
    length = np.linalg.norm(vector)
    return np.asarray(vector) / length if length else np.zeros(3)


def test_at_60_hz_every_other_frame_is_used(members: dict[str, bytes], tmp_path: Path) -> None:
    scan = open_capture(write(tmp_path / "a.r3d", edited(members, frameTimestamps=..., fps=60)))
    assert scan.frame_count == (len(FRAMES) + 1) // 2
    slow = open_capture(write(tmp_path / "b.r3d", edited(members, frameTimestamps=..., fps=...)))
    assert slow.notes["frame_rate_not_stated"] == 1
    assert slow.frame_count == len(FRAMES)


def test_moments_that_are_not_numbers_are_left_out(members: dict[str, bytes], tmp_path: Path) -> None:
    stamps = json.loads(members["metadata"])["frameTimestamps"]
    stamps[0], stamps[2], stamps[5] = float("inf"), float("nan"), -1e300
    scan = open_capture(write(tmp_path / "a.r3d", edited(members, frameTimestamps=stamps)))
    assert scan.notes["row_out_of_time"] == 3
    assert [frame + FRAMES[1] for frame in present(scan)][:4] == [FRAMES[1], FRAMES[3], FRAMES[4], FRAMES[6]]


def test_optional_metadata_that_cannot_be_used_are_counted(members: dict[str, bytes], tmp_path: Path) -> None:
    changes = {"frameTimestamps": [0, 1], "perFrameIntrinsicCoeffs": [[1, 2, 3, 4]], "initPose": [0] * 7}
    without_confidence = {name: data for name, data in members.items() if not name.endswith(".conf")}
    scan = open_capture(write(tmp_path / "a.r3d", edited(without_confidence, **changes)))
    counted = ("time_stamps_not_usable", "intrinsics_of_frames_not_usable", "init_pose_not_usable")
    assert [scan.notes[name] for name in (*counted, "scan_without_confidence")] == [1] * 4
    plain = open_capture(write(tmp_path / "b.r3d", edited(members, **dict.fromkeys(changes, ...))))
    assert np.array_equal(scan.camera_to_world, plain.camera_to_world, equal_nan=True)


def test_metadata_of_a_real_recording() -> None:
    """In the form of the real sample: five keys, camera by column, the first pose the identity, the third repeated."""
    fields = {
        "h": 960, "w": 720, "fps": 60,
        "K": [726.635803, 0, 0, 0, 726.635803, 0, 361.328217, 483.842194, 1],
        "poses": [
            [1.36e-08, 3.26e-10, -3.5e-09, 0.99999994, -7.1e-17, -4.3e-17, 2.2e-17],
            [-0.000553520629, 0.00415369169, 0.00290375948, 0.999986947, -0.00185357826, 0.00147275778, 0.000145325132],
            [-0.000874483259, 0.00836406741, 0.00418481837, 0.999955833, -0.0025641942, 0.00219773035, 2.87066899e-05],
            [-0.000874483259, 0.00836406741, 0.00418481837, 0.999955833, -0.0025641942, 0.00219773035, 2.87066899e-05],
        ],
    }  # fmt: skip
    found = parse_metadata(json.dumps(fields).encode())
    assert found.size == (720, 960)
    assert found.notes == {"pose_equal_to_the_one_before": 1, "vertical_not_known": 1}
    assert found.rows.intrinsics[0].tolist() == [726.635803, 726.635803, 361.328217, 483.842194]
    assert found.rows.seconds[3] == pytest.approx(3 / 60)
    assert found.depth_size_for((720, 960), 256 * 192) == (192, 256)
    assert found.depth_size_for((960, 720), 640 * 480) == (640, 480)
    assert np.allclose(found.rows.poses[0], np.diag([1, -1, -1, 1]), atol=1e-7)
    scaled = found.rows_for((1440, 1920)).intrinsics[0]
    assert np.allclose(scaled, [1453.271606, 1453.271606, 2 * 361.828217 - 0.5, 2 * 484.342194 - 0.5])


def depth_of(values: np.ndarray) -> bytes:
    return stored(values.astype("<f4").tobytes())


DAMAGE: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], int | None, str]] = {
    "no metadata": (lambda held: {"rgbd/0.jpg": b""}, None, "it has 0 members metadata, expected one"),
    "metadata of text": (
        lambda held: {**held, "metadata": b"{"},
        None,
        "metadata that are not valid JSON, as if they were cut off",
    ),
    "metadata of a list": (lambda held: {**held, "metadata": b"[]"}, None, "are not a JSON object"),
    "nested metadata": (lambda held: {**held, "metadata": b"[" * 100_000}, None, "nested too deeply"),
    "no poses": (lambda held: edited(held, poses=...), None, "without poses of seven numbers"),
    "poses of six": (lambda held: edited(held, poses=[[0] * 6]), None, "without poses of seven numbers"),
    "no camera": (lambda held: edited(held, K=..., perFrameIntrinsicCoeffs=...), None, "without the nine numbers K"),
    "the selfie camera": (
        lambda held: edited(held, poses=[[0, 0, 0, 1, 0, 0, 0]] * len(FRAMES)),
        None,
        "the selfie camera records no poses",
    ),
    "another shape": (lambda held: edited(held, w=100, h=100), None, "metadata for images of 100x100"),
    "another camera": (
        lambda held: edited(held, perFrameIntrinsicCoeffs=..., K=[500, 0, 0, 0, 500, 0, 320, 240, 1]),
        None,
        "has intrinsics that are not those of its images of 128x96: fx 500",
    ),
    "other depth": (lambda held: edited(held, dw=32), None, "states depth of 32x48, but its depth images have 3072"),
    "depth of no shape": (
        lambda held: edited({**held, "rgbd/0.depth": depth_of(np.ones(1000))}, dw=...),
        None,
        "has depth images of 1000 pixels",
    ),
    "an empty image": (lambda held: {**held, "rgbd/1.jpg": b""}, 1, "neither a complete JPEG"),
    "depth that is not packed": (lambda held: {**held, "rgbd/1.depth": b"\0" * 99}, 1, "is not an LZFSE stream"),
    "half a depth image": (
        lambda held: {**held, "rgbd/1.depth": held["rgbd/1.depth"][:2000]},
        1,
        "rgbd/1.depth, which is an LZFSE stream that is cut off",
    ),
    "depth of another size": (
        lambda held: {**held, "rgbd/1.depth": depth_of(np.ones(64))},
        1,
        "rgbd/1.depth, which holds 256 bytes, expected 12288",
    ),
    "confidence of another range": (
        lambda held: {**held, "rgbd/1.conf": stored(bytes([7]) * 64 * 48)},
        1,
        "rgbd/1.conf with 7, expected confidence from 0 to 2",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_clear_error(members: dict[str, bytes], tmp_path: Path, name: str) -> None:
    change, frame, expected = DAMAGE[name]

    def read(scan: Scan) -> None:
        assert frame is not None
        scan.color(FRAMES[frame])
        scan.depth(FRAMES[frame])
        scan.confidence(FRAMES[frame])

    path = write(tmp_path / "a.r3d", change(members))
    said = refusal(path, read if frame is not None else lambda scan: None)
    assert expected in said
    assert frame is None or f"frame {FRAMES[frame]}: " in said


def test_depth_that_is_not_a_number_is_unknown(members: dict[str, bytes], tmp_path: Path) -> None:
    metres = np.full(64 * 48, 1.2347, "<f4")
    metres[:5] = [np.nan, np.inf, -1, 0, 99]
    scan = open_capture(write(tmp_path / "a.r3d", {**members, "rgbd/0.depth": depth_of(metres)}))
    assert scan.depth(0).ravel()[:6].tolist() == [0, 0, 0, 0, 0, 1235]


def test_half_a_zip_is_one_clear_error(twin: Twin, tmp_path: Path) -> None:
    data = (twin.root / f"{twin.name}.r3d").read_bytes()
    path = tmp_path / "a.r3d"
    path.write_bytes(data[: len(data) // 2])
    assert "is a zip without the directory at its end: it is cut off or damaged" in refusal(path)


def test_an_export_of_exr_files_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for folder, file in (("rgb", "0.jpg"), ("depth", "0.exr")):
        (tmp_path / "room" / folder).mkdir(parents=True)
        (tmp_path / "room" / folder / file).write_bytes(b"")
    (tmp_path / "room" / "metadata.json").write_text("{}")
    assert RgbdFolder.open(tmp_path).kind("room") == "record3d"
    assert "share it again from the app as .r3d" in refusal(tmp_path / "room")


def test_a_video_with_coloured_depth_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"share the recording as \.r3d"):
        RgbdFolder.open(tmp_path / "a.mp4")


def test_packed_depth_needs_a_library_and_says_which(members: dict[str, bytes], tmp_path: Path) -> None:
    metres = (np.arange(64 * 48) % 7 / 8 + 1).astype("<f4")
    assert unpacked_size(PACKED_METRES) == metres.nbytes
    assert needs_library(PACKED_METRES)
    assert not needs_library(stored(b"abc"))
    with pytest.raises(ValueError, match="holds 12288 bytes, expected 3000"):
        unpack(PACKED_METRES, 3000)
    path = write(tmp_path / "a.r3d", {**members, "rgbd/0.depth": PACKED_METRES})
    if HAS_LIBRARY:
        assert np.array_equal(open_capture(path).depth(0).ravel(), (metres * 1000).round())
    else:
        with pytest.raises(MissingInput, match="pip install pyliblzfse"):
            open_capture(path)


@pytest.mark.parametrize("cut", [4, 10, 40, 100, 180])
def test_a_cut_stream_is_refused_before_the_library_sees_it(cut: int) -> None:
    with pytest.raises(ValueError, match="cut off or damaged"):
        unpack(PACKED_METRES[:-cut], 12288)


def test_the_digest_follows_the_members(twin: Twin, members: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.r3d"
    digests = {open_capture(write(path, members)).digest()}
    digests.add(open_capture(write(path, edited(members, fps=30))).digest())
    digests.add(open_capture(write(path, {**members, "rgbd/3.conf": members["rgbd/4.conf"]})).digest())
    assert len(digests) == 3


def test_a_recording_that_is_replaced_during_a_build_is_noticed(twin: Twin, members: dict[str, bytes]) -> None:
    path = twin.root / f"{twin.name}.r3d"
    dataset = RgbdFolder.open(twin.root)
    before = dataset.stamps(twin.name)
    assert str(path) in before
    data = path.read_bytes()
    write(path, {**members, "sound.m4a": b""})
    assert dataset.stamps(twin.name) != before
    path.write_bytes(data)
