"""A room seen from above as inline SVG: the boxes of its objects, the floor, and the way of the camera."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import transform
from gapdata.records.schema import Record, ViewObject
from gapdata.report.markup import Markup, tag
from gapdata.show.scene.palette import object_color

MOST_OTHERS = 80
"""Objects that are drawn without being named."""
MARGIN = 40.0  # centimetres
TEXT_SHARE = 0.035
"""Height of letters as a share of the longer side."""


def plan_sketch(record: Record, named: Sequence[int], frames: Collection[int]) -> Markup | None:
    """Draw the plan of a record in centimetres; ``None`` where the scan does not tell what is up.

    Args:
        record: its JSON is enough.
        named: ids of the objects that are named, and coloured by their positions in it.
        frames: positions of the frames whose cameras are drawn with their direction.
    """
    if record.axis_alignment is None:
        return None
    to_room = record.axis_alignment @ record.camera_to_world[0]
    way = transform(to_room, record.camera_to_first[:, :3, 3])
    ahead = transform(to_room, record.camera_to_first[:, :3, 3] + 0.5 * record.camera_to_first[:, :3, 2])
    shown = [item for item in record.objects if item.object_id in named]
    others = [item for item in record.objects if item.object_id not in named][:MOST_OTHERS]
    outline = np.zeros((0, 2)) if record.room is None else record.room.outline
    footprints = {item.object_id: _footprint(item, to_room) for item in (*others, *shown)}
    drawn = np.concatenate([_paper(points) for points in (outline, way, *footprints.values())])
    low, size = drawn.min(axis=0) - MARGIN, np.ptp(drawn, axis=0) + 2 * MARGIN
    letters = TEXT_SHARE * float(size.max())
    parts = [tag("polygon", points=_points(outline), class_="floor")] if len(outline) else []
    parts += [tag("polygon", tag("title", item.label), points=_points(footprints[item.object_id])) for item in others]
    for item in shown:
        color = "fill:rgb({},{},{})".format(*object_color(named.index(item.object_id)))
        parts.append(tag("polygon", points=_points(footprints[item.object_id]), style=color, class_="named"))
    parts.append(tag("polyline", points=_points(way), class_="way"))
    parts += [tag("polyline", points=_points(np.stack([way[at], ahead[at]])), class_="gaze") for at in frames]
    for item in shown:
        x, y = _paper(footprints[item.object_id]).mean(axis=0)
        parts.append(tag("text", item.label, x=f"{x:.0f}", y=f"{y:.0f}", font_size=f"{letters:.0f}"))
    box = f"{low[0]:.0f} {low[1]:.0f} {size[0]:.0f} {size[1]:.0f}"
    return tag("svg", *parts, viewBox=box, role="img", class_="plan", aria_label=f"{record.scene_id} from above")


def _footprint(item: ViewObject, to_room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of a box's shadow on the floor, (n, 2) metres."""
    import cv2

    corners = transform(to_room, item.box.corners)[:, :2].astype(np.float32)
    return np.asarray(cv2.convexHull(corners)[:, 0], dtype=np.float64)


def _paper(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn metres of the room (n, 2 or more), y away from the reader, into centimetres of the picture, (n, 2)."""
    return np.asarray(100 * points[:, :2] * [1, -1])


def _points(points: NDArray[np.float64]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in _paper(points))
