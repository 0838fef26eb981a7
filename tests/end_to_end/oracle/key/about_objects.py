"""Answers about objects and the room as such: count, distance, nearest, size and room."""

from __future__ import annotations

import numpy as np

from tests.end_to_end.oracle.key.grammar import Asked
from tests.end_to_end.oracle.key.names import all_of, the
from tests.end_to_end.oracle.key.sightings import unseen
from tests.end_to_end.oracle.key.upright_boxes import CORNERS
from tests.end_to_end.oracle.key.verdict import METRES, ROOM_SHARE, Verdict, View

CORNER_SLACK = 3.0
"""Pixels beside the image within which a corner still counts as in sight."""
LEAST_GAP, LEAST_SHARE = 0.15, 0.1


def count(asked: Asked, view: View) -> Verdict:
    """Count the room's labels; every object has to be seen."""
    members = all_of(view.room, asked.names[0])
    problems = unseen(view, members)
    if not 2 <= len(members) <= 10:
        problems.append(f"{len(members)} of a kind are not counted")
    return Verdict(number=float(len(members)), problems=tuple(problems))


def distance(asked: Asked, view: View) -> Verdict:
    """Measure the gap of two boxes; the two objects themselves must not be farther apart by much."""
    one, other = (the(view.room, name) for name in asked.names)
    gap = view.room.gap(one, other)
    problems = unseen(view, [one, other])
    if not 0.2 - METRES <= gap <= 8 + METRES:
        problems.append(f"{gap:.3f} m is too near or too far")
    return Verdict(number=gap, tolerance=METRES, problems=tuple(problems))


def nearest(asked: Asked, view: View) -> Verdict:
    """Compare the gaps of the options' boxes to the target's."""
    target = the(view.room, asked.names[0])
    members = [the(view.room, name) for name in asked.options]
    gaps = np.array([view.room.gap(target, member) for member in members])
    problems = unseen(view, [target, *members])
    ordered = np.sort(gaps)
    least = np.maximum(LEAST_GAP, LEAST_SHARE * ordered[1:])
    if (np.diff(ordered) < least - METRES).any() or ordered[0] < LEAST_GAP - METRES:
        problems.append(f"the distances {ordered.round(3).tolist()} are too near to each other or to 0")
    return Verdict(
        right=tuple((gaps <= gaps.min() + METRES).tolist()),
        figure=float(ordered[1] - ordered[0]),
        near=2 * METRES,
        problems=tuple(problems),
    )


def size(asked: Asked, view: View) -> Verdict:
    """Measure the longest side of the box; every corner has to be in sight of some frame."""
    member = the(view.room, asked.names[0])
    longest = 200 * float(view.room.boxes.half[member].max())
    problems = unseen(view, [member])
    corners = view.room.boxes.part([member]).points(CORNERS)[0]
    covered = np.any([in_sight(view, position, corners) for position in range(len(view.frames))], axis=0)
    if not covered.all():
        problems.append(f"{int((~covered).sum())} corners are outside of all frames")
    if not 20 - 100 * METRES <= longest <= 400 + 100 * METRES:
        problems.append(f"{longest:.1f} cm is too small or too large")
    return Verdict(number=longest, tolerance=100 * METRES, problems=tuple(problems))


def in_sight(
    view: View, position: int, points: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which points (n, 3) of the room project into a frame, whatever hides them."""
    pose = view.room.poses[view.frames[position]]
    return np.asarray(view.lens.in_frame((points - pose[:3, 3]) @ pose[:3, :3], CORNER_SLACK))


def room(asked: Asked, view: View) -> Verdict:
    """Measure the plan's polygon (shoelace: half the sum of the corners' cross products)."""
    place = view.room.corners[:, 0] + 1j * view.room.corners[:, 1]
    area = float(abs((place.conj() * np.roll(place, -1)).imag.sum()) / 2)
    problems = () if 4 * 0.9 <= area <= 60 * 1.1 else (f"{area:.1f} m2 is too small or too large",)
    return Verdict(number=area, tolerance=ROOM_SHARE * area, problems=problems)
