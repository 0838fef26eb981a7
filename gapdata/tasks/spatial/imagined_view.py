"""How two objects would lie for somebody who stands at a third one, faces a fourth, and holds the head level.

The imagined camera stands at the centre of the first box, looks along the floor towards the centre of the second, and
has its axes level. Two objects ahead of it are compared by the intervals of their boxes on one of its axes; bearings,
or distances in a straight line, have to agree.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.interval_order import LEAST_GAP, IntervalOrder
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ROUND, Named, ViewFacts

NEAREST, FARTHEST = 0.3, 5.0  # metres between the box that one stands at and the others
TRIES = 80


TO_THE_RIGHT, AHEAD = range(2)
FORMS = (
    IntervalOrder(
        name="side",
        text=(
            "Imagine that I stand at the {at}, face the {to} and hold my head level. Is the {one} to the left or to "
            "the right of the {other}?"
        ),
        axis=TO_THE_RIGHT,
        answers=("left", "right"),
    ),
    IntervalOrder(
        name="depth",
        text=(
            "Imagine that I stand at the {at}, face the {to} and hold my head level. Is the {one} nearer or farther "
            "than the {other}?"
        ),
        axis=AHEAD,
        answers=("nearer", "farther"),
    ),
)


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random choices of four objects; which of the two is asked about is drawn, so answers are in balance."""
    if facts.first_to_aligned is None:
        yield NotAsked("the scan does not tell what is up")
        return
    items = facts.nameable
    if len(items) < 4:
        yield NotAsked("the view shows too few objects that can be named")
        return
    for _ in range(TRIES):
        at, to, one, other = (items[place] for place in rng.choice(len(items), 4, replace=False).tolist())
        form = FORMS[int(rng.integers(len(FORMS)))]
        if not (one.firm and other.firm):
            yield NotAsked(ROUND)
        elif not facts.within_reach(at, (to, one, other), NEAREST, FARTHEST):
            yield NotAsked("the objects are too near to where one stands, or too far from there")
        else:
            yield _ask(facts, form, (at, to, one, other), rng)


def _ask(
    facts: ViewFacts, form: IntervalOrder, items: tuple[Named, Named, Named, Named], rng: np.random.Generator
) -> SpatialQuestion | NotAsked:
    at, to, one, other = items
    corners = [_corners(facts, at, to, item) for item in (one, other)]
    if min(each[:, AHEAD].min() for each in corners) <= 0:
        return NotAsked("an object is not ahead")
    answer, wrong, gap = form.decide(*(each[:, form.axis] for each in corners))
    if gap < LEAST_GAP:
        return NotAsked("the objects are not clearly apart on this axis")
    seen = form.decide(*(_as_seen(each, form.axis) for each in corners))
    if seen[0] != answer or seen[2] <= 0:
        return NotAsked("by bearings or in a straight line, the objects lie the other way round or hardly apart")
    options, letter = shuffled(answer, [wrong], rng)
    return SpatialQuestion(
        kind="imagined_view",
        form=form.name,
        text=with_letters(form.text.format(at=at.name, to=to.name, one=one.name, other=other.name), options),
        answer=letter,
        value=gap,
        margin=gap,
        options=options,
        object_ids=tuple(item.item.object_id for item in items),
        names=tuple(item.name for item in items),
    )


def _corners(facts: ViewFacts, at: Named, to: Named, item: Named) -> NDArray[np.float64]:
    """Return the corners of a box in the imagined camera, (8, 2) metres: to the right, and ahead."""
    assert facts.first_to_aligned is not None
    stand, sight = (transform(facts.first_to_aligned, each.box.center)[:2] for each in (at, to))
    ahead = (sight - stand) / np.linalg.norm(sight - stand)
    axes = np.stack([[ahead[1], -ahead[0]], ahead], axis=-1)
    return np.asarray((transform(facts.first_to_aligned, item.box.corners)[:, :2] - stand) @ axes)


def _as_seen(corners: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return what one would judge corners (8, 2) by: to the side their bearings (8,), in depth straight distances."""
    if axis == TO_THE_RIGHT:
        return np.asarray(np.arctan2(corners[:, TO_THE_RIGHT], corners[:, AHEAD]))
    return np.asarray(np.linalg.norm(corners, axis=1))


KIND = Kind(name="imagined_view", metric="letter", find=find, views=("scene",))
