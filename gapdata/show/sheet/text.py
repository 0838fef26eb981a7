"""Text on images: OpenCV's own scalable font where it has one (version 5), its stroke font otherwise."""

from __future__ import annotations

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
    """Width in pixels of one line of text of ``size`` pixels."""
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
    """``text`` cut with an ellipsis so that it is at most ``width`` pixels wide."""
    if text_width(text, size, weight) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle] + "...", size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "..."


def printable(text: str, limit: int = 40) -> str:
    """``text`` on one line, at most ``limit`` characters, without what a font cannot draw: it may be a model's."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    clean = " ".join(clean.encode("utf-8", "replace").decode("utf-8").split())
    return clean if len(clean) <= limit and len(text) <= 4 * limit else clean[: limit - 3] + "..."
