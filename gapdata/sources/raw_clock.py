"""Give frames that are named by time a raw index: their place on a clock of 30 Hz."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATE = 30
"""Raw frames a second: recipes count intervals of clips in raw frames of ScanNet's video, of 30 Hz."""
LONGEST_PAUSE = 60
"""Seconds that a longer pause between two frames counts, so that a capture that was paused has few raw indices."""


def on_raw_clock(stamps: Sequence[int], ticks_per_second: int) -> list[int]:
    """Return the raw index of each moment, counted from the first.

    Frames that fall on the same raw index, or before it because others did, follow each other.

    Args:
        stamps: ascending.
        ticks_per_second: of the stamps.
    """
    places = [0] if stamps else []
    moment = 0  # ticks since the first, longer pauses cut
    for before, stamp in itertools.pairwise(stamps):
        moment += min(stamp - before, LONGEST_PAUSE * ticks_per_second)
        nearest = (2 * moment * RATE + ticks_per_second) // (2 * ticks_per_second)
        places.append(max(places[-1] + 1, nearest))
    return places


def nearest_on_raw_clock(seconds: NDArray[np.float64], first: float) -> dict[int, int]:
    """Return which moment is nearest to each tick, by raw index; ticks that have none are left out.

    This is for videos of more than 30 Hz, of which some frames are not used.

    Args:
        seconds: (n,) ascending.
        first: the moment of raw index 0, not after any of them.
    """
    steps = np.minimum(np.diff(seconds, prepend=first), LONGEST_PAUSE)
    ticks = np.cumsum(steps) * RATE
    # Rounding hides that a float cannot hold 1/60: the earlier of two moments that are as near wins.
    off = np.abs(ticks - np.rint(ticks)).round(6)
    nearest: dict[int, int] = {}
    for place, tick in enumerate(np.rint(ticks.round(6)).astype(int).tolist()):
        if tick not in nearest or off[place] < off[nearest[tick]]:
            nearest[tick] = place
    return nearest
