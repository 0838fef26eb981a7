"""Words in the window: plates of constant size on the screen that face the viewer, all in one picture.

Open3D's key-driven window draws neither text nor labels. So every text is a textured rectangle just behind the near
plane, placed anew whenever the view changes; which rectangle goes where is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform
from gapdata.show.scene.palette import MUTED, Color, ink_on
from gapdata.show.scene.pieces import Label
from gapdata.show.sheet.text import put_text, text_width

NEAR = 0.02
"""Metres of the near plane that the window sets."""
DISTANCE = (1.15 * NEAR, 1.45 * NEAR)
"""Metres at which plates are drawn, nearer ones over farther ones."""
LETTERS = 15
LINE = LETTERS + 8
PADDING = 5
MAX_WIDTH = 1400
DARK: Color = (16, 17, 21)

Swatches = tuple[tuple[str, Color], ...]
"""Names and their colours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plate:
    """A text as a picture: at a point of the scene, or at a corner of the window."""

    image: NDArray[np.uint8]  # (h, w, 3) RGB
    at: NDArray[np.float64] | None = None  # (3,) metres, shown frame
    corner: tuple[int, int] = (0, 0)
    """Pixels from the window's left, and from its top; or, below 0, from its bottom."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Atlas:
    """All plates below each other in one picture."""

    plates: tuple[Plate, ...]
    image: NDArray[np.uint8]  # (h, w, 3) RGB
    texture: NDArray[np.float64]  # (N, 4, 2) corners in it, from 0 to 1, clockwise from the top left


def text_plate(text: str, color: Color, corner: tuple[int, int], swatches: Swatches = ()) -> Plate:
    """A line on dark ground for a corner of the window, behind it named colours."""
    x = text_width(text, LETTERS) + 2 * PADDING
    width = x + sum(text_width(name, LETTERS) + LETTERS + 4 * PADDING for name, _ in swatches)
    image = np.full((LINE, max(width, 1), 3), DARK, dtype=np.uint8)
    put_text(image, text, (PADDING, LETTERS + 2), LETTERS, color)
    for name, shown in swatches:
        image[PADDING : PADDING + LETTERS - 3, x + PADDING : x + PADDING + LETTERS - 3] = shown
        put_text(image, name, (x + LETTERS + PADDING, LETTERS + 2), LETTERS, MUTED)
        x += text_width(name, LETTERS) + LETTERS + 4 * PADDING
    return Plate(image=image[:, :MAX_WIDTH], corner=corner)


def label_plate(label: Label) -> Plate:
    """A label's text on its own colour."""
    size = LETTERS - 2
    image = np.zeros((size + 2 * PADDING, text_width(label.text, size, 600) + 2 * PADDING, 3), dtype=np.uint8)
    image[:] = label.color
    put_text(image, label.text, (PADDING, size + PADDING - 2), size, ink_on(label.color), 600)
    return Plate(image=image[:, :MAX_WIDTH], at=label.at)


def atlas_of(plates: list[Plate]) -> Atlas:
    """Put plates below each other."""
    width = max(plate.image.shape[1] for plate in plates)
    height = sum(plate.image.shape[0] for plate in plates)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    texture = np.empty((len(plates), 4, 2))
    top = 0
    for place, plate in enumerate(plates):
        high, wide = plate.image.shape[:2]
        image[top : top + high, :wide] = plate.image
        texture[place] = [[0, top], [wide, top], [wide, top + high], [0, top + high]]
        top += high
    return Atlas(plates=tuple(plates), image=image, texture=texture / [width, height])


def plate_corners(
    plates: tuple[Plate, ...], camera: Intrinsics, shown_to_camera: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where plates are for a view: corners (N, 4, 3) in the shown frame, clockwise from the top left.

    A label stands above its point, upright on the screen and in its own number of pixels; one whose point is behind the
    viewer, or outside the window, shrinks to nothing.

    Args:
        plates: N.
        camera: of the window.
        shown_to_camera: (4, 4).
    """
    rectangles, depths = np.zeros((len(plates), 4)), np.full(len(plates), np.inf)
    for place, plate in enumerate(plates):
        high, wide = plate.image.shape[:2]
        if plate.at is None:
            top = plate.corner[1] if plate.corner[1] >= 0 else camera.height + plate.corner[1] - high
            depths[place] = 0.0
            rectangles[place] = plate.corner[0], top, wide, high
            continue
        local = transform(shown_to_camera, plate.at)
        pixel = camera.project(local)
        if local[2] > NEAR and (np.abs(pixel - [camera.width / 2, camera.height / 2]) < camera.width).all():
            rectangles[place] = *(np.rint(pixel) - [wide // 2, high]), wide, high
            depths[place] = local[2]
    # Texts at corners are nearest; of the labels the one whose point is nearer lies over the other.
    order = np.argsort(np.argsort(depths))
    z = DISTANCE[0] + (DISTANCE[1] - DISTANCE[0]) * order / max(len(plates), 1)
    left, top, wide, high = rectangles.T
    u, v = (
        np.stack([left, left + wide, left + wide, left], 1) - 0.5,
        np.stack([top, top, top + high, top + high], 1) - 0.5,
    )
    corners = camera.unproject(np.stack([u, v], axis=-1), np.repeat(z[:, None], 4, axis=1))
    return transform(np.linalg.inv(shown_to_camera), corners)
