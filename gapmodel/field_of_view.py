"""One window of a stored frame for both encoders, and its pixels in each encoder's form.

One window (centred, of the grid's aspect) is chosen for the grid that both encoders share, and each encoder's image is
resampled from that window alone, so patch (i, j) of one sees what patch (i, j) of the other sees. Resampling is
Pillow's bicubic, which widens its filter when it shrinks (OpenCV's does not, and aliases) and takes windows with
fractional borders; where it shrinks next to nothing, OpenCV does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gapdata.errors import UsageError

MEAN = STD = 0.5
"""Qwen3-VL's image normalisation, all channels."""
MILD = 1.15
"""Shrinking by less does not need a wider filter: from 512 (16-pixel patches) to 448 (14-pixel ones) is 1.14."""
PAPER_WIDTH, PAPER_MULTIPLE = 518, 14
"""The authors' frames are resized to this width, and to a height that is a multiple of VGGT's patch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a stored frame that both encoders see, in pixel extents (pixel 0 covers 0 to 1), and its grid."""

    left: float
    top: float
    width: float
    height: float
    grid: tuple[int, int]  # patches, (rows, columns)

    def patch_at(self, pixel: tuple[int, int]) -> tuple[int, int]:
        """Return the row and column of the patch that sees a pixel (u, v).

        Raises:
            UsageError: the pixel lies outside the window.
        """
        rows, columns = self.grid
        row = (pixel[1] + 0.5 - self.top) * rows / self.height
        column = (pixel[0] + 0.5 - self.left) * columns / self.width
        if not (0 <= row < rows and 0 <= column < columns):
            raise UsageError(f"pixel {pixel} is outside of what the model sees", cure="choose another --token")
        return int(row), int(column)


def centred_window(width: int, height: int, grid: tuple[int, int]) -> Window:
    """Return the largest part of a frame of ``width`` x ``height`` pixels with the aspect of a grid, in its middle."""
    rows, columns = grid
    seen_width, seen_height = min(width, height * columns / rows), min(height, width * rows / columns)
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return Window(left=left, top=top, width=seen_width, height=seen_height, grid=grid)


def resample(
    image: NDArray[np.uint8], window: Window, size: tuple[int, int], *, always_pillow: bool = False
) -> NDArray[np.uint8]:
    """Return ``window`` of (H, W, 3) uint8 as an image of ``size`` (width, height).

    A window of whole pixels that shrinks by at most :data:`MILD` is resized by OpenCV, bilinearly, as the authors do
    for VGGT: it takes a tenth of the time and differs by 0.7 grey levels on average even on noise.
    """
    from PIL import Image

    box = (window.left, window.top, window.left + window.width, window.top + window.height)
    if box == (0, 0, *size):
        return image
    if (
        not always_pillow
        and all(float(edge).is_integer() for edge in box)
        and all(1 <= seen / wanted <= MILD for seen, wanted in zip((window.width, window.height), size, strict=True))
    ):
        import cv2

        left, top, right, bottom = map(int, box)
        resized: NDArray[np.uint8] = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR)
        return resized
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box))


def of_one_size(images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Return images of one size, because a view has one patch grid.

    Where they differ, each is cropped in its middle to the aspect of the largest one and resized to it.
    """
    sizes = {image.shape[:2] for image in images}
    if len(sizes) <= 1:
        return list(images)
    height, width = max(sizes, key=lambda size: (size[0] * size[1], size))
    windows = [centred_window(image.shape[1], image.shape[0], (height, width)) for image in images]
    return [resample(image, window, (width, height)) for image, window in zip(images, windows, strict=True)]


def scaled(images: NDArray[Any]) -> NDArray[np.float32]:
    """Turn uint8 images (F, H, W, 3) into float32 in [0, 1]."""
    return images.astype(np.float32) / 255.0


def paper_height(width: int, height: int) -> int:
    """Return the height in pixels that the authors give a frame; of a tall one they then keep the middle square."""
    return round(height * (PAPER_WIDTH / width) / PAPER_MULTIPLE) * PAPER_MULTIPLE


def paper_grid(width: int, height: int, patch: int, merge: int) -> tuple[int, int]:
    """Return the patches (rows, columns) that the authors' Qwen has of a frame of ``width`` x ``height`` pixels."""
    block = patch * merge
    return min(PAPER_WIDTH, paper_height(width, height)) // block * merge, PAPER_WIDTH // block * merge


def paper_frames(
    images: Sequence[NDArray[np.uint8]], patch: int, merge: int, geometry_patch: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Make the authors' two images of each frame, (F, H, W, 3) float32 in [0, 1], for Qwen and for VGGT.

    Frames are resized to 518 x a multiple of 14. Qwen's image is cropped to whole blocks on the right and at the
    bottom; VGGT's is the whole frame, interpolated (bilinearly, without a wider filter) to as many patches as fit 16
    pixels. The two fields of view therefore differ by up to two percent.
    """
    height, width = images[0].shape[:2]
    rows = paper_height(width, height)
    whole = Window(left=0, top=0, width=width, height=height, grid=(0, 0))
    frames = scaled(np.stack([resample(image, whole, (PAPER_WIDTH, rows), always_pillow=True) for image in images]))
    start = max(0, rows - PAPER_WIDTH) // 2
    frames = frames[:, start : start + PAPER_WIDTH]
    height, width = frames.shape[1:3]
    block = patch * merge
    target = (height // patch * geometry_patch, width // patch * geometry_patch)
    geometry = F.interpolate(torch.from_numpy(frames).movedim(-1, 1), size=target, mode="bilinear", align_corners=False)
    return frames[:, : height // block * block, : width // block * block], geometry.movedim(1, -1).numpy()


def patchify(pixels: NDArray[Any], patch: int, merge: int, temporal: int) -> NDArray[Any]:
    """Cut frames (F, H, W, 3) into Qwen's patches, (F * h * w, 3 * temporal * patch * patch) in merge-block order.

    Each still frame is repeated ``temporal`` times, as Qwen's image processor does.
    """
    frames, height, width, channels = pixels.shape
    rows, columns = height // (patch * merge), width // (patch * merge)
    blocks = pixels.reshape(frames, rows, merge, patch, columns, merge, patch, channels)
    blocks = blocks.transpose(0, 1, 4, 2, 5, 7, 3, 6)  # (F, rows, columns, merge, merge, C, patch, patch)
    repeated = np.broadcast_to(blocks[:, :, :, :, :, :, None], (*blocks.shape[:6], temporal, patch, patch))
    return np.ascontiguousarray(repeated.reshape(-1, channels * temporal * patch * patch))
