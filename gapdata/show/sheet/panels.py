"""The three-dimensional panels of a sheet: the cloud with cameras, boxes, prompts, answers and axes drawn over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.exhibit import Exhibit, RoomGrid
from gapdata.show.scene.marks import ShownPoint, drawn_boxes
from gapdata.show.scene.palette import AXES, MUTED, PREDICTED, ROOM, TEXT
from gapdata.show.scene.shapes import axis_segments, box_segments, dashes, frustum_corners, frustum_segments
from gapdata.show.sheet.overlay import Overlay
from gapdata.show.sheet.text import put_text, text_width

MAX_BOXES = 14
FULL_LABELS = 6
"""Up to this many prompts carry their coordinates in the picture; beyond, number and name; the table has the rest."""
MAX_LABELS = 16
MAX_PICTURES = 10
DASH = 0.09
"""Metres from one dash to the next of what a model answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelContent:
    """What one panel draws over the cloud."""

    boxes: bool = False
    cameras: bool = False
    grid: bool = False
    points: Literal["full", "number", "ball"] = "ball"
    """Prompts with number and label, with number, or as balls alone."""
    rays: bool = False
    scale: bool = False


CONTENTS = {
    "behind": PanelContent(cameras=True, grid=True, points="full", rays=True),
    "side": PanelContent(boxes=True, cameras=True, grid=True),
    "above": PanelContent(boxes=True, cameras=True, grid=True, scale=True),
    "first": PanelContent(boxes=True, points="number"),
    "opposite": PanelContent(boxes=True, cameras=True, grid=True),
}


def draw_panel(overlay: Overlay, exhibit: Exhibit, grid: RoomGrid | None, content: PanelContent) -> None:
    """Draw what belongs to a panel over a rendered view."""
    if content.grid and grid is not None:
        _draw_grid(overlay, grid)
    if content.cameras:
        _draw_cameras(overlay, exhibit)
    if content.boxes:
        _draw_boxes(overlay, exhibit)
    _draw_points(overlay, exhibit, content)
    if content.scale:
        draw_scale(overlay)
    _draw_title(overlay)


def _draw_grid(overlay: Overlay, grid: RoomGrid) -> None:
    overlay.lines(grid.lines, ROOM, thickness=1, hidden=0.12)
    overlay.lines(grid.outline, ROOM, thickness=2, hidden=0.2)
    for name, color, segment in grid.axes:
        overlay.lines(segment, color, thickness=4, hidden=0.6)
        at = overlay.inside(segment[0, 1])
        if at is not None:
            overlay.label(at, name, 12, color, 600)


def _draw_boxes(overlay: Overlay, exhibit: Exhibit) -> None:
    items = drawn_boxes(exhibit.boxes, MAX_BOXES)
    for item in items:
        edges = box_segments(item.box)
        if item.predicted:
            overlay.lines(dashes(edges, DASH), PREDICTED, thickness=2, hidden=0.6)
        else:
            overlay.lines(edges, item.color, thickness=2, hidden=0.3)
    # Answers come first: they find the free places near their boxes.
    for item in sorted(items, key=lambda item: not item.predicted):
        anchor = overlay.inside(item.box.center)
        if anchor is not None:
            overlay.label(anchor, item.text, 13, item.color, 600 if item.predicted else 500)


def _draw_cameras(overlay: Overlay, exhibit: Exhibit) -> None:
    depth, cameras = exhibit.frustum_depth, exhibit.cameras
    pictured = set(np.linspace(0, len(cameras) - 1, min(len(cameras), MAX_PICTURES)).round().astype(int).tolist())
    z = [float(overlay.view.project(item.to_shown[:3, 3])[1]) for item in cameras]
    for place in sorted(range(len(cameras)), key=lambda place: -z[place]):
        item = cameras[place]
        if place in pictured:
            overlay.picture(frustum_corners(item.camera, item.to_shown, depth), item.image)
        segments = frustum_segments(item.camera, item.to_shown, depth)
        overlay.lines(segments, item.color, thickness=2 if place == 0 else 1, hidden=0.3)
    if not exhibit.in_camera:
        return
    axes = axis_segments(depth * 1.2)
    for axis, color in enumerate(AXES):
        overlay.lines(axes[axis : axis + 1], color, thickness=3, hidden=0.5)
        at = overlay.inside(axes[axis, 1] * 1.12)
        if at is not None:
            put_text(overlay.image, "xyz"[axis], (at[0] - 4, at[1] + 5), 16, color, 700)
    origin = overlay.inside(np.zeros(3))
    if origin is not None:
        overlay.taken.append((origin[0] - 14, origin[1] - 14, origin[0] + 14, origin[1] + 14))
        overlay.label(origin, f"camera of {cameras[0].caption}", 13, cameras[0].color)


