"""The share of each pixel that an interval covers, with which shapes are drawn without steps at their edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def touched_pixels(size: int, low: float, high: float) -> range:
    """Return which of ``size`` pixels [low, high] covers any part of."""
    first = max(0, math.floor(low - 0.5) + 1)
    return range(first, max(first, min(size, math.ceil(high + 0.5))))


def covered_shares(pixels: range, low: float, high: float) -> NDArray[np.float64]:
    """Return the share of the unit interval around each pixel's centre that [low, high] covers."""
    left = np.arange(pixels.start, pixels.stop) - 0.5
    return np.asarray(np.maximum(np.minimum(left + 1.0, high) - np.maximum(left, low), 0.0))
