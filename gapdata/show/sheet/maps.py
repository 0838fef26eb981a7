"""Rows of pictures under captions, with a label in front: numbers of a grid drawn in colour over a frame in grey."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import MUTED, PROMPT, SHEET, TEXT
from gapdata.show.sheet.text import fitted_text, put_text

MARGIN, GAP, LABEL, CAPTION = 28, 8, 230, 24
HEADER = 58
MAX_WIDTH = 1640
"""Of all pictures of a row."""

Image = NDArray[np.uint8]


def cell_size(cells: int, aspect: float) -> tuple[int, int]:
    """(width, height) of each of so many pictures beside each other, of images ``aspect`` times as high as wide."""
    width = min(300, (MAX_WIDTH + GAP) // cells - GAP)
    return width, round(width * aspect)


def map_sheet(title: str, rows: Sequence[Image]) -> Image:
    """A title above rows of equal width, (H, W, 3) uint8 RGB."""
    header = np.full((HEADER, rows[0].shape[1], 3), SHEET, dtype=np.uint8)
    put_text(header, fitted_text(title, 24, header.shape[1], 700), (0, 28), 24, TEXT, 700)
    inner = np.concatenate([header, *rows])
    sheet = np.full((inner.shape[0] + 2 * MARGIN, inner.shape[1] + 2 * MARGIN, 3), SHEET, dtype=np.uint8)
    sheet[MARGIN:-MARGIN, MARGIN:-MARGIN] = inner
    return sheet


def map_row(name: str, detail: str, cells: Sequence[Image | None], captions: Sequence[str]) -> Image:
    """A label and pictures side by side, each with a caption above it; ``None`` leaves its place free."""
    shape = next(cell.shape for cell in cells if cell is not None)
    row = np.full((shape[0] + CAPTION + GAP, LABEL + len(cells) * (shape[1] + GAP), 3), SHEET, dtype=np.uint8)
    put_text(row, fitted_text(name, 16, LABEL - 12, 600), (0, CAPTION + 18), 16, TEXT, 600)
    put_text(row, fitted_text(detail, 14, LABEL - 12), (0, CAPTION + 42), 14, MUTED)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left = LABEL + index * (shape[1] + GAP)
        put_text(row, fitted_text(caption, 14, shape[1]), (left, CAPTION - 7), 14, MUTED)
        if cell is not None:
            row[CAPTION : CAPTION + shape[0], left : left + shape[1]] = cell
    return row


def heat_map(values: NDArray[np.float32], low: float, high: float, grey: Image, colors: str) -> Image:
    """(h, w) numbers over an image in grey: one block of colour each, from OpenCV's colour map of that name."""
    import cv2

    level = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    blocks = cv2.resize(np.rint(255 * level).astype(np.uint8), grey.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    tinted = cv2.cvtColor(cv2.applyColorMap(blocks, getattr(cv2, f"COLORMAP_{colors}")), cv2.COLOR_BGR2RGB)
    blended: Image = cv2.addWeighted(tinted, 0.72, grey, 0.28, 0)
    return blended


def color_scale(size: tuple[int, int], low: float, high: float, colors: str) -> Image:
    """What the colours of :func:`heat_map` mean, as a picture of ``size`` (width, height)."""
    width, height = size
    picture = np.full((height, width, 3), SHEET, dtype=np.uint8)
    ramp = np.linspace(high, low, height, dtype=np.float32)[:, None].repeat(20, axis=1)
    picture[:, :20] = heat_map(ramp, low, high, np.full((height, 20, 3), 128, np.uint8), colors)
    for value, y in ((high, 13), ((low + high) / 2, height // 2 + 5), (low, height - 3)):
        put_text(picture, f"{value:.3f}", (28, y), 14, TEXT)
    return picture


def outline(picture: Image, place: tuple[int, int], grid: tuple[int, int]) -> None:
    """Frame the block in (row, column) ``place`` of a ``grid`` of (rows, columns), inside its border."""
    import cv2

    height, width = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    top, left = place[0] * picture.shape[0] // grid[0], place[1] * picture.shape[1] // grid[1]
    for thickness, color in ((3, (255, 255, 255)), (1, PROMPT)):
        cv2.rectangle(picture, (left + 1, top + 1), (left + width - 2, top + height - 2), color, thickness)


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """An image resized to (width, height)."""
    import cv2

    resized: Image = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_CUBIC
    )
    return resized


def greyed(image: Image) -> Image:
    """The image without its colours, (H, W, 3)."""
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def thinned(count: int, most: int, kept: int) -> list[int]:
    """At most ``most`` of ``count`` positions, evenly spread, ``kept`` among them."""
    chosen = dict.fromkeys([kept, *np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()])
    return sorted(list(chosen)[:most])
