"""Draw the visual prompt: GAP-MLLM's red cross, and numbered crosses in different colours.

The authors draw a plus sign of pure red on the native 1296-pixel frame before any resize: arms of 10 pixels (21 long)
and a bar of 5 pixels. Frames are stored here at training size and unmarked, so the mark is drawn when a record is
loaded, as if it had been drawn on the native frame and resized with it: every pixel is blended by the share of it that
the scaled mark covers.

A question about several pixels draws mark 1, 2, ... each in another colour, with its number on a plate of that
colour beside it, defined at the native width like the cross. Number 0 is the authors' cross, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.prompts.colored_shapes import SHAPE_NUMBERS, draw_shapes
from gapdata.prompts.coverage import covered_shares, touched_pixels

NATIVE_WIDTH = 1296.0
ARM_LENGTH = 10.5
"""Half of the cross's 21 native pixels, in pixel extents."""
HALF_BAR = 2.5
"""Half of its 5-pixel bar."""
RED = (255, 0, 0)
COLORS = (
    RED,
    (0, 110, 255),
    (0, 200, 0),
    (255, 230, 0),
    (255, 0, 255),
    (0, 255, 255),
    (255, 128, 0),
    (110, 0, 190),
    (255, 255, 255),
)
"""Colours of the marks 1, 2, ...; any two lie more than 40 apart in CIELAB (a just noticeable difference is 2.3)."""
MAX_MARKS = len(COLORS)

CELL = 4.0
"""Native pixels of one cell of a digit; a digit has 5 x 7 cells, 8 x 11 pixels of a 512-pixel image."""
PLATE_CELLS = (7, 9)
"""(width, height) of the plate in cells: the digit and a margin of one cell."""
PLATE_OFFSET = 5.0
"""Native pixels from the marked pixel to the plate's nearest corner: clear of the cross's bars, between its arms."""
DIGITS = {
    1: ("..#..", ".##..", "..#..", "..#..", "..#..", "..#..", ".###."),
    2: (".###.", "#...#", "....#", "...#.", "..#..", ".#...", "#####"),
    3: (".###.", "#...#", "....#", "..##.", "....#", "#...#", ".###."),
    4: ("...#.", "..##.", ".#.#.", "#..#.", "#####", "...#.", "...#."),
    5: ("#####", "#....", "####.", "....#", "....#", "#...#", ".###."),
    6: (".###.", "#....", "#....", "####.", "#...#", "#...#", ".###."),
    7: ("#####", "....#", "...#.", "..#..", "..#..", ".#...", ".#..."),
    8: (".###.", "#...#", "#...#", ".###.", "#...#", "#...#", ".###."),
    9: (".###.", "#...#", "#...#", ".####", "....#", "....#", ".###."),
}

