"""One crop and one resize from the native frame to the training size, with intrinsics that follow exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics

REDUCTIONS = (8, 4, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizePlan:
    """How a native frame becomes a stored one: decode at ``1 / reduction``, cut the centred window, resample."""

    reduction: int
    left: int
    top: int
    width: int
    height: int
    camera: Intrinsics  # of the stored frame

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame decoded at ``reduction``, (h, w, 3) uint8, to the stored frame (H, W, 3) uint8."""
        import cv2

        window = image[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (self.camera.width, self.camera.height)
        if size == (self.width, self.height):
            return np.ascontiguousarray(window)
        # The decoder's DCT scaling has already filtered by a power of two; beyond that only area averaging does not
        # alias.
        strong = self.width > 2 * size[0] or self.height > 2 * size[1]
        return cv2.resize(window, size, interpolation=cv2.INTER_AREA if strong else cv2.INTER_LINEAR)

    def apply_nearest(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels of native size, (h, w), to the stored frame (H, W): each pixel takes the label at its centre, through
        the same window as :meth:`apply`, so labels are never mixed."""
        rows = _nearest(self.camera.height, self.top, self.height, self.reduction, labels.shape[0])
        columns = _nearest(self.camera.width, self.left, self.width, self.reduction, labels.shape[1])
        return labels[rows[:, None], columns]


def _nearest(size: int, start: int, length: int, reduction: int, native: int) -> NDArray[np.int64]:
    """The native index that holds the centre of each of ``size`` pixels, which divide the window of ``length`` from
    ``start`` on in an image reduced by ``reduction``."""
    edges = (start + (np.arange(size) + 0.5) * (length / size)) * reduction
    return np.minimum(edges.astype(np.int64), native - 1)


def plan_resize(native: Intrinsics, size: tuple[int, int]) -> ResizePlan:
    """Fill ``size`` = (width, height) with the largest centred window of its aspect ratio.

    The window is rounded to whole pixels, so the two axes may be scaled by factors that differ by less than a pixel's
    worth; the returned intrinsics carry both. A frame that has the size already keeps its camera to the last bit.
    """
    target_width, target_height = size
    if size == (native.width, native.height):
        return ResizePlan(reduction=1, left=0, top=0, width=native.width, height=native.height, camera=native)
    for reduction in REDUCTIONS:
        width, height = -(-native.width // reduction), -(-native.height // reduction)
        scale = max(target_width / width, target_height / height)
        if scale <= 1.0 or reduction == 1:
            break
    window_width = min(width, round(target_width / scale))
    window_height = min(height, round(target_height / scale))
    left, top = (width - window_width) // 2, (height - window_height) // 2
    camera = _reduced(native, reduction).cropped(left, top, window_width, window_height)
    return ResizePlan(
        reduction=reduction,
        left=left,
        top=top,
        width=window_width,
        height=window_height,
        camera=camera.resized(target_width, target_height),
    )


def _reduced(native: Intrinsics, reduction: int) -> Intrinsics:
    """Exactly ``1 / reduction`` on both axes, also where the side is no multiple of it and the last pixel is a
    partial one."""
    return Intrinsics(
        fx=native.fx / reduction,
        fy=native.fy / reduction,
        cx=(native.cx + 0.5) / reduction - 0.5,
        cy=(native.cy + 0.5) / reduction - 0.5,
        width=-(-native.width // reduction),
        height=-(-native.height // reduction),
    )
