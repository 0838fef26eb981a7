"""Put furniture into a room so that no piece enters another.

Every placed thing claims an oriented rectangle on the floor plan and a range of heights; two claims may not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.synthetic.room import BASEBOARD, FloorPlan
from gapdata.synthetic.shapes import Mesh, about
from gapdata.synthetic.style import Model, Style, Top

ATTEMPTS = 30  # places that are tried for a piece, by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An upright box: centre and half sizes in plan, yaw in degrees, heights in metres."""

    center: NDArray[np.float64]  # (2,)
    half: NDArray[np.float64]  # (2,)
    yaw: float
    z: tuple[float, float]

    @property
    def axes(self) -> NDArray[np.float64]:
        """Return the local axes in plan, (2, 2), a row each."""
        return about("z", self.yaw)[:2, :2].T

    @property
    def corners(self) -> NDArray[np.float64]:
        """Return the corners in plan, (4, 2)."""
        return self.center + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * self.half @ self.axes

    def overlaps(self, other: Claim) -> bool:
        """Tell whether two boxes overlap: separating axes in plan, intervals in height."""
        if min(self.z[1], other.z[1]) - max(self.z[0], other.z[0]) < 1e-3:
            return False
        gap = other.center - self.center
        for axis in (*self.axes, *other.axes):
            reach = sum(float(np.abs(c.axes @ axis) @ c.half) for c in (self, other))
            if abs(float(gap @ axis)) >= reach:
                return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A model where it stands, in the room frame. ``yaw`` and ``position`` take the model's frame there."""

    label: str | None
    mesh: Mesh
    claim: Claim | None
    tops: tuple[Top, ...] = ()
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a place of the item's frame in the room frame, metres."""
        offset = about("z", self.yaw)[:2, :2] @ np.array([x, y])
        return self.position[0] + float(offset[0]), self.position[1] + float(offset[1])


