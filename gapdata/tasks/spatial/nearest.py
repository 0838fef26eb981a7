"""Which of several objects is nearest to another one, by the distances of their boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts

NEAREST = 0.15  # metres
LEAST_GAP, LEAST_GAP_SHARE = 0.15, 0.1
"""Metres by which the distances of two options differ at least, and this share of the larger one."""
OPTIONS = (2, 3, 4)
TRIES = 60
TEXT = "Which of these is nearest to the {target}, measured between nearest points?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random questions; the answer is drawn first, so that no object is right more often than others."""
    items = tuple(item for item in facts.nameable if item.firm)
    count = len(items)
    if count < 1 + OPTIONS[0]:
        yield NotAsked("the view shows too few objects that can be named")
        return
    distance = np.zeros((count, count))
    for one in range(count):
        for other in range(one):
            distance[one, other] = distance[other, one] = facts.gap(items[one], items[other])
    asked = set()
    for _ in range(TRIES):
        answer, size = int(rng.integers(count)), int(rng.choice(OPTIONS))
        drawn = _draw(distance, answer, size, rng)
        if drawn is None:
            yield NotAsked("no target has this object clearly nearer than others")
            continue
        target, others = drawn
        if (target, answer) in asked:
            continue
        asked.add((target, answer))
        options, letter = shuffled(items[answer].name, [items[other].name for other in others], rng)
        gap = float(distance[target, others].min() - distance[target, answer])
        yield SpatialQuestion(
            kind="nearest",
            text=with_letters(TEXT.format(target=items[target].name), options),
            answer=letter,
            value=gap,
            margin=gap,
            options=options,
            object_ids=tuple(items[place].item.object_id for place in (target, answer, *others)),
            names=tuple(items[place].name for place in (target, answer, *others)),
        )


def _draw(
    distance: np.ndarray[tuple[int, int], np.dtype[np.float64]], answer: int, size: int, rng: np.random.Generator
) -> tuple[int, list[int]] | None:
    """Return a target of which ``answer`` is the nearest of ``size`` options, and the other options.

    Every option has to be the nearest of these for some target of the scene: else it would be a wrong one whatever the
    target is, and the text alone would tell.
    """
    count = len(distance)
    for target in rng.permutation([place for place in range(count) if place != answer]).tolist():
        reach = distance[target]
        if reach[answer] < NEAREST:
            continue
        chosen: list[int] = []
        for other in rng.permutation([place for place in range(count) if place not in (answer, target)]).tolist():
            apart = [abs(reach[other] - reach[place]) for place in (answer, *chosen)]
            least = [_least(reach[other], reach[place]) for place in (answer, *chosen)]
            if reach[other] > reach[answer] and all(a > b for a, b in zip(apart, least, strict=True)):
                chosen.append(other)
            if len(chosen) == size - 1:
                break
        if len(chosen) == size - 1 and _each_is_nearest_to_some(distance, [answer, *chosen]):
            return target, chosen
    return None


def _least(one: float, other: float) -> float:
    return max(LEAST_GAP, LEAST_GAP_SHARE * max(one, other))


def _each_is_nearest_to_some(distance: np.ndarray[tuple[int, int], np.dtype[np.float64]], options: list[int]) -> bool:
    targets = [place for place in range(len(distance)) if place not in options]
    return {int(np.argmin(distance[target, options])) for target in targets} == set(range(len(options)))


KIND = Kind(name="nearest", metric="letter", find=find, views=("scene",))
