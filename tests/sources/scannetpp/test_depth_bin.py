"""``depth.bin``: three encodings that look alike are told apart, and read in any order."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import LocalFile, location
from gapdata.sources.scannetpp import depth_bin as module
from gapdata.sources.scannetpp.depth_bin import StreamedDepth, open_depth
from tests.support.object_stores import s3_server
from tests.support.scannetpp_scenes import depth_bin, lz4_block, raw_deflate

ENCODINGS = ("stream", "lz4", "deflate")
COUNT = 230


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint16]]:
    rng = np.random.default_rng(0)
    ramp = np.cumsum(rng.integers(0, 9, (192, 256)), axis=1) + 800
    return [np.where(ramp % 97 == 0, 0, ramp + frame).astype(np.uint16) for frame in range(COUNT)]


@pytest.fixture(scope="module")
def files(images: list[NDArray[np.uint16]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    for encoding in ENCODINGS:
        (folder / encoding).write_bytes(depth_bin(encoding, images))
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_is_recognised_and_gives_the_same_images_in_any_order(
    encoding: str, files: Path, images: list[NDArray[np.uint16]]
) -> None:
    file = open_depth(files / encoding)
    assert file.encoding == encoding
    assert file.count == (None if encoding == "stream" else COUNT)
    assert not file.cut_off
    places = [0, 1, 5, 4, COUNT - 1, 99, 100, 101, 3, 3, *random.Random(1).sample(range(COUNT), 12)]
    for place in places:
        found = file.image(place)
        assert found.dtype == np.uint16
        assert np.array_equal(found, images[place]), place
    assert not file.image(COUNT).any()
    assert not file.image(COUNT + 300).any()
    assert file.count == COUNT, "the end is known once it was reached"
    assert np.array_equal(file.image(7), images[7])
    file.close()


class Watched(LocalFile):
    """A file that remembers where it was read first since it was last asked."""

    first: int | None = None

    def read_at(self, offset: int, size: int) -> bytes:
        self.first = offset if self.first is None else min(self.first, offset)
        return super().read_at(offset, size)


def test_going_back_in_a_stream_does_not_start_at_its_beginning(files: Path) -> None:
    file = Watched(files / "stream")
    stream = StreamedDepth(file)
    stream.image(COUNT - 1)
    file.first = None
    stream.image(150)
    assert file.first is not None
    assert file.first > file.size * 0.3


def test_metres_are_rounded_and_what_is_no_distance_becomes_none(tmp_path: Path) -> None:
    metres = np.full((192, 256), 1.2346, dtype="<f4")
    metres[0, :6] = [np.nan, np.inf, -1, 70, 0, 0.0004]
    (tmp_path / "depth.bin").write_bytes(raw_deflate(metres.tobytes()))
    image = open_depth(tmp_path / "depth.bin").image(0)
    assert image[0, :7].tolist() == [0, 0, 0, 0, 0, 0, 1235]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_that_is_cut_off_gives_the_images_before_the_cut(
    encoding: str, files: Path, tmp_path: Path, images: list[NDArray[np.uint16]]
) -> None:
    data = (files / encoding).read_bytes()
    (tmp_path / "depth.bin").write_bytes(data[: len(data) // 2 + 7])
    file = open_depth(tmp_path / "depth.bin")
    assert file.encoding == encoding
    assert np.array_equal(file.image(50), images[50])
    with pytest.raises(ValueError, match="is cut off"):
        file.image(COUNT - 1)
    if encoding != "stream":
        assert file.count is not None
        assert file.count < COUNT
        assert file.cut_off


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"abcd", "holds no depth image of 256x192"),
        (b"\x10\x00\x00\x00" + bytes(16), "holds no depth image"),
        (random.Random(0).randbytes(200_000), "holds no depth image"),
        (raw_deflate(bytes(100)), "holds no depth image"),
    ],
    ids=["empty", "four letters", "a block of zeros", "noise", "a short stream"],
)
def test_something_else_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "depth.bin").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        open_depth(tmp_path / "depth.bin")


def test_a_damaged_block_is_named_and_the_others_are_read(files: Path, tmp_path: Path) -> None:
    whole = np.full((192, 256), 5, dtype=np.uint16)
    short = lz4_block(whole.tobytes()[:-2])  # a sound block, of too few bytes
    blocks = [lz4_block(whole.tobytes()), short, lz4_block(whole.tobytes() + b"12"), lz4_block(whole.tobytes())]
    (tmp_path / "depth.bin").write_bytes(b"".join(len(block).to_bytes(4, "little") + block for block in blocks))
    file = open_depth(tmp_path / "depth.bin")
    for place in (1, 2):
        with pytest.raises(ValueError, match=f"damaged block of .* for image {place}"):
            file.image(place)
    assert (file.image(3) == 5).all()


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(1 << 28)) + bomb.flush()
    (tmp_path / "depth.bin").write_bytes(len(data).to_bytes(4, "little") + data)
    with pytest.raises(ValueError, match="holds no depth image"):
        open_depth(tmp_path / "depth.bin")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_in_a_store_opening_reads_one_window_only(
    encoding: str, files: Path, images: list[NDArray[np.uint16]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 1 << 20)  # the files are smaller than real ones
    with s3_server() as store:
        place = location(store.copy_in(files, "depth") + f"/{encoding}")
        assert isinstance(place, ObjectPath)
        file = open_depth(place)
        read = sum(request.bytes_read for request in store.requests)
        assert read < 3 << 20
        assert file.count is None
        for index in (3, 120, 5):
            assert np.array_equal(file.image(index), images[index])
        file.close()
