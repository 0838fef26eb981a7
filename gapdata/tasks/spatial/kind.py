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
    """The reason why a candidate is not asked."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type of question."""

    name: str
    metric: Metric
    find: Find
    """Candidates in random order: questions, and those that are refused, with the reason."""
    views: tuple[str, ...] = ("scene", "clip", "around")
    """Kinds of view that it is asked about."""
    pixels: bool = False
    """Whether it needs a record's members, and not its JSON alone."""


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
    if kind.pixels and not facts.has_pixels:
        refused["the record's images are not at hand"] += 1
        return asked, refused
    for tried, found in enumerate(kind.find(facts, rng)):
        if isinstance(found, NotAsked):
            refused[found.reason] += 1
        else:
            asked.append(found)
        if len(asked) >= most or tried >= MOST_TRIES:
            break
    return asked, refused
