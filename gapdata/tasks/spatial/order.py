"""In which order objects appear first, over the frames of a view."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, Refused
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

FEWEST_FRAMES = 8
LEAST_APART = 2  # frames
GLIMPSE = 10
"""Pixels of an object in a frame before the one that shows it well, from which on it has appeared before."""
SIZES = (3, 4)
TRIES = 60
TEXT = "In which order do these appear first in the frames?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | Refused]:
    """Yield random choices of objects whose first frames are clearly apart."""
    record = facts.record
    if len(record) < FEWEST_FRAMES:
        yield Refused("the view has too few frames")
        return
    if list(record.frame_ids) != sorted(record.frame_ids):
        yield Refused("the frames are not in the order of time")
        return
    known = [(item, first) for item in facts.nameable if (first := first_seen(item)) is not None]
    if len(known) < SIZES[0]:
        yield Refused("the view shows too few objects that appear at once")
        return
    for _ in range(TRIES):
        size = min(int(rng.choice(SIZES)), len(known))
        chosen = [known[place] for place in rng.choice(len(known), size, replace=False).tolist()]
        chosen.sort(key=lambda pair: pair[1])
        apart = np.diff([first for _, first in chosen])
        if apart.min() < LEAST_APART:
            yield Refused("two objects appear at nearly the same time")
            continue
        yield _ask([item for item, _ in chosen], float(apart.min()), rng)


def first_seen(item: Named) -> int | None:
    """Return the first frame that shows an object well; ``None`` where one before shows a glimpse of it."""
    first = item.seen[0]
    return None if any(pixels >= GLIMPSE for pixels in item.item.visible_pixels[:first]) else first


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
    )


KIND = Kind(name="order", metric="letter", find=find, views=("scene", "clip"))
