"""Crop and resize frames from the native to the training size, with intrinsics that follow exactly.

A lens is undone in the same step, so that frames are sampled once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens, lens_map, pinhole_behind

REDUCTIONS = (8, 4, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizePlan:
    """The way from a native frame to a stored one: decode at ``1 / reduction``, cut the centred window, resample."""

    reduction: int
    left: int
    top: int
    width: int
    height: int
    camera: Intrinsics  # of the stored frame
    native: Intrinsics
    lens: Lens | None = None  # of the native frame

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the stored frame, (H, W, 3) uint8, of a frame decoded at ``reduction``, (h, w, 3) uint8."""
        import cv2

        if self.lens is not None:
            return self._without_lens(image)
        window = image[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (self.camera.width, self.camera.height)
        if size == (self.width, self.height):
            return np.ascontiguousarray(window)
        # The decoder's DCT scaling has already filtered by a power of two; beyond that only area averaging does not
        # alias.
        strong = self.width > 2 * size[0] or self.height > 2 * size[1]
        resized: NDArray[np.uint8] = cv2.resize(
            window, size, interpolation=cv2.INTER_AREA if strong else cv2.INTER_LINEAR
        )
        return resized

    def _without_lens(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Do the same as :meth:`apply`, through the lens; a finer frame is averaged if the decoder shrinks less."""
        import cv2

        size = (self.camera.width, self.camera.height)
        finer = max(1, -(-self.width // (2 * size[0])), -(-self.height // (2 * size[1])))
        camera = self.camera.resized(size[0] * finer, size[1] * finer)
        places = _reduced_map(self.lens, self.native, camera, self.reduction)
        frame: NDArray[np.uint8] = cv2.remap(
            image, *places, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if finer > 1:
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        return frame

    def apply_nearest(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return labels of native size, (h, w), at the size of the stored frame, (H, W).

        Each pixel takes the label at its centre, through the same window as :meth:`apply`, so labels are never mixed.
        """
        if self.lens is not None:
            import cv2

            places = _reduced_map(self.lens, self.native, self.camera, 1)
            found = cv2.remap(labels, *places, interpolation=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            return np.asarray(found, dtype=np.uint8)
        rows = _nearest(self.camera.height, self.top, self.height, self.reduction, labels.shape[0])
        columns = _nearest(self.camera.width, self.left, self.width, self.reduction, labels.shape[1])
        return labels[rows[:, None], columns]


@lru_cache(maxsize=4)
def _reduced_map(
    lens: Lens | None, native: Intrinsics, camera: Intrinsics, reduction: int
) -> tuple[NDArray[np.float32], ...]:
    """Return :func:`gapdata.geometry.lens.lens_map` in pixels of an image decoded at ``1 / reduction``."""
    places = tuple(
        (place + np.float32(0.5)) / np.float32(reduction) - np.float32(0.5) for place in lens_map(lens, native, camera)
    )
    for place in places:
        place.flags.writeable = False
    return places


def _nearest(size: int, start: int, length: int, reduction: int, native: int) -> NDArray[np.int64]:
    """Return the native index that holds the centre of each of ``size`` pixels.

    The pixels divide the window of ``length`` from ``start`` on in an image reduced by ``reduction``.
    """
    edges = (start + (np.arange(size) + 0.5) * (length / size)) * reduction
    return np.minimum(edges.astype(np.int64), native - 1)


def plan_resize(native: Intrinsics, size: tuple[int, int], lens: Lens | None = None) -> ResizePlan:
    """Plan how ``size`` = (width, height) is filled with the largest centred window of its aspect ratio.

    The window is cut from the native frame, or from the pinhole's frame that takes its place once its lens is undone.
    It is rounded to whole pixels, so the two axes may be scaled by factors that differ by less than a pixel's worth;
    the returned intrinsics carry both. A frame that has the size already keeps its camera to the last bit.
    """
    target_width, target_height = size
    pinhole = pinhole_behind(lens, native)
    whole = {"left": 0, "top": 0, "width": native.width, "height": native.height}
    if size == (native.width, native.height):
        return ResizePlan(reduction=1, **whole, camera=pinhole, native=native, lens=lens)
    for reduction in REDUCTIONS:
        width, height = -(-native.width // reduction), -(-native.height // reduction)
        scale = max(target_width / width, target_height / height)
        if scale <= 1.0 or reduction == 1:
            break
    window_width = min(width, round(target_width / scale))
    window_height = min(height, round(target_height / scale))
    left, top = (width - window_width) // 2, (height - window_height) // 2
    camera = _reduced(pinhole, reduction).cropped(left, top, window_width, window_height)
    return ResizePlan(
        reduction=reduction,
        left=left,
        top=top,
        width=window_width,
        height=window_height,
        camera=camera.resized(target_width, target_height),
        native=native,
        lens=lens,
    )


def _reduced(native: Intrinsics, reduction: int) -> Intrinsics:
    """Return the camera of an image that is exactly ``1 / reduction`` as large on both axes.

    Where a side is not a multiple of it, the last pixel is a partial one.
    """
    return Intrinsics(
        fx=native.fx / reduction,
        fy=native.fy / reduction,
        cx=(native.cx + 0.5) / reduction - 0.5,
        cy=(native.cy + 0.5) / reduction - 0.5,
        width=-(-native.width // reduction),
        height=-(-native.height // reduction),
    )
