"""Choose the pixels that are asked about, balanced over objects.

They lie inside an object, on valid depth, away from borders and from each other. Balancing over objects rather than
pixels matters because walls and floors fill most of a room's images: sampling pixels uniformly would ask about little
else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.instances import pixels_by_value

TRIES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSampling:
    """The rule by which prompts are chosen in one view.

    ``per_view``: the most prompts of a view; ``per_object``: the most prompts on one object; ``border``: pixels between
    a prompt and the edge of its object's visible part (or of valid depth, or of the image); ``spacing``: pixels between
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


class InteriorPixels:
    """The pixels of a frame where prompts may lie: their whole neighbourhood shows one object on valid depth.

    Neighbouring views share frames, so this is made once per frame; the positions of an object are listed when they
    are first asked for, since most never are.

    Args:
        mask: (H, W) uint16 object id + 1, 0 where none.
        valid: (H, W) bool, where depth is valid.
        border: pixels between an interior pixel and the edge of its object, of valid depth or of the image.
    """

    def __init__(self, mask: NDArray[np.uint16], valid: NDArray[np.bool_], border: int) -> None:
        import cv2

        window = np.ones((2 * border + 1, 2 * border + 1), dtype=np.uint8)
        outside = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
        ids = mask * valid
        lowest = cv2.erode(ids, window, **outside)
        interior = lowest * (lowest == cv2.dilate(ids, window, **outside))
        self.width = mask.shape[1]
        self.object_ids: tuple[int, ...] = tuple(np.flatnonzero(pixels_by_value(interior)[1:]).tolist())
        self._interior = interior.ravel()
        self._places: dict[int, NDArray[np.intp]] = {}

    def places(self, object_id: int) -> NDArray[np.intp]:
        """Return the positions (n,) of an object's interior pixels in raster order."""
        if object_id not in self._places:
            self._places[object_id] = np.flatnonzero(self._interior == object_id + 1)
        return self._places[object_id]


def sample_prompts(
    frames: Sequence[InteriorPixels], listed: Collection[int], sampling: PromptSampling, rng: np.random.Generator
) -> list[PromptPixel]:
    """Choose prompts in rounds: each round visits the objects in a new random order and adds one prompt to each.

    Args:
        frames: of the view, in its order.
        listed: ids of the objects that may be asked about.
        sampling: how many, and how far apart.
        rng: seeded from the recipe and the view's key.
    """
    showing: dict[int, list[int]] = {}
    for position, frame in enumerate(frames):
        for object_id in frame.object_ids:
            if object_id in listed:
                showing.setdefault(object_id, []).append(position)
    chosen: list[PromptPixel] = []
    open_objects = sorted(showing)
    for _ in range(sampling.per_object):
        for object_id in rng.permutation(open_objects).tolist():
            if len(chosen) >= sampling.per_view:
                return chosen
            prompt = _draw(frames, showing[object_id], object_id, chosen, sampling.spacing, rng)
            if prompt is None:
                open_objects.remove(object_id)
            else:
                chosen.append(prompt)
    return chosen


def _draw(
    frames: Sequence[InteriorPixels],
    showing: Sequence[int],
    object_id: int,
    chosen: list[PromptPixel],
    spacing: int,
    rng: np.random.Generator,
) -> PromptPixel | None:
    """Draw one of an object's interior pixels.

    It is from a random frame of those that show the object, so that a close-up does not take all prompts. Trying a few
    random pixels nearly always succeeds; only otherwise is every candidate compared with every other prompt.
    """
    for choice in rng.permutation(len(showing)).tolist():
        frame = showing[choice]
        places, width = frames[frame].places(object_id), frames[frame].width
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
    """Convert positions (n,) in raster order to (n, 2) rows of (u, v)."""
    return np.stack([places % width, places // width], axis=1)


def _apart(pixels: NDArray[np.intp], taken: NDArray[np.int64], spacing: int) -> NDArray[np.bool_]:
    """Return which of (n, 2) pixels lie at least ``spacing`` from all of (m, 2), in either direction."""
    near = np.zeros(len(pixels), dtype=bool)
    for other in taken:
        near |= (np.abs(pixels - other) < spacing).all(axis=1)
    return ~near
