"""Frames of a video: counted as they are coded, unturned, from a disk or a store; damaged ones give one clear error."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.files.storage import location
from gapdata.files.video import MAX_PIXELS, OPTIONS_VARIABLE, VideoFrames
from gapdata.files.video_header import VideoHeader, read_video_header
from tests.support.object_stores import BUCKET, DENIED, Store, s3_server

FRAMES = 40
LEVELS = 6
"""Between the grey levels of two frames."""
CODECS = {"walk.mkv": "FFV1", "walk.mp4": "mp4v", "walk.mov": "mp4v"}


def write_video(path: Path, frames: int = FRAMES, size: tuple[int, int] = (96, 64)) -> Path:
    """Frame k is k * LEVELS + 3 grey, with a noisy stripe and a red right half."""
    rng = np.random.default_rng(3)
    fourcc = cv2.VideoWriter.fourcc(*CODECS[path.name])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, 30.0, size)
    assert writer.isOpened()
    for frame in range(frames):
        image = np.full((size[1], size[0], 3), frame % 40 * LEVELS + 3, np.uint8)
        image[::9] = rng.integers(0, 255, image[::9].shape)
        image[:, size[0] // 2 :] = (0, 0, 255)  # BGR
        writer.write(image)
    writer.release()
    return path


def number(image: np.ndarray) -> int:
    """The number of a frame by its grey level."""
    return round(float(np.median(image[:, : image.shape[1] // 2 - 8])) / LEVELS - 0.25)


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def hide_first_frame(data: bytearray) -> None:
    """Let the edit list begin one frame into the track (ISO/IEC 14496-12, 8.6.6)."""
    timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    struct.pack_into(">i", data, data.index(b"elst") + 16, timescale // 30)


def turn_by_tag(data: bytearray) -> None:
    """Let the track's matrix turn the picture by 90 degrees (ISO/IEC 14496-12, 8.3.2)."""
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as server:
        yield server


@pytest.mark.parametrize("name", list(CODECS))
def test_frames_come_in_any_order_asked(tmp_path: Path, name: str) -> None:
    with VideoFrames(write_video(tmp_path / name)) as video:
        assert video.size == (96, 64)
        assert video.stated_count == FRAMES
        for index in (0, 0, 1, 7, 7, 39, 3, 4, 0):
            image = video.frame(index)
            assert image.shape == (64, 96, 3)
            assert number(image) == index
        red = image[30, 80].astype(int)
        assert red[0] > 200
        assert max(red[1:]) < 60
        assert video.count_by_decoding() == FRAMES
        assert number(video.frame(5)) == 5


def test_the_last_frame_is_there_also_after_the_end_was_met(tmp_path: Path) -> None:
    with VideoFrames(write_video(tmp_path / "walk.mkv")) as video:
        for _ in range(2):
            with pytest.raises(ValueError, match="ends after 40 frames"):
                video.frame(FRAMES)
            assert number(video.frame(FRAMES - 1)) == FRAMES - 1
        assert video.count_by_decoding() == FRAMES
        assert number(video.frame(FRAMES - 1)) == FRAMES - 1


def test_an_edit_list_hides_a_frame_from_players_and_not_from_us(tmp_path: Path) -> None:
    path = patched(write_video(tmp_path / "walk.mp4"), hide_first_frame)
    player = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert number(player.read()[1]) == 1
    with VideoFrames(path) as video:
        assert [number(video.frame(index)) for index in range(3)] == [0, 1, 2]
        assert video.count_by_decoding() == FRAMES


def test_a_tag_does_not_turn_the_frames(tmp_path: Path) -> None:
    path = patched(write_video(tmp_path / "walk.mp4"), turn_by_tag)
    player = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    assert player.read()[1].shape == (96, 64, 3)
    with VideoFrames(path) as video:
        assert video.size == (96, 64)
        assert video.frame(2).shape == (64, 96, 3)


