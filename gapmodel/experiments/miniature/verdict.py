"""Judge a claim from a few seeds: paired differences, their spread, and one of three words.

Two arms of one seed start from the same weights and see the same questions in the same order, so their difference is
taken seed by seed. Student's t test with one side and a level of 5 % asks whether the mean difference could as well be
0: it *holds* where it is too large for that, is *reversed* where it is too small, and *undecided* in between. With
three seeds the mean has to exceed 1.7 times the standard deviation of the differences (2.92 / sqrt 3), so only a large
and steady effect can be told from chance; and the spread is over the seeds of these towers and these scenes alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["holds", "reversed", "undecided"]

T_95 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)
"""Student's t exceeded with a probability of 5 %, for 1 to 10 degrees of freedom (any table of the distribution)."""
T_95_MORE = 1.812
"""For more: a little too strict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm's figure minus another's, seed by seed."""

    better: str
    worse: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean difference."""
        return float(np.mean(self.differences)) if self.differences else math.nan

    @property
    def spread(self) -> float:
        """Return the standard deviation of the differences over seeds, NaN for fewer than two."""
        return float(np.std(self.differences, ddof=1)) if len(self.differences) > 1 else math.nan

    @property
    def verdict(self) -> Verdict:
        """Return whether ``better`` is better."""
        count = len(self.differences)
        if count < 2:
            return "undecided"
        quantile = T_95[count - 2] if count - 2 < len(T_95) else T_95_MORE
        reach = quantile * self.spread / math.sqrt(count)
        if self.mean > reach:
            return "holds"
        return "reversed" if self.mean < -reach else "undecided"

    def text(self) -> str:
        """Return the comparison in words."""
        each = ", ".join(f"{100 * value:+.1f}" for value in self.differences)
        if not self.differences:
            return f"{self.better} > {self.worse}: no seed has finished both"
        if len(self.differences) < 2:
            return f"{self.better} > {self.worse}: {self.verdict}, only {len(self.differences)} seed ({each})"
        return (
            f"{self.better} > {self.worse}: {self.verdict} "
            f"(mean {100 * self.mean:+.1f}, standard deviation {100 * self.spread:.1f}, seeds {each})"
        )


def compare(better: str, worse: str, figures: Mapping[str, Mapping[int, float]]) -> Comparison:
    """Compare two arms over the seeds that both have.

    Args:
        better: the arm that is claimed to be better.
        worse: the other.
        figures: arm -> seed -> the figure, larger is better.
    """
    one, other = figures.get(better, {}), figures.get(worse, {})
    seeds = sorted(set(one) & set(other))
    return Comparison(better=better, worse=worse, differences=tuple(one[seed] - other[seed] for seed in seeds))


def together(comparisons: Sequence[Comparison]) -> Verdict:
    """Judge a claim that needs all comparisons: it is reversed with any of them, and holds only with all."""
    verdicts = {comparison.verdict for comparison in comparisons}
    if "reversed" in verdicts:
        return "reversed"
    return "holds" if verdicts == {"holds"} else "undecided"
