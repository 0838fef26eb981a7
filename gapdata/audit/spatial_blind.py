"""What answers to the questions of a build can be had from their text alone, by form, beside chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.audit.text_guesses import GUESSES, OF_LETTERS, chance
from gapdata.seeding import generator_for
from gapdata.tasks.spatial.question_file import AskedQuestion

TRAINED = "train"
FEWEST_PLACES = 30
"""Places of each split from which on guesses are fitted on ``train`` and scored on the others; else folds are made."""
FOLDS = 5
MOST_QUESTIONS = 10_000
"""Of a form; more make the table slower and no surer."""
RESAMPLES, LEVEL = 1000, 0.95
LARGEST_EXCESS = 0.03
"""By which the score of a letter form may exceed chance."""
FEWEST_TOLD = 6
"""Places below which nothing is told from chance."""
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindScore:
    """The mean score of one way to guess, with its 95 % interval over places, ``None`` with too few of them."""

    score: float
    interval: Interval | None
    excess: float
    """Of the score over chance on the same questions."""
    excess_interval: Interval | None

    @property
    def exceeds(self) -> bool:
        """Whether the score is above chance by more than it may be, and not by luck."""
        return self.excess > LARGEST_EXCESS and self.excess_interval is not None and self.excess_interval[0] > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindRow:
    """One form of a type of question."""

    kind: str
    form: str
    metric: Literal["number", "letter"]
    questions: int
    """That were guessed; the others were learnt from."""
    places: int
    fitted: str
    """How guesses are fitted: on the ``train`` split, or on ``folds``."""
    chance: float
    scores: dict[str, BlindScore] = field(default_factory=dict)
    """By the way to guess (:data:`gapdata.audit.text_guesses.GUESSES`)."""

    @property
    def exceeding(self) -> tuple[str, ...]:
        """The ways to guess letters that score above chance by more than they may."""
        return tuple(name for name, score in self.scores.items() if self.metric == "letter" and score.exceeds)

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        names = ("kind", "form", "metric", "questions", "places", "fitted", "chance")
        scores = {
            name: {"score": each.score, "interval": each.interval, "above_chance": each.excess}
            for name, each in self.scores.items()
        }
        return {name: getattr(self, name) for name in names} | {"scores": scores, "exceeding": self.exceeding}


def blind_table(questions: Iterable[AskedQuestion]) -> tuple[BlindRow, ...]:
    """Return a row for each form, in the order of the questions.

    Args:
        questions: of a build. Questions about one place are never both learnt from and guessed.
    """
    forms: dict[tuple[str, str], list[AskedQuestion]] = defaultdict(list)
    for item in questions:
        forms[item.question.kind, item.question.form].append(item)
    rows = (_row(kind, form, items) for (kind, form), items in forms.items())
    return tuple(row for row in rows if row is not None)


def _row(kind: str, form: str, items: list[AskedQuestion]) -> BlindRow | None:
    items = _thinned(items)
    fitted, parts = _parts(items)
    if not parts:
        return None
    asked = [item for _, part in parts for item in part]
    letters = bool(items[0].question.options)
    by_chance = chance([item.question for item in asked])
    scores = {
        name: np.concatenate(
            [guess([item.question for item in known], [item.question for item in part]) for known, part in parts]
        )
        for name, guess in GUESSES.items()
        if letters or name not in OF_LETTERS
    }
    places = [item.place_or_scene for item in asked]
    return BlindRow(
        kind=kind,
        form=form,
        metric="letter" if letters else "number",
        questions=len(asked),
        places=len(set(places)),
        fitted=fitted,
        chance=float(by_chance.mean()),
        scores={name: _scored(values, by_chance, places) for name, values in scores.items()},
    )


def _thinned(items: list[AskedQuestion]) -> list[AskedQuestion]:
    step = -(-len(items) // MOST_QUESTIONS)
    return items[::step]


def _parts(items: list[AskedQuestion]) -> tuple[str, list[tuple[list[AskedQuestion], list[AskedQuestion]]]]:
    """Return how guesses are fitted, and pairs of questions to learn from and to guess; none with a single place."""
    trained = [item for item in items if item.split == TRAINED]
    known = {item.place_or_scene for item in trained}
    held_out = [item for item in items if item.split != TRAINED and item.place_or_scene not in known]
    if min(len(known), len({item.place_or_scene for item in held_out})) >= FEWEST_PLACES:
        return "train", [(trained, held_out)]
    places = sorted({item.place_or_scene for item in items})
    order = generator_for(0, "blind folds", *places).permutation(len(places)).tolist()
    fold = {place: number % FOLDS for number, place in zip(order, places, strict=True)}
    parts = []
    for number in range(min(FOLDS, len(places))):
        inside = [item for item in items if fold[item.place_or_scene] == number]
        parts.append(([item for item in items if fold[item.place_or_scene] != number], inside))
    return "folds", [(known, inside) for known, inside in parts if known and inside]


def _scored(scores: NDArray[np.float64], by_chance: NDArray[np.float64], places: Sequence[str]) -> BlindScore:
    return BlindScore(
        score=float(scores.mean()),
        interval=_interval(scores, places),
        excess=float((scores - by_chance).mean()),
        excess_interval=_interval(scores - by_chance, places),
    )


def _interval(values: NDArray[np.float64], places: Sequence[str]) -> Interval | None:
    """Return the bootstrap interval of the mean of values (N,) over places, which are drawn with replacement.

    Of fewer than :data:`FEWEST_TOLD` places it is ``None``: a few of them, drawn again, tell too narrow an interval.
    """
    names, where = np.unique(places, return_inverse=True)
    if len(names) < FEWEST_TOLD:
        return None
    sums, sizes = np.bincount(where, weights=values), np.bincount(where)
    rng = generator_for(0, "blind interval")
    draws = (rng.multinomial(len(names), np.full(len(names), 1 / len(names))) for _ in range(RESAMPLES))
    low, high = np.quantile([(draw @ sums) / (draw @ sizes) for draw in draws], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
