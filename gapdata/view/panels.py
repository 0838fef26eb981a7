"""The three-dimensional panels of a sheet: the cloud with cameras, prompts, boxes and a scale drawn over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Record
from gapdata.view.overlay import Overlay
from gapdata.view.palette import AXES, MUTED, PROMPT, TEXT, frame_color, object_color
from gapdata.view.shapes import axis_segments, box_segments, frustum_segments, shown_objects
from gapdata.view.text import put_text, text_width

MAX_BOXES = 14
FULL_LABELS = 6
"""Up to this many prompts carry their coordinates in the picture; beyond, number and name; the table has the rest."""
MAX_LABELS = 16


def draw_panel(
    overlay: Overlay, record: Record, depth: float, *, boxes: bool, prompts: str, cameras: bool = True
) -> None:
    """Draw a record over a rendered view.

    Args:
        overlay: the picture and its depth.
        record: what is shown.
        depth: of the frustums, metres.
        boxes: draw oriented boxes with their labels.
        prompts: ``full`` (number, label, coordinates), ``number`` or ``none``.
        cameras: draw the frustums of all frames and the axes of the first.
    """
    if boxes:
        _draw_boxes(overlay, record)
    if cameras:
        _draw_cameras(overlay, record, depth)
    if prompts != "none":
        _draw_prompts(overlay, record, full=prompts == "full")
    _draw_title(overlay)


def _draw_boxes(overlay: Overlay, record: Record) -> None:
    items = shown_objects(record.objects, MAX_BOXES)
    for item in items:
        overlay.lines(box_segments(item), object_color(item.object_id), thickness=1, hidden=0.35)
    for item in items:
        anchor = overlay.inside(np.array(item.center))
        if anchor is not None:
            overlay.label(anchor, item.label, 13, object_color(item.object_id))


def _draw_cameras(overlay: Overlay, record: Record, depth: float) -> None:
    count = len(record)
    for frame in reversed(range(count)):
        size = depth if frame == 0 or count <= 8 else depth * 0.6
        segments = frustum_segments(record.camera(frame), record.camera_to_first[frame], size)
        overlay.lines(segments, frame_color(frame, count), thickness=2 if frame == 0 else 1, hidden=0.3)
    axes = axis_segments(depth * 1.2)
    for axis, color in enumerate(AXES):
        overlay.lines(axes[axis : axis + 1], color, thickness=3, hidden=0.5)
        at = overlay.inside(axes[axis, 1] * 1.12)
        if at is not None:
            put_text(overlay.image, "xyz"[axis], (at[0] - 4, at[1] + 5), 16, color, 700)
    origin = overlay.inside(np.zeros(3))
    if origin is not None:
        overlay.taken.append((origin[0] - 14, origin[1] - 14, origin[0] + 14, origin[1] + 14))
        overlay.label(origin, f"camera of frame {record.frame_ids[0]}", 13, frame_color(0, count))


def _draw_prompts(overlay: Overlay, record: Record, *, full: bool) -> None:
    placed = []
    for prompt in record.prompts:
        at = overlay.ball(np.array(prompt.point), PROMPT, 8 if full else 5)
        if at is not None:
            placed.append((prompt, at))
    coordinates = full and len(placed) <= FULL_LABELS
    for prompt, at in placed[:MAX_LABELS]:
        text = str(prompt.index)
        if full:
            text += f"  {prompt.label or 'point'}"
        if coordinates:
            text += "  ({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point)
        overlay.label(at, text, 15 if full else 12, PROMPT, 600)


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


def draw_axis_legend(image: NDArray[np.uint8]) -> None:
    """What the coloured axes mean, in the lower left corner of a panel."""
    x, y = 16, image.shape[0] - 16
    for text, color in (
        ("x right", AXES[0]),
        ("y down", AXES[1]),
        ("z forward", AXES[2]),
        ("metres, camera of the first frame", MUTED),
    ):
        put_text(image, text, (x, y), 14, color, 600)
        x += text_width(text, 14, 600) + 18
