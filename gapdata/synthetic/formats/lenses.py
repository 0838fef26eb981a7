"""Bend a walk's images as a real lens does."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens

Pixel = TypeVar("Pixel", np.uint8, np.uint16)
FINER = 2.0
"""Pixels of the rendered image in one of the bent image, along a side."""
ROUNDS = 60
"""Of the search for the ray that the lens bends to a pixel: each takes what is missing off again."""


class BentCamera:
    """A camera with a lens, and the pinhole camera that sees all that the lens sees.

    Args:
        camera: its focal lengths, centre and size.
        lens: what bends its rays.

    Attributes:
        pinhole: what to render.
    """

    def __init__(self, camera: Intrinsics, lens: Lens) -> None:
        wanted = camera.rays()[..., :2]
        rays = wanted
        for _ in range(ROUNDS):
            rays = rays + wanted - lens.distort(rays)
        low, high = rays.min(axis=(0, 1)), rays.max(axis=(0, 1))
        fx, fy = FINER * camera.fx, FINER * camera.fy
        width, height = (int(np.ceil(span * f)) + 3 for span, f in zip(high - low, (fx, fy), strict=True))
        self.pinhole = Intrinsics(
            fx=fx, fy=fy, cx=1 - float(low[0]) * fx, cy=1 - float(low[1]) * fy, width=int(width), height=int(height)
        )
        self._columns = (rays[..., 0] * fx + self.pinhole.cx).astype(np.float32)
        self._rows = (rays[..., 1] * fy + self.pinhole.cy).astype(np.float32)

    def bend(self, image: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return what the lens makes of an image (H, W, 3) uint8, or of depth (H, W) uint16, of :attr:`pinhole`."""
        import cv2

        way = cv2.INTER_NEAREST if image.dtype == np.uint16 else cv2.INTER_LINEAR
        return np.asarray(cv2.remap(image, self._columns, self._rows, way))
