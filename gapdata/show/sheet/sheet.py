"""One picture of an exhibit: its cloud from four viewpoints with all that belongs to it, and in words what it is."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.files.atomic import write_atomically
from gapdata.show.scene.coloring import legend, point_colors, shaded
from gapdata.show.scene.exhibit import Exhibit, RoomGrid, room_grid
from gapdata.show.scene.palette import MUTED, PREDICTED, SHEET, TEXT
from gapdata.show.scene.shapes import axis_segments, frustum_corners
from gapdata.show.sheet.overlay import Overlay
from gapdata.show.sheet.panels import CONTENTS, draw_axis_legend, draw_panel
from gapdata.show.sheet.render import chosen_renderer, render_views
from gapdata.show.sheet.strips import draw_legend
from gapdata.show.sheet.text import fitted_text, put_text
from gapdata.show.sheet.viewpoint import viewpoints

WIDTH = 2000
MARGIN = 28
INNER = WIDTH - 2 * MARGIN
GUTTER = 14
HEADER = 84
NOTE = 24
MAX_NOTES = 8
MAX_POINTS = 1_200_000
"""More samples than a sheet's pixels can show; larger views are subsampled on their pixel grids."""
PANEL_WIDTH = (INNER - GUTTER) // 2
HEIGHTS = (700, 560)


def exhibit_sheet(
    exhibit: Exhibit, parts: list[NDArray[np.uint8]], *, mode: str = "rgb", renderer: str | None = None
) -> NDArray[np.uint8]:
    """The sheet of an exhibit, (H, 2000, 3) uint8 RGB.

    Args:
        exhibit: what is shown; its cloud should have at most ``MAX_POINTS`` points.
        parts: what follows below the panels, strips and tables, each ``INNER`` pixels wide.
        mode: the colour mode.
        renderer: ``software``, ``open3d`` or ``auto``; None asks :func:`gapdata.show.sheet.render.chosen_renderer`.

    Raises:
        UsageError: the demanded renderer does not work here.
    """
    rows = [_header(exhibit, mode, INNER), _notes(exhibit, INNER)]
    rows += _panels(exhibit, mode, renderer or chosen_renderer())
    rows = [row for row in (*rows, *parts) if len(row)]
    height = 2 * MARGIN + sum(len(row) for row in rows) + GUTTER * (len(rows) - 1)
    sheet = np.full((height, WIDTH, 3), SHEET, dtype=np.uint8)
    top = MARGIN
    for row in rows:
        sheet[top : top + len(row), MARGIN : MARGIN + row.shape[1]] = row
        top += len(row) + GUTTER
    return sheet


def write_png(sheet: NDArray[np.uint8], path: str | PathLike[str]) -> None:
    """Write a picture (H, W, 3) uint8 RGB as PNG, under a temporary name first.

    Raises:
        OSError: the file cannot be written.
    """
    import cv2

    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    write_atomically(Path(path), data.tobytes())


def _header(exhibit: Exhibit, mode: str, width: int) -> NDArray[np.uint8]:
    image = np.full((HEADER, width, 3), SHEET, dtype=np.uint8)
    put_text(image, fitted_text(exhibit.title, 34, width * 2 // 3, 700), (0, 34), 34, TEXT, 700)
    put_text(image, fitted_text("    ".join(exhibit.facts), 17, width), (0, 68), 17, MUTED)
    draw_legend(image, legend(mode, exhibit.frame_ids), mode, (width, 30))
    return image


def _notes(exhibit: Exhibit, width: int) -> NDArray[np.uint8]:
    """What must be said beside the picture: what is missing, and how a model's answers compare."""
    notes = list(exhibit.notes)
    if exhibit.answered:
        notes.insert(0, "A model's answers are dashed and pink; their lines lead from where they should be.")
    shown = notes[:MAX_NOTES]
    image = np.full((NOTE * len(shown), width, 3), SHEET, dtype=np.uint8)
    for line, note in enumerate(shown):
        more = f" (and {len(notes) - len(shown)} more)" if line == len(shown) - 1 and len(notes) > len(shown) else ""
        color = PREDICTED if exhibit.answered and line == 0 else MUTED
        put_text(image, fitted_text(note + more, 16, width), (0, NOTE * line + 16), 16, color)
    return image


def _panels(exhibit: Exhibit, mode: str, renderer: str) -> list[NDArray[np.uint8]]:
    """Two rows of two panels."""
    names = ("behind", "side"), ("above", "first" if exhibit.in_camera else "opposite")
    sizes = {name: (PANEL_WIDTH, height) for row, height in zip(names, HEIGHTS, strict=True) for name in row}
    grid = room_grid(exhibit)
    first = exhibit.cameras[0].camera if exhibit.in_camera else None
    views = viewpoints(
        exhibit.cloud, exhibit.shown_to_room, exhibit.forward, _extras(exhibit), _floor(grid), sizes, first
    )
    colors = point_colors(exhibit.cloud, mode, exhibit.frame_values)
    if mode != "rgb":
        colors = shaded(colors, exhibit.cloud.normals, exhibit.shown_to_room[:3, :3])
    colored = replace(exhibit.cloud, colors=colors)
    rendered = render_views(colored, views, renderer)
    panels = {}
    for name, view in views.items():
        image, distance = rendered[name]
        overlay = Overlay(image=image, depth=distance, view=view)
        draw_panel(overlay, exhibit, grid, CONTENTS[name])
        panels[name] = overlay.image
    draw_axis_legend(panels["behind"], exhibit)
    gap = [np.full((height, GUTTER, 3), SHEET, dtype=np.uint8) for height in HEIGHTS]
    return [
        np.concatenate([panels[left], between, panels[right]], axis=1)
        for (left, right), between in zip(names, gap, strict=True)
    ]


def _extras(exhibit: Exhibit) -> NDArray[np.float64]:
    """Points (K, 3) that belong into every picture: frusta, the camera's axes."""
    depth = exhibit.frustum_depth
    corners = [frustum_corners(item.camera, item.to_shown, depth) for item in exhibit.cameras]
    centres = np.stack([item.to_shown[:3, 3] for item in exhibit.cameras])
    axes = axis_segments(1.3 * depth)[:, 1] if exhibit.in_camera else np.zeros((0, 3))
    return np.concatenate([*corners, centres, axes])


def _floor(grid: RoomGrid | None) -> NDArray[np.float64]:
    return np.zeros((0, 3)) if grid is None else grid.outline[:, 0]
