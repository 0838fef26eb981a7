"""A count and its noun, for messages."""

from __future__ import annotations


def counted(count: int, noun: str, nouns: str = "") -> str:
    """``1 scene``, ``1,200 scenes``; ``nouns`` is a plural that takes more than an s, ``1 entry``, ``2 entries``."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"
