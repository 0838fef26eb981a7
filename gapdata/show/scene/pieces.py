"""The geometries around a cloud, by name and group, as plain numbers: what a window draws and a model file holds.

Groups are what a key shows and hides: ``cameras``, ``boxes``, ``prompts``, ``answers``, ``room``. Which pieces there
are is a pure function of the exhibit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.show.scene.exhibit import Exhibit, room_grid
from gapdata.show.scene.marks import ShownBox, ShownPoint, drawn_boxes
from gapdata.show.scene.palette import AXES, PREDICTED, ROOM, Color
from gapdata.show.scene.shapes import axis_segments, box_segments, dashes, frustum_corners, frustum_segments

GROUPS = ("cameras", "boxes", "prompts", "answers", "room")
MAX_BOXES = 60
MAX_LABELLED = 60
"""Prompts that carry their number; a whole scene's may be thousands."""
BALL = 0.006
LINE = 0.0011
"""Radii as shares of the exhibit's extent."""
DASH = 0.015


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Straight lines of one colour."""

    segments: NDArray[np.float64]  # (S, 2, 3) metres, shown frame
    color: Color
    pixels: float  # width on a screen
    radius: float  # metres, where lines have to be solid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ball:
    """A sphere; with four sides around and two along it, the octahedron that marks an answer."""

    center: NDArray[np.float64]  # (3,) metres, shown frame
    radius: float
    color: Color
    around: int = 20
    along: int = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """An image on a rectangle, to be seen from both sides."""

    corners: NDArray[np.float64]  # (4, 3) clockwise from the image's top left
    image: NDArray[np.uint8]  # (h, w, 3) RGB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label:
    """Words at a point, to be read from wherever one stands."""

    text: str
    at: NDArray[np.float64]  # (3,) metres, shown frame
    color: Color


Piece = Lines | Ball | Picture | Label


def exhibit_pieces(exhibit: Exhibit) -> dict[str, dict[str, Piece]]:
    """All pieces of an exhibit: group -> name -> piece. A group that the exhibit has nothing for is empty."""
    scale = exhibit.extent
    up = np.asarray(exhibit.shown_to_room[2, :3])
    found: dict[str, dict[str, Piece]] = {group: {} for group in GROUPS}
    _cameras(found["cameras"], exhibit, scale)
    for place, item in enumerate(drawn_boxes(exhibit.boxes, MAX_BOXES)):
        _box(found["answers" if item.predicted else "boxes"], f"{place} {item.label}", item, scale, up)
    for place, point in enumerate(exhibit.points):
        _point(found["answers" if point.predicted else "prompts"], place, point, scale, up)
    _room(found["room"], exhibit, scale)
    return found


def _cameras(group: dict[str, Piece], exhibit: Exhibit, scale: float) -> None:
    depth = exhibit.frustum_depth
    for place, item in enumerate(exhibit.cameras):
        name = f"{place} {item.caption}"
        segments = frustum_segments(item.camera, item.to_shown, depth)
        group[name] = Lines(segments=segments, color=item.color, pixels=2.0, radius=LINE * scale * 0.6)
        corners = frustum_corners(item.camera, item.to_shown, depth)
        group[f"{name} image"] = Picture(corners=corners, image=item.image)
    if exhibit.in_camera:
        axes = axis_segments(1.2 * depth)
        for axis, color in enumerate(AXES):
            group[f"axis {'xyz'[axis]}"] = Lines(
                segments=axes[axis : axis + 1], color=color, pixels=4.0, radius=1.6 * LINE * scale
            )
            group[f"axis {'xyz'[axis]} name"] = Label(text="xyz"[axis], at=axes[axis, 1] * 1.1, color=color)


def _box(group: dict[str, Piece], name: str, item: ShownBox, scale: float, up: NDArray[np.float64]) -> None:
    segments = box_segments(item.box)
    if item.predicted:
        segments = dashes(segments, DASH * scale)
    color = PREDICTED if item.predicted else item.color
    group[f"{name} box"] = Lines(segments=segments, color=color, pixels=3.0, radius=LINE * scale)
    corners = item.box.corners
    highest = float((corners @ up).max() - item.box.center @ up)
    group[f"{name} label"] = Label(text=item.text, at=item.box.center + (highest + 0.012 * scale) * up, color=color)


def _point(group: dict[str, Piece], place: int, item: ShownPoint, scale: float, up: NDArray[np.float64]) -> None:
    name, above = f"{place} prompt {item.number}", item.point + 0.02 * scale * up
    if item.truth is not None:
        group[f"{name} answer"] = Ball(center=item.point, radius=1.3 * BALL * scale, color=PREDICTED, around=4, along=2)
        line = dashes(np.stack([item.truth, item.point])[None], DASH * scale)
        group[f"{name} error"] = Lines(segments=line, color=PREDICTED, pixels=3.0, radius=LINE * scale)
        group[f"{name} label"] = Label(text=f"{item.number} {item.label} {item.note}", at=above, color=PREDICTED)
        return
    group[f"{name} ball"] = Ball(center=item.point, radius=BALL * scale, color=item.color)
    if place >= MAX_LABELLED:
        return
    if item.eye is not None:
        ray = np.stack([item.eye, item.point])[None]
        group[f"{name} ray"] = Lines(segments=ray, color=item.color, pixels=1.0, radius=LINE * scale * 0.35)
    group[f"{name} label"] = Label(text=f"{item.number} {item.label}", at=above, color=item.color)


def _room(group: dict[str, Piece], exhibit: Exhibit, scale: float) -> None:
    grid = room_grid(exhibit)
    if grid is None:
        return
    group["grid"] = Lines(segments=grid.lines, color=ROOM, pixels=1.0, radius=LINE * scale * 0.35)
    group["outline"] = Lines(segments=grid.outline, color=ROOM, pixels=2.0, radius=LINE * scale * 0.7)
    for name, color, segment in grid.axes:
        group[name] = Lines(segments=segment, color=color, pixels=4.0, radius=1.6 * LINE * scale)
        group[f"{name} name"] = Label(text=name, at=segment[0, 1], color=color)
