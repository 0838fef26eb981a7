"""Find out from colour whether depth or poses are shifted against the other two of colour, depth and poses.

Depth fits poses of n frames later. Either the poses are moved, and colour belongs to the depth of its frame; or the
depth is moved, and colour belongs to the pose of its frame. A surface that two frames see has one colour: brightness is
looked up where each of the two would have it, and whichever correlates better between the frames is right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.camera import transform
from gapdata.geometry.pose_trials import Reading, Trials
from gapdata.sources.base import Scan

PAIRS = 6
FEWEST_SAMPLES = 100
REDUCED_WIDTH = 320


def depth_is_shifted(scan: Scan, trials: Trials, reading: Reading, shift: int) -> bool:
    """Return whether the depth is shifted, and not the poses.

    Args:
        scan: where colour is read.
        trials: the frames, with depth that fits ``reading``.
        reading: with the poses of ``shift`` frames later.
        shift: places of the scan's frames.
    """
    frames = np.flatnonzero(scan.present)
    own, moved = [], []
    for first, second in trials.frames.pairs[:: max(1, len(trials.frames.pairs) // PAIRS)]:
        places = [int(trials.frames.places[position]) for position in (first, second)]
        if not all(0 <= place + shift < len(frames) for place in places):
            continue
        try:
            with_own = [_brightness(scan, int(frames[place])) for place in places]
            with_moved = [_brightness(scan, int(frames[place + shift])) for place in places]
        except SourceError:
            continue
        sights = trials.seen_by_both(reading, first, second)
        own.append(_correlation(scan, sights, with_own))
        moved.append(_correlation(scan, sights, with_moved))
    return len(own) > 0 and float(np.median(moved)) > float(np.median(own))


def _brightness(scan: Scan, frame: int) -> NDArray[np.float32]:
    """Return the brightness of the colour image, made smaller, (h, w)."""
    reduction = next((r for r in (8, 4, 2) if scan.color_intrinsics.width >= r * REDUCED_WIDTH), 1)
    return np.asarray(scan.color(frame, reduction).mean(axis=-1, dtype=np.float32))


def _correlation(
    scan: Scan, sights: tuple[NDArray[np.float64], NDArray[np.float64]], images: list[NDArray[np.float32]]
) -> float:
    """Correlate the brightness of points (n, 3) that two depth cameras see, each in its own metres."""
    values, inside = [], np.ones(len(sights[0]), dtype=bool)
    for points, image in zip(sights, images, strict=True):
        camera = scan.color_intrinsics.resized(image.shape[1], image.shape[0])
        pixels = np.nan_to_num(camera.project(transform(scan.depth_to_color, points)), nan=-1).round().astype(int)
        inside &= (pixels >= 0).all(-1) & (pixels < [camera.width, camera.height]).all(-1)
        pixels = np.clip(pixels, 0, [camera.width - 1, camera.height - 1])
        values.append(image[pixels[:, 1], pixels[:, 0]])
    if np.count_nonzero(inside) < FEWEST_SAMPLES:
        return 0.0
    correlation = np.corrcoef(values[0][inside], values[1][inside])[0, 1]
    return float(np.nan_to_num(correlation))
