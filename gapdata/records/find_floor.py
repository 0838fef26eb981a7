"""Find the floor of a scene: its outline and area, how much of it walls close off, and where one can walk.

The floor is what its labelled faces and the footprints of furniture cover, seen from above in the aligned world: on a
raster of 5 cm, gaps of up to 30 cm are closed, holes are filled, and the largest part is the room. A room whose outline
has hardly any wall along it is open: there the scan ends, and not the room.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.records.plan_raster import Mask, PlanRaster, low_and_top
from gapdata.records.room_floor import CELL, RoomFloor, signed_area
from gapdata.sources.base import Annotation

CLOSED_GAP = 0.3  # metres
WALL_REACH = 0.3
"""Metres from the outline within which a wall closes it: walls have a thickness and skirting boards."""
LARGEST_SIDE = 60.0
"""Metres. A scene that is larger has stray vertices far away, and its floor is not looked for."""
LEAST_AREA = 1.0  # square metres
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
    x, y, z = np.ascontiguousarray(transform(axis_alignment, annotation.vertices.astype(np.float64)).T)  # (V,) each
    floor, furniture, wall = _faces_by_part(annotation.faces, parts)
    if not floor.size:
        return None
    height = float(np.median(z[floor]))
    labelled = parts != NO_PART
    plan = np.stack([x[labelled], y[labelled]])
    low, high = plan.min(axis=1) - 2 * CLOSED_GAP, plan.max(axis=1) + 2 * CLOSED_GAP
    if not (np.isfinite([low, high]).all() and (high - low).max() <= LARGEST_SIDE):
        return None
    raster = PlanRaster.of(x, y, low, high)
    lows, tops = low_and_top(z[furniture])
    stands, blocks = tops < height + HEAD, (tops > height + KNEE) & (lows < height + HEAD)
    # Nearly all furniture does both, and is drawn once.
    chosen = stands & blocks, stands & ~blocks, blocks & ~stands
    does_both, only_stands, only_blocks = (raster.draw(furniture[:, some]) for some in chosen)
    outline = _outline(raster.draw(floor) | does_both | only_stands)
    if outline is None:
        return None
    walls = raster.draw(wall)
    corners = raster.simplified(outline)
    return RoomFloor(
        outline=corners,
        area=abs(signed_area(corners)),
        walled=_walled(outline, walls),
        height=height,
        free_origin=(float(low[0]), float(low[1])),
        free=_free(raster.filled(outline), does_both | only_blocks | walls),
    )


def _parts(annotation: Annotation, labels: Mapping[int, Mapping[str, str]]) -> NDArray[np.int8]:
    """Return the part in the room of each vertex, (V,): one of :data:`PARTS`, or ``NO_PART``."""
    parts = np.full(len(annotation.vertices), NO_PART, dtype=np.int8)
    for item in annotation.objects:
        names = (labels[item.object_id].get(taxonomy, "") for taxonomy in ("nyu40", "raw"))
        parts[item.vertices] = next((PARTS[name] for name in names if name in PARTS), FURNITURE)
    return parts


def _faces_by_part(faces: NDArray[np.int32], parts: NDArray[np.int8]) -> list[NDArray[np.int32]]:
    """Return the faces (T, 3) of which all corners are of the floor, of furniture and of walls, each (3, n)."""
    corners = np.ascontiguousarray(faces.T)  # whole rows: NumPy's axes of length three are slow
    one, two, three = parts[corners]
    part = np.where((one == two) & (one == three), one, NO_PART)
    return [corners[:, part == wanted] for wanted in (FLOOR, FURNITURE, WALL)]


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
