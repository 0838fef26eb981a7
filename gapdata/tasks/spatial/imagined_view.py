"""How two objects would lie for somebody who stands at a third one, faces a fourth, and holds the head level.

The imagined camera stands at the centre of the first box, looks along the floor towards the centre of the second, and
has its axes level. Two objects are compared by the intervals of their boxes on one of its axes. What a picture would
show has to agree: both objects lie ahead, and are in the same order by their bearings, or by how far away they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.interval_order import LEAST_GAP, IntervalOrder
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.level_geometry import ViewPlan, plan_of, within_reach
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts

NEAREST, FARTHEST = 0.3, 5.0  # metres between the box that one stands at and the others
LEAST_SHARE = 0.05
"""Share of the distance to the farther object that the gap has at least: centres of boxes are right to a few
centimetres, and a line of sight between two of them turns with that."""
PAIRS = 80  # random pairs of where one stands and what one faces
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
    """Yield random choices of four objects; form and answer are drawn first, so that answers are in balance."""
    plan, count = plan_of(facts), len(facts.nameable)
    usable = within_reach(facts, plan, NEAREST, FARTHEST)
    firm = np.array([item.firm for item in facts.nameable])
    if not usable.any():
        yield NotAsked("the objects are too near to where one stands, or too far away", count * (count - 1))
        return
    standing = np.argwhere(usable)
    for at, to in standing[rng.permutation(len(standing))[:PAIRS]].tolist():
        others = np.flatnonzero(usable[at] & firm)
        others = others[others != to]
        views = _seen_from(plan, at, to, others)
        found = [(form, gaps) for form in FORMS for gaps in (_ordered(views, form),) if (gaps > 0).any()]
        if not found:
            yield NotAsked("no two objects are ahead and clearly apart on an axis", len(others) * (len(others) - 1))
            continue
        form, gaps = found[int(rng.integers(len(found)))]
        answer, chosen = form.answers[int(rng.integers(2))], np.argwhere(gaps > 0)
        lower, higher = chosen[int(rng.integers(len(chosen)))].tolist()
        gap = float(gaps[lower, higher])
        one, other = (lower, higher) if answer == form.answers[0] else (higher, lower)
        yield _question(facts, form, (at, to, int(others[one]), int(others[other])), answer, gap, rng)


def _question(
    facts: ViewFacts,
    form: IntervalOrder,
    places: tuple[int, int, int, int],
    answer: str,
    gap: float,
    rng: np.random.Generator,
) -> SpatialQuestion:
    items = [facts.nameable[place] for place in places]
    names = dict(zip(("at", "to", "one", "other"), (item.name for item in items), strict=True))
    options, letter = shuffled(answer, [other for other in form.answers if other != answer], rng)
    return SpatialQuestion(
        kind="imagined_view",
        form=form.name,
        text=with_letters(form.text.format(**names), options),
        answer=letter,
        value=gap,
        margin=gap,
        options=options,
        object_ids=tuple(item.item.object_id for item in items),
        names=tuple(item.name for item in items),
    )


def _seen_from(plan: ViewPlan, at: int, to: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the corners of boxes in the imagined camera: to the right and ahead, (n, 8, 2) metres."""
    ahead = plan.centers[to] - plan.centers[at]
    ahead = ahead / np.linalg.norm(ahead)
    away = plan.corners[others] - plan.centers[at]
    return np.stack([away @ np.array([ahead[1], -ahead[0]]), away @ ahead], axis=-1)


def _ordered(views: NDArray[np.float64], form: IntervalOrder) -> NDArray[np.float64]:
    """Return the metres between the intervals of all pairs, (n, n), 0 where the first is not clearly the lower one.

    Args:
        views: (n, 8, 2) corners to the right and ahead, metres.
        form: which axis.
    """
    along = views[..., form.axis]
    gaps = along.min(axis=-1)[None, :] - along.max(axis=-1)[:, None]
    away = np.linalg.norm(views, axis=-1)
    least = np.maximum(LEAST_GAP, LEAST_SHARE * np.maximum.outer(away.max(axis=-1), away.max(axis=-1)))
    seen = away if form.axis == AHEAD else np.arctan2(views[..., TO_THE_RIGHT], views[..., AHEAD])
    agreed = seen.min(axis=-1)[None, :] > seen.max(axis=-1)[:, None]
    before = views[..., AHEAD].min(axis=-1) > 0
    return np.where((gaps >= least) & agreed & before[:, None] & before[None, :], gaps, 0.0)


KIND = Kind(name="imagined_view", metric="letter", find=find, views=("scene",), needs_up=True, least_objects=4)
