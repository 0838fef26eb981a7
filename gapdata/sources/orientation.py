"""Turn images with an orientation tag, where the calibration is of the turned image.

Pixels are stored as they are on the sensor, and an orientation tag asks viewers to turn them. Most calibrations are of
the pixels as stored, so the tag is ignored. Where the calibration is of the turned image, colour is turned, and with
it depth of the same shape.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", np.uint8, np.uint16)
UPRIGHT = 1
FIRST_THAT_SWAPS_SIDES = 5


def turned(image: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Turn an image (H, W, ...) as its tag 1 to 8 asks (Exif 2.32, tag 274); from 5 on the result is (W, H, ...)."""
    if orientation == UPRIGHT:
        return image
    if orientation >= FIRST_THAT_SWAPS_SIDES:
        image = np.swapaxes(image, 0, 1)
        orientation = {5: 1, 6: 2, 7: 3, 8: 4}[orientation]
    mirrored, upside_down = orientation in (2, 3), orientation in (3, 4)
    return np.ascontiguousarray(image[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height) of the turned image."""
    return size[::-1] if orientation >= FIRST_THAT_SWAPS_SIDES else size


def is_of_turned(
    size: tuple[int, int], orientation: int, stated: tuple[int, int] | None, centre: tuple[float, float]
) -> bool:
    """Return whether a calibration is of the turned image.

    Its stated size decides or, without one, its principal point, which is near the middle of one of the two images.

    Args:
        size: (width, height) of the pixels as stored.
        orientation: the tag.
        stated: (width, height) of the calibration's images, if it says so.
        centre: its principal point (cx, cy), pixels.
    """
    upright = turned_size(size, orientation)
    if upright == size:
        return False
    if stated is not None:
        return stated == upright
    return 2 * _off_centre(upright, centre) < _off_centre(size, centre)


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two (width, height) have one aspect ratio, to a pixel."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(*size, *other)


def _off_centre(size: tuple[int, int], centre: tuple[float, float]) -> float:
    return sum(abs(at / side - 0.5) for at, side in zip(centre, size, strict=True))
