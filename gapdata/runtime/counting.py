"""Write counts and lists for messages."""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return ``1 scene``, ``1,200 scenes``; ``nouns`` is a plural that takes more than an s (``2 entries``)."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def few(names: Sequence[str], most: int) -> str:
    """Return the first names and the number of the others: ``a, b, c and 4 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
