"""The pieces that are drawn around a cloud, by group and name, as plain numbers, for pictures, windows and model files.

A key of the window shows and hides a group: ``cameras``, ``boxes``, ``prompts``, ``answers`` or ``room``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import BOX_EDGES
from gapdata.geometry.camera import transform
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.marks import ShownBox, ShownCamera, ShownPoint
from gapdata.show.scene.palette import AXES, PREDICTED, ROOM, Color

GROUPS = ("cameras", "boxes", "prompts", "answers", "room")
STRUCTURE = frozenset({"wall", "floor", "ceiling"})
"""Objects with a box as large as the room: drawn, it would hide the other objects."""
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
    pixels: int  # width in a picture
    radius: float  # metres, where lines have to be solid
    hidden: float = 0.3
    """Opacity in a picture of the parts behind the cloud."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ball:
    """A sphere, or the octahedron that marks a model's answer."""

    center: NDArray[np.float64]  # (3,) metres, shown frame
    radius: float
    color: Color
    answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """An image on a rectangle, to be seen from both sides."""

    corners: NDArray[np.float64]  # (4, 3) clockwise from the image's top left
    image: NDArray[np.uint8]  # (h, w, 3) RGB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Label:
    """A text at a point that faces the viewer."""

    text: str
    at: NDArray[np.float64]  # (3,) metres, shown frame
    color: Color


Piece = Lines | Ball | Picture | Label


def exhibit_pieces(exhibit: Exhibit, max_boxes: int = MAX_BOXES) -> dict[str, dict[str, Piece]]:
    """Return all pieces of an exhibit: group to name to piece. A group without content is empty.

    Of objects, ``max_boxes`` with the most visible pixels get a box; walls, floors and ceilings get none.
    """
    scale, up = exhibit.extent, np.asarray(exhibit.shown_to_room[2, :3])
    found: dict[str, dict[str, Piece]] = {group: {} for group in GROUPS}
    for place, camera in enumerate(exhibit.cameras):
        _camera(found["cameras"], f"{place} {camera.caption}", camera, exhibit.frustum_depth, scale)
    if exhibit.in_camera:
        _axes(found["cameras"], "axis ", np.zeros(3), 1.2 * exhibit.frustum_depth * np.eye(3), scale)
        first = exhibit.cameras[0]
        found["cameras"]["origin"] = Label(text=f"camera of {first.caption}", at=np.zeros(3), color=first.color)
    loose = [box for box in exhibit.boxes if not box.predicted and box.label.lower() not in STRUCTURE]
    loose = sorted((box for box in loose if box.visible_pixels > 0), key=lambda box: -box.visible_pixels)
    for place, box in enumerate([*loose[:max_boxes], *(box for box in exhibit.boxes if box.predicted)]):
        _box(found["answers" if box.predicted else "boxes"], f"{place} {box.label}", box, scale, up)
    for place, point in enumerate(exhibit.points):
        _point(found["prompts" if point.truth is None else "answers"], place, point, scale, up)
    if exhibit.aligned_to_shown is not None:
        _room(found["room"], exhibit, exhibit.aligned_to_shown, scale)
    return found


def frustum_corners(item: ShownCamera, depth: float) -> NDArray[np.float64]:
    """Return the image plane's corners (4, 3) at ``depth`` metres, shown frame, clockwise from the top left."""
    left, top, right, bottom = -0.5, -0.5, item.camera.width - 0.5, item.camera.height - 0.5
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return transform(item.to_shown, item.camera.unproject(pixels, np.full(4, depth)))


def dashes(segments: NDArray[np.float64], length: float, share: float = 0.6) -> NDArray[np.float64]:
    """Cut segments (S, 2, 3) into dashes about ``length`` metres apart, of which ``share`` is drawn, (D, 2, 3)."""
    parts = []
    for start, end in segments:
        count = int(np.clip(round(float(np.linalg.norm(end - start)) / length), 1, 400))
        at = np.arange(count) / count
        ends = np.stack([at, at + share / count], axis=1)[..., None]  # (count, 2, 1)
        parts.append(start + ends * (end - start))
    return np.concatenate(parts)


