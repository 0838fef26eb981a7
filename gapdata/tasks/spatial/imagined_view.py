"""How two objects would lie for somebody who stands at a third one, faces a fourth, and holds the head level.

The imagined camera stands at the centre of the first box, looks along the floor towards the centre of the second, and
has its axes level. Two objects are compared by the intervals of their boxes on one of its axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.kind import Kind, Refused
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

LEAST_GAP = 0.15  # metres between two intervals
NEAREST, FARTHEST = 0.3, 5.0  # metres between the box that one stands at and the others
TRIES = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One axis of the imagined camera: the text, and the answers for the lower and the higher interval."""

    text: str
    axis: int  # 0 to the right, 1 ahead
    answers: tuple[str, str]


FORMS = (
    Form(
        text=(
            "Imagine that I stand at the {at}, face the {to} and hold my head level. Is the {one} to the left or to "
            "the right of the {other}?"
        ),
        axis=0,
        answers=("left", "right"),
    ),
    Form(
        text=(
            "Imagine that I stand at the {at}, face the {to} and hold my head level. Is the {one} nearer or farther "
            "than the {other}?"
        ),
        axis=1,
        answers=("nearer", "farther"),
    ),
)


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | Refused]:
    """Yield random choices of four objects; which of the two is asked about is drawn, so answers are in balance."""
    if facts.first_to_aligned is None:
        yield Refused("the scan does not tell what is up")
        return
    items = facts.nameable
    if len(items) < 4:
        yield Refused("the view shows too few objects that can be named")
        return
    for _ in range(TRIES):
        at, to, one, other = (items[place] for place in rng.choice(len(items), 4, replace=False).tolist())
        form = FORMS[int(rng.integers(len(FORMS)))]
        if min(facts.gap(at, item) for item in (to, one, other)) < NEAREST:
            yield Refused("the objects are too near to where one stands")
        elif max(facts.gap(at, item) for item in (to, one, other)) > FARTHEST:
            yield Refused("the objects are too far from where one stands")
        else:
            yield _ask(facts, form, (at, to, one, other), rng)


def _ask(
    facts: ViewFacts, form: Form, items: tuple[Named, Named, Named, Named], rng: np.random.Generator
) -> SpatialQuestion | Refused:
    at, to, one, other = items
    low, high = (_interval(facts, at, to, item, form.axis) for item in (one, other))
    gaps = float(high[0] - low[1]), float(low[0] - high[1])  # one lies lower, one lies higher
    gap = max(gaps)
    if gap < LEAST_GAP:
        return Refused("the objects are not clearly apart on this axis")
    if form.axis == 1 and min(low[0], high[0]) <= 0:
        return Refused("an object is not ahead")
    answer, wrong = form.answers if gaps[0] > gaps[1] else form.answers[::-1]
    options, letter = shuffled(answer, [wrong], rng)
    return SpatialQuestion(
        kind="imagined_view",
        text=with_letters(form.text.format(at=at.name, to=to.name, one=one.name, other=other.name), options),
        answer=letter,
        value=gap,
        margin=gap,
        options=options,
        object_ids=tuple(item.item.object_id for item in items),
    )


def _interval(facts: ViewFacts, at: Named, to: Named, item: Named, axis: int) -> NDArray[np.float64]:
    """Return the least and the largest coordinate of a box on an axis of the imagined camera, (2,) metres."""
    assert facts.first_to_aligned is not None
    stand, sight = (transform(facts.first_to_aligned, each.box.center)[:2] for each in (at, to))
    ahead = (sight - stand) / np.linalg.norm(sight - stand)
    direction = np.array([ahead[1], -ahead[0]]) if axis == 0 else ahead
    along = (transform(facts.first_to_aligned, item.box.corners)[:, :2] - stand) @ direction
    return np.array([along.min(), along.max()])


KIND = Kind(name="imagined_view", metric="letter", find=find, views=("scene",))
