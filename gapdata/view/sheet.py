"""One picture of a record: its pointmap from three viewpoints, its frames with marks, their depth, its prompts."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.atomic import write_atomically
from gapdata.records.codec import record_depth
from gapdata.records.schema import Record
from gapdata.view.cloud import PointCloud, fuse
from gapdata.view.overlay import Overlay
from gapdata.view.palette import MUTED, SHEET, TEXT
from gapdata.view.panels import draw_axis_legend, draw_panel, draw_scale
from gapdata.view.render import chosen_renderer, render_views
from gapdata.view.room import room_frame
from gapdata.view.shapes import axis_segments, frustum_corners, frustum_depth
from gapdata.view.strips import frame_strip, prompt_table
from gapdata.view.text import fitted_text, put_text
from gapdata.view.viewpoint import viewpoints

WIDTH = 2000
MARGIN = 28
GUTTER = 14
HEADER = 84
MAX_POINTS = 1_200_000
"""More samples than a sheet's pixels can show; larger views are subsampled on their pixel grids."""
SIZES = {"behind": (1240, 860), "above": (690, 423), "side": (690, 423)}


def record_sheet(record: Record, *, renderer: str | None = None) -> NDArray[np.uint8]:
    """The sheet of a record, (H, 2000, 3) uint8 RGB.

    Args:
        record: a record with its members.
        renderer: ``software``, ``open3d`` or ``auto``; None asks :func:`gapdata.view.render.chosen_renderer`.

    Raises:
        ShardError: a member is missing or damaged.
        UsageError: the demanded renderer does not work here.
    """
    cloud = fuse(record, max_points=MAX_POINTS, drop_flying=True)
    inner = WIDTH - 2 * MARGIN
    parts = [
        _header(record, cloud, inner),
        _panels(record, cloud, renderer or chosen_renderer()),
        frame_strip(record, inner),
        prompt_table(record, inner),
    ]
    parts = [part for part in parts if len(part)]
    height = 2 * MARGIN + sum(len(part) for part in parts) + GUTTER * (len(parts) - 1)
    sheet = np.full((height, WIDTH, 3), SHEET, dtype=np.uint8)
    top = MARGIN
    for part in parts:
        sheet[top : top + len(part), MARGIN : MARGIN + inner] = part
        top += len(part) + GUTTER
    return sheet


def save_png(record: Record, path: str | PathLike[str], *, renderer: str | None = None) -> None:
    """Write the sheet of a record as PNG, under a temporary name first.

    Raises:
        ShardError: a member is missing or damaged.
        UsageError: the demanded renderer does not work here.
        OSError: the file cannot be written.
    """
    import cv2

    sheet = record_sheet(record, renderer=renderer)
    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    write_atomically(Path(path), data.tobytes())


def _header(record: Record, cloud: PointCloud, width: int) -> NDArray[np.uint8]:
    image = np.full((HEADER, width, 3), SHEET, dtype=np.uint8)
    put_text(image, fitted_text(record.key, 34, width, 700), (0, 34), 34, TEXT, 700)
    put_text(image, fitted_text(_facts(record, cloud), 17, width), (0, 68), 17, MUTED)
    return image


def _facts(record: Record, cloud: PointCloud) -> str:
    ids = [str(index) for index in record.frame_ids]
    frames = ", ".join(ids) if len(ids) <= 8 else f"{ids[0]}, {ids[1]}, ... {ids[-1]} ({len(ids)})"
    facts = [
        f"{record.source} {record.split}",
        f"{record.view} of frames {frames}",
        f"{record.image_size[0]} x {record.image_size[1]} pixels",
        f"{len(cloud):,} points drawn",
        f"depth {100 * _valid_share(record):.1f} % valid",
        f"{len(record.objects)} objects",
        f"{len(record.prompts)} prompts",
    ]
    return "    ".join(facts)


def _valid_share(record: Record) -> float:
    return float(np.mean([(record_depth(record, frame) > 0).mean() for frame in range(len(record))]))


def _panels(record: Record, cloud: PointCloud, renderer: str) -> NDArray[np.uint8]:
    first_to_room = room_frame(record, cloud)
    depth = frustum_depth(cloud)
    views = viewpoints(cloud, first_to_room, _camera_points(record, depth), SIZES)
    rendered = render_views(cloud, views, renderer)
    panels = {}
    for name, view in views.items():
        image, distance = rendered[name]
        overlay = Overlay(image=image, depth=distance, view=view)
        draw_panel(overlay, record, depth, boxes=name != "behind", prompts="full" if name == "behind" else "number")
        if name == "above":
            draw_scale(overlay)
        panels[name] = overlay.image
    draw_axis_legend(panels["behind"])
    right = np.concatenate([panels["above"], np.full((GUTTER, SIZES["above"][0], 3), SHEET, np.uint8), panels["side"]])
    gap = np.full((len(right), GUTTER, 3), SHEET, dtype=np.uint8)
    return np.concatenate([panels["behind"], gap, right], axis=1)


def _camera_points(record: Record, depth: float) -> NDArray[np.float64]:
    """Frustum corners, camera centres and axis tips (K, 3), first camera: they belong into every picture."""
    corners = [
        frustum_corners(record.camera(frame), record.camera_to_first[frame], depth) for frame in range(len(record))
    ]
    return np.concatenate([*corners, record.camera_to_first[:, :3, 3], axis_segments(1.3 * depth)[:, 1]])
