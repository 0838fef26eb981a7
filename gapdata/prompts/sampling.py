"""Which pixels are asked about: inside an object, on valid depth, away from borders and from each other, balanced
over objects.

Balancing over objects rather than pixels matters because walls and floors fill most of a room's images: sampling pixels
uniformly would ask about little else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRIES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSampling:
    """How prompts are chosen in one view.

    ``per_view``: at most so many in all; ``per_object``: at most so many on one object; ``border``: pixels between a
    prompt and the edge of its object's visible part (or of valid depth, or of the image); ``spacing``: pixels between
    two prompts of a frame.
    """

    per_view: int
    per_object: int
    border: int
    spacing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPixel:
    """A chosen pixel (u, v) of one frame of the view, and the object that it shows."""

    frame: int
    pixel: tuple[int, int]
    object_id: int


def sample_prompts(
    masks: NDArray[np.uint16], valid: NDArray[np.bool_], sampling: PromptSampling, rng: np.random.Generator
) -> list[PromptPixel]:
    """Choose prompts in rounds: each round visits the objects in a new random order and adds one prompt to each.

    Args:
        masks: (F, H, W) uint16 object id + 1, 0 where none.
        valid: (F, H, W) bool, where depth is valid.
        sampling: how many, and how far apart.
        rng: seeded from the recipe and the view's key.
    """
    candidates = _interior_pixels(masks, valid, sampling.border)
    chosen: list[PromptPixel] = []
    open_objects = sorted(candidates)
    for _ in range(sampling.per_object):
        for object_id in rng.permutation(open_objects).tolist():
            if len(chosen) >= sampling.per_view:
                return chosen
            prompt = _draw(candidates[object_id], masks.shape[2], object_id, chosen, sampling.spacing, rng)
            if prompt is None:
                open_objects.remove(object_id)
            else:
                chosen.append(prompt)
    return chosen


def _draw(
    candidates: list[tuple[int, NDArray[np.intp]]],
    width: int,
    object_id: int,
    chosen: list[PromptPixel],
    spacing: int,
    rng: np.random.Generator,
) -> PromptPixel | None:
    """One of an object's candidate pixels: a random frame first, so that a close-up does not take all prompts.

    Trying a few random pixels nearly always succeeds; only then is every candidate held against every other prompt.
    """
    for choice in rng.permutation(len(candidates)).tolist():
        frame, places = candidates[choice]
        taken = np.array([other.pixel for other in chosen if other.frame == frame]).reshape(-1, 2)
        tries = _pixels(places[rng.integers(0, len(places), size=TRIES)], width)
        free = tries[_apart(tries, taken, spacing)]
        if not len(free):
            every = _pixels(places, width)
            free = every[_apart(every, taken, spacing)]
            free = free[rng.integers(0, len(free), size=1)] if len(free) else free
        if len(free):
            u, v = free[0].tolist()
            return PromptPixel(frame=frame, pixel=(u, v), object_id=object_id)
    return None


def _pixels(places: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Positions (n,) in raster order to (n, 2) rows of (u, v)."""
    return np.stack([places % width, places // width], axis=1)


def _apart(pixels: NDArray[np.intp], taken: NDArray[np.int64], spacing: int) -> NDArray[np.bool_]:
    """Which of (n, 2) pixels lie at least ``spacing`` from all of (m, 2), in either direction."""
    near = np.zeros(len(pixels), dtype=bool)
    for other in taken:
        near |= (np.abs(pixels - other) < spacing).all(axis=1)
    return ~near


def _interior_pixels(
    masks: NDArray[np.uint16], valid: NDArray[np.bool_], border: int
) -> dict[int, list[tuple[int, NDArray[np.intp]]]]:
    """Candidate pixels by object id: for each frame that has some, their (n,) positions in raster order."""
    import cv2

    window = np.ones((2 * border + 1, 2 * border + 1), dtype=np.uint8)
    found: dict[int, list[tuple[int, NDArray[np.intp]]]] = {}
    for frame, (mask, has_depth) in enumerate(zip(masks, valid, strict=True)):
        # Interior means that the whole neighbourhood has one id and valid depth; outside the image counts as id 0.
        ids = mask * has_depth
        outside = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
        interior = (ids > 0) & (cv2.erode(ids, window, **outside) == ids) & (cv2.dilate(ids, window, **outside) == ids)
        places = np.flatnonzero(interior)
        labels = ids.ravel()[places]
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        present = np.flatnonzero(counts)
        for value, part in zip(present, np.split(places[order], np.cumsum(counts[present]))[:-1], strict=True):
            found.setdefault(int(value) - 1, []).append((frame, part))
    return found
