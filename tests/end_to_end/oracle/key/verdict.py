"""What the key is given, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.end_to_end.oracle.key.lens import Lens
from tests.end_to_end.oracle.key.true_room import TrueRoom

METRES = 0.02
"""Tolerance of distances by another method."""
DEGREES = 1.0
ROOM_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A mark that belongs to the question."""

    frame: int  # position in the view
    pixel: tuple[int, int]  # column and row of the stored image
    number: int  # beside it; 0 where none is


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What a question is about: frames of a walk through a room, stored as images, with marks."""

    room: TrueRoom
    frames: tuple[int, ...]  # of the walk
    lens: Lens
    marks: tuple[Marked, ...] = ()
    noise: float = 0.0
    """Share of a reading by which the scan's depth may be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The key's answer."""

    number: float | None = None
    tolerance: float = 0.0
    """By which a number may differ besides its rounding, in the unit of the answer."""
    right: tuple[bool, ...] = ()
    """Of a letter: which options are right."""
    figure: float | None = None
    """What decides the letter, by the key's own measure."""
    near: float = 0.0
    """By which the question's own ``value`` may differ from ``figure``."""
    problems: tuple[str, ...] = field(default=())
    """Why the question should not have been asked."""


def chosen(options: tuple[str, ...], answer: str, **rest: object) -> Verdict:
    """Return the verdict that one text is right."""
    return Verdict(right=tuple(option == answer for option in options), **rest)  # type: ignore[arg-type]
