"""Where an object lies for somebody who stands at a second one and faces a third: in VSI-Bench's three forms.

Centres of boxes are projected to the floor. The angle from the line of sight to the object counts to the left, and the
whole footprint of the object has to lie in one sector. Footprints have to be apart, too: somebody at a table cannot
face the lamp above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.level_geometry import ViewPlan, plan_of, turned_left, within_reach
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.spatial.wanted_answers import Drawn, draw_answers, in_turn

NEAREST, FARTHEST = 0.3, 5.0  # metres between boxes
LEAST_MARGIN = 10.0  # degrees to the limit of a sector, either way
WIDE = "the object reaches into another sector, or what one faces is so wide that it could"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sectors:
    """One form of the question; its sectors are between limits in degrees to the left, counted round."""

    name: str
    text: str
    limits: tuple[float, ...]
    sectors: tuple[str, ...]
    """The answer of the sector from each limit to the next; one that is not a choice is empty."""


FORMS = (
    Sectors(
        name="left-right",
        text="I stand at the {at} and face the {to}. Is the {what} to my left or to my right?",
        limits=(0.0, 135.0, 225.0),
        sectors=("left", "", "right"),
    ),
    Sectors(
        name="thirds",
        text=(
            "I stand at the {at} and face the {to}. Is the {what} to my left, to my right or behind me, where behind "
            "means a turn of at least 135 degrees?"
        ),
        limits=(0.0, 135.0, 225.0),
        sectors=("left", "behind", "right"),
    ),
    Sectors(
        name="quarters",
        text="I stand at the {at} and face the {to}. In which quarter is the {what}?",
        limits=(0.0, 90.0, 180.0, 270.0),
        sectors=("front left", "back left", "back right", "front right"),
    ),
)


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random triples of objects; form and answer are drawn first, so that all answers are equally frequent."""
    triples = _triples(len(facts.nameable))
    plan = plan_of(facts)
    at, to, what = triples
    within = within_reach(facts, plan, NEAREST, FARTHEST)
    usable = within[at, to] & within[at, what]
    if not usable.all():
        yield NotAsked("the objects are too near to each other or too far apart", int((~usable).sum()))
    triples = triples[:, usable]
    angle, around = bearings(plan, triples)
    asked: set[int] = set()  # no three objects in two forms
    draws = []
    for form in FORMS:
        sector, margin = sectors_of(angle, form.limits)
        clear = margin >= LEAST_MARGIN
        whole = (sectors_of(around, form.limits)[0] == sector[:, None]).all(axis=-1)
        if not clear.all():
            yield NotAsked("the direction is too near to the limit of a sector", int((~clear).sum()))
        if not whole[clear].all():
            yield NotAsked(WIDE, int((clear & ~whole).sum()))
        choices = {
            answer: np.flatnonzero(clear & whole & (sector == place))
            for place, answer in enumerate(form.sectors)
            if answer
        }
        drawn = draw_answers(choices, rng, fewest=len(choices), most=len(choices), taken=asked)
        draws.append(_asked(facts, form, triples, angle, margin, drawn, rng))
    yield from in_turn(draws, rng)


def _asked(
    facts: ViewFacts,
    form: Sectors,
    triples: NDArray[np.int64],
    angle: NDArray[np.float64],
    margin: NDArray[np.float64],
    draws: Iterator[Drawn | NotAsked],
    rng: np.random.Generator,
) -> Iterator[SpatialQuestion | NotAsked]:
    for drawn in draws:
        if isinstance(drawn, NotAsked):
            yield drawn
            continue
        place = drawn.candidate
        yield _question(facts, form, triples[:, place].tolist(), drawn, float(angle[place]), float(margin[place]), rng)


def _question(
    facts: ViewFacts,
    form: Sectors,
    triple: list[int],
    drawn: Drawn,
    angle: float,
    margin: float,
    rng: np.random.Generator,
) -> SpatialQuestion:
    at, to, what = (facts.nameable[place] for place in triple)
    options, letter = shuffled(drawn.answer, drawn.wrong, rng)
    return SpatialQuestion(
        kind="direction",
        form=form.name,
        text=with_letters(form.text.format(at=at.name, to=to.name, what=what.name), options),
        answer=letter,
        value=angle,
        margin=margin,
        options=options,
        object_ids=tuple(item.item.object_id for item in (at, to, what)),
        names=(at.name, to.name, what.name),
    )


def _triples(count: int) -> NDArray[np.int64]:
    """Return all triples of different objects, (3, n)."""
    found = np.indices((count, count, count)).reshape(3, -1)
    return found[:, (found[0] != found[1]) & (found[0] != found[2]) & (found[1] != found[2])]


def bearings(plan: ViewPlan, triples: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the angles at the first object from the second to the third, (n,) degrees to the left in 0..360.

    With them come the angles to the third one's corners, and from the corners of the second one to the third: one may
    face any part of something wide, (n, 16). Around something round, corners are those of all boxes that fit as well.
    """
    at, to, what = triples
    ahead = plan.centers[to] - plan.centers[at]
    angle = turned_left(ahead, plan.centers[what] - plan.centers[at])
    spread = turned_left(ahead[:, None], plan.corners[what] - plan.centers[at][:, None])
    facing = turned_left(plan.corners[to] - plan.centers[at][:, None], (plan.centers[what] - plan.centers[at])[:, None])
    return angle % 360, np.concatenate([spread, facing], axis=-1) % 360


def sectors_of(angle: NDArray[np.float64], limits: tuple[float, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the sectors that angles (...) lie in, and the degrees to the nearest limit, either way round."""
    sector = np.searchsorted(limits, angle, side="right") - 1
    away = np.abs((angle[..., None] - np.array(limits) + 180) % 360 - 180)
    return np.asarray(sector), np.asarray(away.min(axis=-1))


KIND = Kind(name="direction", metric="letter", find=find, views=("scene",), needs_up=True, least_objects=3)
