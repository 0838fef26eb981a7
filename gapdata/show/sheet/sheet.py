"""One picture of an exhibit: its cloud from four viewpoints with all that belongs to it, and the facts as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.files.atomic import write_atomically
from gapdata.show.scene.coloring import point_colors, shaded
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.palette import AXES, MUTED, PREDICTED, TEXT
from gapdata.show.scene.pieces import Ball, Lines, Piece, exhibit_pieces
from gapdata.show.sheet.canvas import Canvas
from gapdata.show.sheet.parts import blank, draw_legend, write
from gapdata.show.sheet.render import render_view
from gapdata.show.sheet.text import fitted_text, put_text, text_width
from gapdata.show.sheet.viewpoint import Viewpoint, viewpoints

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
MAX_BOXES = 14
MAX_LABELLED = 16
"""Up to this many prompts are large and carry their names in the picture; the table has all."""

WHOLE = {
    "behind": ("cameras", "room", "prompts"),
    "side": ("cameras", "room", "boxes"),
    "above": ("cameras", "room", "boxes"),
    "first": ("boxes", "prompts"),
    "opposite": ("cameras", "room", "boxes"),
}
"""The groups that a panel draws whole, with their words. Of prompts every panel draws the points."""


def exhibit_sheet(exhibit: Exhibit, parts: Sequence[NDArray[np.uint8]], *, mode: str = "rgb") -> NDArray[np.uint8]:
    """Draw the sheet of an exhibit, (H, 2000, 3) uint8 RGB.

    Args:
        exhibit: what is shown; its cloud should have at most ``MAX_POINTS`` points.
        parts: strips and tables that follow below the panels, each ``INNER`` pixels wide.
        mode: the colour mode.
    """
    rows = [row for row in (_header(exhibit, mode), _notes(exhibit), *_panels(exhibit, mode), *parts) if len(row)]
    inner = np.concatenate([part for row in rows for part in (row, blank(GUTTER, INNER))][:-1])
    sheet = blank(len(inner) + 2 * MARGIN, WIDTH)
    sheet[MARGIN:-MARGIN, MARGIN:-MARGIN] = inner
    return sheet


def write_png(sheet: NDArray[np.uint8], path: str | PathLike[str]) -> None:
    """Write a picture (H, W, 3) uint8 RGB as PNG, under a temporary name first.

    Raises:
        OSError: the file cannot be written.
    """
    import cv2

    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    write_atomically(Path(path), data.tobytes())


def _header(exhibit: Exhibit, mode: str) -> NDArray[np.uint8]:
    image = blank(HEADER, INNER)
    put_text(image, fitted_text(exhibit.title, 34, INNER * 2 // 3, 700), (0, 34), 34, TEXT, 700)
    put_text(image, fitted_text("    ".join(exhibit.facts), 17, INNER), (0, 68), 17, MUTED)
    draw_legend(image, mode, exhibit.frame_ids, 30)
    return image


def _notes(exhibit: Exhibit) -> NDArray[np.uint8]:
    """Write what is missing, and how a model's answers compare."""
    notes = [(note, MUTED) for note in exhibit.notes]
    if exhibit.answered:
        how = "A model's answers are dashed and pink; lines join their points to the true ones."
        notes.insert(0, (how, PREDICTED))
    shown, more = notes[:MAX_NOTES], len(notes) - MAX_NOTES
    if more > 0:
        shown[-1] = (f"{shown[-1][0]} (and {more} more)", MUTED)
    image = blank(NOTE * len(shown), INNER)
    for line, (note, color) in enumerate(shown):
        put_text(image, fitted_text(note, 16, INNER), (0, NOTE * line + 16), 16, color)
    return image


def _panels(exhibit: Exhibit, mode: str) -> list[NDArray[np.uint8]]:
    """Draw two rows of two panels."""
    names = ("behind", "side"), ("above", "first" if exhibit.in_camera else "opposite")
    sizes = {name: (PANEL_WIDTH, height) for row, height in zip(names, HEIGHTS, strict=True) for name in row}
    pieces = exhibit_pieces(exhibit, MAX_BOXES)
    outline = pieces["room"].get("outline")
    floor = outline.segments[:, 0] if isinstance(outline, Lines) else None
    colors = point_colors(exhibit.cloud, mode, exhibit.frame_values)
    if mode != "rgb":
        colors = shaded(colors, exhibit.cloud.normals, exhibit.shown_to_room[:3, :3])
    exhibit = replace(exhibit, cloud=replace(exhibit.cloud, colors=colors))
    views = viewpoints(exhibit, sizes, floor)
    panels = {name: _panel(exhibit, view, pieces, name) for name, view in views.items()}
    axes = zip(("x right", "y down", "z forward"), AXES, strict=True) if exhibit.in_camera else ()
    words = [*((text, 14, color, 600) for text, color in axes), (exhibit.reference, 14, MUTED, 600)]
    write(panels["behind"], words, (16, HEIGHTS[0] - 16), 18)
    return [np.concatenate([panels[left], blank(len(panels[left]), GUTTER), panels[right]], 1) for left, right in names]


def _panel(exhibit: Exhibit, view: Viewpoint, pieces: dict[str, dict[str, Piece]], name: str) -> NDArray[np.uint8]:
    image, depth = render_view(exhibit.cloud, view)
    canvas = Canvas(image=image, depth=depth, view=view)
    many = sum(not item.predicted for item in exhibit.points) > MAX_LABELLED
    shown: list[Piece] = []
    for group in ("room", "cameras", "answers", "boxes", "prompts"):
        for title, piece in pieces[group].items():
            about = group if group != "answers" else "prompts" if " prompt " in title else "boxes"
            whole = about in WHOLE[name] and not (about == "prompts" and many)
            dot = about == "prompts" and (isinstance(piece, Ball) or (group == "answers" and isinstance(piece, Lines)))
            shown += [piece] if whole or dot else []
    canvas.draw(shown, 3 if many else 6)
    if name == "above":
        canvas.scale()
    canvas.plate(view.title, (8, 8, 24 + text_width(view.title, 17, 600), 38), 17)
    return canvas.image
