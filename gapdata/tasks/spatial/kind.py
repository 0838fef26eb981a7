"""The definition of a type of spatial question: a row of the registry (:mod:`gapdata.tasks.spatial.kinds`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from gapdata.tasks.spatial.question import Metric, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts

Find = Callable[[ViewFacts, np.random.Generator], Iterator["SpatialQuestion | NotAsked"]]
MOST_TRIES = 200
"""Candidates of a view that are looked at before a kind gives up."""


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The reason why candidates are not asked."""

    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type of question."""

    name: str
    metric: Metric
    find: Find
    """Candidates in random order: questions, and those that are refused, with the reason."""
    views: tuple[str, ...] = ("scene", "clip", "around")
    """Kinds of view that it is asked about."""
    of_frames: bool = False
    """Whether a question is about one or two frames alone, so that a short view shows all of it."""
    pixels: bool = False
    """Whether it needs a record's members, and not its JSON alone."""
    needs_up: bool = False
    """Whether it needs a world of which it is known what is up."""
    least_objects: int = 0
    """Objects that the view has to show well, and that have a name of their own."""
    least_frames: int = 1


def ask(
    kind: Kind, facts: ViewFacts, most: int, rng: np.random.Generator
) -> tuple[list[SpatialQuestion], Counter[str]]:
    """Return the first questions of a kind about a view, and how many candidates were refused, by reason.

    Args:
        kind: the type.
        facts: of the view.
        most: how many questions are wanted.
        rng: seeded from the recipe, the record's key and the kind's name.
    """
    asked: list[SpatialQuestion] = []
    refused: Counter[str] = Counter()
    if facts.record.view not in kind.views:
        return asked, refused
    reason = _obstacle(kind, facts)
    if reason is not None:
        return asked, Counter({reason: 1})
    told: set[object] = set()
    for tried, found in enumerate(kind.find(facts, rng)):
        if isinstance(found, NotAsked):
            refused.update({found.reason: found.count} if found.count else {})
        elif _same(found) in told:
            refused["the same is asked already"] += 1
        else:
            asked.append(found)
            told.add(_same(found))
        if len(asked) >= most or tried >= MOST_TRIES:
            break
    return asked, refused


def _same(item: SpatialQuestion) -> object:
    """Return what is equal for questions that differ in the order of their options, or in wrong options, alone."""
    return item.text.partition("\n")[0], item.frames, frozenset(item.object_ids), item.marks


def _obstacle(kind: Kind, facts: ViewFacts) -> str | None:
    """Return why a view cannot be asked any question of a kind, or ``None`` where it can."""
    if kind.pixels and not facts.has_pixels:
        return "the record's images are not at hand"
    if kind.needs_up and facts.first_to_aligned is None:
        return "the scan does not tell what is up"
    if len(facts.record) < kind.least_frames:
        return "the view has too few frames"
    if len(facts.nameable) < kind.least_objects:
        return "the view shows too few objects that can be named"
    return None
