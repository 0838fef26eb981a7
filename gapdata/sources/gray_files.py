"""Decode images of one channel that accompany frames: confidence and masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.files.image_tags import PNG_SIGNATURE
from gapdata.files.tiff import read_page
from gapdata.sources.images import chunks_are_sound, could_hold, encoded_image_size

PNG_BITS = 24
"""Place of the bits of a sample in a PNG (PNG specification, 11.2.2)."""


def decode_gray(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG of 8 bits to (H, W) uint8, colour as its brightness.

    Args:
        data: the file.
        size: the (width, height) that it must have.

    Raises:
        ValueError: it is damaged, or has another size or depth; the message says which.
    """
    import cv2

    found = encoded_image_size(data)
    if found is None:
        raise ValueError("is not a complete JPEG or PNG")
    if found != size:
        raise ValueError(f"is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}")
    if data.startswith(PNG_SIGNATURE) and data[PNG_BITS] > 8:
        raise ValueError(f"is a PNG of {data[PNG_BITS]} bits, expected 8")
    if data.startswith(PNG_SIGNATURE) and not chunks_are_sound(data):
        raise ValueError("PNG has a chunk with a wrong checksum")
    if not could_hold(len(data), size):
        raise ValueError(f"has too few bytes to hold {size[0]}x{size[1]} pixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("cannot be decoded")
    return np.asarray(image, dtype=np.uint8)


def decode_thirds(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a TIFF of floats from 0 to 1 to (H, W) uint8: 0 for the lowest third, 1, and 2 for the highest.

    Args:
        data: the file.
        size: the (width, height) that it must have.

    Raises:
        ValueError: it is damaged, or has another size or other numbers; the message says which.
    """
    import cv2

    page = read_page(data)
    if (page.width, page.height) != size:
        raise ValueError(f"is {page.width}x{page.height}, expected {size[0]}x{size[1]}")
    if page.samples != 1 or page.kind not in ("f4", "f8") or not page.upright or not could_hold(len(data), size):
        raise ValueError(f"is a TIFF of {page.samples} channels of dtype {page.kind}, expected one of f4")
    try:
        values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.shape != (size[1], size[0]):
        raise ValueError("cannot be decoded")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError("has a confidence outside of 0 to 1")
    return np.asarray(np.minimum(values * 3, 2), dtype=np.uint8)
