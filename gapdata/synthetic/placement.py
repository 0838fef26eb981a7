"""Putting furniture into a room without one piece entering another.

Every placed thing claims an oriented rectangle on the floor plan and a range of heights; two claims may not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.synthetic.room import BASEBOARD, Plan
from gapdata.synthetic.shapes import Mesh, about
from gapdata.synthetic.style import Model, Top


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An upright box: centre and half sizes in plan, yaw in degrees, heights in metres."""

    center: NDArray[np.float64]  # (2,)
    half: NDArray[np.float64]  # (2,)
    yaw: float
    z: tuple[float, float]

    @property
    def axes(self) -> NDArray[np.float64]:
        """(2, 2), a row per local axis."""
        return about("z", self.yaw)[:2, :2].T

    @property
    def corners(self) -> NDArray[np.float64]:
        """(4, 2)."""
        return self.center + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * self.half @ self.axes

    def overlaps(self, other: Claim) -> bool:
        """Separating-axis test in plan, intervals in height."""
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


@dataclass(slots=True)
class Placer:
    """The state of a room being furnished. Every ``put`` method returns the item, or None
    where there is no room for it.
    """

    plan: Plan
    rng: Generator
    items: list[Item] = field(default_factory=list)
    reserved: list[Claim] = field(default_factory=list)

    def put(
        self,
        model: Model,
        x: float,
        y: float,
        yaw: float,
        z: float = 0.0,
        *,
        ignore: Sequence[Item | None] = (),
        margin: float = 0.0,
        fitted: bool = False,
    ) -> Item | None:
        """At a place, if it fits; ``ignore`` names items it may stand in or on, ``fitted``
        says that it was made to fit.
        """
        claim = _claim(model.mesh, x, y, yaw, z, 0.0)
        if not fitted and not (self.contained(claim) and self.free(_claim(model.mesh, x, y, yaw, z, margin), ignore)):
            return None
        mesh = model.mesh.turned(yaw).moved(x, y, z)
        item = Item(label=model.label, mesh=mesh, claim=claim, tops=model.tops, position=(x, y, z), yaw=yaw)
        self.items.append(item)
        return item

    def contained(self, claim: Claim) -> bool:
        """Whether a claim lies within the walls."""
        local = np.abs((self.plan.corners - claim.center) @ claim.axes.T)
        return bool(self.plan.inside(claim.corners).all()) and not (local < claim.half).all(axis=1).any()

    def free(self, claim: Claim, ignore: Sequence[Item | None] = ()) -> bool:
        """Whether a claim meets no other."""
        passed = [i.claim for i in ignore if i is not None]
        others = [i.claim for i in self.items if i.claim is not None and not any(i.claim is p for p in passed)]
        return not any(claim.overlaps(other) for other in (*others, *self.reserved))

    def put_at_wall(
        self,
        model: Model,
        *,
        walls: Sequence[int] | None = None,
        attempts: int = 24,
        gap: float = 0.02,
        skew: float = 2.5,
        align: float | None = None,
    ) -> Item | None:
        """Back to a wall, at a random place along it or at ``align`` (0..1)."""
        low, high = model.mesh.bounds
        for _ in range(attempts):
            wall = int(self.rng.choice(walls if walls is not None else range(len(self.plan.corners))))
            length = self.plan.wall_length(wall)
            if length < high[0] - low[0] + 0.06:
                continue
            share = self.rng.random() if align is None else align
            # Corners of rooms are where furniture goes: a third of the pieces is pushed into one.
            share = float(np.round(share)) if align is None and self.rng.random() < 0.35 else share
            s = 0.03 - low[0] + share * (length - (high[0] - low[0]) - 0.06)
            yaw = self.rng.normal(0, skew) if skew else 0.0
            extra = abs(np.sin(np.radians(yaw))) * (high[0] - low[0]) / 2
            back = BASEBOARD + gap + extra - low[1]
            point = self.on_wall(wall, s, back)
            item = self.put(model, point[0], point[1], self.plan.wall_yaw(wall) + yaw)
            if item is not None:
                return item
        return None

    def on_wall(self, wall: int, s: float, away: float) -> NDArray[np.float64]:
        """The point ``s`` along a wall and ``away`` from it, (2,) room frame."""
        axes = about("z", self.plan.wall_yaw(wall))[:2, :2]
        return np.asarray(self.plan.corners[wall] + axes @ np.array([s, away]))

    def hang(
        self, model: Model, z: tuple[float, float], *, attempts: int = 30, walls: Sequence[int] | None = None
    ) -> Item | None:
        """On a wall, its lower edge at a height within ``z``."""
        low, high = model.mesh.bounds
        for _ in range(attempts):
            wall = int(self.rng.choice(walls if walls is not None else range(len(self.plan.corners))))
            length = self.plan.wall_length(wall)
            if length < high[0] - low[0] + 0.3:
                continue
            s = self.rng.uniform(0.12 - low[0], length - high[0] - 0.12)
            height = self.rng.uniform(*z)
            if height + high[2] > self.plan.height - 0.08:
                continue
            point = self.on_wall(wall, s, 0.002 - low[1])
            item = self.put(model, point[0], point[1], self.plan.wall_yaw(wall), height, margin=0.05)
            if item is not None:
                return item
        return None

    def put_anywhere(
        self, model: Model, *, attempts: int = 30, margin: float = 0.05, yaw: float | None = None
    ) -> Item | None:
        """Free-standing, turned at random."""
        low, high = self.plan.corners.min(axis=0), self.plan.corners.max(axis=0)
        for _ in range(attempts):
            x, y = self.rng.uniform(low, high)
            item = self.put(
                model, x, y, self.rng.uniform(0, 360) if yaw is None else yaw + self.rng.normal(0, 6), margin=margin
            )
            if item is not None:
                return item
        return None

    def put_near(
        self, other: Item | None, model: Model, x: float, y: float, yaw: float, *, z: float = 0.0, under: bool = False
    ) -> Item | None:
        """At a place in the frame of another item; ``under`` lets it reach below it."""
        if other is None:
            return None
        offset = about("z", other.yaw)[:2, :2] @ np.array([x, y])
        return self.put(
            model, other.position[0] + float(offset[0]), other.position[1] + float(offset[1]), other.yaw + yaw,
            z, ignore=(other,) if under else (),
        )  # fmt: skip

    def put_on(
        self,
        other: Item | None,
        model: Model,
        *,
        top: int = 0,
        yaw: float | None = None,
        at: tuple[float, float] | None = None,
        attempts: int = 12,
    ) -> Item | None:
        """On a top of another item: at a random or the given (0..1, 0..1) place of it."""
        if other is None or top >= len(other.tops):
            return None
        level = other.tops[top]
        low, high = model.mesh.bounds
        for _ in range(attempts):
            share = self.rng.random(2) if at is None else np.asarray(at)
            turn = self.rng.uniform(-25, 25) if yaw is None else yaw + self.rng.normal(0, 4)
            # The model's origin keeps half of its turned extent away from the rim.
            extent = np.abs(about("z", turn)[:2, :2]) @ ((high - low)[:2] / 2)
            spot = []
            for axis, (start, end) in enumerate((level.x, level.y)):
                start, end = start + extent[axis], end - extent[axis]
                spot.append((start + end) / 2 if end < start else start + share[axis] * (end - start))
            offset = about("z", other.yaw)[:2, :2] @ np.array(spot)
            item = self.put(
                model, other.position[0] + float(offset[0]), other.position[1] + float(offset[1]), other.yaw + turn,
                other.position[2] + level.z - float(low[2]) + 0.001, ignore=(other,),
            )  # fmt: skip
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
