"""Choose the frames of views: clips at a fixed interval, and scene views spread over the whole scan.

Only frames with a rigid, finite pose are candidates; whether a frame's depth is empty is known once it is read, so
callers pass what they know as ``usable``. The choice follows from it alone, so a plan that is made before the frames
are read names the same views.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSelection:
    """The clips of a scan: ``frames`` frames, ``interval`` raw frames apart, one clip every ``step`` raw frames.

    Where the wanted frame is not usable its nearest usable neighbour within ``max_shift`` raw frames stands in (of two
    equally near ones the earlier); a clip that cannot be filled in this way is left out. ``unbroken`` also leaves out a
    clip over which a ``step``-th raw frame is not usable.
    """

    frames: int
    interval: int
    step: int
    max_shift: int
    unbroken: bool = False


def select_clips(usable: NDArray[np.bool_], selection: ClipSelection) -> list[tuple[int, ...]]:
    """Return all clips of a scan as tuples of raw frame indices, by their first frame.

    Args:
        usable: (N,) bool.
        selection: which clips.
    """
    span = selection.interval * (selection.frames - 1)
    clips: dict[int, tuple[int, ...]] = {}
    for start in range(0, len(usable) - span, selection.step):
        if selection.unbroken and not usable[start : start + span + 1 : selection.step].all():
            continue
        wanted = range(start, start + span + 1, selection.interval)
        clip = [_nearest_usable(usable, frame, selection.max_shift) for frame in wanted]
        chosen = tuple(frame for frame in clip if frame is not None)
        if len(chosen) == selection.frames and all(a < b for a, b in itertools.pairwise(chosen)):
            clips.setdefault(chosen[0], chosen)
    return list(clips.values())


def select_uniform(usable: NDArray[np.bool_], count: int, *, grid: int = 1, first: int = 0) -> tuple[int, ...]:
    """Choose ``count`` usable frames spread evenly over the usable ones, first and last included.

    There are fewer where fewer frames are usable.

    Args:
        usable: (N,) bool.
        count: frames wanted.
        grid: only multiples of it are candidates.
        first: place of the candidate that comes first; those before it follow after the last one (VG-LLM's rotation).
    """
    candidates = np.roll(np.flatnonzero(usable[::grid]) * grid, -first)
    if len(candidates) <= count:
        return tuple(int(frame) for frame in candidates)
    positions = np.rint(np.linspace(0, len(candidates) - 1, count)).astype(np.int64)
    return tuple(int(frame) for frame in candidates[positions])


def select_around(usable: NDArray[np.bool_], frame: int, *, reach: int, interval: int) -> tuple[int, ...]:
    """Return ``frame``, then its usable neighbours at multiples of ``interval``.

    Those after it come first, then those before it, each nearest first.
    """
    steps = range(interval, reach + 1, interval)
    wanted = [frame, *(frame + step for step in steps), *(frame - step for step in steps)]
    return tuple(other for other in wanted if 0 <= other < len(usable) and usable[other])


def _nearest_usable(usable: NDArray[np.bool_], frame: int, max_shift: int) -> int | None:
    for shift in range(max_shift + 1):
        for candidate in (frame - shift, frame + shift):
            if 0 <= candidate < len(usable) and usable[candidate]:
                return candidate
    return None
