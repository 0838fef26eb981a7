"""Captures of Stray Scanner: a video, depth by number, a table of poses and cameras; damaged ones fail in one line."""

from __future__ import annotations

import csv
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.files.video import VideoFrames
from gapdata.geometry.upright import find_turn
from gapdata.sources.base import Scan
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.stray import StrayScan
from gapdata.synthetic.formats.phone import phone_camera
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.stray import lost_depth, recorded
from gapdata.synthetic.formats.video_files import write_video
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.phones import FRAMES, WIDTH, Twin, held_poses, open_capture, present, upright_poses, walk, write_twin

NUMBERS = recorded(FRAMES)
LOST = NUMBERS[lost_depth(FRAMES)]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return write_twin("stray", tmp_path_factory.mktemp("stray"))


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("older")
    (name,) = FORMATS["stray"].load().write(root, [Walk(1, WalkOptions(frames=14, width=128, noise=0.0))])
    return root / name


@pytest.fixture
def copy(twin: Twin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twin.capture, tmp_path / "in" / "room"))


def rows(capture: Path) -> list[list[str]]:
    """The table, read without the reader."""
    with open(capture / "odometry.csv", newline="") as file:
        return list(csv.reader(file, skipinitialspace=True))


def edit(capture: Path, change: Callable[[list[list[str]]], object]) -> None:
    table = rows(capture)
    change(table)
    (capture / "odometry.csv").write_text("".join(", ".join(row) + "\n" for row in table))


def images(capture: Path) -> list[NDArray[np.uint8]]:
    with VideoFrames(capture / "rgb.mp4") as video:
        return [video.frame(index) for index in range(video.stated_count)]


def refusal(capture: Path, read: Callable[[Scan], object] = lambda scan: None) -> str:
    with pytest.raises(SourceError) as caught, open_capture(capture) as scan:
        read(scan)
    assert "room" in str(caught.value)
    return str(caught.value)


def test_frames_have_the_poses_and_moments_of_the_walk(twin: Twin) -> None:
    scan = twin.open()
    assert scan.in_order
    assert present(scan) == [frame for frame in NUMBERS if frame != LOST]
    assert scan.notes == {"frame_without_depth": 1}
    assert np.abs(upright_poses(scan, present(scan)) - held_poses(present(scan), 90)).max() < 1e-6
    assert scan.world_up is not None
    assert np.allclose(scan.world_up, [0, 1, 0])
    assert find_turn(scan.camera_to_world, scan.world_up) == 90


def test_the_files_say_what_the_scan_gives(twin: Twin) -> None:
    """Read without the reader: csv, and OpenCV for pixels; its own player would start with the second frame."""
    scan, table = twin.open(), rows(twin.capture)
    header = {name: column for column, name in enumerate(table[0])}
    assert table[1][header["distortion_center_x"]] == ""
    player = cv2.VideoCapture(str(twin.capture / "rgb.mp4"))
    seen = [player.read()[1][..., ::-1] for _ in range(len(NUMBERS) - 1)]
    assert not player.read()[0]
    for row in table[1::5]:
        number = int(row[header["frame"]])
        frame = NUMBERS[number]
        if frame == LOST:
            continue
        qx, qy, qz, qw = (float(row[header[name]]) for name in ("qx", "qy", "qz", "qw"))
        right = [1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy + qz * qw), 2 * (qx * qz - qy * qw)]
        assert np.allclose(scan.camera_to_world[frame][:3, 0], right, atol=1e-6)
        assert np.allclose(scan.camera_to_world[frame][:3, 3], [float(row[header[name]]) for name in "xyz"])
        camera, depth = scan.color_camera(frame), scan.depth_camera(frame)
        assert [camera.fx, camera.cx, camera.cy] == [float(row[header[name]]) for name in ("fx", "cx", "cy")]
        assert depth.cx == pytest.approx((camera.cx + 0.5) / 2 - 0.5)
        if number:
            assert np.array_equal(scan.color(frame), seen[number - 1])
        assert np.array_equal(scan.depth(frame), cv2.imread(str(twin.capture / f"depth/{number:06d}.png"), -1))
        confidence = cv2.imread(str(twin.capture / f"confidence/{number:06d}.png"), -1)
        found = scan.confidence(frame)
        assert found is not None
        assert np.array_equal(found, confidence)


def test_the_colour_image_of_a_frame_is_what_the_walk_saw(twin: Twin) -> None:
    scan = twin.open()
    for frame in present(scan)[::4]:
        assert np.array_equal(scan.color(frame), walk().color(frame, phone_camera(frame, WIDTH), 90))


def test_the_older_table_takes_the_one_camera_and_arrays_of_depth(older: Path) -> None:
    scan = open_capture(older)
    count = len(recorded(14))
    assert scan.notes == {"frame_with_camera_of_the_last": count, "frame_without_depth": 1}
    matrix = np.array([[float(cell) for cell in line.split(",")] for line in (older / "camera_matrix.csv").open()])
    assert np.allclose(scan.color_camera(0).matrix, matrix)
    assert np.array_equal(scan.depth(0), np.load(older / "depth/000000.npy"))