@dataclass(slots=True)
class Placer:
    """A room while it is furnished.

    Every ``put`` method returns the item, or None where there is no room for it.
    """

    plan: FloorPlan
    style: Style
    items: list[Item] = field(default_factory=list)
    reserved: list[Claim] = field(default_factory=list)

    @property
    def rng(self) -> Generator:
        """Return the random stream that the room shares with its style."""
        return self.style.rng

    def put(
        self,
        model: Model,
        x: float,
        y: float,
        yaw: float,
        z: float = 0.0,
        *,
        ignore: Sequence[Item] = (),
        margin: float = 0.0,
        fitted: bool = False,
    ) -> Item | None:
        """Put a model at a place, if it fits.

        Args:
            model: the piece.
            x: where its origin goes, metres.
            y: as ``x``.
            yaw: how it is turned, degrees.
            z: as ``x``.
            ignore: items that it may stand in or on.
            margin: metres about it that must be free.
            fitted: whether it was made to fit, so that nothing is checked.
        """
        claim = _claim(model.mesh, x, y, yaw, z, 0.0)
        if not fitted and not (self._contained(claim) and self._free(_claim(model.mesh, x, y, yaw, z, margin), ignore)):
            return None
        mesh = model.mesh.turned(yaw).moved(x, y, z)
        item = Item(label=model.label, mesh=mesh, claim=claim, tops=model.tops, position=(x, y, z), yaw=yaw)
        self.items.append(item)
        return item

    def _contained(self, claim: Claim) -> bool:
        """Tell whether a claim lies within the walls."""
        local = np.abs((self.plan.corners - claim.center) @ claim.axes.T)
        return bool(self.plan.inside(claim.corners).all()) and not (local < claim.half).all(axis=1).any()

    def _free(self, claim: Claim, ignore: Sequence[Item]) -> bool:
        """Tell whether a claim meets no other."""
        passed = [i.claim for i in ignore]
        others = [i.claim for i in self.items if i.claim is not None and not any(i.claim is p for p in passed)]
        return not any(claim.overlaps(other) for other in (*others, *self.reserved))

    def put_on_wall(
        self, model: Model, wall: int, s: float, away: float, z: float = 0.0, *, yaw: float = 0.0, margin: float = 0.0
    ) -> Item | None:
        """Put a model ``s`` along a wall and ``away`` from it, turned by ``yaw`` from the wall's direction."""
        turn = self.plan.wall_yaw(wall)
        x, y = self.plan.corners[wall] + about("z", turn)[:2, :2] @ np.array([s, away])
        return self.put(model, float(x), float(y), turn + yaw, z, margin=margin)

    def put_at_wall(
        self, model: Model, *, walls: Sequence[int] | None = None, gap: float = 0.02, skew: float = 2.5
    ) -> Item | None:
        """Put a model with its back to a wall, at a random place along it."""
        low, high = model.mesh.bounds
        width = high[0] - low[0]
        for _ in range(24):
            wall, length = self._any_wall(walls)
            if length < width + 0.06:
                continue
            share = self.rng.random()
            # Corners of rooms are where furniture goes: a third of the pieces is pushed into one.
            share = float(np.round(share)) if self.rng.random() < 0.35 else share
            s = 0.03 - low[0] + share * (length - width - 0.06)
            yaw = self.rng.normal(0, skew) if skew else 0.0
            extra = abs(np.sin(np.radians(yaw))) * width / 2
            item = self.put_on_wall(model, wall, s, BASEBOARD + gap + extra - low[1], yaw=yaw)
            if item is not None:
                return item
        return None

    def hang(self, model: Model, z: tuple[float, float], *, walls: Sequence[int] | None = None) -> Item | None:
        """Hang a model on a wall, its lower edge at a height within ``z``."""
        low, high = model.mesh.bounds
        for _ in range(ATTEMPTS):
            wall, length = self._any_wall(walls)
            if length < high[0] - low[0] + 0.3:
                continue
            s = self.rng.uniform(0.12 - low[0], length - high[0] - 0.12)
            height = self.rng.uniform(*z)
            if height + high[2] > self.plan.height - 0.08:
                continue
            item = self.put_on_wall(model, wall, s, 0.002 - low[1], height, margin=0.05)
            if item is not None:
                return item
        return None

    def _any_wall(self, walls: Sequence[int] | None) -> tuple[int, float]:
        wall = int(self.rng.choice(range(len(self.plan.corners)) if walls is None else walls))
        return wall, self.plan.wall_length(wall)

    def put_anywhere(self, model: Model, *, margin: float = 0.05, yaw: float | None = None) -> Item | None:
        """Put a model somewhere free, turned at random or about ``yaw``."""
        low, high = self.plan.bounds
        for _ in range(ATTEMPTS):
            x, y = self.rng.uniform(low, high)
            turn = self.rng.uniform(0, 360) if yaw is None else yaw + self.rng.normal(0, 6)
            item = self.put(model, x, y, turn, margin=margin)
            if item is not None:
                return item
        return None

    def put_near(
        self, other: Item | None, model: Model, x: float, y: float, yaw: float, *, z: float = 0.0, under: bool = False
    ) -> Item | None:
        """Put a model at a place in the frame of another item; ``under`` lets it reach below that."""
        if other is None:
            return None
        return self.put(model, *other.place(x, y), other.yaw + yaw, z, ignore=(other,) if under else ())

    def put_on(
        self,
        other: Item | None,
        model: Model,
        *,
        top: int = 0,
        yaw: float | None = None,
        at: tuple[float, float] | None = None,
    ) -> Item | None:
        """Put a model on a top of another item, at a random or the given (0..1, 0..1) place of it."""
        if other is None or top >= len(other.tops):
            return None
        level = other.tops[top]
        low, high = model.mesh.bounds
        for _ in range(12):
            share = self.rng.random(2) if at is None else np.asarray(at)
            turn = self.rng.uniform(-25, 25) if yaw is None else yaw + self.rng.normal(0, 4)
            # The model's origin keeps half of its turned extent away from the rim.
            extent = np.abs(about("z", turn)[:2, :2]) @ ((high - low)[:2] / 2)
            spot = []
            for axis, (start, end) in enumerate((level.x, level.y)):
                start, end = start + extent[axis], end - extent[axis]
                spot.append((start + end) / 2 if end < start else start + share[axis] * (end - start))
            z = other.position[2] + level.z - float(low[2]) + 0.001
            item = self.put(model, *other.place(*spot), other.yaw + turn, z, ignore=(other,))
            if item is not None:
                return item
        return None


def _claim(mesh: Mesh, x: float, y: float, yaw: float, z: float, margin: float) -> Claim:
    low, high = mesh.bounds
    middle = about("z", yaw)[:2, :2] @ ((low + high)[:2] / 2)
    return Claim(
        center=np.array([x, y]) + middle,
        half=(high - low)[:2] / 2 + margin,
        yaw=yaw,
        z=(z + float(low[2]), z + float(high[2])),
    )
