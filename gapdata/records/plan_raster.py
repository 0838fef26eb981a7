"""Draw the triangles of a mesh on square cells, as one sees them from above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.records.room_floor import CELL, signed_area

SIMPLIFIED = 0.04  # metres by which a simplified outline may leave the cells'
STENCIL = 8
"""Cells that a triangle spans less than, to be drawn once for all of its shape: a mesh has thousands of a few shapes.
"""

Mask = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


def low_and_top(corners: NDArray[Number]) -> tuple[NDArray[Number], NDArray[Number]]:
    """Return the least and the greatest of three numbers of each triangle, (3, T)."""
    one, two, three = corners
    return np.minimum(np.minimum(one, two), three), np.maximum(np.maximum(one, two), three)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanRaster:
    """Square cells over the plan of a mesh."""

    low: NDArray[np.float64]  # (2,) x, y of the outer corner of the first cell, metres
    shape: tuple[int, int]  # rows along y, columns along x
    columns: NDArray[np.int32]  # (V,) of each vertex
    rows: NDArray[np.int32]  # (V,)

    @classmethod
    def of(
        cls, x: NDArray[np.float64], y: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> PlanRaster:
        """Lay cells over a part of the plan.

        Args:
            x: (V,) of the vertices, metres. Those that are drawn are inside.
            y: (V,) likewise.
            low: (2,) x, y where the part begins.
            high: (2,) where it ends.
        """
        width, height = np.ceil((high - low) / CELL).astype(int).tolist()
        columns, rows = (np.floor((line - begin) / CELL).astype(np.int32) for line, begin in ((x, low[0]), (y, low[1])))
        return cls(low=low, shape=(height, width), columns=columns, rows=rows)

    def draw(self, faces: NDArray[np.int32]) -> Mask:
        """Return the cells that faces (3, T) touch, seen from above, (rows, columns) uint8 0 or 1.

        Small faces are drawn by their corners, which lie closer than cells; others are filled.
        """
        import cv2

        cells = np.zeros(self.shape, dtype=np.uint8)
        columns, rows = self.columns[faces], self.rows[faces]  # (3, T)
        cells.ravel()[rows * self.shape[1] + columns] = 1
        (left, right), (first, last) = low_and_top(columns), low_and_top(rows)
        side = np.maximum(right - left, last - first)
        for large in np.flatnonzero(side >= STENCIL):
            cv2.fillConvexPoly(cells, np.stack([columns[:, large], rows[:, large]], axis=1), 1)
        some = np.flatnonzero((side > 1) & (side < STENCIL))
        which, stencils = _stencils((columns - left)[:, some], (rows - first)[:, some])
        triangle, cell = np.divmod(np.flatnonzero(stencils[which]), STENCIL**2)
        steps = np.add.outer(np.arange(STENCIL) * self.shape[1], np.arange(STENCIL)).ravel()
        cells.ravel()[(first * self.shape[1] + left)[some][triangle] + steps[cell]] = 1
        return cells

    def filled(self, outline: NDArray[np.int32]) -> Mask:
        """Return the cells within an outline of cells (n, 2)."""
        import cv2

        cells = np.zeros(self.shape, dtype=np.uint8)
        cv2.fillPoly(cells, [outline], 1)
        return cells

    def simplified(self, outline: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the corners of an outline of cells, (n, 2) metres, counter-clockwise."""
        import cv2

        corners = cv2.approxPolyDP(outline[:, None], SIMPLIFIED / CELL, closed=True)[:, 0]
        metres = self.low + (corners + 0.5) * CELL
        return np.asarray(metres if signed_area(metres) > 0 else metres[::-1])


def _stencils(columns: NDArray[np.int32], rows: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which shape each triangle has, (T,), and the cells of each shape, (S, STENCIL, STENCIL).

    Args:
        columns: (3, T) of the corners, counted from the least of each triangle.
        rows: (3, T) likewise.
    """
    import cv2

    weights = STENCIL ** np.arange(6)
    key = weights[::2] @ columns + weights[1::2] @ rows
    number = np.zeros(STENCIL**6, dtype=np.int64)
    number[key] = 1
    shapes = np.flatnonzero(number)
    number[shapes] = np.arange(len(shapes))
    stencils = np.zeros((len(shapes), STENCIL, STENCIL), dtype=np.uint8)
    corners = (shapes[:, None] // weights % STENCIL).astype(np.int32).reshape(-1, 3, 2)
    for stencil, triangle in zip(stencils, corners, strict=True):
        cv2.fillConvexPoly(stencil, triangle, 1)
    return number[key], stencils.view(np.bool_)
