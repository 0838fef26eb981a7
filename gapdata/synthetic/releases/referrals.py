"""Find true and unambiguous references: constraints that single an object out.

A reference holds when its target clearly satisfies every constraint and every other object that its noun may mean
clearly violates at least one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.releases.colors import COLORS, MATERIALS
from gapdata.synthetic.releases.relations import SUPERLATIVES, Anchor, Constraint, Room, margin
from gapdata.synthetic.releases.vocabulary import NOUNS, Noun

PER_OBJECT = 5  # descriptions, as ScanRefer has them
LANDMARKS = frozenset({
    "bed", "couch", "armchair", "table", "coffee table", "desk", "dresser", "nightstand", "wardrobe", "bookshelf",
    "cabinet", "file cabinet", "counter", "window", "door", "whiteboard", "refrigerator", "stove", "microwave",
    "bathtub", "toilet", "sink", "radiator", "tv stand", "tv", "mirror", "plant", "trash can", "monitor",
})  # fmt: skip
"""Objects that others are related to."""
FACED = frozenset(
    {"window", "door", "whiteboard", "bed", "couch", "bookshelf", "wardrobe", "refrigerator", "tv", "stove"}
)
"""Objects with a side that one naturally faces."""
HANGING = frozenset({"window", "picture", "clock", "mirror", "whiteboard"})
CARRIERS = frozenset({"table", "desk", "bed", "couch", "counter", "dresser", "nightstand", "cabinet", "coffee table",
                      "end table", "tv stand", "file cabinet"})  # fmt: skip
LOW = frozenset({"trash can", "box", "backpack", "stool", "ottoman", "computer tower"})
SOFT = frozenset({"pillow", "towel", "curtain", "backpack", "plant", "book"})
"""Objects that the eye does not compare by size."""
SOLID = frozenset({"table", "desk"})
WEIGHTS = {
    "color": 3.0, "material": 2.0, "on": 3.5, "on_a": 1.5, "under": 4.0, "above": 3.0, "below": 3.0, "next_to": 2.6,
    "left_of": 2.4, "right_of": 2.4, "leftmost": 1.2, "rightmost": 1.2, "enter_left": 1.0, "enter_right": 1.0,
    "between": 3.0, "closest": 1.5, "farthest": 0.9, "corner": 2.0, "largest": 1.5, "smallest": 1.5, "tallest": 1.2,
    "shortest": 1.0,
}  # fmt: skip
"""The readiness of people to use a relation: the chance that it is chosen grows with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """A reference: the noun and the constraints single out ``target``.

    ``details`` are also true, and ``count`` is the number of objects that the noun may mean, or 0 where the text does
    not tell it.
    """

    target: int
    noun: Noun
    constraints: tuple[Constraint, ...]
    details: tuple[Constraint, ...] = ()
    count: int = 0


def refer(room: Room, target: int, anchors: Mapping[int, Anchor], rng: Generator) -> list[Referral]:
    """Return up to five different references to an object.

    There are none where nothing singles it out or people would not refer to it. ``anchors`` come from ``name_anchors``.
    """
    thing = room.things[target]
    nouns = NOUNS.get(thing.label, ())
    if not nouns:
        return []
    rivals = [k for k in room.family(nouns[0].family) if k != target]
    known = [c for c in _candidates(room, target, anchors) if margin(room, c, target, rivals) >= 1]
    excluded = {c: frozenset(k for k in rivals if margin(room, c, k, (target, *rivals)) <= -1) for c in known}
    # "The largest lamp" suggests that there are more lamps, not that there is something else like one.
    fellows = any(room.things[k].label == thing.label for k in rivals)
    sets = list(_minimal_sets([c for c in known if fellows or c.relation not in SUPERLATIVES], excluded, rivals))
    if not sets:
        return []
    weights = np.array([_weight(chosen) for chosen in sets])
    found: list[Referral] = []
    used: dict[str, int] = {}
    for _ in range(4 * PER_OBJECT):
        if len(found) == PER_OBJECT:
            break
        # Constraints that were used already are used less often again.
        fading = weights * np.array([0.35 ** sum(used.get(c.relation, 0) for c in chosen) for chosen in sets])
        chosen = sets[int(rng.choice(len(sets), p=fading / fading.sum()))]
        details = _details(known, chosen, rng, wanted=int(rng.choice(3, p=(0.45, 0.4, 0.15))) + (not chosen))
        same = len({room.things[k].label for k in (target, *rivals)}) == 1
        count = len(rivals) + 1 if same and 1 <= len(rivals) <= 8 and rng.random() < 0.4 else 0
        noun = nouns[int(rng.choice(len(nouns), p=(0.65, 0.35)))] if len(nouns) == 2 else nouns[0]
        referral = Referral(target=target, noun=noun, constraints=chosen, details=details, count=count)
        if any((r.constraints, r.details) == (chosen, details) for r in found):
            continue
        for constraint in (*chosen, *details):
            used[constraint.relation] = used.get(constraint.relation, 0) + 1
        found.append(referral)
    return found


