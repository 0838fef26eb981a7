"""Encode images as the files that formats hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return a PNG of an RGB image (H, W, 3) uint8, or of one channel (H, W) uint8 or uint16."""
    import cv2

    return bytes(cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1])
