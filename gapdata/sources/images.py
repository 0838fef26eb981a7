"""Read JPEG and PNG: their size without decoding, and colour at a reduced size."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from gapdata.files.image_tags import PNG_SIGNATURE

# Start-of-frame markers of JPEG (ITU-T T.81 table B.1): all of C0..CF but DHT, JPG and DAC.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
END_OF_IMAGE = b"\xff\xd9"
MAX_PIXELS = 100_000_000
"""Pixels of the largest image that is decoded: a header that states more is damaged or hostile."""
LEAST_SHARE = 1 / 1100
"""The smallest encoded image, as a share of its pixels' bytes: Deflate shrinks to 1/1032 (RFC 1951: two bits for 258
bytes), a JPEG of subsampled colour with one bit a block to 1/1024."""
SMALL_IMAGE = 1 << 20
"""Bytes of pixels that are not worth refusing."""
TRAILER_BYTES = 1024
"""Some encoders pad after the end-of-image marker; the marker must be within this many bytes of the end."""


def encoded_image_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a JPEG or PNG file; ``None`` if it is something else or stops before the image ends.

    Decoders fill the missing part of a cut JPEG with grey and do not tell Python, so the end marker is checked here.
    """
    if data.startswith(PNG_SIGNATURE):
        return struct.unpack(">II", data[16:24]) if _chunks_end_with_file(data) else None
    frame = _jpeg_frame(data)
    return None if frame is None else frame[:2]


def could_hold(count: int, size: tuple[int, int]) -> bool:
    """Return whether ``count`` bytes can hold an image of (width, height); those of a bomb cannot."""
    pixels = size[0] * size[1]
    return pixels <= SMALL_IMAGE or count >= pixels * LEAST_SHARE


def is_color_jpeg(data: bytes) -> bool:
    """Return whether the bytes are a complete JPEG file of three channels, by its frame header."""
    frame = _jpeg_frame(data)
    return frame is not None and frame[2] == 3


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Return width, height and channels of a JPEG file by its frame header (ITU-T T.81, B.2.2), or ``None``."""
    if not data.startswith(b"\xff\xd8") or END_OF_IMAGE not in data[-TRAILER_BYTES:]:
        return None
    position = 2
    while position + 10 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in START_OF_FRAME:
            height, width, channels = struct.unpack(">HHB", data[position + 5 : position + 10])
            return width, height, channels
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


def decode_color(data: bytes, reduction: int = 1) -> NDArray[np.uint8] | None:
    """Decode a JPEG or PNG file to (H, W, 3) uint8 RGB; ``None`` where it cannot be decoded.

    JPEG is scaled inside the inverse DCT, which is faster than decoding in full and keeps
    ``u' = (u + 0.5) / reduction - 0.5``. A single-channel file becomes grey RGB; orientation tags are ignored
    (:mod:`gapdata.sources.orientation` says when they count).

    Args:
        data: the file.
        reduction: 1, 2, 4 or 8, by which the sides are divided and rounded up.
    """
    import cv2

    size = encoded_image_size(data)
    if size is None or not could_hold(len(data), size):
        return None
    scaled_by_decoder = reduction > 1 and not data.startswith(PNG_SIGNATURE)
    modes = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
    mode = modes[reduction] if scaled_by_decoder else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if image is None:
        return None
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb if scaled_by_decoder else reduce_image(rgb, reduction)


def _chunks_end_with_file(data: bytes) -> bool:
    """Return whether the chunks of a PNG follow each other up to an end chunk at its very end.

    A decoder allocates the stated bytes of a chunk before it looks whether they are there.
    """
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return position == len(data) >= 33 and data[-8:-4] == b"IEND"


def chunks_are_sound(data: bytes) -> bool:
    """Return whether every chunk of a PNG is whole and has its stated checksum (PNG specification, 5.3)."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def reduce_image(image: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Average (H, W, 3) uint8 over ``reduction`` x ``reduction`` blocks; sides are rounded up, last blocks padded."""
    import cv2

    if reduction == 1:
        return image
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % reduction, 0, -width % reduction, cv2.BORDER_REPLICATE)
    size = (-(-width // reduction), -(-height // reduction))
    reduced: NDArray[np.uint8] = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
    return reduced
