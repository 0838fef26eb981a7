"""Read depth files: their kind and size before they are decoded, and their pixels as whole numbers.

Whole numbers (16-bit greyscale PNG, PGM and TIFF, ``.npy`` of integers) are in units of the scan's depth scale. Floats
(``.npy``, TIFF, EXR) are metres, also beside a scale that is stated for whole numbers, unless only the stated scale
makes them the depth of a room; other floats are refused (:func:`metres_per_unit`). They become millimetres; a value
that is negative, not finite or beyond the 65.5 m that 16 bits hold becomes 0, which means unknown.
"""

from __future__ import annotations

import io
import os
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.files.image_tags import PNG_SIGNATURE
from gapdata.files.npy import read_array, read_header
from gapdata.files.tiff import BIG_TIFF, MAGIC, read_page
from gapdata.sources.images import chunks_are_sound, could_hold, encoded_image_size

PGM_HEADER = re.compile(rb"P5\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s")
PGM_HEADER_BYTES = 1024
NPY_MAGIC = b"\x93NUMPY"
EXR_MAGIC = b"\x76\x2f\x31\x01"
EXR_WINDOW = b"dataWindow\x00box2i\x00\x10\x00\x00\x00"
EXR_HEADER_BYTES = 1 << 16
MILLIMETRES = 1000.0
NEAREST, FARTHEST = 0.1, 100.0
"""Metres between which the median depth of a frame of a room is."""
LARGEST = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthKind:
    """The size and the kind of numbers of a depth file, by its first bytes."""

    size: tuple[int, int]  # (width, height)
    floats: bool  # metres, unless :func:`metres_per_unit` says otherwise


def depth_kind(data: bytes) -> DepthKind:
    """Return the size and kind of a depth file's pixels.

    Raises:
        ValueError: the bytes are not a depth image, or stop before the image ends; the message says what they are.
    """
    if data.startswith(PNG_SIGNATURE):
        return DepthKind(size=_png_size(data), floats=False)
    if data.startswith(NPY_MAGIC):
        dtype, height, width = _npy_sides(data)
        return DepthKind(size=(width, height), floats=dtype.kind == "f")
    if data[:4] in MAGIC or data[:4] in BIG_TIFF:
        page = read_page(data)
        if page.samples != 1 or page.kind not in ("u2", "i2", "u4", "i4", "f4", "f8"):
            raise ValueError(
                f"is a TIFF of {page.samples} channels of dtype {page.kind}, expected one channel of u2 or f4"
            )
        if not page.upright:
            raise ValueError("is a TIFF that is turned by its orientation tag; store it upright")
        return DepthKind(size=(page.width, page.height), floats=page.kind[0] == "f")
    if data.startswith(EXR_MAGIC):
        return DepthKind(size=_exr_size(data), floats=True)
    return DepthKind(size=_pgm_size(data), floats=False)


def decode_depth(data: bytes, size: tuple[int, int], float_unit: float | None = None) -> NDArray[np.uint16]:
    """Decode a depth file to (H, W) uint16: whole numbers as stored, floats in millimetres.

    Args:
        data: the file.
        size: the (width, height) that it must have.
        float_unit: metres of a unit of a file of floats; ``None`` for whole numbers.

    Raises:
        ValueError: it is damaged or has another size or kind; the message says which.
    """
    kind = depth_kind(data)
    if kind.size != size:
        raise ValueError(f"is {kind.size[0]}x{kind.size[1]}, expected {size[0]}x{size[1]}")
    if kind.floats != (float_unit is not None):
        held, others = ("floats", "whole numbers") if kind.floats else ("whole numbers", "floats")
        raise ValueError(f"holds {held}, other frames hold {others}")
    pixels = _pixels(data, size)
    if kind.floats or pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        return as_sixteen_bits(pixels, 1.0 if float_unit is None else float_unit * MILLIMETRES)
    return np.ascontiguousarray(pixels, dtype=np.uint16)


def as_sixteen_bits(pixels: NDArray[Any], scale: float) -> NDArray[np.uint16]:
    """Scale (H, W) numbers to uint16; 0 where they are negative, not finite or too large."""
    values = pixels.astype(np.float64) * scale
    with np.errstate(invalid="ignore"):
        usable = (values > 0) & (values < LARGEST + 0.5)
    return np.rint(np.where(usable, values, 0)).astype(np.uint16)


