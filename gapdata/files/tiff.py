"""Read size and kind of pixels of a TIFF file's first page (TIFF 6.0), before a decoder allocates memory."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

MAGIC = {b"II*\x00": "<", b"MM\x00*": ">"}
BIG_TIFF = (b"II+\x00", b"MM\x00+")
WIDTH, HEIGHT, BITS, ORIENTATION, SAMPLES, FORMAT = 256, 257, 258, 274, 277, 339
TILE_WIDTH, TILE_HEIGHT = 322, 323
PIECES = ((273, 279), (324, 325))
"""Offsets and byte counts of strips, and of tiles."""
WIDTHS = {1: 1, 3: 2, 4: 4}  # bytes of a value by its type: BYTE, SHORT, LONG
MAX_TAGS, MAX_VALUES = 1024, 1 << 20
FORMATS: Mapping[int, Literal["u", "i", "f"]] = {1: "u", 2: "i", 3: "f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPage:
    """The pixels of a page, by its tags."""

    width: int
    height: int
    kind: str  # dtype as NumPy writes it: u2, f4
    samples: int  # of a pixel
    upright: bool


def read_page(data: bytes) -> TiffPage:
    """Read the tags of the first page of a file.

    Raises:
        ValueError: it is not a TIFF, is cut off, or has pixels of an unusual kind.
    """
    if data[:4] in BIG_TIFF:
        raise ValueError("is a BigTIFF, which is not read; save it as a classic TIFF")
    order = MAGIC.get(data[:4])
    if order is None:
        raise ValueError("is not a TIFF")
    tags = _tags(data, order)
    if WIDTH not in tags or HEIGHT not in tags or not any(offsets in tags for offsets, _ in PIECES):
        raise ValueError("is a TIFF without a size or without pixels")
    for offsets, counts in PIECES:
        starts, sizes = (np.array(tags.get(tag, ()), dtype=np.int64) for tag in (offsets, counts))
        if len(starts) != len(sizes) or (starts + sizes > len(data)).any():
            raise ValueError("is a TIFF that is cut off: it does not hold all its pixels")
    bits, sample_format = set(tags.get(BITS, [1])), set(tags.get(FORMAT, [1]))
    if len(bits) != 1 or len(sample_format) != 1 or not sample_format <= FORMATS.keys() or not bits <= {8, 16, 32, 64}:
        raise ValueError(
            f"is a TIFF of {sorted(bits)} bits and sample format {sorted(sample_format)}, which is not read"
        )
    tile = (tags.get(TILE_WIDTH, [0])[0], tags.get(TILE_HEIGHT, [0])[0])
    width, height = tags[WIDTH][0], tags[HEIGHT][0]
    if max(tile) > 2 * max(width, height, 512):
        raise ValueError(f"is a TIFF of {width}x{height} in tiles of {tile[0]}x{tile[1]}, which are too large")
    return TiffPage(
        width=width,
        height=height,
        kind=f"{FORMATS[sample_format.pop()]}{bits.pop() // 8}",
        samples=tags.get(SAMPLES, [1])[0],
        upright=tags.get(ORIENTATION, [1])[0] == 1,
    )


def _tags(data: bytes, order: str) -> dict[int, list[int]]:
    """Return the whole numbers of the first directory by tag."""
    tags = {}
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, MAX_TAGS), 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
            if kind not in WIDTHS or not 0 < values <= MAX_VALUES:
                continue
            inline = values * WIDTHS[kind] <= 4
            start = entry + 8 if inline else struct.unpack_from(f"{order}I", data, entry + 8)[0]
            tags[tag] = np.frombuffer(data, f"{order}u{WIDTHS[kind]}", values, start).tolist()
    except (struct.error, ValueError) as error:
        raise ValueError("is a TIFF that is cut off") from error
    return tags
