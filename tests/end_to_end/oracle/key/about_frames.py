"""Answers about what frames show, and how the camera moved between them: motion by quaternions."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from tests.end_to_end.oracle.key.about_places import lower_or_higher
from tests.end_to_end.oracle.key.grammar import Asked
from tests.end_to_end.oracle.key.names import the
from tests.end_to_end.oracle.key.sightings import GLIMPSE, first_shown, least_pixels, unseen, visible_points
from tests.end_to_end.oracle.key.upright_boxes import CORNERS, distances_from
from tests.end_to_end.oracle.key.verdict import DEGREES, METRES, Verdict, View, chosen

Floats = NDArray[np.float64]
AXES = {"side": (0, ("left", "right")), "height": (1, ("above", "below")), "depth": (2, ("nearer", "farther"))}
LEAST_GAP = 0.15
LEAST_STEP, LEAST_TURN, MOST_TURN = 0.15, 10.0, 120.0
DOMINANT = 1.5
WAYS = (("right", "left"), ("up", "down"), ("forward", "backward"))
APART = 2
POINT_SLACK = 0.04
"""Metres by which the outermost points of an object may differ between a record's masks and the key's rays."""


def camera_distance(asked: Asked, view: View) -> Verdict:
    """Project the camera's place onto the box."""
    member, position = the(view.room, asked.names[0]), asked.frames[0]
    pose = view.room.poses[view.frames[position]]
    boxes = view.room.boxes.part([member])
    gap = float(distances_from(pose[:3, 3], boxes)[0])
    problems = unseen(view, [member], position)
    if ((boxes.points(CORNERS)[0] - pose[:3, 3]) @ pose[:3, 2] < -METRES).any():
        problems.append("a part of the object is behind the camera")
    if not 0.3 - METRES <= gap <= 8 + METRES:
        problems.append(f"{gap:.3f} m is too near or too far")
    return Verdict(number=gap, tolerance=METRES, problems=tuple(problems))


def order(asked: Asked, view: View) -> Verdict:
    """Look for the first frame that shows each object, whatever share of the least pixels counts as shown."""
    names = sorted({name for option in asked.options for name in option.split(", ")})
    members = {name: the(view.room, name) for name in names}
    problems = [] if all(len(option.split(", ")) == len(names) for option in asked.options) else ["a name is missing"]
    problems += unseen(view, list(members.values()))
    clear, glimpse = (
        {name: first_shown(view, member, least) for name, member in members.items()}
        for least in (GLIMPSE if view.room.disturbed else least_pixels(view), GLIMPSE)
    )
    answer = ", ".join(sorted(names, key=lambda name: (clear[name], glimpse[name])))
    ordered = answer.split(", ")
    apart = min(glimpse[later] - clear[earlier] for earlier, later in itertools.pairwise(ordered))
    if apart < APART - 1:
        problems.append(f"two objects appear {apart} frames after each other")
    return chosen(asked.options, answer, figure=float(apart), near=math.inf, problems=tuple(problems))


def relation(asked: Asked, view: View) -> Verdict:
    """Compare the intervals of the points that rays of a frame meet."""
    members, position = [the(view.room, name) for name in asked.names], asked.frames[0]
    axis, words = AXES[asked.form]
    clouds = [visible_points(view, position, member)[:, axis] for member in members]
    problems = unseen(view, members, position)
    answer, _ = lower_or_higher(clouds[0], clouds[1], words)
    # The border of a mask may be a pixel off: what shows there alone does not count for how far objects are apart.
    inner = [visible_points(view, position, member, inner=True)[:, axis] for member in members]
    one, other = (part if len(part) else cloud for part, cloud in zip(inner, clouds, strict=True))
    _, gap = lower_or_higher(one, other, words)
    if gap < LEAST_GAP - POINT_SLACK:
        problems.append(f"the intervals are {gap:.3f} m apart")
    return chosen(asked.options, answer, figure=gap, near=math.inf, problems=tuple(problems))


def camera_motion(asked: Asked, view: View) -> Verdict:
    """Turn the step and the second view's forward axis into the first camera by its quaternion."""
    step, ahead = motion(view, *asked.frames)
    if not asked.form.startswith("turn "):
        value = float(step[[way for way, _ in WAYS].index(asked.form)])
        problems = (f"{value:.3f} m is too little",) if abs(value) < LEAST_STEP - METRES else ()
        return Verdict(number=value, tolerance=METRES, problems=problems)
    right, up, forward = ahead.tolist()
    yaw = math.degrees(cmath.phase(complex(forward, right)))
    pitch = math.degrees(cmath.phase(complex(abs(complex(right, forward)), up)))
    value = yaw if asked.form == "turn right" else pitch
    within = LEAST_TURN - DEGREES <= abs(value) <= MOST_TURN + DEGREES
    return Verdict(number=value, tolerance=DEGREES, problems=() if within else (f"{value:.1f} degrees",))


def camera_direction(asked: Asked, view: View) -> Verdict:
    """Take the longest part of the step."""
    step, _ = motion(view, *asked.frames)
    lengths = np.abs(step)
    axis = int(lengths.argmax())
    _, second, first = np.sort(lengths).tolist()
    problems = []
    if first < LEAST_STEP - METRES or (first < DOMINANT * second - 2 * METRES and not view.room.disturbed):
        problems.append(f"the step {step.round(3).tolist()} has no direction")
    answer = WAYS[axis][0 if step[axis] > 0 else 1]
    return chosen(asked.options, answer, figure=float(step[axis]), near=METRES, problems=tuple(problems))


def motion(view: View, first: int, second: int) -> tuple[Floats, Floats]:
    """Return the step and the second camera's forward axis, (3,) each: right, up and forward of the first camera."""
    begin, end = (view.room.poses[view.frames[position]] for position in (first, second))
    back = _conjugate(_quaternion(begin[:3, :3]))
    step = _rotated(back, end[:3, 3] - begin[:3, 3])
    turn = _product(back, _quaternion(end[:3, :3]))
    ahead = _rotated(turn, np.array([0.0, 0.0, 1.0]))
    up = np.array([1.0, -1.0, 1.0])
    return step * up, ahead * up


def _quaternion(matrix: Floats) -> Floats:
    """Return the unit quaternion (w, x, y, z) of a rotation: the main eigenvector of Bar-Itzhack's matrix (2000)."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray(vectors[:, int(values.argmax())])


def _product(one: Floats, other: Floats) -> Floats:
    w, v, s, u = one[0], one[1:], other[0], other[1:]
    return np.concatenate([[w * s - v @ u], w * u + s * v + np.cross(v, u)])


def _conjugate(turn: Floats) -> Floats:
    return turn * np.array([1.0, -1.0, -1.0, -1.0])


def _rotated(turn: Floats, vector: Floats) -> Floats:
    return _product(_product(turn, np.concatenate([[0.0], vector])), _conjugate(turn))[1:]
