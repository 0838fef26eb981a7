"""Rows of pictures under captions, with a label in front: numbers of a grid drawn in colour over a frame in grey."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.palette import MUTED, PROMPT, TEXT
from gapdata.show.sheet.parts import CAPTION, GAP, Image, blank, picture_row, resized, write
from gapdata.show.sheet.text import put_text

MARGIN, LABEL = 28, 230
MAX_WIDTH = 1640
"""Of all pictures of a row."""


def cell_size(cells: int, aspect: float) -> tuple[int, int]:
    """Return (width, height) of each of ``cells`` pictures in a row, of images ``aspect`` times as high as wide."""
    width = min(300, (MAX_WIDTH + GAP) // cells - GAP)
    return width, round(width * aspect)


def map_sheet(title: str, rows: Sequence[Image]) -> Image:
    """Put a title above rows of equal width, (H, W, 3) uint8 RGB."""
    header = blank(58, rows[0].shape[1])
    write(header, [(title, 24, TEXT, 700)], (0, 28))
    inner = np.concatenate([header, *(part for row in rows for part in (row, blank(8, row.shape[1])))])
    sheet = blank(inner.shape[0] + 2 * MARGIN, inner.shape[1] + 2 * MARGIN)
    sheet[MARGIN:-MARGIN, MARGIN:-MARGIN] = inner
    return sheet


def map_row(name: str, detail: str, cells: Sequence[Image | None], captions: Sequence[str]) -> Image:
    """Put a label in front of pictures side by side, each with a caption above it; ``None`` leaves its place free."""
    high, wide = next(cell.shape[:2] for cell in cells if cell is not None)
    words = [[(caption, 14, MUTED, 400)] for caption in captions]
    pictures = picture_row(cells, (wide, high), len(cells) * (wide + GAP), words)
    label = blank(len(pictures), LABEL)
    write(label, [(name, 16, TEXT, 600)], (0, CAPTION + 18), width=LABEL - 12)
    write(label, [(detail, 14, MUTED, 400)], (0, CAPTION + 42), width=LABEL - 12)
    return np.concatenate([label, pictures], axis=1)


def heat_map(values: NDArray[np.float32], low: float, high: float, grey: Image, colors: str) -> Image:
    """Draw (h, w) numbers over an image in grey: one block of colour each, from OpenCV's colour map of that name."""
    import cv2

    level = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    blocks = cv2.resize(np.rint(255 * level).astype(np.uint8), grey.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    tinted = cv2.cvtColor(cv2.applyColorMap(blocks, getattr(cv2, f"COLORMAP_{colors}")), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.addWeighted(tinted, 0.72, grey, 0.28, 0))


def color_scale(size: tuple[int, int], low: float, high: float, colors: str) -> Image:
    """Draw what the colours of :func:`heat_map` mean, as a picture of ``size`` (width, height)."""
    width, height = size
    picture = blank(height, width)
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


def greyed(image: Image, size: tuple[int, int]) -> Image:
    """Return the image without its colours, (H, W, 3), of ``size`` (width, height)."""
    return np.repeat(resized(image, size).mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
