"""The visual prompt: GAP-MLLM's red cross, and the pixels that it covers.

The authors draw a plus sign of pure red on the native 1296-pixel frame before any resize: arms of 10 pixels (21 long)
and a bar of 5 pixels. Frames are stored here at training size and unmarked, so the mark is drawn when a record is
loaded, as if it had been
drawn on the native frame and resized with it: every pixel is blended by the share of it that the scaled cross covers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NATIVE_WIDTH = 1296.0
ARM_LENGTH = 10.5
"""Half of the cross's 21 native pixels, in pixel extents."""
HALF_BAR = 2.5
"""Half of its 5-pixel bar."""
RED = (255, 0, 0)


def mark_coverage(
    image_size: tuple[int, int], pixel: tuple[int, int], native_width: float = NATIVE_WIDTH
) -> NDArray[np.float32]:
    """Share of every pixel that the mark at ``pixel`` (u, v) covers, (H, W) float32 in [0, 1], clipped at the border.

    ``native_width`` is the width at which the mark has its native size; a smaller one draws it larger.
    """
    width, height = image_size
    scale = width / native_width
    long_u, long_v = (
        _overlap(size, centre, ARM_LENGTH * scale) for size, centre in zip((width, height), pixel, strict=True)
    )
    thin_u, thin_v = (
        _overlap(size, centre, HALF_BAR * scale) for size, centre in zip((width, height), pixel, strict=True)
    )
    horizontal, vertical, both = np.outer(thin_v, long_u), np.outer(long_v, thin_u), np.outer(thin_v, thin_u)
    return (horizontal + vertical - both).astype(np.float32)


def draw_mark(
    image: NDArray[np.uint8],
    pixel: tuple[int, int],
    native_width: float = NATIVE_WIDTH,
    color: tuple[int, int, int] = RED,
) -> NDArray[np.uint8]:
    """A copy of ``image`` (H, W, 3) uint8 RGB with the mark at ``pixel`` (u, v)."""
    height, width = image.shape[:2]
    share = mark_coverage((width, height), pixel, native_width)[..., None]
    blended = image + (np.array(color, dtype=np.float32) - image) * share
    return np.rint(blended).astype(np.uint8)


def mark_mask(
    image_size: tuple[int, int], pixels: dict[int, tuple[int, int]], native_width: float = NATIVE_WIDTH
) -> NDArray[np.uint8]:
    """(H, W) uint8: k where the mark of prompt k covers any part of the pixel, 0 elsewhere; a later k wins an
    overlap."""
    width, height = image_size
    mask = np.zeros((height, width), dtype=np.uint8)
    reach = int(np.ceil(ARM_LENGTH * width / native_width)) + 1
    for index, (u, v) in pixels.items():
        # The mark is small: only a window around it is looked at.
        left, top = max(u - reach, 0), max(v - reach, 0)
        window = mask[top : v + reach + 1, left : u + reach + 1]
        scale = native_width * window.shape[1] / width
        window[mark_coverage(window.shape[::-1], (u - left, v - top), scale) > 0] = index
    return mask


def _overlap(size: int, centre: int, half_length: float) -> NDArray[np.float64]:
    """Share of each of ``size`` unit intervals around the integers that [centre - half_length, centre + half_length]
    covers."""
    left = np.arange(size) - 0.5
    covered = np.minimum(left + 1.0, centre + half_length) - np.maximum(left, centre - half_length)
    return np.clip(covered, 0.0, 1.0)
