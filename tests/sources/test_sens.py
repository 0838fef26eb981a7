"""The .sens file: what is written is read, by any route, and damage is named."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.errors import SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.sources.images import decode_color
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import ImuSample, SensWriter
from tests.conftest import look_from

COLOR = Intrinsics(fx=58.5, fy=58.0, cx=32.4, cy=23.9, width=66, height=49)
DEPTH = Intrinsics(fx=28.6, fy=28.5, cx=15.9, cy=11.9, width=32, height=24)
LOST = 3
NAME = b"StructureSensor"


def jpeg(seed: int) -> bytes:
    image = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 255, (49, 66, 3), dtype=np.uint8), (0, 0), 3)
    return cv2.imencode(".jpg", image)[1].tobytes()


def depth(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5000, (24, 32)).astype(np.uint16)


def pose(frame: int) -> np.ndarray:
    return np.full((4, 4), -np.inf) if frame == LOST else look_from((0.1 * frame, 0.2, 1.5), 0.05 * frame)


def write(path: Path, frames: int = 6, imu: int = 4, **options: Any) -> Path:
    samples = [
        ImuSample(
            rotation_rate=(0.1, 0.2, 0.3),
            acceleration=(0.0, 0.0, 9.8),
            magnetic_field=(1.0, 2.0, 3.0),
            attitude=(0.0, 0.1, 0.2),
            gravity=(0.0, 0.0, -1.0),
            timestamp=1000 * index,
        )
        for index in range(imu)
    ]
    with SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH, **options) as writer:
        for frame in range(frames):
            writer.write(
                color=jpeg(frame),
                depth=depth(frame),
                camera_to_world=pose(frame),
                color_timestamp=33_333 * frame,
                depth_timestamp=33_333 * frame + 5,
            )
        writer.write_imu(samples)
    return path


@pytest.fixture
def sens(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.sens")


def test_every_frame_is_read_back_in_any_order(sens: Path) -> None:
    with SensReader(sens) as reader:
        assert len(reader) == 6
        assert (reader.color_compression, reader.depth_compression) == ("jpeg", "zlib")
        assert reader.color_timestamps.tolist() == [33_333 * frame for frame in range(6)]
        for frame in (5, 0, 3, 1):
            assert reader.color_bytes(frame) == jpeg(frame)
            np.testing.assert_array_equal(reader.depth(frame), depth(frame))
            np.testing.assert_array_equal(
                reader.color(frame), cv2.imdecode(np.frombuffer(jpeg(frame), np.uint8), 1)[..., ::-1]
            )
            np.testing.assert_array_equal(reader.camera_to_world[frame], pose(frame).astype(np.float32))


def test_cameras_and_counts_are_read_back(sens: Path) -> None:
    with SensReader(sens) as reader:
        np.testing.assert_allclose(reader.color_intrinsics.matrix, COLOR.matrix, rtol=1e-6)
        np.testing.assert_allclose(reader.depth_intrinsics.matrix, DEPTH.matrix, rtol=1e-6)
        assert (reader.depth_intrinsics.width, reader.depth_intrinsics.height) == (32, 24)
        assert reader.depth_units_per_metre == 1000.0
        assert reader.imu_count == 4
        np.testing.assert_array_equal(reader.depth_to_color, np.eye(4))


def test_lost_tracking_is_the_only_invalid_pose(sens: Path) -> None:
    with SensReader(sens) as reader:
        assert np.flatnonzero(~reader.valid_poses).tolist() == [LOST]


def test_the_bytes_follow_scannets_documented_layout(sens: Path) -> None:
    """An independent parse with struct alone, from the layout table of the format."""
    data = sens.read_bytes()
    length = len(NAME)
    assert struct.unpack_from("<IQ", data) == (4, length)
    assert data[12 : 12 + length] == NAME
    assert struct.unpack_from("<16f", data, 12 + length)[0] == np.float32(COLOR.fx)
    assert struct.unpack_from("<16f", data, 140 + length)[5] == np.float32(DEPTH.fy)
    assert struct.unpack_from("<2i4IfQ", data, 268 + length) == (2, 1, 66, 49, 32, 24, 1000.0, 6)
    position = 304 + length
    for frame in range(6):
        values = struct.unpack_from("<16f4Q", data, position)
        assert values[16:18] == (33_333 * frame, 33_333 * frame + 5)
        color_size, depth_size = values[18:20]
        payload = position + 96
        assert data[payload : payload + color_size] == jpeg(frame)
        raw = zlib.decompress(data[payload + color_size : payload + color_size + depth_size])
        np.testing.assert_array_equal(np.frombuffer(raw, "<u2").reshape(24, 32), depth(frame))
        position = payload + color_size + depth_size
    assert struct.unpack_from("<Q", data, position) == (4,)
    assert len(data) == position + 8 + 4 * 128


@pytest.mark.parametrize("compression", ["raw", "png"])
def test_raw_and_png_colour_are_read(tmp_path: Path, compression: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (49, 66, 3), dtype=np.uint8)
    data = image.tobytes() if compression == "raw" else cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    path = tmp_path / "scene.sens"
    kinds: dict[str, Any] = {"color_compression": compression, "depth_compression": "raw"}
    with SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH, **kinds) as writer:
        writer.write(color=data, depth=depth(1), camera_to_world=np.eye(4))
    with SensReader(path) as reader:
        np.testing.assert_array_equal(reader.color(0), image)
        assert reader.color(0, 2).shape == (25, 33, 3)
        np.testing.assert_array_equal(reader.depth(0), depth(1))


def test_a_reduced_decode_shows_the_same_picture_as_averaging_the_full_one(sens: Path) -> None:
    with SensReader(sens) as reader:
        reduced = reader.color(0, 2).astype(int)
        full = reader.color(0)[:48].reshape(24, 2, 33, 2, 3).mean(axis=(1, 3))
    assert reduced.shape == (25, 33, 3)
    assert np.abs(reduced[:24] - full).mean() < 2.0


def test_a_missing_or_cut_imu_tail_is_tolerated(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.sens", imu=4).read_bytes()
    tail = 8 + 4 * 128
    for cut, count in ((tail, None), (tail - 4, None), (tail - 8, 0), (100, 3)):
        path = tmp_path / f"cut{cut}.sens"
        path.write_bytes(whole[: len(whole) - cut])
        with SensReader(path) as reader:
            assert reader.imu_count == count
            np.testing.assert_array_equal(reader.depth(5), depth(5))


def test_a_truncated_file_names_the_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.sens", imu=0)
    with SensReader(path) as reader:
        end_of_third = reader._offsets[3] - 96
    path.write_bytes(path.read_bytes()[: end_of_third + 200])
    with pytest.raises(SourceError, match=r"scene\.sens: frame 3: is truncated or damaged") as caught:
        SensReader(path)
    assert caught.value.frame == 3
    path.write_bytes(path.read_bytes()[: end_of_third + 40])
    with pytest.raises(SourceError) as caught:
        SensReader(path)
    assert caught.value.frame == 3


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, struct.pack("<I", 3), "has .sens version 3, only 4 can be read"),
        (4, struct.pack("<Q", 1 << 40), "states a sensor name of 1099511627776 bytes"),
        (
            268 + len(NAME),
            struct.pack("<i", 7),
            r"colour compression type 7, known are 0 \(raw\), 1 \(png\), 2 \(jpeg\)",
        ),
        (272 + len(NAME), struct.pack("<i", 2), 'uses "occi" depth compression, which needs a closed library'),
        (272 + len(NAME), struct.pack("<i", -1), "depth compression type -1"),
        (276 + len(NAME), struct.pack("<I", 0), "has impossible image sizes 0x49"),
        (276 + len(NAME), struct.pack("<I", 1 << 31), "has impossible image sizes 2147483648x49"),
        (292 + len(NAME), struct.pack("<f", 0.0), "has depth shift 0"),
        (296 + len(NAME), struct.pack("<Q", 1 << 60), "is truncated: its header states 1152921504606846976 frames,"),
        (296 + len(NAME), struct.pack("<Q", 5), "that are not an IMU tail: a frame states a wrong size"),
        (12 + len(NAME), struct.pack("<f", float("nan")), "colour intrinsics are impossible: fx nan"),
        (304 + len(NAME) + 80, struct.pack("<Q", 1 << 50), "frame 0: is truncated or damaged"),
    ],
)
def test_an_impossible_header_is_refused_with_its_reason(sens: Path, offset: int, value: bytes, message: str) -> None:
    data = bytearray(sens.read_bytes())
    data[offset : offset + len(value)] = value
    sens.write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        SensReader(sens)
    assert str(caught.value).startswith(f"{sens}: ")


def test_no_file_and_an_empty_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.sens: cannot be opened: No such file or directory"):
        SensReader(tmp_path / "missing.sens")
    (tmp_path / "empty.sens").touch()
    with pytest.raises(SourceError, match=r"empty\.sens: is too short to be a \.sens file"):
        SensReader(tmp_path / "empty.sens")


def test_damaged_payloads_are_named_and_do_not_spoil_other_frames(tmp_path: Path) -> None:
    path = tmp_path / "scene.sens"
    half = jpeg(0)[: len(jpeg(0)) // 2]
    other_size = cv2.imencode(".jpg", np.zeros((10, 10, 3), np.uint8))[1].tobytes()
    with SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH) as writer:
        for data in (half, b"garbage", other_size, jpeg(3)):
            writer.write(color=data, depth=depth(0), camera_to_world=np.eye(4))
    with SensReader(path) as reader:
        for frame, message in enumerate(("not a complete JPEG", "not a complete JPEG", "10x10, the header says 66x49")):
            with pytest.raises(SourceError, match=f"frame {frame}: colour image is {message}"):
                reader.color(frame)
        assert reader.color(3).shape == (49, 66, 3)


def test_a_depth_stream_of_the_wrong_length_is_refused_without_inflating_it_all(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.sens", frames=1, imu=0)
    with SensReader(path) as reader:
        start = reader._offsets[0]
    head = bytearray(path.read_bytes()[:start])
    for payload, message in (
        (zlib.compress(bytes(100_000_000)), "depth has 1537 bytes, expected 1536"),
        (zlib.compress(bytes(1000)), "depth has 1000 bytes, expected 1536"),
        (zlib.compress(depth(0).tobytes())[:-3], "depth stream ends after 1536 of 1536 bytes"),
        (b"no zlib", "depth cannot be decompressed"),
    ):
        head[start - 8 : start] = struct.pack("<Q", len(payload))
        path.write_bytes(head + jpeg(0) + payload + bytes(8))
        with SensReader(path) as reader, pytest.raises(SourceError, match=f"frame 0: {message}"):
            reader.depth(0)


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.sens"
    writer = SensWriter(path, color_intrinsics=COLOR, depth_intrinsics=DEPTH)
    with pytest.raises(ValueError, match=r"expected uint16 \(24, 32\)"), writer:
        writer.write(color=b"", depth=np.zeros((2, 2), np.uint16), camera_to_world=np.eye(4))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 20_000), value=st.integers(0, 255), cut=st.none() | st.integers(0, 20_000))
def test_random_damage_gives_the_projects_own_errors_or_data(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int | None
) -> None:
    path = tmp_path_factory.mktemp("damage") / "scene.sens"
    data = bytearray(write(path, frames=3).read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data[:cut] if cut is not None else data)
    with contextlib.suppress(SourceError), SensReader(path) as reader:
        for frame in range(len(reader)):
            assert reader.depth(frame).shape == (reader.depth_intrinsics.height, reader.depth_intrinsics.width)
            assert reader.color(frame).ndim == 3


def test_a_grey_jpeg_becomes_grey_rgb() -> None:
    grey = cv2.imencode(".jpg", np.full((8, 8), 77, np.uint8))[1].tobytes()
    image = decode_color(grey)
    assert image is not None
    assert image.shape == (8, 8, 3)
    assert np.ptp(image, axis=-1).max() == 0
