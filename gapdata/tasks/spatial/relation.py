"""How two objects lie to each other as the camera of one frame sees them: to the side, in height, or in depth.

The visible points of each object span an interval on an axis of the camera; the two intervals have to be apart. A pixel
without depth, as sensors leave on dark and shiny surfaces, may show any point of the object's box along its ray.

What one would answer by the picture, by heights in the room or by straight lines has to agree: of two things to the
right, the farther one may be seen to the left of the nearer one, whatever the axis says; and of two things that stand
on the floor, the farther one is seen above the nearer one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.interval_order import LEAST_GAP, IntervalOrder
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, frame_name, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts

TRIES = 40
LEAST_SHIFT = 0.03
"""Share of the frame's width by which the middles of two objects differ in the picture, at least."""
SIDE, HEIGHT, DEPTH = range(3)

FORMS = (
    IntervalOrder(
        name="side",
        text="In {frame}, as the camera sees it, is the {one} to the left or to the right of the {other}?",
        axis=SIDE,
        answers=("left", "right"),
    ),
    IntervalOrder(
        name="height",
        text="In {frame}, as the camera sees it, is the {one} above or below the {other}?",
        axis=HEIGHT,
        answers=("above", "below"),
    ),
    IntervalOrder(
        name="depth",
        text="In {frame}, as the camera sees it, is the {one} nearer or farther than the {other}?",
        axis=DEPTH,
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
    seen = [facts.visible_points(item, frame) for item in (one, other)]
    if min(map(len, seen)) == 0:
        return NotAsked("an object has no depth in the frame")
    whole = [
        np.concatenate([points, facts.hidden_points(item, frame)])
        for points, item in zip(seen, (one, other), strict=True)
    ]
    answer, wrong, gap = form.decide(*(points[:, form.axis] for points in whole))
    if gap < LEAST_GAP:
        return NotAsked("the objects are not clearly apart on this axis")
    if form.axis == DEPTH:
        straight = form.decide(*(np.median(np.linalg.norm(points, axis=1), keepdims=True) for points in seen))
        if straight[0] != answer:
            return NotAsked("along the viewing direction and in a straight line, another one of the two is nearer")
    elif not _looks_so(facts, frame, form, seen, answer):
        return NotAsked("in the picture or in the room, the objects lie the other way round or hardly apart")
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


def _looks_so(facts: ViewFacts, frame: int, form: IntervalOrder, seen: list[NDArray[np.float64]], answer: str) -> bool:
    """Return whether the middles of two objects lie in the picture, and above each other in the room, as is answered.

    Args:
        facts: of the view.
        frame: the frame.
        form: side or height.
        seen: (n, 3) points of each object, metres, in the frame's camera.
        answer: the answer.
    """
    camera = facts.record.camera(frame)
    first, second = (float(np.median(camera.project(points)[:, form.axis])) for points in seen)
    lower = answer == form.answers[0]
    if (first < second) != lower or abs(first - second) < LEAST_SHIFT * camera.width:
        return False
    if form.axis == SIDE or facts.first_to_aligned is None:
        return True
    to_room = facts.first_to_aligned @ facts.record.camera_to_first[frame]
    heights = [float(np.median(transform(to_room, points)[:, 2])) for points in seen]
    return (heights[0] > heights[1]) == lower and abs(heights[0] - heights[1]) >= LEAST_GAP


KIND = Kind(name="relation", metric="letter", find=find, of_frames=True, pixels=True, least_objects=2)