Plate = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the image, pixel centres at integers."""


def draw_mark(
    image: NDArray[np.uint8],
    pixel: tuple[int, int],
    native_width: float = NATIVE_WIDTH,
    color: tuple[int, int, int] = RED,
) -> NDArray[np.uint8]:
    """Return a copy of ``image`` (H, W, 3) uint8 RGB with the mark at ``pixel`` (u, v)."""
    marked = image.copy()
    _draw_cross(marked, pixel, native_width, color)
    return marked


def draw_marks(
    image: NDArray[np.uint8], pixels: Mapping[int, tuple[int, int]], native_width: float = NATIVE_WIDTH
) -> NDArray[np.uint8]:
    """Return a copy of ``image`` (H, W, 3) uint8 RGB with the marks of ``pixels`` (number -> (u, v)).

    SPAR's discs and boxes come first (:mod:`gapdata.prompts.colored_shapes`), then plates, and crosses on top, so no
    cross is hidden. Each plate takes a quadrant between two arms in which
    it stays inside the image and off the other marks, if there is one.

    Raises:
        UsageError: a number has no colour.
    """
    marked = image.copy()
    draw_shapes(marked, pixels, native_width)
    pixels = {number: pixel for number, pixel in pixels.items() if number not in SHAPE_NUMBERS}
    size = (image.shape[1], image.shape[0])
    for number, plate in _plates(size, pixels, native_width).items():
        window, covered, ink = _plate_coverage(size, plate, number)
        color = np.array(COLORS[number - 1], dtype=np.float32)
        written = (covered - ink)[..., None] * color + ink[..., None] * np.float32(_ink(number))
        marked[window] = np.rint(marked[window] * (1 - covered[..., None]) + written).astype(np.uint8)
    for number, pixel in pixels.items():
        _draw_cross(marked, pixel, native_width, RED if number == 0 else COLORS[number - 1])
    return marked


def mark_mask(
    image_size: tuple[int, int], pixels: dict[int, tuple[int, int]], native_width: float = NATIVE_WIDTH
) -> NDArray[np.uint8]:
    """Return k where the mark of prompt k covers any part of the pixel, (H, W) uint8, 0 elsewhere.

    Where marks overlap, the later one of ``pixels`` wins.
    """
    return _crosses_mask(np.zeros((image_size[1], image_size[0]), dtype=np.uint8), pixels, native_width)


Window = tuple[slice, slice]
"""The rows and columns of an image that a shape touches; shapes are small, so only these are looked at."""


def _cross(
    image_size: tuple[int, int], pixel: tuple[int, int], native_width: float
) -> tuple[Window, NDArray[np.float32]]:
    """Return the window of a cross, and the share of each of its pixels that the cross covers."""
    scale = image_size[0] / native_width
    columns, rows = (
        touched_pixels(size, at - ARM_LENGTH * scale, at + ARM_LENGTH * scale)
        for size, at in zip(image_size, pixel, strict=True)
    )
    (long_u, thin_u), (long_v, thin_v) = (
        [covered_shares(pixels, at - half * scale, at + half * scale) for half in (ARM_LENGTH, HALF_BAR)]
        for pixels, at in zip((columns, rows), pixel, strict=True)
    )
    horizontal, vertical = np.outer(thin_v, long_u), np.outer(long_v, thin_u)
    window = (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    return window, (horizontal + vertical - np.outer(thin_v, thin_u)).astype(np.float32)


def _draw_cross(
    image: NDArray[np.uint8], pixel: tuple[int, int], native_width: float, color: tuple[int, int, int]
) -> None:
    window, share = _cross((image.shape[1], image.shape[0]), pixel, native_width)
    part = image[window]
    image[window] = np.rint(part + (np.array(color, dtype=np.float32) - part) * share[..., None]).astype(np.uint8)


def _crosses_mask(
    mask: NDArray[np.uint8], pixels: Mapping[int, tuple[int, int]], native_width: float
) -> NDArray[np.uint8]:
    for number, pixel in pixels.items():
        window, share = _cross((mask.shape[1], mask.shape[0]), pixel, native_width)
        mask[window][share > 0] = number
    return mask


def _plates(
    image_size: tuple[int, int], pixels: Mapping[int, tuple[int, int]], native_width: float
) -> dict[int, Plate]:
    """Return the place of the plate of each numbered mark."""
    unknown = [number for number in pixels if not 0 <= number <= MAX_MARKS]
    if unknown:
        raise UsageError(f"mark {unknown[0]} has no colour", cure=f"draw marks 0 to {MAX_MARKS}")
    scale = image_size[0] / native_width
    crosses = {
        number: (u - ARM_LENGTH * scale, v - ARM_LENGTH * scale, u + ARM_LENGTH * scale, v + ARM_LENGTH * scale)
        for number, (u, v) in pixels.items()
    }
    placed: dict[int, Plate] = {}
    for number, (u, v) in pixels.items():
        if number == 0:
            continue
        near = [cross for other, cross in crosses.items() if other != number]
        costs = []
        for candidate in _quadrants(u, v, scale):
            # Best to worst: a plate on another plate, one on a cross, and one that is cut off and so unreadable.
            outside = not _inside(candidate, image_size)
            hidden = sum(_meet(candidate, cross) for cross in near)
            stacked = sum(_meet(candidate, plate) for plate in placed.values())
            costs.append((outside, hidden, stacked))
        placed[number] = _quadrants(u, v, scale)[costs.index(min(costs))]
    return placed


def _quadrants(u: float, v: float, scale: float) -> list[Plate]:
    """Return the four places of a plate beside (u, v): right above, left above, right below, left below."""
    near = PLATE_OFFSET * scale
    far_u, far_v = (near + cells * CELL * scale for cells in PLATE_CELLS)
    return [
        (u + near, v - far_v, u + far_u, v - near),
        (u - far_u, v - far_v, u - near, v - near),
        (u + near, v + near, u + far_u, v + far_v),
        (u - far_u, v + near, u - near, v + far_v),
    ]


def _inside(plate: Plate, image_size: tuple[int, int]) -> bool:
    left, top, right, bottom = plate
    return left >= -0.5 and top >= -0.5 and right <= image_size[0] - 0.5 and bottom <= image_size[1] - 0.5


def _meet(first: Plate, second: Plate) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _plate_coverage(
    image_size: tuple[int, int], plate: Plate, number: int
) -> tuple[Window, NDArray[np.float32], NDArray[np.float32]]:
    """Return the window of a plate, and the shares of its pixels that the plate and its digit cover."""
    width, height = image_size
    columns, rows = PLATE_CELLS
    edges_u, edges_v = np.linspace(plate[0], plate[2], columns + 1), np.linspace(plate[1], plate[3], rows + 1)
    across = np.stack([covered_shares(range(width), edges_u[cell], edges_u[cell + 1]) for cell in range(columns)])
    down = np.stack([covered_shares(range(height), edges_v[cell], edges_v[cell + 1]) for cell in range(rows)])
    cells = np.zeros((rows, columns))
    cells[1:-1, 1:-1] = [[character == "#" for character in row] for row in DIGITS[number]]
    along_v, along_u = down.sum(axis=0), across.sum(axis=0)
    window = (_touched(along_v), _touched(along_u))
    ink = down[:, window[0]].T @ cells @ across[:, window[1]]
    return window, np.outer(along_v[window[0]], along_u[window[1]]).astype(np.float32), ink.astype(np.float32)


def _ink(number: int) -> int:
    """Return black or white, whichever stands out from the plate (luma of Rec. 601)."""
    red, green, blue = COLORS[number - 1]
    return 0 if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else 255


def _touched(shares: NDArray[np.float64]) -> slice:
    """Return the slice from the first to the last element that is not 0; empty where all are."""
    found = np.flatnonzero(shares)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)
