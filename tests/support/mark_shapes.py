"""Where marks lie, told from what drawing them does to plain images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import ARM_LENGTH, HALF_BAR, NATIVE_WIDTH, draw_marks


def share_covered(
    image_size: tuple[int, int], pixel: tuple[int, int], native_width: float = NATIVE_WIDTH
) -> NDArray[np.float32]:
    """Return the share of every pixel that the cross at ``pixel`` covers, (H, W) float32, from its two bars."""
    bars = []
    for half in (ARM_LENGTH, HALF_BAR):
        for side, at in zip(image_size, pixel, strict=True):
            edges = np.clip(np.arange(side + 1) - 0.5 - at, *(np.array([-1, 1]) * half * image_size[0] / native_width))
            bars.append(np.diff(edges))
    long_u, long_v, thin_u, thin_v = bars
    union = np.outer(thin_v, long_u) + np.outer(long_v, thin_u) - np.outer(thin_v, thin_u)
    return union.astype(np.float32)


def touched(
    image_size: tuple[int, int], pixels: Mapping[int, tuple[int, int]], native_width: float = NATIVE_WIDTH
) -> NDArray[np.bool_]:
    """Return where drawing the marks changes a black or a white image, (H, W)."""
    plain = [np.full((image_size[1], image_size[0], 3), value, np.uint8) for value in (0, 255)]
    changed = [(draw_marks(image, pixels, native_width) != image).any(axis=-1) for image in plain]
    return np.asarray(changed[0] | changed[1])
