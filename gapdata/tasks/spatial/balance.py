"""Choose, among the questions of a build, those whose answers their texts do not tell.

Some of what a text tells is in the world: a lamp is above a table, a chair is beside a desk. No choice within one room
can balance that, so it is done over all rooms. Letters: which option is right how often with which names is counted
over all places but one, and guesses are made about that one (:mod:`gapdata.tasks.spatial.name_counts`), for each
place. Where guesses are right more often than chance, some of those that are right are left out, until they are not.
Counts: there are at most as many twos as threes.

The choice depends on the questions and their ids alone, not on their order; all arithmetic is on whole numbers, so that
it is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.name_counts import CHANCE, DEPTHS, Guesses, NameCounts
from gapdata.tasks.spatial.question_file import AskedQuestion

TOLD = "the text tells the answer more often than chance"
TWOS = "two of a kind are asked about at most as often as three"
EQUALLY_SURE = 40
"""Guesses that are balanced among themselves."""
ROUNDS = 40
"""Times that the counts are taken again without the questions that were left out, at most."""


def left_out(questions: Iterable[AskedQuestion]) -> dict[str, str]:
    """Return the ids of the questions that are left out for balance, with the reason.

    Args:
        questions: of a whole build, in any order; those of a form are balanced among themselves.
    """
    forms: dict[tuple[str, str], list[AskedQuestion]] = defaultdict(list)
    for item in questions:
        forms[item.question.kind, item.question.form].append(item)
    found: dict[str, str] = {}
    for key in sorted(forms):
        items = sorted(forms[key], key=lambda item: (_drawn(item.id), item.id))
        if key[0] == "count":
            found |= dict.fromkeys(_surplus_twos(items), TWOS)
        elif items[0].question.options:
            found |= dict.fromkeys(_told(items), TOLD)
    return found


def _drawn(text: str) -> int:
    """Return a number that looks random and depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def _surplus_twos(items: Sequence[AskedQuestion]) -> list[str]:
    surplus: list[str] = []
    for split in sorted({item.split for item in items}):
        twos, threes = ([item.id for item in items if (item.split, item.question.answer) == (split, n)] for n in "23")
        surplus += twos[len(threes) :]
    return surplus


def _told(items: Sequence[AskedQuestion]) -> list[str]:
    """Return the ids of the letter questions of one form that are left out."""
    places = np.unique([item.place_or_scene for item in items], return_inverse=True)[1]
    counts = NameCounts([item.question for item in items], places)
    kept = np.ones(len(items), dtype=bool)
    for _ in range(ROUNDS):
        before = int(kept.sum())
        for depth in DEPTHS:
            guesses = counts.guess(kept, depth)
            if _is_more_than_luck(guesses.excess() * kept, places):
                kept &= ~_surplus_right(guesses, kept)
        if kept.sum() == before:
            break
    return [item.id for item, keep in zip(items, kept, strict=True) if not keep]


def _is_more_than_luck(excess: NDArray[np.int64], places: NDArray[np.int64]) -> bool:
    """Return whether guesses are right more often than chance, by a percent and a quarter of the standard deviation.

    Args:
        excess: (N,) of each guess, in units of :data:`gapdata.tasks.spatial.name_counts.CHANCE`.
        places: (N,) numbers of places; guesses about one place are right or wrong together,
            so the deviation is that of their sums.
    """
    sums = np.zeros(int(places.max()) + 1, dtype=np.int64)
    np.add.at(sums, places, excess)
    beyond = 100 * int(sums.sum()) - CHANCE * int(np.count_nonzero(excess))
    variance = sum(int(each) ** 2 for each in sums.tolist())
    return beyond > 0 and 16 * beyond**2 > 100**2 * variance


def _surplus_right(guesses: Guesses, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which questions (N,) to leave out: half of the right guesses that are more than chance gives.

    With n options, there are n - 1 wrong guesses for each right one. Guesses that are about equally sure are balanced
    among themselves, else those left in the end would tell by how sure a guess is. It is half at a time because what
    is left tells something else.
    """
    dropped = np.zeros(len(among), dtype=bool)
    for count in np.unique(guesses.options[among]).tolist():
        part = np.flatnonzero(among & (guesses.options == count) & guesses.made)
        by_lead = part[np.argsort(guesses.lead[part], kind="stable")]
        groups = np.array_split(by_lead, max(1, len(by_lead) // EQUALLY_SURE))
        rights = [np.sort(group[guesses.right[group]]) for group in groups]
        surplus = [
            len(right) - (len(group) - len(right)) // (count - 1) for group, right in zip(groups, rights, strict=True)
        ]
        wanted = max(0, sum(surplus))
        positive = max(1, sum(each for each in surplus if each > 0))
        for right, each in zip(rights, surplus, strict=True):
            if each > 0:
                dropped[right[: -(-each * wanted // (2 * positive))]] = True
    return dropped
