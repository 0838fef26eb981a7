"""Pair files with different time stamps, such as colour and depth of the TUM RGB-D data sets, milliseconds apart.

Every file has at most one partner: the nearest in time, nearer pairs first, and at most half an interval away, as in
TUM's ``associate.py``. No file is repeated to fill a gap.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

MOMENT = 0.03
"""Most seconds between two files of one moment, a little more than TUM's limit of 20 ms: a hand-held camera moves about
a centimetre meanwhile."""
OF_INTERVAL = 0.1
"""The same as a share of the interval between frames, where that is more."""
UNITS = ((Decimal(10) ** 17, 9), (Decimal(10) ** 14, 6), (Decimal(10) ** 11, 3), (Decimal(10) ** 8, 0))
"""Smallest whole numbers that are read as time since 1970 in 10^-n seconds; all mean 1973 or later."""
NEIGHBOURS = 2  # on either side, that are candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePairs:
    """The pairs of two kinds of files.

    ``limit`` and distances are seconds, or the unit of the stamps if ``known_unit`` is false.
    """

    partners: Mapping[str, str]  # name of the other kind -> name of the first
    limit: float
    known_unit: bool
    nearest: Mapping[str, tuple[str, float]]  # names of the first kind without partner -> the nearest, its distance

    def said(self, distance: float) -> str:
        """Return a distance in time, for people."""
        return f"{distance:.4g} s" if self.known_unit else f"{distance:.6g} ticks"


def pair_by_time(
    first: Mapping[str, Sequence[str]], other: Mapping[str, Sequence[str]], shown: int = 3
) -> TimePairs | None:
    """Pair the names of two kinds by the time stamps in them; ``None`` where they are not time stamps of one clock.

    Args:
        first: the numbers in each name of the first kind, as text.
        other: likewise of the other kind.
        shown: how many names without partner get their nearest name.
    """
    stamps = [read_stamps(list(names.values())) for names in (first, other)]
    if not first or not other or stamps[0] is None or stamps[1] is None or stamps[0][1] != stamps[1][1]:
        return None
    known_unit = stamps[0][1]
    origin = min(*stamps[0][0], *stamps[1][0])
    times = [np.array([float(stamp - origin) for stamp in found]) for found, _ in (stamps[0], stamps[1])]
    names = [np.array(list(kind), dtype=object) for kind in (first, other)]
    order = [np.argsort(values, kind="stable") for values in times]
    (one, two), (one_names, two_names) = (
        [values[at] for values, at in zip(group, order, strict=True)] for group in (times, names)
    )
    limit = _limit(one, two, known_unit)
    partners = _nearest_first(one, two, limit)
    paired = set(partners.values())
    lonely = [at for at in range(len(one)) if at not in paired][:shown]
    return TimePairs(
        partners={two_names[b]: one_names[a] for b, a in partners.items()},
        limit=limit,
        known_unit=known_unit,
        nearest={one_names[a]: _nearest(one[a], two, two_names) for a in lonely},
    )


def read_stamps(numbers: Sequence[Sequence[str]]) -> tuple[list[Decimal], bool] | None:
    """Return time stamps as numbers, and whether these are seconds; ``None`` where they are not stamps.

    Two numbers are seconds and their fraction, as ROS writes them.
    """
    width = {len(found) for found in numbers}
    if width == {2} and all(_seconds_and_fraction(found, numbers[0]) for found in numbers):
        numbers = [(f"{found[0]}.{found[1]}",) for found in numbers]
    elif width != {1}:
        return None
    values = [Decimal(found[0]) for found in numbers]
    largest = max(values, default=Decimal(0))
    if any("." in found[0] for found in numbers) and largest < UNITS[2][0]:
        return values, True
    for least, digits in UNITS:
        if largest >= least:
            return [value.scaleb(-digits) for value in values], True
    return values, False


def _seconds_and_fraction(found: Sequence[str], first: Sequence[str]) -> bool:
    """Return whether two numbers are seconds since 1970 and a fraction with as many digits as in the first name.

    Minutes and seconds of a clock are not.
    """
    return "." not in found[0] + found[1] and Decimal(found[0]) >= UNITS[-1][0] and len(found[1]) == len(first[1])


def _limit(one: np.ndarray, two: np.ndarray, known_unit: bool) -> float:
    intervals = [float(np.median(np.diff(times))) for times in (one, two) if len(times) > 1]
    interval = min(intervals, default=2 * MOMENT if known_unit else 0.0)
    return min(interval / 2, max(MOMENT, OF_INTERVAL * interval)) if known_unit else interval / 2


def _nearest_first(one: np.ndarray, two: np.ndarray, limit: float) -> dict[int, int]:
    """Return places in ``two`` to places in ``one`` (both ascending): the closest pairs first, each place once."""
    candidates = []
    for a, time in enumerate(one.tolist()):
        middle = bisect.bisect_left(two, time)
        for b in range(max(middle - NEIGHBOURS, 0), min(middle + NEIGHBOURS, len(two))):
            if abs(float(two[b]) - time) <= limit:
                candidates.append((abs(float(two[b]) - time), a, b))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, a, b in sorted(candidates):
        if a not in taken and b not in pairs:
            pairs[b] = a
            taken.add(a)
    return pairs


def _nearest(time: float, others: np.ndarray, names: np.ndarray) -> tuple[str, float]:
    at = int(np.argmin(np.abs(others - time)))
    return str(names[at]), float(abs(others[at] - time))
