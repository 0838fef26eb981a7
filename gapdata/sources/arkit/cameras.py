"""Read the cameras of frames: ``<id>_<t>.pincam`` has one line ``width height fx fy cx cy``, pixels of that size.

The focal length changes with focus, so that every frame has its own file. A camera of another size of the same image
(``lowres_wide``'s for ``vga_wide``) is scaled as images are resized, pixel centres at whole numbers; nobody states
whether Apple's principal points count from the centre or the corner of the first pixel, half a pixel of difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.files.numbers import parse_numbers
from gapdata.geometry.camera import Intrinsics
from gapdata.runtime.counting import counted

LINE = "width height fx fy cx cy"
NUMBERS = 6
LONGEST_SIDE = 1e5  # pixels
MAX_BYTES = 1 << 16
SAME_SHAPE = 0.01
"""Share by which the ratios of the sides of two sizes of an image may differ."""


def parse_pincam(data: bytes) -> Intrinsics:
    """Read the camera of one frame.

    Raises:
        ValueError: it does not hold six numbers, or they cannot be a camera's.
    """
    try:
        values = [float(word) for word in data.split()]
    except ValueError:
        values = parse_numbers(data).tolist()
    if len(values) != NUMBERS:
        raise ValueError(f"has {counted(len(values), 'number')}, expected {LINE}")
    camera = camera_of(np.array(values)) if _sides_are_whole(values) else None
    if camera is None or not camera.plausible:
        raise ValueError(f"is not a camera {LINE}: {' '.join(f'{value:g}' for value in values)}")
    return camera


def parse_pincams(texts: Sequence[bytes]) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Read the cameras of many frames at once.

    Returns:
        (n, 6) width height fx fy cx cy, NaN where a text is not a camera; and why those are not, by place.
    """
    words = b" ".join(texts).split()
    if len(words) == NUMBERS * len(texts) and all(len(text.split()) == NUMBERS for text in texts):
        try:
            values = np.array([float(word) for word in words]).reshape(-1, NUMBERS)
        except ValueError:
            values = np.full((len(texts), NUMBERS), np.nan)
        if _plausible(values).all():
            return values, {}
    values, problems = np.full((len(texts), NUMBERS), np.nan), {}
    for place, text in enumerate(texts):
        try:
            camera = parse_pincam(text)
        except ValueError as error:
            problems[place] = str(error)
        else:
            values[place] = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
    return values, problems


def camera_of(values: NDArray[np.float64]) -> Intrinsics:
    """Return the camera of the six numbers of a file."""
    width, height, fx, fy, cx, cy = values.tolist()
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=int(width), height=int(height))


def of_size(camera: Intrinsics, size: tuple[int, int]) -> Intrinsics:
    """Return the camera of another size of the same image.

    Args:
        camera: as it is stored.
        size: (width, height) of the image.

    Raises:
        ValueError: the image has another shape, so that it is not the same image.
    """
    width, height = size
    if (camera.width, camera.height) == size:
        return camera
    if abs(camera.width * height / (camera.height * width) - 1) > SAME_SHAPE:
        raise ValueError(
            f"is the camera of an image of {camera.width}x{camera.height}, but the image is {width}x{height}"
        )
    return camera.resized(width, height)


def typical(values: NDArray[np.float64]) -> Intrinsics:
    """Return the camera with the median of each of (n, 6) numbers; of two middle ones the larger."""
    return camera_of(np.sort(values, axis=0)[len(values) // 2])


def _sides_are_whole(values: Sequence[float]) -> bool:
    return all(0 < side < LONGEST_SIDE and side == int(side) for side in values[:2])


def _plausible(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of (n, 6) numbers are a camera, as :attr:`Intrinsics.plausible` says it."""
    sides, focal, centre = values[:, :2], values[:, 2:4], values[:, 4:]
    with np.errstate(invalid="ignore"):
        whole = ((sides > 0) & (sides < LONGEST_SIDE) & (sides == np.rint(sides))).all(axis=1)
        sharp = focal.min(axis=1) > 0.05 * sides.max(axis=1)
        inside = ((centre > -sides) & (centre < 2 * sides)).all(axis=1)
    return np.asarray(np.isfinite(values).all(axis=1) & whole & sharp & inside)