@pytest.mark.parametrize("lost", [0, len(NUMBERS) - 1])
@pytest.mark.parametrize("extracted", [False, True])
def test_a_video_without_its_first_or_last_frame_is_numbered_by_what_it_shows(
    copy: Path, lost: int, extracted: bool
) -> None:
    true = open_capture(copy)
    expected = {frame: true.color(frame) for frame in present(true)}
    frames = images(copy)
    kept = frames[1:] if lost == 0 else frames[:-1]
    if extracted:
        (copy / "rgb.mp4").unlink()
        (copy / "rgb").mkdir()
        for index, image in enumerate(kept, start=1):
            cv2.imwrite(str(copy / f"rgb/{index}.png"), image[..., ::-1])
    else:
        write_video(copy / "rgb.mp4", kept, 60)
    scan = open_capture(copy)
    assert scan.in_order == (not extracted)
    assert scan.notes["video_lacks_its_first_or_last_frame"] == 1
    assert present(scan) == [frame for frame in NUMBERS[1:-1] if frame != LOST]
    for frame in present(scan):
        assert np.array_equal(scan.color(frame), expected[frame])


def test_a_video_without_a_list_of_frames_is_counted(copy: Path) -> None:
    frames = images(copy)
    (copy / "rgb.mp4").unlink()
    write_video(copy / "rgb.mkv", frames, 60)
    (copy / "rgb.mkv").rename(copy / "rgb.mp4")  # recognised by its content
    assert np.array_equal(open_capture(copy).color(NUMBERS[4]), frames[4])
    write_video(copy / "rgb.mkv", frames[1:], 60)
    (copy / "rgb.mp4").unlink()
    scan = open_capture(copy)
    assert scan.notes["video_lacks_its_first_or_last_frame"] == 1
    assert np.array_equal(scan.color(NUMBERS[4]), frames[4])
    write_video(copy / "rgb.mkv", frames[:-2], 60)
    assert "has 20 frames, but the table has 22 rows" in refusal(copy)


def test_extracted_jpegs_are_passed_on_as_they_are(copy: Path) -> None:
    (copy / "rgb").mkdir()
    for index, image in enumerate(images(copy)):
        cv2.imwrite(str(copy / f"rgb/{index:06d}.jpg"), image[..., ::-1])
    (copy / "rgb.mp4").unlink()
    scan = open_capture(copy)
    jpeg = scan.color_jpeg(NUMBERS[3])
    assert jpeg is not None
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(decoded, scan.color(NUMBERS[3]))


def test_of_rows_at_60_hz_the_nearest_to_each_tick_is_a_frame(copy: Path) -> None:
    def faster(table: list[list[str]]) -> None:
        for place, row in enumerate(table[1:]):
            row[0] = f"{7000 + place / 60 + (0.003 if place % 2 else 0):.6f}"

    edit(copy, faster)
    scan = open_capture(copy)
    assert isinstance(scan, StrayScan)
    even = [place for place in range(0, len(NUMBERS), 2) if place != lost_depth(FRAMES)]
    assert [scan.row_of[frame] for frame in present(scan) if scan.row_of[frame] % 2 == 0] == even
    assert max(present(scan)) == (len(NUMBERS) - 1) // 2 + (len(NUMBERS) % 2 == 0)


def test_holes_stay_holes(copy: Path) -> None:
    def lose(table: list[list[str]]) -> None:
        table[3][2] = "nan"
        table[4][5:9] = ["0.5", "0.5", "0.5", "0.1"]
        table[5][0] = table[4][0]
        table[7][9:13] = ["1", "1", "1", "1"]

    edit(copy, lose)
    scan = open_capture(copy)
    expected = {
        "frame_with_impossible_intrinsics": 1,
        "frame_without_depth": 1,
        "pose_not_a_rotation": 1,
        "row_out_of_time": 1,
    }
    assert scan.notes == expected
    for row in (3, 4):
        assert not np.isfinite(scan.camera_to_world[NUMBERS[row - 1]]).any()
    assert not scan.present[[NUMBERS[4], NUMBERS[6]]].any()


def test_a_row_that_was_being_written_is_left_out(copy: Path) -> None:
    text = (copy / "odometry.csv").read_text().rstrip("\n")
    (copy / "odometry.csv").write_text(text[: text.rindex("0000")])
    frames = images(copy)
    write_video(copy / "rgb.mp4", frames[:-1], 60)
    scan = open_capture(copy)
    assert scan.notes["row_cut_off"] == 1
    assert scan.notes["depth_file_of_no_frame"] == 1


def test_a_missing_confidence_image_is_counted(copy: Path) -> None:
    (copy / "confidence/000002.png").unlink()
    scan = open_capture(copy)
    assert scan.notes["frame_without_confidence"] == 1
    assert scan.confidence(NUMBERS[2]) is None
    assert scan.confidence(NUMBERS[3]) is not None


def image(name: str, pixels: NDArray[np.generic]) -> Callable[[Path], object]:
    return lambda room: cv2.imwrite(str(room / name), pixels)


