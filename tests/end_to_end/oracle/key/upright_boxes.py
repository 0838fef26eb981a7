"""Upright boxes around points, by turning them step by step, and distances to boxes by projecting to and fro."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEP = np.radians(0.25)
"""Turn between two tries of a box's yaw; the best ones are refined to a hundredth of it."""
REFINED = 12
ROUNDS = 3000
SETTLED = 1e-6  # metres per round
SAMPLES = np.stack(np.meshgrid(*[np.linspace(-1, 1, 7)] * 3), -1).reshape(-1, 3)
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
SURFACE = np.array([point for point in SAMPLES if np.abs(point).max() == 1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Boxes that stand upright in the room frame, n of them, metres."""

    center: Floats  # (n, 3)
    half: Floats  # (n, 3) half of each side
    yaw: Floats  # (n,) radians about z, of the first side

    def part(self, chosen: NDArray[np.int64] | list[int]) -> Boxes:
        """Return some of the boxes."""
        return Boxes(center=self.center[chosen], half=self.half[chosen], yaw=self.yaw[chosen])

    def world(self, local: Floats) -> Floats:
        """Return points (n, k, 3) given in half sides of each box, in the room frame."""
        return self._turned(local * self.half[:, None], self.yaw) + self.center[:, None]

    def points(self, pattern: Floats) -> Floats:
        """Return the same points (k, 3), in half sides, of each box, (n, k, 3) metres."""
        return self.world(np.broadcast_to(pattern, (len(self.yaw), *pattern.shape)))

    def nearest(self, points: Floats) -> Floats:
        """Return the point of each box that is nearest to a point of its own, (n, k, 3)."""
        local = self._turned(points - self.center[:, None], -self.yaw)
        reach = self.half[:, None]
        return self._turned(np.minimum(np.maximum(local, -reach), reach), self.yaw) + self.center[:, None]

    @staticmethod
    def _turned(points: Floats, yaw: Floats) -> Floats:
        plan = (points[..., 0] + 1j * points[..., 1]) * np.exp(1j * yaw)[:, None]
        return np.stack([plan.real, plan.imag, points[..., 2]], axis=-1)

    def jittered(self, reach: float, rng: np.random.Generator) -> Boxes:
        """Return boxes of which every side lies up to ``reach`` metres from where it was."""
        low, high = rng.uniform(-reach, reach, (2, *self.center.shape))
        half = np.maximum(self.half + (high - low) / 2, 0.001)
        shift = self._turned(((high + low) / 2)[:, None], self.yaw)[:, 0]
        return replace(self, center=self.center + shift, half=half)


def smallest_box(points: Floats) -> tuple[Floats, Floats, float]:
    """Return centre, half sides and yaw of the upright box of the smallest ground area around points (n, 3)."""
    plan = _outermost(points[:, 0] + 1j * points[:, 1])
    coarse = np.arange(0, np.pi / 2, STEP)
    best = coarse[np.argsort(_areas(plan, coarse))[:REFINED]]
    fine = (best[:, None] + np.linspace(-STEP, STEP, 201)).ravel()
    yaw = float(fine[int(np.argmin(_areas(plan, fine)))])
    return box_along(points, yaw)


def box_along(points: Floats, yaw: float) -> tuple[Floats, Floats, float]:
    """Return centre, half sides and yaw of the upright box of a yaw around points (n, 3)."""
    turned = (points[:, 0] + 1j * points[:, 1]) * np.exp(-1j * yaw)
    along = np.stack([turned.real, turned.imag, points[:, 2]], axis=1)
    low, high = along.min(axis=0), along.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    plan = (middle[0] + 1j * middle[1]) * np.exp(1j * yaw)
    return np.array([plan.real, plan.imag, middle[2]]), half, yaw


def _outermost(plan: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return the points of a plan that lie farthest in some direction: all that a box touches."""
    ways = np.exp(-1j * np.arange(0, 2 * np.pi, STEP))
    centred = plan - plan.mean()
    along = np.stack([ways.real, -ways.imag]).T @ np.stack([centred.real, centred.imag])
    return plan[np.unique(along.argmax(axis=1))]


def _areas(plan: NDArray[np.complex128], yaw: Floats) -> Floats:
    turned = plan[None] * np.exp(-1j * yaw)[:, None]
    sides = [part.max(axis=1) - part.min(axis=1) for part in (turned.real, turned.imag)]
    return np.asarray(sides[0] * sides[1])


def distances(one: Boxes, other: Boxes) -> Floats:
    """Return the distance (n,) of each box to its partner, metres.

    The search begins at the nearest of 343 points of each box and goes to and fro between the two: the nearest point
    of one box to a point of the other and back (von Neumann's alternating projections, which converge for convex
    sets).
    """
    starts, ends = one.points(SAMPLES), other.points(SAMPLES)
    place = np.empty((len(starts), 1, 3))
    for index, (begin, end) in enumerate(zip(starts, ends, strict=True)):
        squared = (begin**2).sum(-1)[:, None] + (end**2).sum(-1)[None] - 2 * begin @ end.T
        place[index] = begin[int(squared.min(axis=1).argmin())]
    for _ in range(ROUNDS):
        far = other.nearest(place)
        moved = one.nearest(far)
        step = np.abs(moved - place).max(initial=0.0)
        place = moved
        if step < SETTLED:
            break
    return np.asarray(np.linalg.norm(place - other.nearest(place), axis=-1)[:, 0])


def distances_from(point: Floats, boxes: Boxes) -> Floats:
    """Return the distance (n,) of one point (3,) to each box, metres."""
    places = np.broadcast_to(point, (len(boxes.yaw), 1, 3))
    return np.asarray(np.linalg.norm(boxes.nearest(places) - places, axis=-1)[:, 0])
