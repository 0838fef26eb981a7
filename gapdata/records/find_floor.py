"""Find the floor of a scene: its outline and area, how much of it walls close off, and where one can walk.

The floor is what its labelled faces and the footprints of furniture cover, seen from above in the aligned world: on a
raster of 5 cm, gaps of up to 30 cm are closed, holes are filled, and the largest part is the room. A room whose outline
has hardly any wall along it is open: there the scan ends, and not the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.records.room_floor import CELL, RoomFloor, signed_area
from gapdata.sources.base import Annotation

CLOSED_GAP = 0.3  # metres
WALL_REACH = 0.3
"""Metres from the outline within which a wall closes it: walls have a thickness and skirting boards."""
LARGEST_SIDE = 60.0
"""Metres. A scene that is larger has stray vertices far away, and its floor is not looked for."""
LEAST_AREA = 1.0  # square metres
SIMPLIFIED = 0.04  # metres by which the stored outline may leave the raster's
KNEE, HEAD = 0.08, 1.8
"""Metres above the floor between which something stands in the way: one steps over rugs and walks below lamps."""
WALKER = 0.2  # metres that a person keeps from what stands in the way
FURNITURE, FLOOR, WALL, ABOVE = range(4)
PARTS = {
    **dict.fromkeys(("floor", "floor mat", "rug", "carpet"), FLOOR),
    **dict.fromkeys(("wall", "door", "window", "doorframe", "curtain", "blinds"), WALL),
    **dict.fromkeys(("ceiling", "lamp", "light"), ABOVE),
}
"""Names, of nyu40 or the source's own, that tell a surface's part in a room; all others are furniture."""
NO_PART = -1  # of a vertex without an object

Mask = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


def find_floor(
    annotation: Annotation, labels: Mapping[int, Mapping[str, str]], axis_alignment: NDArray[np.float64]
) -> RoomFloor | None:
    """Return the room of a scene, or ``None`` where no floor is labelled or it cannot be outlined.

    Args:
        annotation: the labelled mesh.
        labels: names of its objects by taxonomy.
        axis_alignment: (4, 4) to the aligned world.
    """
    parts = _parts(annotation, labels)
    points = transform(axis_alignment, annotation.vertices.astype(np.float64))
    faces = annotation.faces
    floor = faces[(parts[faces] == FLOOR).all(axis=-1)]
    if not len(floor):
        return None
    height = float(np.median(points[floor, 2]))
    labelled = points[parts != NO_PART]
    low, high = labelled[:, :2].min(axis=0) - 2 * CLOSED_GAP, labelled[:, :2].max(axis=0) + 2 * CLOSED_GAP
    if not (np.isfinite([low, high]).all() and (high - low).max() <= LARGEST_SIDE):
        return None
    raster = _Raster(low=low, shape=tuple(np.ceil((high - low) / CELL).astype(int)[::-1]))
    places = np.floor((points[:, :2] - low) / CELL).astype(np.int32)
    floor_cells = raster.draw(places, floor)
    furniture = faces[(parts[faces] == FURNITURE).all(axis=-1)]
    lows, tops = _low_and_top(points[:, 2][furniture])
    standing = furniture[tops < height + HEAD]
    covered = floor_cells | raster.draw(places, standing)
    outline = _outline(covered)
    if outline is None:
        return None
    walls = raster.draw(places, faces[(parts[faces] == WALL).all(axis=-1)])
    inside = raster.filled(outline)
    in_the_way = furniture[(tops > height + KNEE) & (lows < height + HEAD)]
    blocked = raster.draw(places, in_the_way) | walls
    corners = raster.simplified(outline)
    return RoomFloor(
        outline=corners,
        area=abs(signed_area(corners)),
        walled=_walled(outline, walls),
        height=height,
        free_origin=(float(low[0]), float(low[1])),
        free=_free(inside, blocked),
    )


def _parts(annotation: Annotation, labels: Mapping[int, Mapping[str, str]]) -> NDArray[np.int8]:
    """Return the part in the room of each vertex, (V,): one of :data:`PARTS`, or ``NO_PART``."""
    parts = np.full(len(annotation.vertices), NO_PART, dtype=np.int8)
    for item in annotation.objects:
        names = (labels[item.object_id].get(taxonomy, "") for taxonomy in ("nyu40", "raw"))
        parts[item.vertices] = next((PARTS[name] for name in names if name in PARTS), FURNITURE)
    return parts


def _low_and_top(corners: NDArray[Number]) -> tuple[NDArray[Number], NDArray[Number]]:
    """Return the least and the greatest of three numbers of each triangle (T, 3), which NumPy's axes are slow at."""
    one, two, three = corners[:, 0], corners[:, 1], corners[:, 2]
    return np.minimum(np.minimum(one, two), three), np.maximum(np.maximum(one, two), three)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Raster:
    """Square cells over the plan; ``low`` is the outer corner of the first."""

    low: NDArray[np.float64]  # (2,) x, y metres
    shape: tuple[int, ...]  # rows along y, columns along x

    def draw(self, places: NDArray[np.int32], faces: NDArray[np.int32]) -> Mask:
        """Return the cells that faces touch, seen from above, (rows, columns) uint8 0 or 1.

        Small faces are drawn by their corners, which lie closer than cells; others are filled.

        Args:
            places: (V, 2) column and row of each vertex.
            faces: (T, 3) of vertices.
        """
        import cv2

        cells = np.zeros(self.shape, dtype=np.uint8)
        columns, rows = places[:, 0][faces], places[:, 1][faces]  # (T, 3)
        cells[rows, columns] = 1
        large = np.zeros(len(faces), dtype=bool)
        for line in (columns, rows):
            low, top = _low_and_top(line)
            large |= top - low > 1
        for triangle in places[faces[large]]:
            cv2.fillConvexPoly(cells, triangle, 1)
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


def _outline(covered: Mask) -> NDArray[np.int32] | None:
    """Return the outer cells of the largest part, (n, 2) columns and rows, or ``None`` where it is tiny."""
    import cv2

    size = round(CLOSED_GAP / CELL) | 1
    # A square, and not a disc, leaves the corner between two walls as it is: they run along the world's axes.
    closed = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((size, size), dtype=np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) * CELL**2 < LEAST_AREA:
        return None
    return np.asarray(largest[:, 0], dtype=np.int32)


def _walled(outline: NDArray[np.int32], walls: Mask) -> float:
    """Return the share of the outline's cells that have a wall near them."""
    import cv2

    reach = round(WALL_REACH / CELL)
    near = cv2.dilate(walls, np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8))
    return float(near[outline[:, 1], outline[:, 0]].mean())


def _free(inside: Mask, blocked: Mask) -> NDArray[np.bool_]:
    """Return the cells where a person can stand, away from what stands in the way and from the outline."""
    import cv2

    open_cells = np.pad(inside & (1 - blocked), 1)
    distance = cv2.distanceTransform(open_cells, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(distance * CELL > WALKER)
