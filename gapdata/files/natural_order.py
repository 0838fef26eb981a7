"""Sort names as people do: ``9.5`` before ``10.0``, ``cam0_2`` before ``cam0_10``."""

from __future__ import annotations

import re
from decimal import Decimal

NUMBER = re.compile(r"(?:(?<![\s\S])-)?[0-9]+(?:\.[0-9]+)?")
"""A number within a name; a minus counts only where the name begins with it, elsewhere it is a hyphen."""


def split_name(name: str) -> tuple[list[str], list[str]]:
    """Return the texts and the numbers of a name; there is one text before each number and one after the last."""
    return NUMBER.split(name), NUMBER.findall(name)


def natural_key(name: str) -> tuple[tuple[str | Decimal, ...], str]:
    """Return a key by which names sort by their numbers, exactly for any number of digits.

    Equal numbers (``1``, ``01``) sort by their text.
    """
    texts, numbers = split_name(name)
    parts: list[str | Decimal] = [texts[0]]
    for number, text in zip(numbers, texts[1:], strict=True):
        parts += [Decimal(number), text]
    return tuple(parts), name
