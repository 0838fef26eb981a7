"""The plan of the objects of a view: where they lie on the floor, for questions of somebody who stands among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.view_facts import ViewFacts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewPlan:
    """Objects seen from above, in the order of :attr:`ViewFacts.nameable`: metres, aligned world."""

    centers: NDArray[np.float64]  # (n, 2) of the boxes
    corners: NDArray[np.float64]  # (n, 8, 2) of the boxes; around something round, of all that fit it as well
    gaps: NDArray[np.float64]
    """(n, n) between footprints, along the axes of one of the two boxes: at least so far apart they are."""


def plan_of(facts: ViewFacts) -> ViewPlan:
    """Return the plan of the objects that can be named; the aligned world has to be known."""
    assert facts.first_to_aligned is not None
    centers = transform(facts.first_to_aligned, np.array([item.box.center for item in facts.nameable]).reshape(-1, 3))
    widest = np.array([item.widest_box.corners for item in facts.nameable]).reshape(-1, 8, 3)
    corners = transform(facts.first_to_aligned, widest)[..., :2]
    axes = np.array([facts.first_to_aligned[:2, :3] @ item.box.rotation for item in facts.nameable]).reshape(-1, 2, 3)
    return ViewPlan(centers=centers[:, :2], corners=corners, gaps=_gaps(corners, axes))


def within_reach(facts: ViewFacts, plan: ViewPlan, nearest: float, farthest: float) -> NDArray[np.bool_]:
    """Return which objects are so many metres from which, (n, n), whichever of its smallest boxes each of them has.

    Their footprints have to be apart by the least distance, too: below a lamp, one cannot face it.
    """
    slack = np.array([item.slack for item in facts.nameable])
    slack = slack[:, None] + slack
    return np.asarray((facts.gaps >= nearest + slack) & (facts.gaps <= farthest - slack) & (plan.gaps >= nearest))


def _gaps(corners: NDArray[np.float64], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far footprints are apart at least, (n, n) metres, 0 where they may overlap.

    Args:
        corners: (n, 8, 2).
        axes: (n, 2, 3) the axes of the boxes in plan, as columns.
    """
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    across = np.where(length > 0.5, axes / np.maximum(length, 1e-9), 0.0)  # an upright axis separates nothing
    along = np.einsum("nak,mca->nmkc", across, corners)  # on the axes of n, the corners of m
    low, high = along.min(axis=-1), along.max(axis=-1)
    own = np.arange(len(corners))
    low_own, high_own = low[own, own][:, None], high[own, own][:, None]
    gaps = np.maximum(low - high_own, low_own - high).max(axis=-1, initial=0.0)
    return np.asarray(np.maximum(gaps, gaps.T))


def turned_left(ahead: NDArray[np.float64], aside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles from directions to others, (..., 2) in plan, degrees to the left in -180..180."""
    cross = ahead[..., 0] * aside[..., 1] - ahead[..., 1] * aside[..., 0]
    return np.asarray(np.degrees(np.arctan2(cross, (ahead * aside).sum(axis=-1))))