def text(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda room: (room / name).write_bytes(content)


def cells(column: int, *values: str, row: int | None = None) -> Callable[[Path], object]:
    """Write cells of one row of the table, or of all, from a column on."""

    def change(table: list[list[str]]) -> None:
        for line in table[1:] if row is None else [table[row]]:
            line[column : column + len(values)] = values

    return lambda room: edit(room, change)


def cut(rows: slice, columns: slice) -> Callable[[Path], object]:
    """Leave out cells of the table."""

    def change(table: list[list[str]]) -> None:
        for line in table[rows]:
            del line[columns]
        table[:] = [line for line in table if line]

    return lambda room: edit(room, change)


OF_64x48 = "is 5x5, expected 64x48"
DAMAGE: dict[str, tuple[Callable[[Path], object], int | None, str]] = {
    "half a video": (
        lambda room: (room / "rgb.mp4").write_bytes((room / "rgb.mp4").read_bytes()[:2000]),
        None,
        "its header cannot be read",
    ),
    "a video of another capture": (
        lambda room: write_video(room / "rgb.mp4", images(room)[:9], 60),
        None,
        "has 9 frames, but the table has 22 rows: give them as they were recorded",
    ),
    "an empty depth image": (text("depth/000001.png", b""), 1, "neither a PNG"),
    "depth of another size": (image("depth/000001.png", np.ones((5, 5), np.uint16)), 1, OF_64x48),
    "confidence of another size": (image("confidence/000001.png", np.ones((5, 5), np.uint8)), 1, OF_64x48),
    "confidence of another range": (
        image("confidence/000001.png", np.full((48, 64), 9, np.uint8)),
        1,
        "holds 9, expected confidence from 0 to 2",
    ),
    "a table of text": (text("odometry.csv", b"hello\n"), None, "has no column timestamp"),
    "an empty table": (cut(slice(1, None), slice(0, None)), None, "has no row"),
    "a word for a number": (cells(3, "up", row=2), None, "line 3 has 'up'"),
    "a row too short": (cut(slice(2, 3), slice(4, None)), None, "line 3 has 4 values"),
    "a frame twice": (cells(1, "000001", row=3), None, "has two rows of frame 1"),
    "no frame's number": (cells(1, "-1", row=2), None, "line 3 has '-1'"),
    "no depth": (lambda room: shutil.rmtree(room / "depth"), None, "has no depth image for any row"),
    "intrinsics of another video": (
        cells(9, "1600", "1600", "960", "720"),
        None,
        "has intrinsics that are not those of its images of 128x96: fx 1600",
    ),
    "times that are not numbers": (cells(0, "nan"), None, "has no complete frame (frame without depth: 1, row out"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_clear_error(copy: Path, name: str) -> None:
    change, frame, expected = DAMAGE[name]
    change(copy)

    def read(scan: Scan) -> None:
        assert frame is not None
        scan.color(NUMBERS[frame])
        scan.depth(NUMBERS[frame])
        scan.confidence(NUMBERS[frame])

    said = refusal(copy, read if frame is not None else lambda scan: None)
    assert expected in said
    assert frame is None or f"frame {NUMBERS[frame]}" in said


def test_a_video_that_ends_early_names_the_frame_and_leaves_those_before(copy: Path) -> None:
    """Its list of frames stands in front, as in videos for streaming, so that only frames at the end are lost."""
    path = copy / "rgb.mp4"
    data = path.read_bytes()
    start, movie = data.index(b"mdat") - 4, bytearray(data[data.index(b"moov") - 4 :])
    chunks = movie.index(b"stco") + 8  # ISO/IEC 14496-12, 8.7.5
    for entry in range(struct.unpack_from(">I", movie, chunks)[0]):
        (offset,) = struct.unpack_from(">I", movie, chunks + 4 + 4 * entry)
        struct.pack_into(">I", movie, chunks + 4 + 4 * entry, offset + len(movie))
    frames = data[start : start + (len(data) - len(movie) - start) // 2]
    path.write_bytes(data[:start] + bytes(movie) + frames)
    scan = open_capture(copy)
    scan.color(NUMBERS[2])
    with pytest.raises(SourceError, match=rf"rgb.mp4: scene room, frame {NUMBERS[-1]}: ") as caught:
        scan.color(NUMBERS[-1])
    assert "cut off or damaged" in str(caught.value)


def test_the_digest_follows_the_files(twin: Twin, copy: Path) -> None:
    digests = {twin.open().digest(), open_capture(copy).digest()}
    assert len(digests) == 1
    edit(copy, lambda table: table[2].__setitem__(2, "0.5"))
    digests.add(open_capture(copy).digest())
    (copy / "rgb.mp4").write_bytes((copy / "rgb.mp4").read_bytes() + b"\0\0\0\x08free")
    digests.add(open_capture(copy).digest())
    (copy / "confidence/000003.png").unlink()
    digests.add(open_capture(copy).digest())
    assert len(digests) == 4


def test_it_is_recognised_by_its_content(twin: Twin) -> None:
    dataset = RgbdFolder.open(twin.root)
    assert [dataset.kind(scene) for scene in dataset.scene_ids] == ["stray"]
