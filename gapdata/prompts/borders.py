"""Make the borders of a mask exact.

A pixel that no ray went through, beside one with another value, gets its ray, and so on from pixel to pixel, until the
value of every pixel beside a different one comes from a ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.cast_image import CastImage, distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCheck:
    """The test whether the sensor's depth agrees with the mesh's.

    Args:
        tolerance: metres by which they may differ.
        relative_tolerance: the same as a share of the sensor's depth; the larger of the two holds.
    """

    tolerance: np.float32
    relative_tolerance: np.float32

    def agrees(self, nearness: NDArray[np.float32], depth: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which pixels agree.

        Pixels without depth cannot be checked and count as agreeing; pixels where the mesh has nothing do not agree.

        Args:
            nearness: inverse z-depth of the mesh, per metre, 0 where there is none.
            depth: the sensor's, metres, 0 where invalid; of the same shape.
        """
        # Over the mesh's depth m: |1 - depth / m| <= max(tolerance / m, relative_tolerance * depth / m).
        ratio = depth * nearness
        margin = nearness * self.tolerance
        np.maximum(margin, ratio * self.relative_tolerance, out=margin)
        ratio -= 1
        np.abs(ratio, out=ratio)
        agreed = ratio <= margin
        agreed |= depth == 0
        return agreed


def checked_mask(image: CastImage, depth: NDArray[np.float32], check: SensorCheck) -> NDArray[np.uint16]:
    """Return the object id + 1 of pixels whose depth agrees with the mesh, (H, W) uint16, 0 elsewhere.

    Args:
        image: of the mesh; the rays that are cast here are added to it.
        depth: (H, W) float32 metres of the sensor, 0 where invalid.
        check: the test of the mesh's depth against the sensor's.
    """
    height, width = depth.shape
    inside = (slice(0, height), slice(0, width))
    shape = (image.camera.height, image.stride)
    mask = image.values.reshape(shape)[inside] * check.agrees(image.nearness.reshape(shape)[inside], depth)
    shown, seen = mask.ravel(), np.ascontiguousarray(depth).ravel()
    pixels = np.flatnonzero(_beside_others(mask) & ~image.settled.reshape(shape)[inside])
    while len(pixels):
        places = _places(pixels, image, width)
        image.cast(places)
        found = image.values[places] * check.agrees(image.nearness[places], seen[pixels])
        changed = pixels[found != shown[pixels]]
        shown[pixels] = found
        beside = _differing(changed, shown, width)
        pixels = distinct(beside[~image.settled[_places(beside, image, width)]])
    return mask


def _beside_others(mask: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Return which pixels have a neighbour with another value."""
    found = np.zeros(mask.shape, dtype=bool)
    beside, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    found[:, 1:] = beside
    found[:, :-1] |= beside
    found[1:] |= below
    found[:-1] |= below
    return found


def _places(pixels: NDArray[np.intp], image: CastImage, width: int) -> NDArray[np.intp]:
    """Return the places of pixels (row * width + column) in the raster of the image."""
    return pixels + pixels // width * (image.stride - width)


def _differing(pixels: NDArray[np.intp], shown: NDArray[np.uint16], width: int) -> NDArray[np.intp]:
    """Return the neighbours of pixels that show something else than those."""
    column = pixels % width
    steps = ((-1, column > 0), (1, column < width - 1), (-width, pixels >= width), (width, pixels < len(shown) - width))
    found = []
    for step, within in steps:
        origin = pixels[within]
        found.append(origin[shown[origin + step] != shown[origin]] + step)
    return np.concatenate(found)
