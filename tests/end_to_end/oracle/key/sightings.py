"""Which frames show an object, by counting the rays that meet it."""

from __future__ import annotations

import numpy as np

from tests.end_to_end.oracle.key.upright_boxes import SURFACE
from tests.end_to_end.oracle.key.verdict import View

LEAST, SHARE = 100, 0.002
ENOUGH = 0.8
"""Share of the least pixels that the key insists on: a record's masks are not cut at the same rays."""
MOST_CUT = 0.25 + 0.06
"""Share of a box's surface outside of a frame from which on the object is cut off, with a tolerance for sampling."""
GLIMPSE = 10


def least_pixels(view: View) -> float:
    """Return the pixels from which on a frame shows an object."""
    return max(LEAST, SHARE * view.lens.width * view.lens.height)


def pixels_of(view: View, position: int, member: int) -> int:
    """Return how many pixels of a frame show an object."""
    return int(view.room.sight(view.frames[position], view.lens).pixels[member])


def is_seen(view: View, position: int, member: int) -> bool:
    """Return whether a frame shows an object well."""
    asked = (view.frames[position], view.lens, member)
    if asked not in view.room.seen:
        view.room.seen[asked] = _is_seen(view, position, member)
    return view.room.seen[asked]


def _is_seen(view: View, position: int, member: int) -> bool:
    if pixels_of(view, position, member) < ENOUGH * least_pixels(view):
        return False
    pose = view.room.poses[view.frames[position]]
    surface = view.room.boxes.part([member]).points(SURFACE)[0]
    inside = view.lens.in_frame((surface - pose[:3, 3]) @ pose[:3, :3])
    return bool(1 - inside.mean() <= MOST_CUT)


def seen_somewhere(view: View, member: int) -> bool:
    """Return whether any frame shows an object well."""
    return any(is_seen(view, position, member) for position in range(len(view.frames)))


def unseen(view: View, members: list[int], position: int | None = None) -> list[str]:
    """Return a complaint for each object that a frame, or any frame, does not show well."""
    if view.room.disturbed:
        return []
    hidden = [
        member
        for member in members
        if not (seen_somewhere(view, member) if position is None else is_seen(view, position, member))
    ]
    where = "any frame" if position is None else f"frame {position + 1}"
    return [f"the {view.room.labels[member]} is hardly seen in {where}" for member in hidden]


def first_shown(view: View, member: int, least: float) -> int:
    """Return the position of the first frame with so many pixels of an object; the number of frames if none has."""
    shown = (position for position in range(len(view.frames)) if pixels_of(view, position, member) >= least)
    return next(shown, len(view.frames))


def visible_points(
    view: View, position: int, member: int, *, inner: bool = False
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the points (n, 3) of an object's pixels in the camera of a frame: right, down, ahead, metres.

    Args:
        view: what is asked about.
        position: of the frame.
        member: the object.
        inner: whether only pixels count of which all neighbours show the object, too.
    """
    import cv2

    sight = view.room.sight(view.frames[position], view.lens)
    shown = (sight.objects == member).astype(np.uint8)
    rows, columns = np.nonzero(cv2.erode(shown, np.ones((3, 3), np.uint8)) if inner else shown)
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    return np.asarray(view.lens.directions(pixels) * sight.depth[rows, columns][:, None])
