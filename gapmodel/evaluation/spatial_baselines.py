"""What a model that sees nothing would answer to spatial questions, fitted on questions about training scenes.

The text of a question tells its form and the names in it, so these constants are fitted by form; those by category by
form and names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.mra import best_number
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindAnswers:
    """The constant answers of one type."""

    constant: dict[str, str] = field(default_factory=dict)
    """By form: the number with the best mean relative accuracy in training, or the commonest letter."""
    by_category: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Of numbers, by form and sorted names: the median; of letters, by form: the commonest text of a right option."""

    def to(self, item: SpatialQuestion, *, by_category: bool = False) -> str:
        """Return the constant answer to a question; that of its category where there is one."""
        constant = self.constant.get(item.form) or next(iter(self.constant.values()))
        if not by_category:
            return constant
        known = self.by_category.get(_category(item))
        if KINDS[item.kind].metric == "number":
            return known or constant
        return LETTERS[item.options.index(known)] if known in item.options else constant


def fit_blind(training: Sequence[SpatialQuestion]) -> BlindAnswers | None:
    """Return the constant answers to one type of question; ``None`` without questions to fit them on."""
    if not training:
        return None
    constant: dict[str, str] = {}
    for form in dict.fromkeys(item.form for item in training):
        answers = [item.answer for item in training if item.form == form]
        number = KINDS[training[0].kind].metric == "number"
        constant[form] = _best_number(answers) if number else _commonest(answers)
    groups: dict[tuple[str, ...], list[SpatialQuestion]] = {}
    for item in training:
        groups.setdefault(_category(item), []).append(item)
    return BlindAnswers(constant=constant, by_category={key: _middle(items) for key, items in groups.items()})


def _category(item: SpatialQuestion) -> tuple[str, ...]:
    return (item.form, *sorted(item.names)) if KINDS[item.kind].metric == "number" else (item.form,)


def _middle(items: Sequence[SpatialQuestion]) -> str:
    if KINDS[items[0].kind].metric == "letter":
        return _commonest([item.options[LETTERS.index(item.answer)] for item in items])
    return f"{np.median([float(item.answer) for item in items]):.4f}"


def _best_number(answers: Sequence[str]) -> str:
    """Return the answer, as it is written, that scores most against all of them."""
    written = {float(text): text for text in sorted(set(answers), reverse=True)}
    number, _ = best_number(np.array(sorted(written)), np.array([float(answer) for answer in answers]))
    return written[number]


def _commonest(texts: Sequence[str]) -> str:
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))
