"""Refuse unknown names, and name those that may have been meant, everywhere in the same words."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from gapdata.errors import UsageError

ALIKE = 0.6
"""Smallest share of equal letters, as :mod:`difflib` counts them, of two names that are spelt alike."""
SHORTEST = 3
"""Fewest letters of a name for it to count as the beginning of another."""
LONGEST = 100
"""Letters of a wrong name that are compared, because the time grows with their square."""


def near_names(value: object, known: Collection[str], count: int = 3, alike: float = ALIKE) -> list[str]:
    """Return the names that ``value`` may have meant, the likeliest first.

    These are spelt alike, or one is the beginning of the other.
    """
    text = str(value)[:LONGEST].casefold()
    names: dict[str, str] = {}
    for name in known:
        names.setdefault(name.casefold(), name)
    spelt = get_close_matches(text, names, n=count, cutoff=alike)
    begun = [low for low in names if min(len(low), len(text)) >= SHORTEST and _one_begins_the_other(low, text)]
    return [names[low] for low in dict.fromkeys([*spelt, *sorted(begun, key=len)])][:count]


def did_you_mean(value: object, known: Collection[str]) -> str:
    """Return the beginning of a cure, such as ``"did you mean val? "``, or an empty text if no name is near."""
    near = near_names(value, known, 1)
    return f"did you mean {near[0]}? " if near else ""


def unknown_choice(what: str, value: object, known: Collection[str], *, path: object = None) -> UsageError:
    """Return the error for a name that is not among ``known``; ``what`` is its noun, such as ``split``."""
    cure = f"{did_you_mean(value, known)}choose from {', '.join(known)}"
    return UsageError(f"{what} {str(value)[:LONGEST]!r} is unknown", path=path, cure=cure)


def check_choice(what: str, value: Any, known: Collection[str], *, path: object = None) -> None:
    """Refuse a name that is not among ``known``.

    Raises:
        UsageError: it is not; the message has the nearest name and all others.
    """
    if value not in known:
        raise unknown_choice(what, value, known, path=path)


def _one_begins_the_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
