"""What text alone reaches, by guesses of growing cleverness, each fitted on some questions and scored on others."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.audit.bag_of_words import LetterWords, NumberWords
from gapdata.tasks.spatial.mra import best_number, relative_accuracy
from gapdata.tasks.spatial.name_counts import stem_names
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion

Questions = Sequence[SpatialQuestion]
Guess = Callable[[Questions, Questions], NDArray[np.float64]]
"""From the questions to learn from (all of one form) and those to answer to the scores of the latter, (N,) in 0..1."""
MOST_FITTED = 2000
"""Answers that the best constant is looked for on."""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def chance(questions: Questions) -> NDArray[np.float64]:
    """Return the score (N,) of a letter drawn at random, or of another question's number."""
    if questions[0].options:
        return np.array([1 / len(item.options) for item in questions])
    truths = numbers(questions)
    return np.asarray(relative_accuracy(_spread(truths, 200)[None], truths[:, None]).mean(axis=1))


def numbers(questions: Questions) -> NDArray[np.float64]:
    """Return the answers of number questions, (N,)."""
    return np.array([float(item.answer) for item in questions], dtype=np.float64)


def constant(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Answer always the number that scores best, or the letter that is most often right among those to choose from."""
    if not asked[0].options:
        return relative_accuracy(best_constant(numbers(known)), numbers(asked))
    often = Counter(item.answer for item in known)
    return _credits(asked, ([float(often[letter]) for letter in LETTERS[: len(item.options)]] for item in asked))


def option_text(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Choose the option whose text is right most often where it is offered."""
    share = _shares((option, option == text) for item, text in _with_text(known) for option in item.options)
    return _credits(asked, ([share(option, 0.0) for option in item.options] for item in asked))


def category(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Answer by the names of objects in the question: their median number, or the option most often right with them."""
    if asked[0].options:
        return _letters_by_names(known, asked)
    answers: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for item in known:
        answers[item.names].append(float(item.answer))
    otherwise = best_constant(numbers(known))
    medians = {names: float(np.median(values)) for names, values in answers.items()}
    return relative_accuracy(np.array([medians.get(item.names, otherwise) for item in asked]), numbers(asked))


def longest(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Choose the option with the most characters."""
    return _credits(asked, ([float(len(option)) for option in item.options] for item in asked))


def middle(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Choose the option whose number is in the middle, where all options have one."""
    return _credits(asked, (_nearness_to_middle(item.options) for item in asked))


def first_named(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Choose the option that the question itself names first."""
    return _credits(asked, (_earliness(item) for item in asked))


def bag_of_words(known: Questions, asked: Questions) -> NDArray[np.float64]:
    """Answer by a hashed bag of words (:mod:`gapdata.audit.bag_of_words`)."""
    if asked[0].options:
        return _credits(asked, (row.round(9).tolist() for row in LetterWords(known).guess(asked)))
    return relative_accuracy(NumberWords(known, numbers(known)).guess(asked), numbers(asked))


GUESSES: Mapping[str, Guess] = {
    "constant": constant,
    "option text": option_text,
    "category": category,
    "longest": longest,
    "middle": middle,
    "first named": first_named,
    "words": bag_of_words,
}
"""By name, those that both numbers and letters have and those of letters alone (:data:`OF_LETTERS`)."""
OF_LETTERS = ("option text", "longest", "middle", "first named")


def best_constant(truths: NDArray[np.float64]) -> float:
    """Return the number with the best mean relative accuracy over ``truths`` (N,)."""
    tried = np.unique(np.outer(_spread(truths, 100), np.linspace(0.6, 1.1, 11)))
    return best_number(tried, _spread(truths, MOST_FITTED))[0]


def _spread(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return at most so many of the values, evenly spread over their order."""
    ordered = np.sort(values)
    return ordered if len(ordered) <= most else ordered[np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def _letters_by_names(known: Questions, asked: Questions) -> NDArray[np.float64]:
    by_text = _shares((option, option == text) for item, text in _with_text(known) for option in item.options)
    by_names = _shares(
        ((option, stem_names(item)), option == text) for item, text in _with_text(known) for option in item.options
    )

    def rate(item: SpatialQuestion) -> list[float]:
        names = stem_names(item)
        return [by_names((option, names), by_text(option, 1 / len(item.options))) for option in item.options]

    return _credits(asked, map(rate, asked))


def _with_text(questions: Questions) -> Iterable[tuple[SpatialQuestion, str]]:
    return ((item, item.options[LETTERS.index(item.answer)]) for item in questions)


def _shares(seen: Iterable[tuple[object, bool]]) -> Callable[[object, float], float]:
    """Return a function that gives the share of times that something was right, or a default where it was not seen."""
    total: Counter[object] = Counter()
    right: Counter[object] = Counter()
    for what, was_right in seen:
        total[what] += 1
        right[what] += was_right
    return lambda what, default: right[what] / total[what] if what in total else default


def _nearness_to_middle(options: Sequence[str]) -> list[float]:
    found = [NUMBER.search(option) for option in options]
    values = [float(match[0]) for match in found if match is not None]
    if len(values) < len(options):
        return [0.0] * len(options)
    ranks = np.argsort(np.argsort(values))
    return [-abs(rank - (len(options) - 1) / 2) for rank in ranks.tolist()]


def _earliness(item: SpatialQuestion) -> list[float]:
    stem = item.text.partition("\n")[0]
    places = [stem.find(option) for option in item.options]
    return [-float(place) if place >= 0 else -float(len(stem)) for place in places]


def _credits(asked: Questions, marks: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    """Return 1 for each question whose right option has the highest mark, a share of it where several have it."""
    found = []
    for item, values in zip(asked, marks, strict=True):
        best = max(values)
        leaders = [place for place, value in enumerate(values) if value == best]
        found.append(1 / len(leaders) if LETTERS.index(item.answer) in leaders else 0.0)
    return np.array(found)
