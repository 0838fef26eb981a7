"""A question about which of two intervals on an axis lies lower: left or right, above or below, nearer or farther."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_GAP = 0.15
"""Metres between two intervals, below which which of them lies lower is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalOrder:
    """One axis: the text of the question, and the answers for the lower and for the higher interval."""

    name: str
    text: str
    axis: int
    answers: tuple[str, str]

    def decide(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[str, str, float]:
        """Return the answer, the wrong one, and the metres between the intervals, negative where they overlap.

        Args:
            one: coordinates (n,) on the axis of what is asked about, metres.
            other: coordinates (m,) of what it is compared with.
        """
        below, above = float(other.min() - one.max()), float(one.min() - other.max())
        lower, higher = self.answers
        return (lower, higher, below) if below > above else (higher, lower, above)
