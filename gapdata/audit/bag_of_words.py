"""A hashed bag of words for questions: which answer their text alone suggests, by ridge regression.

Words and pairs of neighbouring words, stops included, are features; of letters, the words of each option and the option
together with each of the question's. An option's features are compared with the mean over the options of its question.
The normal equations are solved by conjugate gradients on the lists of features, so it takes seconds for any vocabulary.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.mra import relative_accuracy
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion

FEATURES = 1 << 15
PENALTY = 2.0
STEPS = 60
"""Of conjugate gradients: enough that further ones change no guess."""
WORD = re.compile(r"[a-z0-9']+|[?.,;:-]")
FACTORS = np.linspace(0.7, 1.1, 17)
"""Tried for numbers: the best guess lies below the median, because the error is divided by the truth."""


class LetterWords:
    """Guesses letters.

    Args:
        questions: with options, to learn from.
    """

    def __init__(self, questions: Sequence[SpatialQuestion]) -> None:
        rows = _Rows([_option_features(item) for item in questions])
        right = np.concatenate([np.eye(len(item.options))[LETTERS.index(item.answer)] for item in questions])
        self._weights = _ridge(rows, right)

    def guess(self, questions: Sequence[SpatialQuestion]) -> list[NDArray[np.float64]]:
        """Return a number for each option of each question; the largest is the guess."""
        rows = _Rows([_option_features(item) for item in questions])
        return np.split(rows.times(self._weights), rows.firsts[1:])


class NumberWords:
    """Guesses numbers.

    Args:
        questions: to learn from.
        answers: (N,) theirs.
    """

    def __init__(self, questions: Sequence[SpatialQuestion], answers: NDArray[np.float64]) -> None:
        self._log = bool((answers > 0).all())
        rows = _Rows([[_text_features(item)] for item in questions], centred=False)
        wanted = np.log(answers) if self._log else answers
        self._mean, self._factor = float(wanted.mean()), 1.0
        self._weights = _ridge(rows, wanted - self._mean)
        guesses = self.guess(questions)
        scores = [relative_accuracy(factor * guesses, answers).mean() for factor in FACTORS]
        self._factor = float(FACTORS[int(np.argmax(scores))])

    def guess(self, questions: Sequence[SpatialQuestion]) -> NDArray[np.float64]:
        """Return a number for each question, (N,)."""
        rows = _Rows([[_text_features(item)] for item in questions], centred=False)
        found = rows.times(self._weights) + self._mean
        return np.asarray(self._factor * (np.exp(np.clip(found, -50, 50)) if self._log else found))


class _Rows:
    """Rows of features, as the numbers of those that are there; rows of one question lie together."""

    def __init__(self, questions: Sequence[Sequence[NDArray[np.int64]]], *, centred: bool = True) -> None:
        rows = [row for question in questions for row in question]
        self._row = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        self._feature = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        self._sizes = np.array([len(question) for question in questions], dtype=np.int64)
        self.firsts = np.cumsum(self._sizes) - self._sizes
        self._count, self._centred = len(rows), centred

    def times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the product with weights (FEATURES,), (rows,), less the mean over each question's rows."""
        sums = np.bincount(self._row, weights=weights[self._feature], minlength=self._count)
        return self.centred(np.asarray(sums, dtype=np.float64))

    def back(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the product of the transposed matrix with values (rows,), (FEATURES,)."""
        sums = np.bincount(self._feature, weights=self.centred(values)[self._row], minlength=FEATURES)
        return np.asarray(sums, dtype=np.float64)

    def centred(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values (rows,) less the mean over the rows of their question."""
        if not self._centred or not len(values):
            return values
        return values - np.repeat(np.add.reduceat(values, self.firsts) / self._sizes, self._sizes)


def _ridge(rows: _Rows, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (FEATURES,) of the ridge regression of ``wanted`` (rows,)."""
    weights = np.zeros(FEATURES)
    rest = rows.back(wanted)
    way, square = rest.copy(), float(rest @ rest)
    start = square
    for _ in range(STEPS):
        if square <= 1e-12 * start:
            break
        image = rows.back(rows.times(way)) + PENALTY * way
        step = square / float(way @ image)
        weights += step * way
        rest -= step * image
        square, before = float(rest @ rest), square
        way = rest + square / before * way
    return weights


def _option_features(item: SpatialQuestion) -> list[NDArray[np.int64]]:
    stem = _words(item.text.partition("\n")[0])
    found = []
    for letter, option in zip(LETTERS, item.options, strict=False):
        own = [f"letter {letter}", f"is {option}", *(f"has {word}" for word in _words(f": {option} ."))]
        found.append(_numbers([*own, *(f"{word} -> {option}" for word in stem)]))
    return found


def _text_features(item: SpatialQuestion) -> NDArray[np.int64]:
    return _numbers(_words(item.text))


def _words(text: str) -> list[str]:
    single = WORD.findall(text.lower())
    return [*single, *(f"{first} {second}" for first, second in itertools.pairwise(single))]


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return np.array(sorted({zlib.crc32(name.encode()) % FEATURES for name in names}), dtype=np.int64)