def _draw_points(overlay: Overlay, exhibit: Exhibit, content: PanelContent) -> None:
    truths = [item for item in exhibit.points if not item.predicted]
    answers = [item for item in exhibit.points if item.predicted]
    if content.rays and len(truths) <= MAX_LABELS:
        for item in truths:
            if item.eye is not None:
                overlay.lines(np.stack([item.eye, item.point])[None], item.color, thickness=1, hidden=0.3)
    for item in answers:
        if item.truth is not None:
            overlay.lines(dashes(np.stack([item.truth, item.point])[None], DASH), PREDICTED, thickness=2, hidden=0.7)
    radius = {"full": 8, "number": 6, "ball": 5}[content.points] if len(truths) <= MAX_LABELS else 3
    placed = [(item, overlay.ball(item.point, item.color, radius)) for item in truths]
    answered = [(item, overlay.diamond(item.point, item.color, PREDICTED, radius - 1)) for item in answers]
    if content.points == "ball" or len(truths) > MAX_LABELS:
        return
    if content.points == "full":
        for item, at in answered:
            if at is not None:
                overlay.label(at, f"{item.number}  {item.label}  {item.note}", 14, PREDICTED, 600)
    seen = [(item, at) for item, at in placed if at is not None]
    for item, at in seen:
        full = content.points == "full" and not answers
        overlay.label(
            at, _point_text(item, full=full, coordinates=len(seen) <= FULL_LABELS), 15 if full else 12, item.color, 600
        )


def _point_text(item: ShownPoint, *, full: bool, coordinates: bool) -> str:
    if not full:
        return str(item.number)
    place = "  ({:.2f}, {:.2f}, {:.2f}) m".format(*item.point) if coordinates else ""
    return f"{item.number}  {item.label}{place}"


def _draw_title(overlay: Overlay) -> None:
    plate = overlay.image[8:38, 8 : 26 + text_width(overlay.view.title, 17, 600)]
    plate[:] = (plate * 0.35 + np.array([16, 17, 21]) * 0.65).astype(np.uint8)
    put_text(overlay.image, overlay.view.title, (16, 29), 17, TEXT, 600)


def draw_scale(overlay: Overlay) -> None:
    """A bar of a round length in the lower left corner; true for a parallel view."""
    import cv2

    finite = overlay.depth[np.isfinite(overlay.depth)]
    if not len(finite):
        return
    metre = overlay.view.camera.fx / float(np.median(finite))
    length = next((value for value in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if value * metre > 70), 10.0)
    x, y, width = 16, overlay.image.shape[0] - 18, round(length * metre)
    cv2.line(overlay.image, (x, y), (x + width, y), TEXT, 2)
    for end in (x, x + width):
        cv2.line(overlay.image, (end, y - 5), (end, y + 5), TEXT, 2)
    put_text(overlay.image, f"{length:g} m", (x + width + 10, y + 5), 14, TEXT, 500)


def draw_axis_legend(image: NDArray[np.uint8], exhibit: Exhibit) -> None:
    """What the coloured axes mean, in the lower left corner of a panel."""
    x, y = 16, image.shape[0] - 16
    names = ("x right", "y down", "z forward") if exhibit.in_camera else ()
    for text, color in (*zip(names, AXES, strict=False), (exhibit.reference, MUTED)):
        put_text(image, text, (x, y), 14, color, 600)
        x += text_width(text, 14, 600) + 18
