"""Text on images: OpenCV's own scalable font where it has one (version 5), its stroke font otherwise."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]

HERSHEY_UNIT = 30.0
"""Height in pixels at which OpenCV 4's stroke font has scale 1."""


@lru_cache(maxsize=1)
def _font() -> Any:
    import cv2

    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


def text_width(text: str, size: int, weight: int = 400) -> int:
    """Return the width in pixels of one line of text of ``size`` pixels."""
    import cv2

    font = _font()
    if font is None:
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size / HERSHEY_UNIT, 1)
        return int(width)
    x, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), font, size, weight)
    return int(x + width)


def put_text(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], size: int, color: Color, weight: int = 400
) -> None:
    """Write one line into ``image`` (H, W, 3), baseline from ``at`` (x, y); ``weight`` 400 regular, 700 bold."""
    import cv2

    font = _font()
    if font is None:
        thickness = 2 if weight >= 600 and size >= 18 else 1
        scale = size / HERSHEY_UNIT
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
    else:
        cv2.putText(image, text, at, color, font, size, weight)


def fitted_text(text: str, size: int, width: int, weight: int = 400) -> str:
    """Cut ``text`` with an ellipsis so that it is at most ``width`` pixels wide."""
    if text_width(text, size, weight) <= width:
        return text
    letters = bisect_right(range(len(text)), width, key=lambda count: text_width(text[:count] + "...", size, weight))
    return text[: max(letters - 1, 0)] + "..."


def text_image(text: str, size: int, color: Color, ground: Color, weight: int = 400) -> NDArray[np.uint8]:
    """Return a line of text on a plate of its own colour, (size + 10, W, 3)."""
    image = np.full((size + 10, text_width(text, size, weight) + 10, 3), ground, dtype=np.uint8)
    put_text(image, text, (5, size + 2), size, color, weight)
    return image
