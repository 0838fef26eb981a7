"""Texts in the window: plates of constant size on the screen that face the viewer, all in one picture.

Open3D's key-driven window cannot draw text. So every text is a textured rectangle just behind the near plane, placed
anew whenever the view changes; which rectangle goes where is computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform

NEAR = 0.02
"""Metres of the near plane that the window sets."""
DISTANCE = (1.15 * NEAR, 1.45 * NEAR)
"""Metres at which plates are drawn, nearer ones over farther ones."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plate:
    """A text as a picture: at a point of the scene, or at a corner of the window."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB
    at: NDArray[np.float64] | None = None  # (3,) metres, shown frame
    corner: tuple[int, int] = (0, 0)
    """Pixels from the window's left, and from its top; or, below 0, from its bottom."""


def in_one_picture(plates: Sequence[Plate]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Put plates below each other.

    Returns:
        The picture (h, w, 3); and the plates' corners in it (N, 4, 2), from 0 to 1, clockwise from the top left.
    """
    width = max(plate.image.shape[1] for plate in plates)
    padded = [np.pad(plate.image, ((0, 0), (0, width - plate.image.shape[1]), (0, 0))) for plate in plates]
    bottom = np.cumsum([len(plate.image) for plate in plates])
    top, right = np.concatenate([[0], bottom[:-1]]), np.array([plate.image.shape[1] for plate in plates])
    corners = np.stack([_across(np.zeros_like(right), right), _down(top, bottom)], axis=-1)
    return np.concatenate(padded), corners / [width, bottom[-1]]


def plate_corners(
    plates: Sequence[Plate], camera: Intrinsics, shown_to_camera: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where plates are for a view: corners (N, 4, 3) in the shown frame, clockwise from the top left.

    A label stands above its point, upright on the screen and in its own number of pixels; one with its point behind the
    viewer, or outside the window, shrinks to nothing.

    Args:
        plates: N.
        camera: of the window.
        shown_to_camera: (4, 4).
    """
    places, depths = np.zeros((len(plates), 4)), np.full(len(plates), np.inf)  # left, top, right, bottom
    for place, plate in enumerate(plates):
        high, wide = plate.image.shape[:2]
        left, top = plate.corner
        if plate.at is None:
            depths[place], top = 0.0, top if top >= 0 else camera.height + top - high
        else:
            local = transform(shown_to_camera, plate.at)
            pixel = camera.project(local)
            if local[2] <= NEAR or (np.abs(pixel - [camera.width / 2, camera.height / 2]) >= camera.width).any():
                continue
            depths[place], (left, top) = local[2], (np.rint(pixel) - [wide // 2, high]).astype(int)
        places[place] = left, top, left + wide, top + high
    # Texts at corners are nearest; of the labels the one with the nearer point lies over the other.
    order = np.argsort(np.argsort(depths))
    z = DISTANCE[0] + (DISTANCE[1] - DISTANCE[0]) * order / len(plates)
    left, top, right, bottom = places.T - 0.5
    pixels = np.stack([_across(left, right), _down(top, bottom)], axis=-1)
    return transform(np.linalg.inv(shown_to_camera), camera.unproject(pixels, np.repeat(z[:, None], 4, axis=1)))


def _across(left: NDArray[np.generic], right: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.stack([left, right, right, left], axis=1)


def _down(top: NDArray[np.generic], bottom: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.stack([top, top, bottom, bottom], axis=1)
