"""The pinhole camera of stored images, derived from the camera of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """Focal lengths and centre in pixels; whole numbers are the centres of pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def pixels(self) -> Floats:
        """Return all pixels, row after row, (H * W, 2): column and row."""
        rows, columns = np.divmod(np.arange(self.width * self.height), self.width)
        return np.stack([columns, rows], axis=1).astype(np.float64)

    def directions(self, pixels: Floats) -> Floats:
        """Return the ways (n, 3) into the pixels (n, 2): right, down and 1 ahead."""
        middle, focal = np.array([self.cx, self.cy]), np.array([self.fx, self.fy])
        return np.concatenate([(pixels - middle) / focal, np.ones((len(pixels), 1))], axis=1)

    def images(self, points: Floats) -> Floats:
        """Return the pixels (n, 2) that points (n, 3) in the camera's axes fall on, NaN behind it."""
        ahead = np.where(points[:, 2:] > 1e-6, points[:, 2:], np.nan)
        return points[:, :2] / ahead * [self.fx, self.fy] + [self.cx, self.cy]

    def in_frame(self, points: Floats, slack: float = 0.0) -> NDArray[np.bool_]:
        """Return which points (n, 3) fall into the image, or up to ``slack`` pixels beside it."""
        place = np.nan_to_num(self.images(points), nan=-1e9)
        limit = np.array([self.width, self.height]) - 0.5 + slack
        return np.asarray(((place >= -0.5 - slack) & (place <= limit)).all(axis=1))


def stored_lens(native: Lens, width: int, height: int) -> Lens:
    """Return the camera of images of a size, cut from the middle of the scan's own and scaled.

    The window is the largest of the wanted shape, in whole pixels.
    """
    scale = min(native.width / width, native.height / height)
    across, down = round(width * scale), round(height * scale)
    left, top = (native.width - across) // 2, (native.height - down) // 2
    by_x, by_y = width / across, height / down
    return Lens(
        fx=native.fx * by_x,
        fy=native.fy * by_y,
        cx=(native.cx - left + 0.5) * by_x - 0.5,
        cy=(native.cy - top + 0.5) * by_y - 0.5,
        width=width,
        height=height,
    )
