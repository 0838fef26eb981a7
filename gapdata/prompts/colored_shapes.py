"""Draw SPAR's visual prompts: discs and boxes in four colours, which its questions name ("the table (red point)").

SPAR's program draws at load time, on the native image (``datasets/draw_marker.py``): discs of radius 20 pixels, and
boxes with a stroke of 20 pixels, of which 17.5 lie outside the box. Like the crosses of :mod:`gapdata.prompts.marks`,
they are drawn here as if on the native image and resized with it.

Among the numbers of marks, 11 to 14 are discs, 21 to 24 the upper left and 31 to 34 the lower right corners of boxes,
in the order of :data:`COLOR_NAMES`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.coverage import covered_shares, touched_pixels

COLOR_NAMES = ("red", "green", "blue", "yellow")
SHAPE_COLORS = ((255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 0))
"""RGB of each, as Pillow, with which SPAR draws, reads their names."""
DISC, UPPER_LEFT, LOWER_RIGHT = 11, 21, 31
"""The number of the first colour's disc, and of the two corners of its box."""
SHAPE_NUMBERS = frozenset(
    first + place for first in (DISC, UPPER_LEFT, LOWER_RIGHT) for place in range(len(COLOR_NAMES))
)
RADIUS = 20.0
"""Of a disc, native pixels."""
OUTSIDE, INSIDE = 17.5, 2.5
"""Native pixels of a box's stroke on either side of the box."""


def shape_pixels(color: str, place: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """Return the marks of one shape, number -> (u, v).

    Args:
        color: one of :data:`COLOR_NAMES`.
        place: u, v of a disc's centre, or left, top, right, bottom of a box, pixels of the image.
    """
    number = COLOR_NAMES.index(color)
    if len(place) == 2:
        return {DISC + number: (place[0], place[1])}
    return {UPPER_LEFT + number: (place[0], place[1]), LOWER_RIGHT + number: (place[2], place[3])}


def draw_shapes(image: NDArray[np.uint8], pixels: Mapping[int, tuple[int, int]], native_width: float) -> None:
    """Draw the discs and boxes among marks (number -> (u, v)) into an image, (H, W, 3) uint8 RGB."""
    scale = image.shape[1] / native_width
    for number, color in enumerate(SHAPE_COLORS):
        corners = pixels.get(UPPER_LEFT + number), pixels.get(LOWER_RIGHT + number)
        if corners[0] is not None and corners[1] is not None:
            _draw_box(image, (*corners[0], *corners[1]), scale, color)
        if DISC + number in pixels:
            _draw_disc(image, pixels[DISC + number], RADIUS * scale, color)


def _draw_disc(image: NDArray[np.uint8], center: tuple[int, int], radius: float, color: tuple[int, int, int]) -> None:
    columns, rows = (
        touched_pixels(size, at - radius, at + radius) for size, at in zip(image.shape[1::-1], center, strict=True)
    )
    distance = np.hypot.outer(
        np.arange(rows.start, rows.stop) - center[1], np.arange(columns.start, columns.stop) - center[0]
    )
    # Near a pixel's size a circle is as good as straight.
    _blend(image, rows, columns, np.clip(radius - distance + 0.5, 0, 1), color)


def _draw_box(
    image: NDArray[np.uint8], box: tuple[int, int, int, int], scale: float, color: tuple[int, int, int]
) -> None:
    left, top, right, bottom = box
    out, inside = OUTSIDE * scale, INSIDE * scale
    columns = touched_pixels(image.shape[1], left - out, right + out)
    rows = touched_pixels(image.shape[0], top - out, bottom + out)
    outer = np.outer(covered_shares(rows, top - out, bottom + out), covered_shares(columns, left - out, right + out))
    inner = np.outer(
        covered_shares(rows, top + inside, bottom - inside), covered_shares(columns, left + inside, right - inside)
    )
    _blend(image, rows, columns, outer - inner, color)


def _blend(
    image: NDArray[np.uint8], rows: range, columns: range, share: NDArray[np.float64], color: tuple[int, int, int]
) -> None:
    part = image[rows.start : rows.stop, columns.start : columns.stop]
    part[...] = np.rint(part + (np.array(color) - part.astype(np.float64)) * share[..., None]).astype(np.uint8)
