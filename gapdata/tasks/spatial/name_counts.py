"""Guess the options of questions by counts: which option was right how often, with which names in the text.

A clue is an option's letter, a word of it, or its text: alone, with a name of the question (of an object or a frame),
with two of them, or with all; of an option that lists names, two of them in their order. Its weight is how much more
often than chance its option is right. A guess is the option with the largest sum of weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion, frame_name

CHANCE = 840
"""The chance of all options of a question together; a multiple of each number of options up to 8."""
SCALE = 1000
DEPTHS = (0, 1, 2)
"""How many names of a question the clues of a guess have at most. Guesses by few clues find what concerns all questions
of a form even where these are few."""
SHY = 2
"""Added to the times that a clue was seen, so that rare clues weigh less."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guesses:
    """The guesses about N questions."""

    options: NDArray[np.int64]  # (N,) how many each has
    made: NDArray[np.bool_]  # (N,) whether one option leads
    right: NDArray[np.bool_]  # (N,) whether the leading option is the right one
    lead: NDArray[np.int64]  # (N,) by how much it leads

    def excess(self) -> NDArray[np.int64]:
        """Return how much better than chance each guess is, (N,) in units of :data:`CHANCE`; 0 where none is made."""
        return np.where(self.made, CHANCE * self.right - CHANCE // self.options, 0)


class NameCounts:
    """The clues of letter questions of one form.

    Args:
        questions: N of them, each with options.
        places: (N,) numbers of the places that they are about.
    """

    def __init__(self, questions: Sequence[SpatialQuestion], places: NDArray[np.int64]) -> None:
        numbers: dict[tuple[object, ...], int] = {}
        depths: list[int] = []
        clues: list[int] = []
        sizes: list[int] = []
        for item in questions:
            names = (*stem_names(item), *frame_names(item))
            for letter, option in zip(LETTERS, item.options, strict=False):
                found = list(clues_of(letter, option, names))
                clues += [numbers.setdefault(clue, len(numbers)) for _, clue in found]
                depths += [depth for depth, _ in found]
                sizes.append(len(found))
        self._options = np.array([len(item.options) for item in questions], dtype=np.int64)
        self._clues = np.array(clues, dtype=np.int64)  # of all options, one after the other
        self._depth = np.array(depths, dtype=np.int64)
        self._row = np.repeat(np.arange(len(sizes)), sizes)  # the option of each clue
        self._question = np.repeat(np.arange(len(questions)), self._options)  # the question of each option
        self._first = np.cumsum(self._options) - self._options  # the place of each question's first option
        self._right = self._first + [LETTERS.index(item.answer) for item in questions]
        there = places[self._question[self._row]] * len(numbers) + self._clues
        self._there = np.unique(there, return_inverse=True)[1]  # each clue at each place

    def guess(self, known: NDArray[np.bool_], depth: int) -> Guesses:
        """Guess each question by what is counted over the questions about other places.

        Args:
            known: (N,) which questions are counted.
            depth: of the clues, the most.
        """
        surplus = -(CHANCE // self._options)[self._question]
        surplus[self._right] += CHANCE
        used = self._depth <= depth
        counted = used & known[self._question][self._row]
        totals = self._elsewhere(counted, surplus[self._row])
        seen = self._elsewhere(counted, np.ones(len(self._row), dtype=np.int64))
        sums = np.zeros(len(self._question), dtype=np.int64)
        np.add.at(sums, self._row[used], (totals * SCALE // (seen + SHY))[used])
        return self._leading(sums)

    def _elsewhere(self, counted: NDArray[np.bool_], values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each clue the sum of the values of the same clue at other places; all are (clues,)."""
        sums = []
        for numbers in (self._clues, self._there):
            total = np.zeros(int(numbers.max()) + 1, dtype=np.int64)
            np.add.at(total, numbers[counted], values[counted])
            sums.append(total[numbers])
        return np.asarray(sums[0] - sums[1])

    def _leading(self, sums: NDArray[np.int64]) -> Guesses:
        """Return which option of each question has the largest of the sums (options,)."""
        most = np.maximum.reduceat(sums, self._first)
        leads = sums == most[self._question]
        others = np.where(leads, np.iinfo(np.int64).min, sums)
        second = np.maximum.reduceat(others, self._first)
        alone = np.add.reduceat(leads.astype(np.int64), self._first) == 1
        lead = np.where(alone, most - np.where(alone, second, 0), 0)
        return Guesses(options=self._options, made=alone, right=alone & leads[self._right], lead=lead)


def stem_names(item: SpatialQuestion) -> tuple[str, ...]:
    """Return the names in the question itself, in the order in which it says them; names of options are not in it."""
    stem = item.text.partition("\n")[0]
    return tuple(sorted({name for name in item.names if name in stem}, key=lambda name: (stem.index(name), name)))


def frame_names(item: SpatialQuestion) -> tuple[str, ...]:
    """Return the names of a question's frames, and of two of them whether it goes forth or back in time."""
    names = tuple(map(frame_name, item.frames))
    return names if len(names) != 2 else ("forth" if item.frames[0] < item.frames[1] else "back", *names)


def clues_of(letter: str, option: str, names: tuple[str, ...]) -> Iterator[tuple[int, tuple[object, ...]]]:
    """Yield the clues of an option of a question with these names, with their depths."""
    yield 0, ("letter", letter)
    yield 0, (option,)
    yield from ((0, ("word", word)) for word in option.split())
    for place, name in enumerate(names):
        yield 1, (option, place, name)
    for (one, first), (other, second) in itertools.combinations(enumerate(names), 2):
        yield 2, (option, one, first, other, second)
    if len(names) > 2:
        yield 2, (option, names)
    for first, second in itertools.combinations(option.split(", "), 2):
        yield 1, ("before", first, second)
