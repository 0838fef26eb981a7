"""Does a run use its geometry? Its held-out loss beside the loss with another place's geometry, at every measurement.

A model that uses geometry loses when it gets that of a view of another place (:mod:`gapmodel.questions.strange_views`);
one that ignores it does not. The two losses are of the same questions, so their difference is a ratio of sums over
scenes, (sum of strange - own) / (number of tokens), and its standard error is that of a ratio estimator with scenes as
the units that were drawn (Cochran 1977, Sampling Techniques, section 6.4). The full audit of a finished model is
``gapmodel evaluate --geometry``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SceneSums = Mapping[str, tuple[float, float]]
"""The sum of the losses of answer tokens, and their number, by scene."""
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t exceeded with a probability of 2.5 %, for 1 to 10 degrees of freedom (any table of the distribution);
the last one, a little too strict, serves for more."""
PREFIX = "held_out."
LEAST = 1e-4
"""Nats: what is less is rounding, also where it has one sign in all scenes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLoss:
    """The mean loss of an answer's token on the held-out questions of a stream, in nats."""

    own: float
    strange: float | None = None
    """With another place's geometry; ``None`` where the split shows one place only."""
    plus_minus: float | None = None
    """Half of the 95 % interval of ``difference``; ``None`` with fewer than two scenes."""
    scenes: int = 0

    @property
    def difference(self) -> float:
        """The loss with another place's geometry minus the own one."""
        return math.nan if self.strange is None else self.strange - self.own

    @property
    def told(self) -> bool:
        """Whether the two can be told apart."""
        return self.plus_minus is not None and abs(self.difference) > max(self.plus_minus, LEAST)

    def figures(self, stream: str) -> dict[str, float]:
        """Return the figures of a stream by the names that they have in ``log.jsonl``.

        They are ``held_out.<stream>``, and where it was measured ``strange.<stream>``, the loss with another place's
        geometry, ``geometry.<stream>``, the difference of the two, its ``.plus_minus`` and the number of ``.scenes``.
        """
        found = {f"held_out.{stream}": self.own}
        if self.strange is not None:
            found |= {f"strange.{stream}": self.strange, f"geometry.{stream}": self.difference}
            found[f"geometry.{stream}.scenes"] = self.scenes
        if self.plus_minus is not None:
            found[f"geometry.{stream}.plus_minus"] = self.plus_minus
        return found

    def shown(self, stream: str) -> str:
        """Return the losses as the bar shows them."""
        other = "" if self.strange is None else f" ({self.strange:.3f} with another place's geometry)"
        return f"{stream} {self.own:.3f}{other}"

    def sentence(self, stream: str) -> str:
        """Say in one line whether the run uses geometry for a stream; empty where it was not measured."""
        if self.strange is None:
            return ""
        spread = "" if self.plus_minus is None else f" ± {self.plus_minus:.3f}"
        if self.told:
            way = "raises" if self.difference > 0 else "lowers"
            return f"{stream}: another place's geometry {way} the held-out loss by {abs(self.difference):.3f}{spread}"
        return (
            f"{stream}: the held-out loss with another place's geometry cannot be told from that with its own "
            f"({self.difference:+.3f}{spread}): "
            f"the run ignores geometry, or {self.scenes} held-out scenes do not show it"
        )


def is_type(name: str) -> bool:
    """Return whether losses with this name are those of one type of question about space, and not of a stream."""
    return "/" in name


def losses_of_line(line: Mapping[str, Any]) -> dict[str, HeldOutLoss]:
    """Return the losses of each stream in a line of ``log.jsonl``; none in a line of another kind."""
    names = [name.removeprefix(PREFIX) for name in line if name.startswith(PREFIX)]
    return {
        name: HeldOutLoss(
            own=line[f"{PREFIX}{name}"],
            strange=line.get(f"strange.{name}"),
            plus_minus=line.get(f"geometry.{name}.plus_minus"),
            scenes=int(line.get(f"geometry.{name}.scenes", 0)),
        )
        for name in names
    }


def held_out_loss(own: SceneSums, strange: SceneSums | None) -> HeldOutLoss | None:
    """Return the loss of a stream's questions, and that with another place's geometry; ``None`` without questions."""
    tokens = sum(count for _, count in own.values())
    if not tokens:
        return None
    mean = sum(total for total, _ in own.values()) / tokens
    if strange is None:
        return HeldOutLoss(own=mean, scenes=len(own))
    more = {scene: strange[scene][0] - total for scene, (total, _) in own.items()}
    ratio = sum(more.values()) / tokens
    spread = None
    if len(own) > 1:
        squares = sum((more[scene] - ratio * count) ** 2 for scene, (_, count) in own.items())
        error = math.sqrt(len(own) / (len(own) - 1) * squares) / tokens
        spread = T_975[min(len(own) - 1, len(T_975)) - 1] * error
    return HeldOutLoss(own=mean, strange=mean + ratio, plus_minus=spread, scenes=len(own))
