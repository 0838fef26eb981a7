"""Scores of spatial questions, type by type: pure functions of the questions and the texts that answer them.

A number scores its mean relative accuracy, a letter 1 or 0; the truth is the answer as it is written, rounded once. An
answer that cannot be read scores 0 and is counted with its reason. Beside ours stand the scores that published programs
give the same text (:mod:`gapmodel.evaluation.published`), each for the types that its benchmark asks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from gapdata.tasks.chat import Unparsable
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.mra import relative_accuracy
from gapdata.tasks.spatial.question import LETTERS, Metric, SpatialQuestion, parse_letter, parse_number
from gapmodel.evaluation.published import spar, vsi

NOT_AN_OPTION = "the letter is not one of the options"
VSI_TYPES = ("count", "distance", "nearest", "size", "room", "direction", "order", "route")
"""Our types that VSI-Bench asks, too."""
SPAR_TYPES = (
    *("distance", "nearest", "camera_distance", "pixel_depth", "depth_order"),
    *("relation", "correspondence", "camera_direction", "imagined_view"),
)
"""Our types that SPAR-Bench's scorer can read: it asks for motion in a form of its own."""
UNITS: Mapping[str, str] = MappingProxyType(
    {
        **{"count": "", "room": "m2", "size": "cm"},
        **dict.fromkeys(("distance", "camera_distance", "pixel_depth", "camera_motion step"), "m"),
        "camera_motion turn": "degrees",
    }
)
"""The unit of the numbers of a type, or of one form of it."""
Scorer = Callable[[str, SpatialQuestion, int], float]
"""The score of a text that answers a question about so many frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialAnswer:
    """One answer and its scores."""

    scene: str
    form: str
    score: float  # 0 to 1
    options: int = 0  # of a letter
    error: float = math.nan  # of a number, in its own unit; NaN where none was read
    relative_error: float = math.nan
    exact: bool = False  # whether the number or the letter is the right one
    reason: str | None = None  # why the answer could not be read
    published: Mapping[str, float] = field(default_factory=dict)  # by the scorer's name


@dataclass(frozen=True, slots=True, kw_only=True)
class SpatialScores:
    """Scores of one type of question, or of one form of it."""

    metric: Metric
    questions: int
    unparsable: int
    reasons: dict[str, int]
    score: float  # mean relative accuracy of numbers, accuracy of letters
    exact: float  # share of answers that are the right one as it is written
    chance: float  # accuracy of guessing letters; NaN for numbers
    caa: float  # accuracy of letters above chance, as a share of what is above it; NaN for numbers
    median_error: float  # of the numbers that were read, in their unit; NaN for letters and where units differ
    median_relative_error: float
    by_form: dict[str, SpatialScores]
    published: dict[str, float]  # of the same answers, by the scorer's name


def answer_scored(item: SpatialQuestion, text: str, scene: str, frames: int) -> SpatialAnswer:
    """Score one answer to a question about a view of so many frames."""
    published = {name: scorer(text, item, frames) for name, scorer in published_scorers(item.kind).items()}
    if KINDS[item.kind].metric == "letter":
        letter = parse_letter(text)
        known = LETTERS[: len(item.options)]
        reason = letter.reason if isinstance(letter, Unparsable) else None if letter in known else NOT_AN_OPTION
        right = letter == item.answer
        options = len(item.options)
        return SpatialAnswer(
            scene=scene,
            form=item.form,
            score=float(right),
            exact=right,
            options=options,
            reason=reason,
            published=published,
        )
    number = parse_number(text)
    if isinstance(number, Unparsable):
        return SpatialAnswer(scene=scene, form=item.form, score=0.0, reason=number.reason, published=published)
    truth = float(item.answer)
    error = abs(number - truth)
    return SpatialAnswer(
        scene=scene,
        form=item.form,
        score=float(relative_accuracy(number, truth)),
        exact=number == truth,
        error=error,
        relative_error=error / abs(truth) if truth else math.nan,
        published=published,
    )


def summarised(answers: Sequence[SpatialAnswer], kind: str, form: str = "") -> SpatialScores:
    """Return the figures of the answers to one type of question, or to one form of it; NaN without answers."""
    letters = KINDS[kind].metric == "letter"
    forms = () if form else sorted({item.form for item in answers} - {""})
    errors = [item.error for item in answers if math.isfinite(item.error)]
    relative = [item.relative_error for item in answers if math.isfinite(item.relative_error)]
    scorers = answers[0].published if answers else {}
    return SpatialScores(
        metric=KINDS[kind].metric,
        questions=len(answers),
        unparsable=sum(item.reason is not None for item in answers),
        reasons=dict(sorted(Counter(item.reason for item in answers if item.reason is not None).items())),
        score=mean([item.score for item in answers]),
        exact=mean([item.exact for item in answers]),
        chance=mean([1 / item.options for item in answers]) if letters else math.nan,
        caa=above_chance(answers) if letters else math.nan,
        median_error=_median(errors) if unit_of(kind, form) is not None else math.nan,
        median_relative_error=_median(relative),
        by_form={name: summarised([item for item in answers if item.form == name], kind, name) for name in forms},
        published={name: mean([item.published[name] for item in answers]) for name in scorers},
    )


def unit_of(kind: str, form: str = "") -> str | None:
    """Return the unit of a type's numbers; ``None`` for letters, and for a type whose forms have different units."""
    return UNITS.get(f"{kind} {form}", UNITS.get(kind))


def above_chance(answers: Sequence[SpatialAnswer]) -> float:
    """Return the chance-adjusted accuracy of letters: (hits - sum 1/n) / (N - sum 1/n) over N items of n options.

    It is 1 for a perfect answerer, 0 for a guessing one, and negative for one that does worse.
    """
    guessed = sum(1 / item.options for item in answers)
    left = len(answers) - guessed
    return (sum(item.score for item in answers) - guessed) / left if left > 0 else math.nan


def published_scorers(kind: str) -> dict[str, Scorer]:
    """Return the published programs that score a type, by name."""
    of_vsi = {name: scorer for name, scorer in VSI_SCORERS.items() if kind in VSI_TYPES}
    return of_vsi | ({SPAR: _spar} if kind in SPAR_TYPES else {})


def _vsi(scorer: Callable[..., float]) -> Scorer:
    def score(text: str, item: SpatialQuestion, frames: int) -> float:
        return scorer(text, item.answer, letter=KINDS[item.kind].metric == "letter")

    return score


def _spar(text: str, item: SpatialQuestion, frames: int) -> float:
    if KINDS[item.kind].metric == "letter":
        return spar.choice(text, item.answer)
    return spar.number(text, item.answer, multi_view=frames > 1)


VSI_SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {"VSI-Bench": _vsi(vsi.original), "lmms-eval": _vsi(vsi.lmms_eval), "VLMEvalKit": _vsi(vsi.vlmevalkit)}
)
SPAR = "SPAR-Bench"


def mean(values: Sequence[float]) -> float:
    """Return the mean of some values; NaN without any."""
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
