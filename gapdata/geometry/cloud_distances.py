"""Measure how far clouds of points are apart, between the nearest points of two clouds, for many pairs at once.

The points of a cloud lie in blocks within blocks. Of each pair of clouds the two blocks with the nearest middles are
followed down to points, which bounds the distance; then all blocks are followed that can hold a nearer pair of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CELL = 0.0025
"""Metres; of the points of a cloud in one cell the first one counts."""
SIDES = (512, 128, 64, 32, 16, 8)
"""Cells along a side of the blocks, from large to small, powers of two: a block holds whole blocks of the next size."""
MOST_CELLS = 64 * SIDES[0]
"""Cells along a cloud; the points of a longer one, beyond 82 metres, share the last ones."""
CHUNK = 1 << 16
"""Pairs of blocks, or of points, that are looked at together, so that memory stays flat."""

Places = NDArray[np.int64]


def cloud_distances(points: NDArray[np.float64], clouds: NDArray[np.uint8], pairs: Places) -> NDArray[np.float64]:
    """Return the least distance of two points, one of each cloud, of each pair of clouds, (m,) metres.

    Args:
        points: (n, 3) metres, of all clouds.
        clouds: (n,) which cloud each is of; those from 0 to the greatest have points.
        pairs: (m, 2) of clouds.
    """
    levels = _levels(points, clouds)
    squares = np.full(len(pairs), np.inf)
    every = np.arange(len(pairs))
    for only_nearest in (True, False):
        _follow(levels, every, pairs[:, 0], pairs[:, 1], squares, only_nearest=only_nearest)
    return np.asarray(np.sqrt(squares))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Level:
    """Blocks of one size, each with one of its points as the middle, and its parts, which are blocks of the next size.

    The blocks of the first level are clouds; those of the last are points.
    """

    middles: NDArray[np.float64]  # (3, n) metres
    low: NDArray[np.float64]  # (3, n) lower corner of the points
    high: NDArray[np.float64]  # (3, n) upper corner
    begins: Places  # (n,) the first part of each
    counts: Places  # (n,) of parts


def _levels(points: NDArray[np.float64], clouds: NDArray[np.uint8]) -> list[_Level]:
    """Return the blocks of each size, from clouds to points, of each of which the cell has no earlier point."""
    by_cloud = np.argsort(clouds, kind="stable")
    clouds, rows = clouds[by_cloud], np.ascontiguousarray(points.take(by_cloud, 0).T)
    key = _keys(rows, clouds)
    order = np.argsort(key)
    key = key[order]
    firsts = _starts(key)
    # Which of equal keys comes first is up to the sort, and so to the processor; the least place is not.
    rows, key = rows.take(np.minimum.reduceat(order, firsts), axis=1), key[firsts]
    nothing = np.zeros(len(key), dtype=np.int64)
    levels = [_Level(middles=rows, low=rows, high=rows, begins=nothing, counts=nothing)]
    for inner, outer in pairwise((1, *reversed(SIDES), MOST_CELLS)):
        key >>= 3 * _bits(outer // inner)
        levels.append(_level(levels[-1], starts := _starts(key)))
        key = key[starts]
    return levels[::-1]


def _level(parts: _Level, starts: Places) -> _Level:
    """Return the blocks of parts that are in their order, by the first part of each."""
    counts = np.diff(starts, append=parts.middles.shape[1])
    return _Level(
        middles=parts.middles.take(starts + counts // 2, axis=1),
        low=np.minimum.reduceat(parts.low, starts, axis=1),
        high=np.maximum.reduceat(parts.high, starts, axis=1),
        begins=starts,
        counts=counts,
    )


def _keys(rows: NDArray[np.float64], clouds: NDArray[np.uint8]) -> Places:
    """Return numbers (n,), one a cell, that sort points (3, n) by cloud and block; they are in the order of clouds."""
    starts = _starts(clouds)
    low = np.minimum.reduceat(rows, starts, axis=1)
    key = clouds.astype(np.int64) << 3 * _bits(MOST_CELLS)
    sizes = np.diff(starts, append=len(clouds))
    for line, lowest, bits in zip(rows, low, _axis_bits(), strict=True):
        cells = np.minimum((line - np.repeat(lowest, sizes)) / CELL, MOST_CELLS - 1).astype(np.int32)
        key |= bits[cells]
    return key


@cache
def _axis_bits() -> tuple[Places, ...]:
    """Return, for each axis, the bits of a key that the place of a cell along it sets, (MOST_CELLS,)."""
    cells = np.arange(MOST_CELLS)
    bits = [np.zeros(MOST_CELLS, dtype=np.int64) for _ in range(3)]
    for outer, inner in pairwise((MOST_CELLS, *SIDES, 1)):
        for axis, own in enumerate(bits):
            own |= (cells // inner % (outer // inner)) << 3 * _bits(inner) + (2 - axis) * _bits(outer // inner)
    return tuple(bits)


def _follow(
    levels: Sequence[_Level],
    pair: Places,
    ones: Places,
    others: Places,
    best: NDArray[np.float64],
    *,
    only_nearest: bool,
) -> None:
    """Lower the best squared distance of each pair of clouds (m,) by what pairs of blocks hold.

    Args:
        levels: the blocks' own, and those of their parts.
        pair: (n,) of clouds that each pair of blocks belongs to, in order.
        ones: (n,) blocks of the first cloud.
        others: (n,) blocks of the other.
        best: changed in place.
        only_nearest: follow only the parts with the nearest middles of each pair of clouds.
    """
    whole, parts = levels[:2]
    for some in _chunks(whole.counts[ones] * whole.counts[others]):
        at, one, other = _pairs_of_parts(whole, pair[some], ones[some], others[some])
        squares = _squares(parts.middles.take(one, 1) - parts.middles.take(other, 1))
        starts = _starts(at)
        least = np.minimum.reduceat(squares, starts)
        best[at[starts]] = np.minimum(best[at[starts]], least)
        if len(levels) == 2:
            continue
        if only_nearest:
            near = np.flatnonzero(squares == np.repeat(least, np.diff(starts, append=len(at))))
            near = near[_starts(at[near])]
        else:
            near = np.flatnonzero(_least_squares(parts, one, other) <= best[at])
        _follow(levels[1:], at[near], one[near], other[near], best, only_nearest=only_nearest)


def _least_squares(level: _Level, ones: Places, others: Places) -> NDArray[np.float64]:
    """Return the squared distances of the boxes around blocks."""
    beyond = np.maximum(
        level.low.take(others, 1) - level.high.take(ones, 1), level.low.take(ones, 1) - level.high.take(others, 1)
    )
    return _squares(np.maximum(beyond, 0, out=beyond))


def _pairs_of_parts(level: _Level, pair: Places, ones: Places, others: Places) -> tuple[Places, Places, Places]:
    """Return all pairs of a part of a block and a part of another block, and the pair of clouds of each."""
    widths = level.counts[others]
    sizes = level.counts[ones] * widths
    which = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(which)) - (np.cumsum(sizes) - sizes)[which]
    row, column = np.divmod(place, widths[which])
    return pair[which], row + level.begins[ones][which], column + level.begins[others][which]


def _chunks(sizes: Places) -> Iterator[slice]:
    """Yield slices of a list of which the sizes (n,) add up to about ``CHUNK`` at most, or of one item."""
    number = np.cumsum(sizes) // CHUNK
    for begin, end in pairwise([*_starts(number).tolist(), len(sizes)]):
        yield slice(begin, end)


def _starts(values: NDArray[np.integer]) -> Places:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])


def _bits(count: int) -> int:
    """Return the exponent of a power of two."""
    return count.bit_length() - 1


def _squares(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared lengths (n,) of vectors (3, n)."""
    x, y, z = vectors
    return np.asarray(x * x + y * y + z * z)  # einsum would round by the place in the list
