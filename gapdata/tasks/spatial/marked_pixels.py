"""Choose pixels that a question may mark: well inside the frame, on a smooth surface with known depth, not on glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.view_facts import ViewFacts

PATCH = 5  # pixels along a side
SPREAD = 0.02
"""Share of the depth by which it may vary over the patch around a mark: steeper surfaces and edges are left out."""
BORDER_SHARE, SPACING_SHARE = 0.05, 0.08
"""Shares of the frame's width that a mark keeps from the border and from other marks, so that each can be told."""
GLASS = frozenset(("window", "mirror", "glass"))
"""Words in the names of things that show what lies behind or before them, of which nobody can tell how far it is."""


def usable_pixels(facts: ViewFacts, frame: int, step: float = np.inf) -> NDArray[np.bool_]:
    """Return the pixels of a frame that may be marked, (H, W): smooth ones inside of one object that show no glass.

    Args:
        facts: of the view.
        frame: its position.
        step: as of :func:`smooth_pixels`.
    """
    if (frame, step) not in facts.usable:
        smooth = smooth_pixels(facts.depth(frame), step) & ~facts.shows(frame, GLASS)
        # Depth is often coarser than the picture, and passes over the tip of a leaf that the mask has.
        facts.usable[frame, step] = smooth & _alike(facts.instances(frame)) if facts.has_instances else smooth
    return facts.usable[frame, step]


def smooth_pixels(depth: NDArray[np.float32], step: float = np.inf) -> NDArray[np.bool_]:
    """Return the pixels that may be marked, (H, W).

    Args:
        depth: of a frame, (H, W) metres.
        step: metres by which it may vary over the patch around a mark, besides :data:`SPREAD`.
    """
    import cv2

    known = cv2.erode((depth > 0).astype(np.uint8), np.ones((PATCH, PATCH), np.uint8)) > 0
    high, low = cv2.dilate(depth, np.ones((PATCH, PATCH))), cv2.erode(depth, np.ones((PATCH, PATCH)))
    usable = known & (high - low < np.minimum(SPREAD * depth, step))
    border = border_of(depth.shape[1])
    inner = np.zeros_like(usable)
    inner[border:-border, border:-border] = usable[border:-border, border:-border]
    return np.asarray(inner)


def _alike(mask: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Return the pixels of a mask (H, W) around which the whole patch has the same number."""
    import cv2

    kernel = np.ones((PATCH, PATCH))
    return np.asarray(cv2.dilate(mask, kernel) == cv2.erode(mask, kernel))


def border_of(width: int) -> int:
    """Return the pixels that a mark keeps from the border of a frame of this width."""
    return max(PATCH, round(BORDER_SHARE * width))


def draw_pixel(usable: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a random one of the pixels, (u, v), or ``None`` where there is none."""
    places = np.flatnonzero(usable)
    if not len(places):
        return None
    v, u = divmod(int(places[rng.integers(len(places))]), usable.shape[1])
    return u, v


def apart_from(shape: tuple[int, ...], pixels: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return the pixels of a frame (H, W) that are far enough from all marks."""
    v, u = np.arange(shape[0]), np.arange(shape[1])
    far = np.ones(shape[:2], dtype=bool)
    for column, row in pixels:
        far &= np.add.outer((v - row) ** 2, (u - column) ** 2) > (SPACING_SHARE * shape[1]) ** 2
    return far
