"""Depth and colour of a folder in the files that people have: what they hold is what a build stores, and what they
cannot mean is refused by name.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.errors import SourceError
from gapdata.files.npy import read_array
from gapdata.records.codec import encode_jpeg
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import decode_depth, depth_kind, metres_per_unit
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.rgbd import RgbdFolder
from tests.support.exports import matrix_text, pgm, png

SIZE = (40, 30)
MILLIMETRES = np.random.default_rng(0).integers(500, 4000, SIZE[::-1]).astype(np.uint16)
MILLIMETRES[0, :5] = 0
METRES = MILLIMETRES / 1000
CAMERA = {"fx": 38.0, "fy": 38.0, "cx": 19.5, "cy": 14.5}


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def tiff(values: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".tiff", values, options)[1].tobytes()


def folder(root: Path, ending: str, depths: list[bytes], **stated: float) -> Path:
    for kind in ("color", "depth", "pose"):
        (root / kind).mkdir(parents=True)
    for k, data in enumerate(depths):
        (root / "color" / f"{k}.jpg").write_bytes(encode_jpeg(np.full((*SIZE[::-1], 3), 90, np.uint8), 90))
        (root / "depth" / f"{k}.{ending}").write_bytes(data)
        (root / "pose" / f"{k}.txt").write_text(matrix_text(np.eye(4)))
    (root / "intrinsics.json").write_text(json.dumps(CAMERA | stated))
    return root


def opened(root: Path, scale: float | None = None) -> ExtractedScan:
    scan = RgbdFolder.open(root, FrameReading(depth_units_per_metre=scale)).open_scan(root.name)
    assert isinstance(scan, ExtractedScan)
    return scan


FORMS = {
    "png": ("PNG", png(MILLIMETRES)),
    "pgm": ("pgm", pgm(MILLIMETRES)),
    "uint16": ("npy", npy(MILLIMETRES)),
    "int32": ("npy", npy(MILLIMETRES.astype(np.int32))),
    "big-endian": ("npy", npy(MILLIMETRES.astype(">u2"))),
    "float32": ("npy", npy(METRES.astype(np.float32))),
    "float64 by columns": ("NPY", npy(np.asfortranarray(METRES))),
    "a channel behind": ("npy", npy(METRES[..., None])),
    "a channel before": ("npy", npy(METRES[None])),
    "16-bit tiff": ("tif", tiff(MILLIMETRES)),
    "float tiff": ("tiff", tiff(METRES.astype(np.float32))),
    "float tiff of millimetres": ("tiff", tiff(MILLIMETRES.astype(np.float32))),
}


@pytest.mark.parametrize(("ending", "data"), FORMS.values(), ids=FORMS.keys())
def test_depth_is_the_same_in_every_file(ending: str, data: bytes, tmp_path: Path) -> None:
    scan = opened(folder(tmp_path / "room", ending, [data, data], depth_scale=1000))
    assert scan.depth_units_per_metre == 1000
    np.testing.assert_array_equal(scan.depth(1), MILLIMETRES)


def test_floats_that_are_no_depth_are_none() -> None:
    values = np.full(SIZE[::-1], 2.0, np.float32)
    values[0, :6] = np.nan, np.inf, -np.inf, -1, 0, 65.6
    values[1, :2] = 65.535, 0.0004
    found = decode_depth(npy(values), SIZE, 1.0)
    assert found[0, :7].tolist() == [0, 0, 0, 0, 0, 0, 2000]
    assert found[1, :2].tolist() == [65535, 0]
    integers = np.full(SIZE[::-1], 70_000, np.int32)
    integers[0, 0] = -5
    integers[0, 1] = 65535
    assert decode_depth(npy(integers), SIZE)[0, :3].tolist() == [0, 65535, 0]


def test_a_stated_scale_is_that_of_floats_where_it_alone_makes_them_a_room() -> None:
    assert metres_per_unit(2.1, None) == metres_per_unit(2.1, 1000) == metres_per_unit(0, 1000) == 1
    assert metres_per_unit(2100, 1000) == 1 / 1000
    assert metres_per_unit(10_500, 5000) == 1 / 5000
    assert metres_per_unit(60, 1000) == 1  # a street
    assert metres_per_unit(4.2, 2) == 1 / 2
    for stated in (None, 1, 4):
        with pytest.raises(ValueError, match="holds floats with a median of 2100, which cannot be metres in a room"):
            metres_per_unit(2100, stated)


def test_a_scale_for_whole_numbers_beside_floats_is_said(tmp_path: Path) -> None:
    floats = npy(METRES)
    assert opened(folder(tmp_path / "a", "npy", [floats], depth_scale=1000)).notes == {
        "depth_scale_not_of_float_depth": 1
    }
    assert opened(folder(tmp_path / "b", "npy", [floats])).notes == {}
    assert opened(folder(tmp_path / "c", "npy", [npy(METRES * 1000)], depth_scale=1000)).notes == {}
    with pytest.raises(
        SourceError, match=r"d/depth/1.npy: .* cannot be metres in a room; state their units per metre: --depth"
    ):
        opened(folder(tmp_path / "d", "npy", [npy(METRES * 0), npy(METRES * 1000)]))
    assert opened(tmp_path / "d", 1000).depth(1)[5, 5] == MILLIMETRES[5, 5]


def test_a_frame_of_another_kind_than_the_first_is_damaged(tmp_path: Path) -> None:
    scan = opened(folder(tmp_path / "room", "npy", [npy(METRES), npy(MILLIMETRES), npy(METRES[:9])]))
    assert scan.depth(0).any()
    with pytest.raises(SourceError, match=r"1.npy: scene room, frame 1: holds whole numbers, other frames hold floats"):
        scan.depth(1)
    with pytest.raises(SourceError, match="is 40x9, expected 40x30"):
        scan.depth(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(METRES)[:-8], r"has \d+ bytes for 1200 values of float64"),
        (npy(np.zeros((30, 40, 3), np.uint16)), r"is an array \(30, 40, 3\) of uint16, expected \(height, width\)"),
        (npy(np.zeros((30, 40), np.uint8)), "of uint8, expected"),
        (npy(np.zeros((30, 40), object)), "header does not describe an array of numbers"),
        (tiff(METRES.astype(np.float32))[:-200], "is a TIFF that is cut off"),
        (tiff(np.zeros((30, 40, 3), np.uint16)), "is a TIFF of 3 channels of dtype u2"),
        (tiff(np.zeros((30, 40), np.uint8)), "is a TIFF of 1 channels of dtype u1"),
        (b"II+\0" + bytes(40), "is a BigTIFF, which is not read"),
        (png(np.zeros((30, 40, 3), np.uint8)), "is a PNG of 8 bits and colour type 2, expected 16-bit greyscale"),
        (b"P2\n40 30\n65535\n" + b"0 " * 1200, "is neither a PNG nor a binary PGM"),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "is an EXR without a data window"),
    ],
)
def test_what_is_no_depth_is_named(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        opened(folder(tmp_path / "room", "tiff", [data])).depth(0)


def test_an_exr_is_read_or_its_cure_is_said() -> None:
    window = b"dataWindow\0box2i\0" + struct.pack("<I4i", 16, 0, 0, 39, 29)
    data = b"\x76\x2f\x31\x01\x02\0\0\0" + window + bytes(100)
    assert depth_kind(data).size == SIZE
    with pytest.raises(ValueError, match=r"EXR cannot be decoded|this OpenCV cannot read; write .npy or float .tiff"):
        decode_depth(data, SIZE, 1.0)


def test_a_header_that_claims_more_than_the_file_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="for 10000000000 values"):
        read_array(npy(METRES).replace(b"(30, 40), ", b"(100000, 100000), ".ljust(18))[:1000])
    few = tiff(np.zeros((600, 600), np.float32))
    for tag in (256, 257):
        few = few.replace(struct.pack("<HHIH", tag, 3, 1, 600), struct.pack("<HHIH", tag, 3, 1, 60_000))
    assert depth_kind(few).size == (60_000, 60_000)
    with pytest.raises(ValueError, match="TIFF has too few bytes to hold 60000x60000 pixels"):
        decode_depth(few, (60_000, 60_000), 1.0)


@pytest.mark.parametrize("ending", ["bmp", "webp", "tiff", "png", "jpg"])
def test_colour_is_read_from_what_opencv_reads(ending: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:30, :40]
    image = np.stack([rows * 8, columns * 6, 255 - rows * 4], -1).astype(np.uint8)
    data = cv2.imencode(f".{ending}", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 100])[1].tobytes()
    assert color_size(data) == SIZE
    found = decode_color_file(data)
    assert found is not None
    assert np.abs(found.astype(int) - image).mean() < 4
    with pytest.raises(ValueError, match=r"is neither a complete JPEG or PNG|is a TIFF that is cut off"):
        color_size(data[: len(data) // 2])
    root = folder(tmp_path / "room", "png", [png(MILLIMETRES)])
    (root / "color" / "0.jpg").unlink()
    (root / "color" / f"0.{ending.upper()}").write_bytes(data)
    scan = opened(root)
    assert scan.color(0, 2).shape == (15, 20, 3)
    assert (scan.color_jpeg(0) is not None) == (ending == "jpg")