@pytest.mark.parametrize("before", [None, "rtsp_transport;tcp"])
def test_the_options_of_the_process_are_as_before(
    tmp_path: Path, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(OPTIONS_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(OPTIONS_VARIABLE, before)
    with VideoFrames(write_video(tmp_path / "walk.mp4")) as video:
        video.frame(0)
    assert os.environ.get(OPTIONS_VARIABLE) == before


@pytest.mark.parametrize("name", ["walk.mkv", "walk.mp4"])
def test_a_store_gives_the_same_frames(tmp_path: Path, name: str, store: Store) -> None:
    path = write_video(tmp_path / name)
    if name == "walk.mp4":
        patched(path, hide_first_frame)
    store.write(f"videos/{name}", path.read_bytes())
    with VideoFrames(location(f"s3://{BUCKET}/videos/{name}")) as remote, VideoFrames(path) as local:
        assert remote.size == local.size
        for index in (0, 9, 2):
            assert np.array_equal(remote.frame(index), local.frame(index))
        assert remote.count_by_decoding() == FRAMES


def test_a_refusal_of_the_store_is_its_own_error(tmp_path: Path, store: Store) -> None:
    store.write("videos/walk.mkv", write_video(tmp_path / "walk.mkv").read_bytes())
    with VideoFrames(location(f"s3://{BUCKET}/videos/walk.mkv")) as video:
        video.frame(5)
        with store.refusing(lambda request: ("403 Forbidden", DENIED)), pytest.raises(PermissionError):
            video.frame(0)


def test_a_missing_video_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        VideoFrames(tmp_path / "walk.mp4")


def test_a_folder_is_not_a_video(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        VideoFrames(tmp_path)


def test_a_cut_mkv_says_after_how_many_frames_it_ends(tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoFrames(path) as video:
        assert number(video.frame(3)) == 3
        with pytest.raises(ValueError, match=r"ends after \d+ frames of the 40 that its header states"):
            video.frame(39)
        assert 5 < video.count_by_decoding() < FRAMES


def test_a_hole_in_the_middle_is_noticed(tmp_path: Path) -> None:
    """FFmpeg looks for the next whole block and goes on, as if the frames between had not been there."""

    def damage(data: bytearray) -> None:
        start, length = len(data) * 3 // 10, len(data) // 10
        data[start : start + length] = bytes(length)

    path = patched(write_video(tmp_path / "walk.mkv", frames=200), damage)
    with VideoFrames(path) as video:
        for index in (199, 198, 199):
            with pytest.raises(ValueError, match=r"s are missing after its first \d+ frames") as caught:
                video.frame(index)
        whole = int(str(caught.value).split()[-2])
        with pytest.raises(ValueError, match="s are missing"):
            video.frame(whole)
        assert 20 < whole < 120
        video.frame(whole - 1)
        assert number(video.frame(3)) == 3
        with pytest.raises(ValueError, match="s are missing"):
            video.count_by_decoding()


@pytest.mark.parametrize("side", [9000, 65535])
def test_frames_of_an_absurd_size_are_not_decoded(tmp_path: Path, side: int) -> None:
    def claim(data: bytearray) -> None:
        """State another size of the track (RFC 9559, 5.1.4.1.28.6 and .7)."""
        for element, stated in ((b"\xb0\x82", 320), (b"\xba\x82", 256)):
            at = data.index(element + struct.pack(">H", stated))
            struct.pack_into(">H", data, at + 2, side)

    path = patched(write_video(tmp_path / "walk.mkv", frames=3, size=(320, 256)), claim)
    before = resident()
    with pytest.raises(ValueError, match=f"states frames of {side}x{side} pixels|header cannot be read"):
        VideoFrames(path)
    assert resident() - before < 64 << 20


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n", "is not an mp4, mov or mkv video"),
        (b"RIFF\0\0\0\0AVI LIST", "is not an mp4, mov or mkv video"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "its header cannot be read"),
        (b"\x1a\x45\xdf\xa3" + b"\xff" * 64, "its header cannot be read"),
    ],
)
def test_what_is_not_a_video_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "walk.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=expected):
        VideoFrames(path)


def test_a_codec_that_opencv_lacks_is_named(tmp_path: Path) -> None:
    def claim_av1(data: bytearray) -> None:
        at = data.index(b"mp4v", data.index(b"stsd"))
        data[at : at + 4] = b"av01"
        mpeg4_visual = data.index(b"\x20\x11", data.index(b"esds"))  # objectTypeIndication (ISO/IEC 14496-1, 7.2.6.6)
        data[mpeg4_visual] = 0

    path = patched(write_video(tmp_path / "walk.mp4"), claim_av1)

    def first() -> None:
        with VideoFrames(path) as video:
            video.frame(0)

    with pytest.raises(ValueError, match="AV1"):
        first()


def resident() -> int:
    """Bytes of this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mp4", frames=120, size=(960, 720))
    with VideoFrames(path) as video:
        video.frame(20)
        before = resident()
        for index in range(20, 120):
            video.frame(index)
        video.frame(0)
        video.frame(60)
    assert resident() - before < 8 * 960 * 720 * 3


@pytest.mark.parametrize("name", list(CODECS))
def test_a_header_tells_size_and_number_without_decoding(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name)
    known = name != "walk.mkv"
    expected = VideoHeader(size=(96, 64), frames=FRAMES if known else None, longest_step=1 / 30 if known else 0)
    assert read_video_header(path) == expected
    if name != "walk.mkv":
        assert read_video_header(patched(path, hide_first_frame)) == expected
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ValueError, match="its header cannot be read"):
            read_video_header(path)


def test_a_pause_that_the_header_lists_is_not_a_hole(tmp_path: Path) -> None:
    def pause(data: bytearray) -> None:
        """List a duration of 40/30 s for each frame (ISO/IEC 14496-12, 8.6.1.2)."""
        at = data.index(b"stts") + 4
        count, frames, step = struct.unpack_from(">III", data, at + 4)
        assert (count, frames) == (1, FRAMES)
        timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
        assert step == timescale // 30
        struct.pack_into(">I", data, at + 12, step * 40)

    path = patched(write_video(tmp_path / "walk.mp4"), pause)
    header = read_video_header(path)
    assert header.longest_step == pytest.approx(40 / 30)
    with VideoFrames(path, header.longest_step) as video:
        assert video.count_by_decoding() == FRAMES


def test_a_damaged_header_never_ends_in_anything_but_a_refusal(tmp_path: Path) -> None:
    data = write_video(tmp_path / "walk.mp4").read_bytes()
    rng = np.random.default_rng(2)
    moov = data.index(b"moov")
    for _ in range(200):
        damaged = bytearray(data)
        for at in rng.integers(moov, len(data), 3):
            damaged[at] = int(rng.integers(256))
        path = tmp_path / "damaged.mp4"
        path.write_bytes(damaged)
        try:
            found = read_video_header(path)
        except ValueError:
            continue
        assert found.size[0] * found.size[1] <= MAX_PIXELS
