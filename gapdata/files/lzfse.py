"""Unpack Apple's LZFSE streams, in which Record3D keeps depth.

A stream is a row of blocks up to an end mark (lzfse_internal.h of https://github.com/lzfse/lzfse). Their headers tell
how many bytes come out, which is known before anything is unpacked. Blocks that are only stored are read here; packed
ones need the library pyliblzfse, which is the extra ``record3d`` of this package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

END, STORED, LZVN, FIRST, SECOND = b"bvx$", b"bvx-", b"bvxn", b"bvx1", b"bvx2"
FIRST_HEADER = 772  # bytes of the header of "bvx1" with its four tables of frequencies
CUT = "is an LZFSE stream that is cut off or damaged"
INSTALL = "pip install pyliblzfse"
TWENTY_BITS = (1 << 20) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _PackedBlock:
    stored: bool
    start: int  # of its content
    unpacked: int  # bytes


def unpacked_size(data: bytes) -> int:
    """Return how many bytes a stream states to hold.

    Raises:
        ValueError: it is not a whole LZFSE stream.
    """
    return sum(block.unpacked for block in _blocks(data))


def needs_library(data: bytes) -> bool:
    """Return whether a stream has packed blocks.

    Raises:
        ValueError: it is not a whole LZFSE stream.
    """
    return not all(block.stored for block in _blocks(data))


def unpack(data: bytes, size: int) -> bytes:
    """Unpack a stream.

    Args:
        data: the stream.
        size: the bytes that must come out; a stream that states another number is not unpacked.

    Raises:
        ValueError: it is damaged, or holds another number of bytes.
        ImportError: it has packed blocks, and the library is not installed.
    """
    blocks = list(_blocks(data))
    stated = sum(block.unpacked for block in blocks)
    if stated != size:
        raise ValueError(f"holds {stated} bytes, expected {size}")
    if all(block.stored for block in blocks):
        return b"".join(data[block.start : block.start + block.unpacked] for block in blocks)
    import liblzfse

    try:
        unpacked: bytes = liblzfse.decompress(data)
    except (liblzfse.error, MemoryError) as error:
        # For some damaged blocks the library asks for ever more room, until there is none; it does not write there.
        raise ValueError(CUT) from error
    if len(unpacked) != size:
        raise ValueError(CUT)
    return unpacked


def _blocks(data: bytes) -> Iterator[_PackedBlock]:
    """Yield the blocks of a stream.

    Raises:
        ValueError: one does not fit, or the end mark is missing.
    """
    position = 0
    while data[position : position + 4] != END:
        try:
            block, length = _block(data, position)
        except struct.error as error:
            raise ValueError(CUT) from error
        position += length
        if position > len(data):
            raise ValueError(CUT)
        yield block


def _block(data: bytes, position: int) -> tuple[_PackedBlock, int]:
    """Return the block at a position, and its length in bytes."""
    kind = data[position : position + 4]
    (unpacked,) = struct.unpack_from("<I", data, position + 4)
    if kind == STORED:
        return _PackedBlock(stored=True, start=position + 8, unpacked=unpacked), 8 + unpacked
    if kind == LZVN:
        length = 12 + struct.unpack_from("<I", data, position + 8)[0]
    elif kind == FIRST:
        literals, matches = struct.unpack_from("<II", data, position + 20)
        length = FIRST_HEADER + literals + matches
    elif kind == SECOND:
        fields = struct.unpack_from("<3Q", data, position + 8)
        header = fields[2] & 0xFFFFFFFF
        length = header + (fields[0] >> 20 & TWENTY_BITS) + (fields[1] >> 40 & TWENTY_BITS)
        if header < 32:
            raise ValueError(CUT)
    else:
        raise ValueError("is not an LZFSE stream" if position == 0 else CUT)
    return _PackedBlock(stored=False, start=position, unpacked=unpacked), length
