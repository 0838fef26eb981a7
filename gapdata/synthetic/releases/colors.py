"""Colour words for surfaces: CIELAB, cut where people change the word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

COLORS = ("black", "gray", "white", "red", "orange", "brown", "beige", "yellow", "green", "blue", "purple", "pink")

SIMILAR: Mapping[str, frozenset[str]] = {
    "black": frozenset({"gray"}),
    "gray": frozenset({"black", "white", "beige", "blue", "green", "purple"}),
    "white": frozenset({"gray", "beige"}),
    "red": frozenset({"brown", "pink", "orange", "purple"}),
    "orange": frozenset({"brown", "red", "yellow", "beige"}),
    "brown": frozenset({"beige", "orange", "red", "black"}),
    "beige": frozenset({"white", "brown", "yellow", "gray", "orange", "pink"}),
    "yellow": frozenset({"orange", "beige", "green"}),
    "green": frozenset({"yellow", "blue", "gray"}),
    "blue": frozenset({"green", "purple", "gray"}),
    "purple": frozenset({"blue", "pink", "gray", "red"}),
    "pink": frozenset({"red", "purple", "beige"}),
}
"""Words that another eye or another light may choose for a colour."""

MATERIALS: Mapping[str, str] = {"wood": "wooden", "leather": "leather", "steel": "metal"}
"""Adjectives by kind of material (``Palette.kinds``)."""

FIGURED = 14.0
"""Distance in CIELAB that a quarter of a texture exceeds when it shows a figure."""

_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Linear sRGB to CIE XYZ, white point D65 (IEC 61966-2-1)."""


def lab(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert linear sRGB (N, 3) in 0..1 to CIELAB (N, 3)."""
    xyz = np.asarray(linear, dtype=np.float64) @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def color_indices(linear: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the indices into ``COLORS`` that several eyes give to linear sRGB reflectances (N, 3): (E, N).

    One eye sees the colours as they are, the others see them lighter, darker, duller, or of a neighbouring hue.
    """
    lightness, a, b = lab(linear).T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a))
    eyes = ((0, 1, 0), (7, 1, 0), (-7, 1, 0), (0, 0.75, 0), (0, 1, 9), (0, 1, -9))
    return np.stack([_named(lightness + up, chroma * vivid, (hue + turn) % 360) for up, vivid, turn in eyes])


def is_plain(texture: NDArray[np.floating]) -> bool:
    """Tell whether a texture (S, S, 3) in sRGB has one colour: grain and weave may vary it, not a second colour."""
    colors = lab(np.asarray(texture[::4, ::4], dtype=np.float64).reshape(-1, 3) ** 2.2)
    spread = np.linalg.norm(colors - np.median(colors, axis=0), axis=1)
    return bool(np.quantile(spread, 0.75) < FIGURED)


def _named(lightness: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64]) -> NDArray[np.int64]:
    rules = [
        (lightness < 17, "black"),
        ((chroma < 10) & (lightness < 30), "black"),
        ((chroma < 10) & (lightness < 80), "gray"),
        ((chroma < 11) & (lightness >= 80), "white"),
        (((hue >= 340) | (hue < 45)) & (lightness >= 62), "pink"),
        (((hue >= 345) | (hue < 45)) & (chroma >= 33), "red"),
        (((hue >= 340) | (hue < 30)) & (lightness < 50) & (chroma >= 18), "red"),
        (((hue >= 340) | (hue < 30)) & (lightness >= 50), "pink"),
        ((hue >= 340) & (lightness < 50), "purple"),
        ((hue < 100) & (lightness < 60) & (chroma < 58), "brown"),
        ((hue < 78) & (chroma >= 50), "orange"),
        ((hue < 110) & (chroma >= 42), "yellow"),
        ((hue < 100), "beige"),
        ((hue < 185), "green"),
        ((hue < 295), "blue"),
        ((hue < 345), "purple"),
    ]
    return np.select([rule for rule, _ in rules], [COLORS.index(name) for _, name in rules], COLORS.index("pink"))
