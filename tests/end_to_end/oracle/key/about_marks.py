"""Answers about marked pixels: pixel depth, depth order and correspondence, by rays through each mark.

A cross marks what is around its middle, and not what one ray meets that falls through the crack between two doors: of
nine rays, a pixel apart, the one of middle depth counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.oracle.key.grammar import Asked
from tests.end_to_end.oracle.key.verdict import METRES, Verdict, View

Floats = NDArray[np.float64]
AROUND = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2)  # pixels
SHARE_APART, APART = 0.08, 0.1
SPREAD = 0.02
"""Share of its depth that a mark's surface may vary around it."""
SAME_PLACE, SAME_PIXELS = 0.03, 1.5
"""Metres, and pixels of the farther frame, within which two marks show one point."""


def marked(view: View, asked: Asked, numbers: range) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the pixels (n, 2) of numbered marks; all have to be in the frame that the question names."""
    found = {mark.number: mark for mark in view.marks}
    frame = asked.frames[-1] if numbers.start else asked.frames[0]
    assert all(found[number].frame == (asked.frames[0] if number == 1 else frame) for number in numbers)
    return np.array([found[number].pixel for number in numbers], dtype=np.float64)


def surfaces(view: View, frame: int, pixels: Floats) -> tuple[Floats, Floats]:
    """Return the depth (n,) and the place (n, 3) of what marks (n, 2) of a frame of the walk show."""
    depth, _ = view.room.hits(frame, view.lens, (pixels[:, None] + AROUND).reshape(-1, 2))
    middle = np.median(depth.reshape(len(pixels), -1), axis=1)
    pose = view.room.poses[frame]
    return middle, view.lens.directions(pixels) * middle[:, None] @ pose[:3, :3].T + pose[:3, 3]


def pixel_depth(asked: Asked, view: View) -> Verdict:
    """Cast rays through the mark."""
    assert len(view.marks) == 1
    pixels = marked(view, asked, range(1))
    depth = float(surfaces(view, view.frames[asked.frames[0]], pixels)[0][0])
    stretch = float(np.linalg.norm(view.lens.directions(pixels)[0])) if asked.form == "distance" else 1.0
    value = depth * stretch
    return Verdict(number=value, tolerance=METRES + view.noise * value)


def depth_order(asked: Asked, view: View) -> Verdict:
    """Compare the rays through the marks."""
    numbers = range(1, 1 + len(view.marks))
    pixels = marked(view, asked, numbers)
    depth, _ = surfaces(view, view.frames[asked.frames[0]], pixels)
    problems = _about_options(asked, numbers)
    first, second = np.sort(depth)[:2].tolist()
    # Either of the two readings may be off.
    if second - first < max(APART, SHARE_APART * second) - 2 * (METRES + view.noise * second):
        problems.append(f"two marks are {second - first:.3f} m apart in depth")
    return Verdict(
        right=tuple((depth <= depth.min() + METRES).tolist()),
        figure=second - first,
        near=2 * METRES + (SPREAD + 2 * view.noise) * second,
        problems=tuple(problems),
    )


def correspondence(asked: Asked, view: View) -> Verdict:
    """Cast rays through each mark: marks of one point meet the room at the same place."""
    first, second = (view.frames[position] for position in asked.frames)
    numbers = range(2, 1 + len(view.marks))
    here, there = marked(view, asked, range(1, 2)), marked(view, asked, numbers)
    _, (place,) = surfaces(view, first, here)
    depth, places = surfaces(view, second, there)
    apart = np.linalg.norm(places - place, axis=1)
    pose = view.room.poses[second]
    image = view.lens.images(((place - pose[:3, 3]) @ pose[:3, :3])[None])[0]
    off = np.linalg.norm(there - image, axis=1)
    best = int(off.argmin())
    problems = _about_options(asked, numbers)
    focal = min(view.lens.fx, view.lens.fy)
    if off[best] > SAME_PIXELS:
        problems.append(f"the point is {off[best]:.2f} pixels from its mark")
    # A pixel is wider on a surface that is seen from the side.
    if apart[best] > SAME_PLACE + view.noise * depth[best] + 3 * SAME_PIXELS * depth[best] / focal:
        problems.append(f"the right mark shows a place {apart[best]:.3f} m away")
    figure = float(np.sort(off)[1]) if len(off) > 1 else math.inf
    return Verdict(
        right=tuple((off <= off[best] + SAME_PIXELS).tolist()),
        figure=figure,
        near=2 * SAME_PIXELS,
        problems=tuple(problems),
    )


def _about_options(asked: Asked, numbers: range) -> list[str]:
    wanted = tuple(f"cross {number}" for number in numbers)
    return [] if asked.options == wanted else ["the options are not the marks"]