def metres_per_unit(median: float, stated: float | None) -> float:
    """Return the metres of a unit of floats: by the stated scale if that makes the depth of a room, else 1.

    Args:
        median: of a frame's floats, from :func:`median_depth`; 0 for an empty frame.
        stated: units per metre.

    Raises:
        ValueError: neither the stated scale nor metres make it the depth of a room.
    """
    if stated is not None and NEAREST <= median / stated <= FARTHEST:
        return 1 / stated
    if median <= FARTHEST:
        return 1.0
    raise ValueError(f"holds floats with a median of {median:.6g}, which cannot be metres in a room")


def median_depth(data: bytes) -> float:
    """Return the median of the positive, finite values of a depth file of floats; 0 for an empty one.

    Raises:
        ValueError: it is damaged.
    """
    values = _pixels(data, depth_kind(data).size).astype(np.float64)
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if len(values) else 0.0


def _pixels(data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    """Return the pixels as stored, (H, W)."""
    if data.startswith(NPY_MAGIC):
        _npy_sides(data)
        return read_array(data).reshape(size[1], size[0])
    if data[:2] == b"P5":
        header = PGM_HEADER.match(data[:PGM_HEADER_BYTES])
        assert header is not None
        pixels = np.frombuffer(data, dtype=">u2", count=size[0] * size[1], offset=header.end())
        return pixels.reshape(size[1], size[0])
    if data.startswith(PNG_SIGNATURE) and not chunks_are_sound(data):
        raise ValueError("PNG has a chunk with a wrong checksum")
    return _decoded(data, size)


def _decoded(data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    """Decode a PNG, TIFF or EXR with OpenCV, (H, W)."""
    name = "PNG" if data.startswith(PNG_SIGNATURE) else "EXR" if data.startswith(EXR_MAGIC) else "TIFF"
    if not could_hold(len(data), size):
        raise ValueError(f"{name} has too few bytes to hold {size[0]}x{size[1]} pixels")
    if name == "EXR":
        # Off unless asked for, and read when the first EXR is decoded.
        os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
    import cv2

    if name == "EXR" and not re.search(r"OpenEXR:\s*(?!NO)", cv2.getBuildInformation()):
        raise ValueError("is an EXR, which this OpenCV cannot read; write .npy or float .tiff, in metres")
    try:
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"{name} cannot be decoded") from error
    if image is not None and name == "EXR" and image.ndim == 3:
        image = image[..., 0]
    if image is None or image.shape != (size[1], size[0]) or (name == "PNG" and image.dtype != np.uint16):
        raise ValueError(f"{name} cannot be decoded")
    return image


def _png_size(data: bytes) -> tuple[int, int]:
    if encoded_image_size(data) is None:
        raise ValueError("is cut off before the end of the PNG")
    width, height, bits, color_type = struct.unpack(">IIBB", data[16:26])
    if (bits, color_type) != (16, 0):
        raise ValueError(f"is a PNG of {bits} bits and colour type {color_type}, expected 16-bit greyscale")
    return width, height


def _pgm_size(data: bytes) -> tuple[int, int]:
    header = PGM_HEADER.match(data[:PGM_HEADER_BYTES])
    if header is None:
        raise ValueError("is neither a PNG nor a binary PGM (P5), .npy, TIFF or EXR")
    width, height, levels = (int(value) for value in header.groups())
    if not 255 < levels < 65536:
        raise ValueError(f"is a PGM of {levels} levels, expected 65535")
    if len(data) - header.end() < width * height * 2:
        raise ValueError(f"is cut off: the PGM has {len(data) - header.end()} of {width * height * 2} bytes")
    return width, height


def _npy_sides(data: bytes) -> tuple[np.dtype[Any], int, int]:
    """Return dtype, height and width; sides of length 1 around the image do not count."""
    dtype, shape, _ = read_header(io.BytesIO(data))
    sides = shape
    if len(sides) == 3 and 1 in (sides[0], sides[2]):
        sides = sides[1:] if sides[0] == 1 else sides[:2]
    if len(sides) != 2 or dtype.kind not in "iuf" or dtype.itemsize < 2:
        raise ValueError(f"is an array {shape} of {dtype}, expected (height, width) of uint16 or float32")
    return dtype, sides[0], sides[1]


def _exr_size(data: bytes) -> tuple[int, int]:
    at = data.find(EXR_WINDOW, 0, EXR_HEADER_BYTES)
    if at < 0 or len(data) < at + len(EXR_WINDOW) + 16:
        raise ValueError("is an EXR without a data window")
    left, top, right, bottom = struct.unpack_from("<4i", data, at + len(EXR_WINDOW))
    return right - left + 1, bottom - top + 1
