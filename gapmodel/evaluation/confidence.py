"""Bootstrap confidence intervals over scenes (Efron 1979).

Questions about one scene are right or wrong together, so scenes are drawn with replacement, not questions. The draws
depend only on the seed and the name of the figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gapdata.seeding import generator_for

RESAMPLES = 1000
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
Interval = tuple[float, float]
Draws = NDArray[np.int64]  # (B, S): how often each scene was drawn


def mean_interval(values: Sequence[float], scenes: Sequence[str], seed: int, name: str) -> Interval | None:
    """Return the interval of the mean of ``values`` (N,), each of a scene; ``None`` with fewer than two scenes."""
    names, where = _scenes(scenes)
    if len(names) < 2:
        return None
    sums = np.bincount(where, weights=np.asarray(values, dtype=np.float64), minlength=len(names))
    sizes = np.bincount(where, minlength=len(names))
    draws = _draws(len(names), seed, name)
    return _ends((draws @ sums) / (draws @ sizes))


def median_interval(values: Sequence[float], scenes: Sequence[str], seed: int, name: str) -> Interval | None:
    """Return the interval of the median of ``values`` (N,); ``None`` with fewer than two scenes."""
    names, where = _scenes(scenes)
    if len(names) < 2:
        return None
    order = np.argsort(values, kind="stable")
    ordered, owner = np.asarray(values, dtype=np.float64)[order], where[order]
    medians = []
    for draw in _draws(len(names), seed, name):
        upto = np.cumsum(draw[owner])
        low, high = (int(np.searchsorted(upto, place)) for place in ((upto[-1] + 1) // 2, upto[-1] // 2 + 1))
        medians.append((ordered[low] + ordered[high]) / 2)
    return _ends(np.array(medians))


def ratio_interval(
    counts: NDArray[np.float64],
    scenes: Sequence[str],
    seed: int,
    name: str,
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    tail: float = TAIL,
) -> Interval | None:
    """Return the interval of a figure of summed counts, such as F1.

    Args:
        counts: (N, ...) counts of each view.
        scenes: (N,) the views' scenes.
        seed: of the draws.
        name: the name of the figure.
        figure: from sums (B, ...) to figures (B,).
        tail: share of the resampled figures on each side of the interval.
    """
    names, where = _scenes(scenes)
    if len(names) < 2:
        return None
    sums = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(sums, where, counts)
    return _ends(figure(np.tensordot(_draws(len(names), seed, name).astype(np.float64), sums, axes=1)), tail)


def difference_interval(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    scenes: Sequence[str],
    seed: int,
    name: str,
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Interval | None:
    """Return the interval of a figure of ``own`` counts minus that of ``other`` ones, about the same questions.

    Both have the same scenes in each draw, so that what makes a scene easy or hard cancels out. The interval is the
    expanded percentile interval (Hesterberg 2015, What Teachers Should Know About the Bootstrap, section 4.1): the
    plain one is too narrow for few scenes, of 8 by a quarter, and would call every tenth difference of equals real.

    Args:
        own: (N, ...) counts of each question or view.
        other: (N, ...) counts of the same ones.
        scenes: (N,) their scenes.
        seed: of the draws.
        name: the name of the figure.
        figure: from sums (B, ...) to figures (B,).
    """

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return figure(sums[:, 0]) - figure(sums[:, 1])

    tail = expanded_tail(len(set(scenes)))
    return ratio_interval(np.stack([own, other], axis=1), scenes, seed, name, difference, tail=tail)


def expanded_tail(scenes: int) -> float:
    """Return the share below the expanded interval's lower end: that of the normal below -sqrt(n / (n - 1)) t.

    Student's t with n - 1 degrees of freedom follows from the normal quantile by Abramowitz and Stegun 26.7.5.
    """
    if scenes < 2:
        return TAIL
    z, v = NormalDist().inv_cdf((1 + LEVEL) / 2), scenes - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return NormalDist().cdf(-math.sqrt(scenes / v) * t)


def _scenes(scenes: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    # Sorted names, so that the order of the questions does not matter.
    names = sorted(set(scenes))
    position = {name: index for index, name in enumerate(names)}
    return names, np.array([position[scene] for scene in scenes], dtype=np.int64)


def _draws(scenes: int, seed: int, name: str) -> Draws:
    return generator_for(seed, "bootstrap", name).multinomial(scenes, np.full(scenes, 1 / scenes), size=RESAMPLES)


def _ends(figures: NDArray[np.float64], tail: float = TAIL) -> Interval | None:
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return None
    low, high = np.quantile(figures, [tail, 1 - tail])
    return float(low), float(high)
