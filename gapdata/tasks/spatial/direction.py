"""Where an object lies for somebody who stands at a second one and faces a third: in VSI-Bench's three forms.

Centres of boxes are projected to the floor. The angle from the line of sight to the object counts to the left, and the
whole footprint of the object has to lie in one sector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import Named, ViewFacts
from gapdata.tasks.spatial.wanted_answers import OTHER_ANSWER, ask_for_wanted

NEAREST, FARTHEST = 0.3, 5.0  # metres between boxes
LEAST_MARGIN = 10.0  # degrees to the limit of a sector


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
    if facts.first_to_aligned is None:
        yield NotAsked("the scan does not tell what is up")
        return
    items = facts.nameable
    if len(items) < 3:
        yield NotAsked("the view shows too few objects that can be named")
        return
    triples = [
        (at, to, what) for at in items for to in items for what in items if len({at.name, to.name, what.name}) == 3
    ]
    known: dict[tuple[int, ...], _Bearings] = {}

    def draw() -> tuple[Sectors, str]:
        form = FORMS[int(rng.integers(len(FORMS)))]
        choices = [sector for sector in form.sectors if sector]
        return form, choices[int(rng.integers(len(choices)))]

    def ask(triple: tuple[Named, Named, Named], wanted: tuple[Sectors, str]) -> SpatialQuestion | NotAsked:
        return _ask(facts, triple, wanted, known, rng)

    yield from ask_for_wanted([triples[place] for place in rng.permutation(len(triples)).tolist()], draw, ask)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bearings:
    """The direction of an object for somebody who stands at a second one and faces a third, degrees to the left."""

    angle: float
    around: tuple[float, ...]
    """Those of the corners of the object, and of its centre for somebody who faces a corner of the third."""


def _ask(
    facts: ViewFacts,
    triple: tuple[Named, Named, Named],
    wanted: tuple[Sectors, str],
    known: dict[tuple[int, ...], _Bearings],
    rng: np.random.Generator,
) -> SpatialQuestion | NotAsked:
    (at, to, what), (form, answer) = triple, wanted
    if not facts.within_reach(at, (to, what), NEAREST, FARTHEST):
        return NotAsked("the objects are too near to each other or too far apart")
    ids = tuple(item.item.object_id for item in triple)
    if ids not in known:
        angle, spread = bearing(facts, at, to, what)
        known[ids] = _Bearings(angle=angle, around=(*spread.tolist(), *facing_corners(facts, at, to, what).tolist()))
    angle = known[ids].angle
    sector, margin = sector_of(angle, form.limits)
    if margin < LEAST_MARGIN:
        return NotAsked("the direction is too near to the limit of a sector")
    if any(sector_of(value, form.limits)[0] != sector for value in known[ids].around):
        return NotAsked("the object reaches into another sector, or what one faces is so wide that it could")
    if form.sectors[sector] != answer:
        return OTHER_ANSWER
    options, letter = shuffled(answer, [name for name in form.sectors if name not in ("", answer)], rng)
    return SpatialQuestion(
        kind="direction",
        form=form.name,
        text=with_letters(form.text.format(at=at.name, to=to.name, what=what.name), options),
        answer=letter,
        value=angle,
        margin=margin,
        options=options,
        object_ids=ids,
        names=(at.name, to.name, what.name),
    )


def bearing(facts: ViewFacts, at: Named, to: Named, what: Named) -> tuple[float, NDArray[np.float64]]:
    """Return the angle at ``at`` from ``to`` to ``what``, degrees to the left in 0..360, and those of its corners.

    Around something round, the corners are those of all boxes that fit it as well.
    """
    assert facts.first_to_aligned is not None
    stand, sight, seen = (transform(facts.first_to_aligned, item.box.center)[:2] for item in (at, to, what))
    corners = transform(facts.first_to_aligned, what.widest_box.corners)[:, :2]
    angles = [_to_the_left(stand, sight, place) for place in (seen, *corners)]
    return angles[0], np.array(angles[1:])


def facing_corners(facts: ViewFacts, at: Named, to: Named, what: Named) -> NDArray[np.float64]:
    """Return the angles at ``at`` from each corner of ``to`` to ``what``: one may face any part of something wide."""
    assert facts.first_to_aligned is not None
    stand, seen = (transform(facts.first_to_aligned, item.box.center)[:2] for item in (at, what))
    corners = transform(facts.first_to_aligned, to.box.corners)[:, :2]
    return np.array([_to_the_left(stand, corner, seen) for corner in corners])


def _to_the_left(stand: NDArray[np.float64], sight: NDArray[np.float64], place: NDArray[np.float64]) -> float:
    """Return the angle from the line of sight to a place, degrees to the left in 0..360; points are (2,) metres."""
    ahead, aside = sight - stand, place - stand
    return float(np.degrees(np.arctan2(ahead[0] * aside[1] - ahead[1] * aside[0], ahead @ aside))) % 360


def sector_of(angle: float, limits: tuple[float, ...]) -> tuple[int, float]:
    """Return the sector that an angle lies in, and the degrees to the nearest limit, either way round."""
    sector = max(place for place, limit in enumerate(limits) if angle >= limit)
    return sector, min(abs((angle - limit + 180) % 360 - 180) for limit in limits)


KIND = Kind(name="direction", metric="letter", find=find, views=("scene",))
