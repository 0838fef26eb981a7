"""Read time stamps out of file names, pair files by them, and give frames their raw indices on a clock of 30 Hz.

Files are named ``<id>_<t>.png`` or ``<t>.png``, with t in seconds to 3 decimals (8 in the first packages). As text
``_999.9`` sorts after ``_1000.0``, so only the number counts. The names of one frame's files may differ by a
millisecond, as the official loader knows.

A recipe counts raw frames and means thirtieths of a second. 3dod has about 10 images a second and raw 60, so a frame's
raw index is the tick of a 30 Hz clock, which starts at the first colour image; where several frames share a tick, one
of them is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.sources.raw_clock import RATE

SECOND = 1_000_000  # microseconds
SAME_FRAME = 1_000
"""Most microseconds between the stamps of two files of one frame."""
EARLY = 0.25
"""Share of a tick by which an image may come before it and still belong to it: names are rounded, and images of 60 Hz
come at ticks and halfway between them."""
MOST_DIGITS, MOST_DECIMALS = 9, 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StampedFiles:
    """The files of one kind, ascending in time."""

    stamps: NDArray[np.int64]  # (n,) microseconds
    names: tuple[str, ...]
    strays: int
    """Files with another ending, another capture's id, or the stamp of an earlier one."""

    def nearest(self, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of the file of each moment (k,), -1 where none is within ``SAME_FRAME``."""
        return nearest_within(self.stamps, stamps, SAME_FRAME)


def stamped_files(names: Iterable[str], endings: Collection[str], capture: str) -> StampedFiles:
    """Sort the files of a folder by their time stamps.

    Args:
        names: of the folder's files.
        endings: of the files that count, in lower case, without the dot.
        capture: the id of the capture, which may be a part of the names.
    """
    found: dict[int, str] = {}
    strays = 0
    for name in sorted(names):
        stem, _, ending = name.rpartition(".")
        stamp = _microseconds(stem.removeprefix(f"{capture}_")) if ending.lower() in endings else None
        if stamp is None or stamp in found:
            strays += 1
        else:
            found[stamp] = name
    order = sorted(found)
    return StampedFiles(
        stamps=np.array(order, dtype=np.int64), names=tuple(found[stamp] for stamp in order), strays=strays
    )


def nearest_within(known: NDArray[np.int64], wanted: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return the place of the nearest known moment of each wanted one, the earlier of two, -1 beyond the limit.

    Args:
        known: (n,) ascending.
        wanted: (k,).
        limit: in their unit.
    """
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    after = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(known[before] - wanted) <= np.abs(known[after] - wanted), before, after)
    return np.asarray(np.where(np.abs(known[nearest] - wanted) <= limit, nearest, -1))


def raw_indices(stamps: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """Return the tick of a 30 Hz clock of each moment, (n,).

    Args:
        stamps: (n,) microseconds.
        start: the moment of tick 0.
    """
    return np.asarray(np.floor((stamps - start) * (RATE / SECOND) + EARLY).astype(np.int64))


def one_each_tick(
    ticks: NDArray[np.int64], stamps: NDArray[np.int64], start: int, rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the places of the frames that are read, ascending in time, one of each tick.

    Args:
        ticks: (n,) of the frames.
        stamps: (n,) microseconds.
        start: the moment of tick 0.
        rank: (n,) which frames are better; of the best, the nearest to the tick is taken, then the earlier one.
    """
    away = np.abs((stamps - start) * RATE - ticks * SECOND)
    order = np.lexsort((stamps, away, -rank, ticks))
    _, first = np.unique(ticks[order], return_index=True)
    return np.asarray(order[first])


def seconds_text(stamp: int) -> str:
    """Return microseconds as seconds, exactly."""
    return f"{stamp // SECOND}.{stamp % SECOND:06d}"


def _microseconds(text: str) -> int | None:
    """Return seconds with up to 12 decimals in whole microseconds, later ones left out; ``None`` for another text."""
    whole, _, part = text.partition(".")
    digits = whole + part
    if not (whole and digits.isascii() and digits.isdigit()) or len(whole) > MOST_DIGITS or len(part) > MOST_DECIMALS:
        return None
    return int(whole) * SECOND + int(part[:6].ljust(6, "0"))
