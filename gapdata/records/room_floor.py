"""The floor of a scene, as records of whole scans hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 0.05  # metres along a side of a cell of the free floor
MOST_CELLS = 2000
"""The most cells along a side of the free floor: 100 metres."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoomFloor:
    """The floor of a scene in its aligned world, metres."""

    outline: NDArray[np.float64]  # (n, 2) corners, counter-clockwise seen from above
    area: float  # square metres
    walled: float  # share of the outline with a wall along it
    height: float  # of the floor, metres
    free_origin: tuple[float, float]  # lower corner of the raster of the free floor
    free: NDArray[np.bool_]  # (rows along y, columns along x) cells of CELL where a person can stand

    def mirrored(self) -> RoomFloor:
        """Return the floor of the world in which x has the other sign."""
        rim = self.free_origin[0] + CELL * self.free.shape[1]
        return replace(
            self,
            outline=(self.outline * [-1.0, 1.0])[::-1],  # a mirror image runs the other way round
            free_origin=(-rim, self.free_origin[1]),
            free=self.free[:, ::-1],
        )

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as a record's JSON holds them; the free floor is a list of runs, row after row."""
        return {
            "outline": np.round(self.outline, 3).tolist(),
            "area": round(self.area, 3),
            "walled": round(self.walled, 3),
            "height": round(self.height, 3),
            "free": {
                "origin": [round(value, 3) for value in self.free_origin],
                "cell": CELL,
                "shape": list(self.free.shape),
                "runs": _runs(self.free.ravel()),
            },
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> RoomFloor:
        """Read what :meth:`to_fields` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or of another form, or the raster is too large.
        """
        free = fields["free"]
        rows, columns = (int(side) for side in free["shape"])
        if not (0 <= rows <= MOST_CELLS and 0 <= columns <= MOST_CELLS) or float(free["cell"]) != CELL:
            raise ValueError(f"the free floor has {rows}x{columns} cells of {free['cell']} m")
        runs = np.array(free["runs"], dtype=np.int64)
        if runs.ndim != 1 or (runs < 0).any() or runs.sum() != rows * columns:
            raise ValueError(f"the runs of the free floor do not fill {rows}x{columns} cells")
        outline = np.array(fields["outline"], dtype=np.float64)
        numbers = np.array([fields["area"], fields["walled"], fields["height"], *free["origin"]], dtype=np.float64)
        if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 3 or len(numbers) != 5:
            raise ValueError("the outline of the room does not have corners of two numbers")
        if not (np.isfinite(outline).all() and np.isfinite(numbers).all()):
            raise ValueError("the room has numbers that are not finite")
        return cls(
            outline=outline,
            area=float(numbers[0]),
            walled=float(numbers[1]),
            height=float(numbers[2]),
            free_origin=(float(numbers[3]), float(numbers[4])),
            free=np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(rows, columns),
        )


def signed_area(corners: NDArray[np.float64]) -> float:
    """Return the area within corners (n, 2), positive where they run counter-clockwise (shoelace)."""
    x, y = corners.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _runs(cells: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of runs of equal cells, those that are not free first."""
    changes = np.flatnonzero(cells[1:] != cells[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [len(cells)]])).tolist()
    return [0, *lengths] if len(cells) and cells[0] else lengths
