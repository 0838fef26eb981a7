"""Bounds of numbers in a recipe, written as part of a field's type: ``Annotated[int, Bounds(1, 100)]``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, TypeAlias


@dataclass(frozen=True, slots=True)
class Bounds:
    """The smallest and the largest value that a number may have.

    Attributes:
        least: the smallest value.
        most: the largest value.
        above: whether the number must be larger than ``least``.
    """

    least: float
    most: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def __str__(self) -> str:
        if self.above:
            return f"a number above {self.least}" + (f", at most {self.most}" if self.most < math.inf else "")
        return f"at least {self.least}" if self.most == math.inf else f"{self.least} to {self.most}"


Count: TypeAlias = Annotated[int, Bounds(0)]
PositiveCount: TypeAlias = Annotated[int, Bounds(1)]
NotNegative: TypeAlias = Annotated[float, Bounds(0)]
Positive: TypeAlias = Annotated[float, Bounds(0, above=True)]
Share: TypeAlias = Annotated[float, Bounds(0, 1)]
