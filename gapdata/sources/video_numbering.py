"""Find out whether a video with one frame less than there are poses lacks the first or the last one.

A surface that two frames see has one brightness. Whichever numbering makes the brightness of such surfaces, which depth
and poses tell, more alike is right. The camera must move differently in the two frames: both images of a camera that
moves on alike are wrong by the same way, so that they still fit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics, transform

PAIRS = 12
GAPS = (5, 10, 20, 40)  # rows between the two of a pair
LARGEST_TURN = 0.4  # radians between the two rows of a pair
LARGEST_STEP = 0.5  # metres, likewise
TYPICAL_DEPTH = 2.0  # metres at which a step moves the image as much as a turn
FEWEST_SAMPLES = 200
SAME_SURFACE = 0.05  # metres
LAST_ROW = 400
"""Rows after which no pair is looked for: the video is decoded up to there twice."""


def moving_pairs(poses: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return pairs of rows with different motion, for which a wrong numbering moves the two images apart.

    Args:
        poses: (n, 4, 4) camera to world, NaN for rows that cannot be used.
    """
    count = min(len(poses) - 1, LAST_ROW)  # the last has no image if the first has one
    steps = np.full((count, 4, 4), np.nan)
    for row in range(1, count):
        steps[row] = (
            np.linalg.inv(poses[row - 1]) @ poses[row] if np.isfinite(poses[row - 1 : row + 1]).all() else np.nan
        )
    speeds = np.concatenate([_turn(steps), steps[:, :3, 3] / TYPICAL_DEPTH], axis=1)  # (n, 6) a row
    found: list[tuple[float, int, int]] = []
    for gap in GAPS:
        for row in range(1, count - gap):
            if not (np.isfinite(steps[row]).all() and np.isfinite(steps[row + gap]).all()):
                continue
            between = np.linalg.inv(poses[row]) @ poses[row + gap]
            near = np.linalg.norm(_turn(between[None])[0]) < LARGEST_TURN
            if near and np.linalg.norm(between[:3, 3]) < LARGEST_STEP:
                found.append((float(np.linalg.norm(speeds[row] - speeds[row + gap])), row, row + gap))
    chosen: list[tuple[int, int]] = []
    for _, one, other in sorted(found, reverse=True):
        if all(abs(one - known) > 2 for known, _ in chosen):
            chosen.append((one, other))
        if len(chosen) == PAIRS:
            break
    return chosen


def _turn(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations of small steps (n, 4, 4) as vectors (n, 3) in radians."""
    rotation = poses[:, :3, :3]
    corners = [rotation[:, 2, 1] - rotation[:, 1, 2], rotation[:, 0, 2] - rotation[:, 2, 0]]
    return np.stack([*corners, rotation[:, 1, 0] - rotation[:, 0, 1]], axis=1) / 2


def find_first_row(
    image: Callable[[int], NDArray[np.uint8]],
    poses: NDArray[np.float64],
    depth: Callable[[int], NDArray[np.float32]],
    camera: Callable[[int], Intrinsics],
) -> int:
    """Return the row to which the first frame of a video belongs: 1 if it lacks the first, 0 if it lacks the last.

    Without pairs that tell it is 1: writers of phones lose the first frame, because its time is negative.

    Args:
        image: gives a frame of the video, which has one less than there are rows.
        poses: (n, 4, 4) camera to world, NaN for rows that cannot be used.
        depth: gives the depth of a row, (H, W) metres, 0 where unknown.
        camera: gives its depth camera, which is colour's at this size.

    Raises:
        ValueError: the video or a depth image is damaged.
    """
    pairs = moving_pairs(poses)
    wanted = sorted({row - first for pair in pairs for row in pair for first in (0, 1)})
    if not pairs:
        return 1
    size = camera(pairs[0][0])
    images = {index: _brightness(image(index), size) for index in wanted}
    better: list[float] = []
    for one, other in pairs:
        to_other = np.linalg.inv(poses[other]) @ poses[one]
        places = _seen_by_both(depth(one), camera(one), depth(other), camera(other), to_other)
        if len(places[0]) >= FEWEST_SAMPLES:
            alike = [_correlation(images[one - first], images[other - first], places) for first in (0, 1)]
            better.append(alike[0] - alike[1])
    return 0 if better and np.median(better) > 0 else 1


def _brightness(image: NDArray[np.uint8], camera: Intrinsics) -> NDArray[np.float32]:
    """Return the brightness of a colour image at the size of a camera, (H, W)."""
    import cv2

    small = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
    return np.asarray(small.mean(axis=-1, dtype=np.float32))


def _seen_by_both(
    depth: NDArray[np.float32],
    camera: Intrinsics,
    other_depth: NDArray[np.float32],
    other_camera: Intrinsics,
    to_other: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels (n,) of one image, by their place in it, and of another, that show the same surface."""
    own = np.flatnonzero(depth)
    rows, columns = np.divmod(own, camera.width)
    points = transform(to_other, camera.unproject(np.stack([columns, rows], axis=-1), depth.ravel()[own]))
    pixels = np.nan_to_num(other_camera.project(points), nan=-1.0).round().astype(int)
    inside = (pixels >= 0).all(-1) & (pixels < [other_camera.width, other_camera.height]).all(-1)
    own, points, pixels = own[inside], points[inside], pixels[inside]
    there = pixels[:, 1] * other_camera.width + pixels[:, 0]
    same = np.abs(other_depth.ravel()[there] - points[:, 2]) < SAME_SURFACE
    return own[same], there[same]


def _correlation(
    image: NDArray[np.float32], other: NDArray[np.float32], places: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> float:
    correlation = np.corrcoef(image.ravel()[places[0]], other.ravel()[places[1]])[0, 1]
    return float(np.nan_to_num(correlation))