def _camera(group: dict[str, Piece], name: str, item: ShownCamera, depth: float, scale: float) -> None:
    corners = frustum_corners(item, depth)
    centre = np.broadcast_to(item.to_shown[:3, 3], (4, 3))
    segments = np.concatenate([np.stack([centre, corners], 1), np.stack([corners, np.roll(corners, -1, 0)], 1)])
    group[name] = Lines(segments=segments, color=item.color, pixels=1, radius=LINE * scale * 0.6)
    group[f"{name} image"] = Picture(corners=corners, image=item.image)


def _axes(
    group: dict[str, Piece], name: str, start: NDArray[np.float64], axes: NDArray[np.float64], scale: float
) -> None:
    """Draw three arrows from ``start`` along the rows of ``axes`` (3, 3), with their letters at their ends."""
    for axis, letter, color in zip(axes, "xyz", AXES, strict=True):
        segment = np.stack([start, start + axis])[None]
        group[f"{name}{letter}"] = Lines(segments=segment, color=color, pixels=4, radius=1.6 * LINE * scale, hidden=0.6)
        text = letter if name == "axis " else f"{name}{letter}"
        group[f"{name}{letter} name"] = Label(text=text, at=start + 1.06 * axis, color=color)


def _box(group: dict[str, Piece], name: str, item: ShownBox, scale: float, up: NDArray[np.float64]) -> None:
    corners = item.box.corners
    segments = dashes(corners[BOX_EDGES], DASH * scale) if item.predicted else corners[BOX_EDGES]
    hidden = 0.6 if item.predicted else 0.3
    group[f"{name} box"] = Lines(segments=segments, color=item.color, pixels=2, radius=LINE * scale, hidden=hidden)
    highest = float((corners @ up).max() - item.box.center @ up)
    at = item.box.center + (highest + 0.012 * scale) * up
    group[f"{name} label"] = Label(text=item.text, at=at, color=item.color)


def _point(group: dict[str, Piece], place: int, item: ShownPoint, scale: float, up: NDArray[np.float64]) -> None:
    name, above = f"{place} prompt {item.number}", item.point + 0.02 * scale * up
    if item.truth is not None:
        group[f"{name} answer"] = Ball(center=item.point, radius=1.3 * BALL * scale, color=PREDICTED, answer=True)
        line = dashes(np.stack([item.truth, item.point])[None], DASH * scale)
        group[f"{name} error"] = Lines(segments=line, color=PREDICTED, pixels=2, radius=LINE * scale, hidden=0.7)
        group[f"{name} label"] = Label(text=f"{item.number} {item.label} {item.note}", at=above, color=PREDICTED)
        return
    group[f"{name} ball"] = Ball(center=item.point, radius=BALL * scale, color=item.color)
    if place < MAX_LABELLED:
        if item.eye is not None:
            ray = np.stack([item.eye, item.point])[None]
            group[f"{name} ray"] = Lines(segments=ray, color=item.color, pixels=1, radius=LINE * scale * 0.35)
        group[f"{name} label"] = Label(text=f"{item.number} {item.label}", at=above, color=item.color)


def _room(group: dict[str, Piece], exhibit: Exhibit, to_shown: NDArray[np.float64], scale: float) -> None:
    """Draw a grid on the floor along the axes of the aligned world, a line at every whole metre, and the axes.

    The axes are at the grid's corner, because the world's origin may be anywhere.
    """
    points = transform(np.linalg.inv(to_shown), exhibit.sample.points.astype(np.float64))
    low, high = np.percentile(points if len(points) else np.zeros((1, 3)), [0.5, 99.5], axis=0)
    floor, low = low[2], np.floor(low[:2] + 0.05)
    high = np.maximum(np.ceil(high[:2] - 0.05), low + 1)
    grid = [[[x, low[1], floor], [x, high[1], floor]] for x in np.arange(low[0], high[0] + 0.5)]
    grid += [[[low[0], y, floor], [high[0], y, floor]] for y in np.arange(low[1], high[1] + 0.5)]
    corners = np.array([[x, y, floor] for x, y in (low, (high[0], low[1]), high, (low[0], high[1]))])
    outline = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    for name, lines, width, hidden in (("grid", np.array(grid), 1, 0.12), ("outline", outline, 2, 0.2)):
        segments, radius = transform(to_shown, lines), 0.35 * LINE * scale * width
        group[name] = Lines(segments=segments, color=ROOM, pixels=width, radius=radius, hidden=hidden)
    _axes(group, "room ", transform(to_shown, corners[0]), to_shown[:3, :3].T, scale)
