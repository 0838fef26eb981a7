"""Encoded colour images: their size without decoding, and decoding at a reduced size."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG (ITU-T T.81 table B.1): all of C0..CF but DHT, JPG and DAC.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
END_OF_IMAGE = b"\xff\xd9"
TRAILER_BYTES = 1024
"""Some encoders pad after the end-of-image marker; it must stand within this many bytes of the end."""


def encoded_image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG or PNG file, or ``None`` if the bytes are neither or stop before the image ends.

    Decoders fill what a cut JPEG lacks with grey and report nothing that Python can see, so the end marker is checked
    here.
    """
    if data.startswith(PNG_SIGNATURE):
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 and data[-8:-4] == b"IEND" else None
    if not data.startswith(b"\xff\xd8") or END_OF_IMAGE not in data[-TRAILER_BYTES:]:
        return None
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in START_OF_FRAME:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


def decode_color(data: bytes, reduction: int = 1) -> NDArray[np.uint8] | None:
    """A colour file to (H, W, 3) uint8 RGB with its sides divided by ``reduction`` (1, 2, 4, 8) and rounded up.

    JPEG is scaled inside the inverse DCT, which is faster than decoding in full and keeps
    ``u' = (u + 0.5) / reduction - 0.5``. A single-channel file becomes grey RGB; orientation tags are ignored, because
    intrinsics refer to the stored pixels.

    Returns:
        The image, or ``None`` where the bytes cannot be decoded.
    """
    import cv2

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


def reduce_image(image: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 averaged over ``reduction`` x ``reduction`` blocks, sides rounded up, last block padded."""
    import cv2

    if reduction == 1:
        return image
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % reduction, 0, -width % reduction, cv2.BORDER_REPLICATE)
    size = (-(-width // reduction), -(-height // reduction))
    return cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
