"""In which order objects appear first, over the frames of a view."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

LEAST_APART = 2
"""Frames between the one that shows an object clearly and the one with the first glimpse of the next object."""
GLIMPSE = 10  # pixels
SIZES = (3, 4)
TRIES = 60
TEXT = "In which order do these appear first in the frames?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random choices of objects that appear clearly one after the other."""
    record = facts.record
    if list(record.frame_ids) != sorted(record.frame_ids):
        yield NotAsked("the frames are not in the order of time")
        return
    known = [(item, appearance(item)) for item in facts.nameable]
    for _ in range(TRIES):
        size = min(int(rng.integers(SIZES[0], SIZES[1] + 1)), len(known))
        chosen = [known[place] for place in rng.choice(len(known), size, replace=False).tolist()]
        chosen.sort(key=lambda pair: pair[1])
        apart = min(later[0] - earlier[1] for (_, earlier), (_, later) in itertools.pairwise(chosen))
        if apart < LEAST_APART:
            yield NotAsked("two objects appear at nearly the same time")
            continue
        yield _ask([item for item, _ in chosen], float(apart), rng)


def appearance(item: Named) -> tuple[int, int]:
    """Return the frames with the first glimpse of an object, and with the first sight of nearly all of it.

    It appears somewhere between the two: when, is a matter of taste, and the order does not depend on it.
    """
    glimpse = next(frame for frame, count in enumerate(item.item.visible_pixels) if count >= GLIMPSE)
    return glimpse, min(item.seen)


def _ask(items: list[Named], apart: float, rng: np.random.Generator) -> SpatialQuestion:
    right = list(range(len(items)))
    wrong: list[list[int]] = []
    while len(wrong) < 3:
        other = rng.permutation(len(items)).tolist()
        if other != right and other not in wrong:
            wrong.append(other)
    texts = [", ".join(items[place].name for place in order) for order in (right, *wrong)]
    options, letter = shuffled(texts[0], texts[1:], rng)
    return SpatialQuestion(
        kind="order",
        text=with_letters(TEXT, options),
        answer=letter,
        value=apart,
        margin=apart - 1,
        options=options,
        object_ids=tuple(item.item.object_id for item in items),
        names=tuple(item.name for item in items),
    )


KIND = Kind(
    name="order",
    metric="letter",
    find=find,
    views=("scene", "clip"),
    least_objects=SIZES[0],
    least_frames=8,
)
