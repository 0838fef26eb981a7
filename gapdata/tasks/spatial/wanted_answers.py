"""Ask so that all answers are equally frequent: the answer is drawn first, and kept until a candidate has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kind import NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion

Candidate = TypeVar("Candidate")
Wanted = TypeVar("Wanted")
Answer = TypeVar("Answer")
MOST_DRAWS = 120
OTHER_ANSWER = NotAsked("the answer is another one than is wanted for balance")
NONE_HAS_IT = NotAsked("no candidate has the answer that is wanted for balance")


def ask_for_wanted(
    candidates: Sequence[Candidate],
    draw: Callable[[], Wanted],
    ask: Callable[[Candidate, Wanted], SpatialQuestion | NotAsked],
) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield questions, each about another candidate, and the reasons of candidates that cannot be asked about.

    Were the answer drawn again for each candidate, frequent answers would win.

    Args:
        candidates: in random order.
        draw: draws the answer that is wanted next.
        ask: asks about a candidate; :data:`OTHER_ANSWER` where it has another answer than is wanted, which a later draw
            may want.
    """
    left = list(candidates)[::-1]
    for _ in range(MOST_DRAWS):
        if not left:
            return
        wanted, others = draw(), list[Candidate]()
        while left:
            candidate = left.pop()
            found = ask(candidate, wanted)
            if found is OTHER_ANSWER:
                others.append(candidate)
                continue
            yield found
            if not isinstance(found, NotAsked):
                break
        else:
            yield NONE_HAS_IT
        left += others[::-1]


def balanced(candidates: Mapping[Answer, NDArray[np.int64]], rng: np.random.Generator) -> Iterator[tuple[Answer, int]]:
    """Yield answers with one of their candidates each, every candidate at most once.

    Args:
        candidates: (n,) numbers of the candidates of each answer.
        rng: of the kind.
    """
    left = {answer: rng.permutation(numbers).tolist() for answer, numbers in candidates.items() if len(numbers)}
    while left:
        answers = list(left)
        answer = answers[int(rng.integers(len(answers)))]
        yield answer, left[answer].pop()
        if not left[answer]:
            del left[answer]
