"""How two objects lie to each other as the camera of one frame sees them: to the side, in height, or in depth.

The visible points of each object span an interval on an axis of the camera; the two intervals have to be apart. A pixel
without depth, as sensors leave on dark and shiny surfaces, may show any point of the object's box along its ray.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.interval_order import LEAST_GAP, IntervalOrder
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, frame_name, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

TRIES = 40


FORMS = (
    IntervalOrder(
        name="side",
        text="In {frame}, as the camera sees it, is the {one} to the left or to the right of the {other}?",
        axis=0,
        answers=("left", "right"),
    ),
    IntervalOrder(
        name="height",
        text="In {frame}, as the camera sees it, is the {one} above or below the {other}?",
        axis=1,
        answers=("above", "below"),
    ),
    IntervalOrder(
        name="depth",
        text="In {frame}, as the camera sees it, is the {one} nearer or farther than the {other}?",
        axis=2,
        answers=("nearer", "farther"),
    ),
)


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random pairs of objects that one frame shows well; which of the two is asked about is drawn."""
    frames = [(frame, [item for item in facts.nameable if frame in item.seen]) for frame in range(len(facts.record))]
    frames = [(frame, items) for frame, items in frames if len(items) > 1]
    if not frames:
        yield NotAsked("no frame shows two objects that can be named")
        return
    for _ in range(TRIES):
        frame, items = frames[int(rng.integers(len(frames)))]
        one, other = (items[place] for place in rng.choice(len(items), 2, replace=False).tolist())
        yield _ask(facts, FORMS[int(rng.integers(len(FORMS)))], frame, one, other, rng)


def _ask(
    facts: ViewFacts, form: IntervalOrder, frame: int, one: Named, other: Named, rng: np.random.Generator
) -> SpatialQuestion | NotAsked:
    points = [facts.visible_points(item, frame)[:, form.axis] for item in (one, other)]
    if min(map(len, points)) == 0:
        return NotAsked("an object has no depth in the frame")
    hidden = [facts.hidden_points(item, frame)[:, form.axis] for item in (one, other)]
    answer, wrong, gap = form.decide(*(np.concatenate(both) for both in zip(points, hidden, strict=True)))
    if gap < LEAST_GAP:
        return NotAsked("the objects are not clearly apart on this axis")
    options, letter = shuffled(answer, [wrong], rng)
    return SpatialQuestion(
        kind="relation",
        form=form.name,
        text=with_letters(form.text.format(frame=frame_name(frame), one=one.name, other=other.name), options),
        answer=letter,
        value=gap,
        margin=gap,
        options=options,
        object_ids=(one.item.object_id, other.item.object_id),
        names=(one.name, other.name),
        frames=(frame,),
    )


KIND = Kind(name="relation", metric="letter", find=find, pixels=True)