def name_anchors(room: Room) -> dict[int, Anchor]:
    """Return the landmarks that a noun, or a colour and a noun, names without doubt."""
    anchors = {}
    for thing in room.things:
        if thing.label not in LANDMARKS:
            continue
        noun = NOUNS[thing.label][0]
        rivals = [k for k in room.family(noun.family) if k != thing.object_id]
        if not rivals:
            anchors[thing.object_id] = Anchor(object_id=thing.object_id, word=noun.word)
            continue
        for color in COLORS:
            said = Constraint(relation="color", value=color)
            if margin(room, said, thing.object_id, ()) >= 1 and all(margin(room, said, k, ()) <= -1 for k in rivals):
                anchors[thing.object_id] = Anchor(object_id=thing.object_id, word=noun.word, color=color)
    return anchors


def _candidates(room: Room, target: int, anchors: Mapping[int, Anchor]) -> Iterator[Constraint]:
    """Yield everything that could be said of an object, true or not."""
    thing = room.things[target]
    anchors = {k: a for k, a in anchors.items() if k != target}
    for color in COLORS:
        yield Constraint(relation="color", value=color)
    for material in MATERIALS.values():
        yield Constraint(relation="material", value=material)
    if thing.label not in SOFT:
        for relation in ("largest", "smallest", "tallest", "shortest"):
            yield Constraint(relation=relation)
    if thing.low[2] < 0.05 and thing.label not in ("door", "rug", "curtain"):
        yield Constraint(relation="corner")
    hanging = thing.label in HANGING or thing.label in ("curtain", "blinds", "door")
    if not hanging and thing.support is not None and room.things[thing.support].label in CARRIERS:
        yield Constraint(relation="on_a", value=room.things[thing.support].label)
    for key, anchor in anchors.items():
        label = room.things[key].label
        names = ["closest", "farthest"]
        if label in CARRIERS and not hanging:
            names.append("on")
        if thing.label not in HANGING and label not in HANGING:
            names.append("next_to")
        if thing.label in LOW and label in SOLID:
            names.append("under")
        if thing.label in HANGING and thing.label != "window" and label not in (*HANGING, "door", "rug"):
            names.append("above")
        if label in HANGING and thing.label not in (*HANGING, "door", "rug", "curtain", "blinds"):
            names.append("below")
        if label in FACED:
            names += ["left_of", "right_of", "leftmost", "rightmost"]
        if label == "door":
            names += ["enter_left", "enter_right"]
        for name in names:
            yield Constraint(relation=name, anchors=(anchor,))
    if thing.low[2] < 0.05 or thing.label in HANGING:
        near = sorted(anchors, key=lambda k: float(np.linalg.norm(room.things[k].center - thing.center)))[:7]
        for first, second in itertools.combinations(near, 2):
            yield Constraint(relation="between", anchors=(anchors[first], anchors[second]))


def _minimal_sets(
    known: list[Constraint], excluded: dict[Constraint, frozenset[int]], rivals: Sequence[int]
) -> Iterator[tuple[Constraint, ...]]:
    """Yield the sets of up to three constraints that exclude every rival, without any that is not needed."""
    if not rivals:
        yield ()
        return
    everyone = frozenset(rivals)
    telling = [c for c in known if excluded[c]]
    for size in (1, 2, 3):
        if size == 3 and len(telling) > 24:
            telling = sorted(telling, key=lambda c: (-len(excluded[c]), -WEIGHTS[c.relation], known.index(c)))[:24]
        for chosen in itertools.combinations(telling, size):
            if not _compatible(chosen) or frozenset().union(*(excluded[c] for c in chosen)) != everyone:
                continue
            smaller = itertools.combinations(chosen, size - 1) if size > 1 else ()
            if any(frozenset().union(*(excluded[c] for c in part)) == everyone for part in smaller):
                continue
            yield chosen


def _compatible(chosen: tuple[Constraint, ...]) -> bool:
    """Tell whether no relation and no object occurs twice, and at most one superlative."""
    relations = [c.relation for c in chosen]
    named = [a.object_id for c in chosen for a in c.anchors]
    if len(set(relations)) < len(relations) or len(set(named)) < len(named):
        return False
    if {"on", "on_a"} <= set(relations):
        return False
    return sum(r in SUPERLATIVES for r in relations) <= 1


def _weight(chosen: tuple[Constraint, ...]) -> float:
    """Return the weight of a reference: short ones come first."""
    return float(np.prod([WEIGHTS[c.relation] for c in chosen])) / 9.0 ** max(0, len(chosen) - 1)


def _details(
    known: list[Constraint], chosen: tuple[Constraint, ...], rng: Generator, *, wanted: int
) -> tuple[Constraint, ...]:
    """Choose further true things to say; superlatives are left to the references that need them."""
    details: tuple[Constraint, ...] = ()
    for _ in range(wanted):
        choices = [c for c in known if c.relation not in SUPERLATIVES and _compatible((*chosen, *details, c))]
        if not choices:
            break
        weights = np.array([WEIGHTS[c.relation] for c in choices])
        details = (*details, choices[int(rng.choice(len(choices), p=weights / weights.sum()))])
    return details
