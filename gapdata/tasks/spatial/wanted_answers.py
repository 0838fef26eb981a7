"""Draw answers so that, among those that a question offers, each is equally likely to be the right one.

An answer that no candidate of a view has is never right about that view. Were it offered, one could do without it: the
options that are left would be right more often than chance. So the options are drawn first, among the answers that
candidates have, and then, from these, the right one: whatever options are offered, each of them is as likely as any
other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kind import NotAsked

Item = TypeVar("Item")
NOTHING_BESIDE = "of this view, too few other answers are left to be offered beside the right one"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A candidate, with its answer and the wrong answers to offer beside it."""

    candidate: int
    answer: str
    wrong: tuple[str, ...]


def draw_answers(
    candidates: Mapping[str, NDArray[np.int64]],
    rng: np.random.Generator,
    *,
    fewest: int,
    most: int,
    taken: set[int] | None = None,
) -> Iterator[Drawn | NotAsked]:
    """Yield candidates, each at most once, until fewer answers are left than a question has to offer; then, how many.

    Args:
        candidates: (n,) numbers of the candidates of each answer, in the order in which answers are named.
        rng: of the kind.
        fewest: answers that a question offers at least. Where a question's wording names all answers, that is all.
        most: answers that it offers at most.
        taken: candidates that are not asked about; those that are yielded are added.
    """
    taken = set() if taken is None else taken
    left = {answer: rng.permutation(numbers).tolist() for answer, numbers in candidates.items()}
    while True:
        answers = [answer for answer, numbers in left.items() if _skip(numbers, taken)]
        if len(answers) < max(fewest, 1):
            if answers:
                yield NotAsked(NOTHING_BESIDE, len({place for numbers in left.values() for place in numbers} - taken))
            return
        offered = _some(answers, most, rng)
        answer = offered[int(rng.integers(len(offered)))]
        candidate = left[answer].pop()
        taken.add(candidate)
        yield Drawn(candidate, answer, tuple(other for other in offered if other != answer))


def in_turn(draws: Sequence[Iterator[Item]], rng: np.random.Generator) -> Iterator[Item]:
    """Yield what is drawn, each time by another of several, at random, until all of them are at their end."""
    left = list(draws)
    while left:
        place = int(rng.integers(len(left)))
        found = next(left[place], None)
        if found is None:
            del left[place]
        else:
            yield found


def _skip(numbers: list[int], taken: set[int]) -> bool:
    """Drop candidates that are taken from the end of a list, and return whether any is left."""
    while numbers and numbers[-1] in taken:
        numbers.pop()
    return bool(numbers)


def _some(answers: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    """Return at most so many of the answers, each choice of them equally likely, in their order."""
    if len(answers) <= most:
        return list(answers)
    return [answers[place] for place in sorted(rng.choice(len(answers), most, replace=False).tolist())]
