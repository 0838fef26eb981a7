"""Files that claim what they do not hold, and the way in which each must be refused."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.errors import GapDataError
from gapdata.records.codec import (
    encode_jpeg,
    encode_png,
)

SCENE = "scene0000_00"

DEEP_LIST = b"[" * 10_000 + b"]" * 10_000

DEEP_OBJECT = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


def refused(kind: type[GapDataError], problem: str, work: Callable[[], Any], *, megabytes: float = 4.0) -> None:
    """``work`` raises that error, in one line, and takes little memory for it."""
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=problem) as caught:
            work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2500
    assert peak < megabytes * 2**20


def changed(path: Path, offset: int, data: bytes) -> Path:
    """The file with some bytes written over."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose frame header states another size."""
    data = bytearray(encode_jpeg(np.zeros((24, 32, 3), np.uint8), 90))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_claiming(width: int, height: int) -> bytes:
    """A small 16-bit PNG whose header states another size, with the checksum that belongs to it."""
    import zlib

    data = bytearray(encode_png(np.zeros((24, 32), np.uint16)))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def npy_claiming(shape: str, dtype: str = "<f4") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
