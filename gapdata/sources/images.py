"""Encoded images: their size without decoding, colour at a reduced size, and 16-bit depth."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG (ITU-T T.81 table B.1): all of C0..CF but DHT, JPG and DAC.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
END_OF_IMAGE = b"\xff\xd9"
PGM_HEADER = re.compile(rb"P5\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s+(?:#[^\n]*\n\s*)*(\d{1,6})\s")
PGM_HEADER_BYTES = 1024
MAX_PIXELS = 100_000_000
"""Of an image that is decoded: a header that claims more is damaged or hostile."""
LEAST_SHARE = 1 / 1100
"""Of its pixels' bytes, the least that an encoded image can have: Deflate shrinks to 1/1032 (RFC 1951: two bits for 258
bytes), a JPEG of subsampled colour with one bit a block to 1/1024."""
SMALL_IMAGE = 1 << 20
"""Bytes of pixels that are not worth refusing."""
TRAILER_BYTES = 1024
"""Some encoders pad after the end-of-image marker; it must stand within this many bytes of the end."""


def encoded_image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG or PNG file, or ``None`` if the bytes are neither or stop before the image ends.

    Decoders fill what a cut JPEG lacks with grey and report nothing that Python can see, so the end marker is checked
    here.
    """
    if data.startswith(PNG_SIGNATURE):
        return struct.unpack(">II", data[16:24]) if _ends_as_its_chunks_say(data) else None
    frame = _jpeg_frame(data)
    return None if frame is None else frame[:2]


def could_hold(count: int, size: tuple[int, int]) -> bool:
    """Whether so few bytes can be a whole image of (width, height): a bomb claims pixels that it does not have."""
    pixels = size[0] * size[1]
    return pixels <= SMALL_IMAGE or count >= pixels * LEAST_SHARE


def is_color_jpeg(data: bytes) -> bool:
    """Whether the bytes are a complete JPEG file of three channels, by its frame header."""
    frame = _jpeg_frame(data)
    return frame is not None and frame[2] == 3


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Width, height and channels of a JPEG file by its frame header (ITU-T T.81, B.2.2), or ``None``."""
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
    """A colour file to (H, W, 3) uint8 RGB with its sides divided by ``reduction`` (1, 2, 4, 8) and rounded up.

    JPEG is scaled inside the inverse DCT, which is faster than decoding in full and keeps
    ``u' = (u + 0.5) / reduction - 0.5``. A single-channel file becomes grey RGB; orientation tags are ignored
    (:mod:`gapdata.sources.orientation` says when they count).

    Returns:
        The image, or ``None`` where the bytes cannot be decoded.
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


def encoded_depth_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a single-channel 16-bit PNG, or of a binary PGM (P5) of more than 255 levels.

    Raises:
        ValueError: the bytes are neither, or stop before the image ends; the text says what they are.
    """
    if data.startswith(PNG_SIGNATURE):
        if encoded_image_size(data) is None:
            raise ValueError("is cut off before the end of the PNG")
        width, height, bits, color_type = struct.unpack(">IIBB", data[16:26])
        if (bits, color_type) != (16, 0):
            raise ValueError(f"is a PNG of {bits} bits and colour type {color_type}, expected 16-bit greyscale")
        return width, height
    header = PGM_HEADER.match(data[:PGM_HEADER_BYTES])
    if header is None:
        raise ValueError("is neither a PNG nor a binary PGM (P5)")
    width, height, levels = (int(value) for value in header.groups())
    if not 255 < levels < 65536:
        raise ValueError(f"is a PGM of {levels} levels, expected 65535")
    if len(data) - header.end() < width * height * 2:
        raise ValueError(f"is cut off: {len(data) - header.end()} of {width * height * 2} bytes of the PGM are there")
    return width, height


def decode_depth(data: bytes, size: tuple[int, int]) -> NDArray[np.uint16]:
    """A depth file to (H, W) uint16 as stored.

    Args:
        data: a 16-bit greyscale PNG, or a PGM (P5, big-endian as Netpbm defines it).
        size: the (width, height) that it must have.

    Raises:
        ValueError: it is damaged or of another size or kind; the text says which.
    """
    found = encoded_depth_size(data)
    if found != size:
        raise ValueError(f"is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}")
    if not data.startswith(PNG_SIGNATURE):
        header = PGM_HEADER.match(data[:PGM_HEADER_BYTES])
        assert header is not None
        pixels = np.frombuffer(data, dtype=">u2", count=size[0] * size[1], offset=header.end())
        return pixels.reshape(size[1], size[0]).astype(np.uint16)
    import cv2

    if not _chunks_are_sound(data):
        raise ValueError("PNG has a chunk whose checksum is wrong")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("PNG cannot be decoded") from error
    if image is None or image.dtype != np.uint16 or image.shape != (size[1], size[0]):
        raise ValueError("PNG cannot be decoded")
    return image


def _ends_as_its_chunks_say(data: bytes) -> bool:
    """Whether the chunks of a PNG follow each other up to an end chunk at its very end. A decoder takes memory for as
    many bytes as a chunk claims, before it looks whether they are there."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return position == len(data) >= 33 and data[-8:-4] == b"IEND"


def _chunks_are_sound(data: bytes) -> bool:
    """Whether every chunk of a PNG is whole and has the checksum that it states (PNG specification, 5.3)."""
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
    """(H, W, 3) uint8 averaged over ``reduction`` x ``reduction`` blocks, sides rounded up, last block padded."""
    import cv2

    if reduction == 1:
        return image
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % reduction, 0, -width % reduction, cv2.BORDER_REPLICATE)
    size = (-(-width // reduction), -(-height // reduction))
    return cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
