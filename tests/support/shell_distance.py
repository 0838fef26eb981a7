"""VLM-3R's way to measure how far two boxes are apart, from its description: points on hollow shells, 5 cm apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox

STEP = 0.05  # metres
MOST_ERROR = 2 * STEP / 2**0.5
"""The nearest points of two separated boxes are at most half a diagonal of a square of the grid from its points."""
BLOCK = 4_000_000  # pairs at once


def shell(box: OrientedBox, step: float = STEP) -> NDArray[np.float64]:
    """Points (n, 3) on the faces of a box, at most ``step`` apart along its edges, metres."""
    ticks = [np.linspace(-side / 2, side / 2, int(np.ceil(side / step)) + 1) for side in box.size]
    faces = []
    for axis in range(3):
        one, other = (ticks[each] for each in range(3) if each != axis)
        plane = np.stack(np.meshgrid(one, other, indexing="ij"), axis=-1).reshape(-1, 2)
        for end in (-0.5, 0.5):
            faces.append(np.insert(plane, axis, end * box.size[axis], axis=1))
    return np.concatenate(faces) @ box.rotation.T + box.center


def least_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The least distance of a point of ``one`` (n, 3) and a point of ``other`` (m, 3), over all pairs."""
    middle = one.mean(axis=0)  # near the origin, the products keep their digits
    one, other = one - middle, other - middle
    squares = (other**2).sum(axis=1)
    rows = max(1, BLOCK // len(other))
    blocks = (one[start : start + rows] for start in range(0, len(one), rows))
    least = min(float(((block**2).sum(axis=1)[:, None] + squares - 2 * block @ other.T).min()) for block in blocks)
    return max(0.0, least) ** 0.5


def shell_distance(one: OrientedBox, other: OrientedBox) -> float:
    """The least distance of two points of the shells of two boxes, metres."""
    return least_distance(shell(one), shell(other))
