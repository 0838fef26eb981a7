"""Read colour files of any origin (JPEG, PNG, BMP, WebP and TIFF), and their size before they are decoded.

A ``.sens`` and a build hold only JPEG and PNG (:mod:`gapdata.sources.images`).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from gapdata.files.tiff import MAGIC, read_page
from gapdata.sources.images import could_hold, decode_color, encoded_image_size, reduce_image

BMP_HEADER = 54
BMP_PLAIN = (0, 3)  # compressions that leave pixels as they are: BI_RGB, BI_BITFIELDS
KINDS = ("u1", "u2")  # of a TIFF's samples
CHANNELS = (1, 3, 4)


def color_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of a colour file.

    Raises:
        ValueError: the bytes are something else, or stop before the image ends.
    """
    size = encoded_image_size(data)
    if size is None and data[:2] == b"BM":
        size = _bmp_size(data)
    elif size is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = _webp_size(data)
    elif size is None and data[:4] in MAGIC:
        page = read_page(data)
        if page.kind not in KINDS or page.samples not in CHANNELS or not page.upright:
            raise ValueError(
                f"is a TIFF of {page.samples} channels of dtype {page.kind}, or with an orientation tag; expected"
                " 1, 3 or 4 channels of 8 or 16 bits, stored upright"
            )
        size = page.width, page.height
    if size is None:
        raise ValueError("is neither a complete JPEG or PNG nor a BMP, WebP or TIFF")
    return size


def decode_color_file(data: bytes, reduction: int = 1) -> NDArray[np.uint8] | None:
    """Decode a file that :func:`color_size` knows to (H, W, 3) uint8 RGB; ``None`` where it cannot be decoded.

    Args:
        data: the file.
        reduction: 1, 2, 4 or 8, as in :func:`gapdata.sources.images.decode_color`.
    """
    if encoded_image_size(data) is not None:
        return decode_color(data, reduction)
    import cv2

    if not could_hold(len(data), color_size(data)):
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None else reduce_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), reduction)


def _bmp_size(data: bytes) -> tuple[int, int] | None:
    """Return the size of a complete BMP with a header of Windows 3 or later."""
    if len(data) < BMP_HEADER:
        return None
    start, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    row = (width * bits + 31) // 32 * 4
    whole = header >= 40 and width > 0 and compression in BMP_PLAIN and len(data) >= start + row * abs(height)
    return (width, abs(height)) if whole else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the size of a complete WebP by its first chunk (RFC 9649, sections 2.5 to 2.7)."""
    if len(data) < 30 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data):
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
