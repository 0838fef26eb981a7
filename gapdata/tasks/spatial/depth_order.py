"""Which of several marked points of a frame is nearest to the camera, by depth and in a straight line.

People mean the straight line, and sets of depth images the viewing direction: the answer has to be the same by both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.marked_pixels import apart_from, draw_pixel, usable_pixels
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion, frame_name, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts

LEAST_GAP, LEAST_GAP_SHARE = 0.1, 0.08
"""Metres by which the depths of any two marks differ, and their distances, and this share of the larger one."""
COUNTS = (2, 3, 4)
TRIES = 30
TEXT = "Which of the numbered crosses in {frame} is nearest to the camera?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random marks in random frames; they are numbered at random."""
    for _ in range(TRIES):
        frame, count = int(rng.integers(len(facts.record))), int(rng.choice(COUNTS))
        depth = facts.depth(frame)
        distance = depth * facts.ray_lengths(frame)
        usable = usable_pixels(facts, frame)
        pixels: list[tuple[int, int]] = []
        while len(pixels) < count:
            pixel = draw_pixel(usable, rng)
            if pixel is None:
                break
            pixels.append(pixel)
            usable = usable & apart_from(depth.shape, [pixel])
            for length in (depth, distance):
                own = length[pixel[1], pixel[0]]
                least = np.maximum(LEAST_GAP, LEAST_GAP_SHARE * np.maximum(length, own))
                usable &= np.abs(length - own) > least
        if len(pixels) < count:
            yield NotAsked("the frame has too few surfaces at different depths")
            continue
        pixels = [pixels[place] for place in rng.permutation(count).tolist()]  # the first drawn has most to choose from
        values, straight = (np.array([each[v, u] for u, v in pixels], dtype=np.float64) for each in (depth, distance))
        nearest = int(values.argmin())
        if nearest != int(straight.argmin()):
            yield NotAsked("along the viewing direction and in a straight line, another mark is nearest")
            continue
        options = tuple(f"cross {number}" for number in range(1, count + 1))
        gap = float(np.sort(values)[1] - values[nearest])
        yield SpatialQuestion(
            kind="depth_order",
            text=with_letters(TEXT.format(frame=frame_name(frame)), options),
            answer=LETTERS[nearest],
            value=gap,
            margin=gap,
            options=options,
            frames=(frame,),
            marks=tuple(Mark(frame=frame, pixel=pixel, number=place) for place, pixel in enumerate(pixels, start=1)),
        )


KIND = Kind(name="depth_order", metric="letter", find=find, of_frames=True, pixels=True)
