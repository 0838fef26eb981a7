"""Replace the random numbers by which FFmpeg names an mkv and its tracks, so that equal frames give equal bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SEGMENT = 0x18538067
NAMED = (0x1549A966, 0x1654AE6B, 0x1254C367)
"""Info, Tracks and Tags, which hold random numbers (RFC 9559, section 5.1)."""
UNIQUE = (b"\x73\xa4\x90", b"\x73\xc5\x88", b"\x63\xc5\x88")
"""SegmentUUID of 16 bytes, TrackUID and TagTrackUID of 8, each with its size (RFC 9559, section 5.1)."""
CHECKSUM = b"\xbf\x84"  # CRC-32 of 4 bytes, the first in its element


def without_random_numbers(mkv: bytes) -> bytes:
    """Return an mkv with the same numbers for its identity each time, and checksums that fit."""
    data = bytearray(mkv)
    for name, start, end in _elements(data, 0, len(data)):
        if name != SEGMENT:
            continue
        for inner, first, last in _elements(data, start, end):
            if inner in NAMED:
                _rename(data, first, last)
    return bytes(data)


def _rename(data: bytearray, start: int, end: int) -> None:
    for mark in UNIQUE:
        at = data.find(mark, start, end)
        if at >= 0:
            size = mark[-1] & 0x7F
            data[at + len(mark) : at + len(mark) + size] = bytes(size - 1) + b"\x01"
    if data.startswith(CHECKSUM, start):
        data[start + 2 : start + 6] = zlib.crc32(data[start + 6 : end]).to_bytes(4, "little")


def _elements(data: bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, beginning and end of the content of each element (RFC 8794, sections 4 and 5)."""
    while start < end:
        width = 9 - data[start].bit_length()
        name, start = int.from_bytes(data[start : start + width], "big"), start + width
        width = 9 - data[start].bit_length()
        size = int.from_bytes(data[start : start + width], "big") & ((1 << (7 * width)) - 1)
        start += width
        yield name, start, start + size
        start += size
