"""Choose the pairs of a view's frames that are compared, and judge the view by them together.

One pair is a poor judge. Where two frames share little surface, or see it at grazing angles, single pairs of a good
real scan disagree by centimetres; and even good poses drift, so that frames which are far apart in time disagree where
neighbours do not. So each frame is judged by the *median* of its pairs, and the view by its worst frame:

* **neighbours**, at most :data:`REACH` places apart in the order of time, tell bad poses, depth and calibration from
  good ones. A break in the track, after which everything is elsewhere, hides from that median, because half of a
  frame's neighbours are on its own side; so the pairs across each gap between two frames have a median, too.
* **distant** pairs are further apart, or share so little (less than ``min_overlap``, but at least :data:`BARELY` of it)
  that they are as uncertain. They tell how far the poses have drifted, which must be allowed for, and they judge frames
  without neighbours: those of a camera that turns fast, or of poses so wrong that neighbours hardly meet.

Neighbours that should see the same surface and do not (cameras hundreds of metres apart, because translations were
written in millimetres) are reported apart: see :func:`shares_nothing`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.consistency import Agreement, Surface

Pair = tuple[int, int]
"""Positions of two frames in their view, the smaller first."""
COARSE_SAMPLES = 64
"""Samples of a frame by which overlap is guessed before two frames are compared."""
PAIRS_PER_FRAME = 3
"""Pairs that are compared, per frame of a long view; of a short one all are."""
REACH = 3
"""Places in the order of time within which two frames of a view are neighbours."""
CHOSEN_REACH = 2
"""Neighbours within this many places are compared before any other pair of a long view."""
BARELY = 0.5
"""Pairs that overlap by less than ``min_overlap``, but not by less than this share of it, count as distant."""
MIN_SHARED = 0.02
"""Two frames that share less of their surface than this count as sharing nothing: the rest is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """The worst frame's median of each figure of :class:`Agreement`, over some of a view's pairs."""

    misalignment: float  # metres
    residual: float
    free_space: float
    frame: int
    """Position of the frame with the largest residual."""


def guessed_overlap(surfaces: Sequence[Surface], camera_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Guess the overlap of all pairs of frames, (F, F), from a few samples of each.

    It is the share of the samples of either frame that fall into the other's image; occlusion is left aside.
    """
    count = len(surfaces)
    inside = np.zeros((count, count))
    world_to_camera = np.linalg.inv(camera_to_world)
    for index, surface in enumerate(surfaces):
        points = surface.points[:, :: max(1, surface.points.shape[1] // COARSE_SAMPLES)].T.astype(np.float64)
        if not len(points):
            continue
        camera = surface.camera
        to_others = world_to_camera @ camera_to_world[index]
        local = np.einsum("fij,pj->fpi", to_others[:, :3, :3], points) + to_others[:, None, :3, 3]
        pixels = camera.project(local)
        with np.errstate(invalid="ignore"):
            seen = (pixels >= -0.5).all(-1) & (pixels < [camera.width - 0.5, camera.height - 0.5]).all(-1)
        inside[index] = seen.mean(axis=1)
    return (inside + inside.T) / 2


def choose_pairs(
    surfaces: Sequence[Surface],
    camera_to_world: NDArray[np.float64],
    ranks: Sequence[int],
    min_overlap: float,
) -> list[Pair]:
    """Choose the pairs that are compared: all of a short view, or the neighbours and some others of a long one.

    The others overlap and are evenly spread.

    Args:
        surfaces: of the F frames.
        camera_to_world: (F, 4, 4).
        ranks: each frame's place in the order of time, 0..F-1.
        min_overlap: share of two frames that must be visible in the other for a pair to be worth comparing.
    """
    count = len(surfaces)
    pairs = list(itertools.combinations(range(count), 2))
    budget = PAIRS_PER_FRAME * count
    if len(pairs) <= budget:
        return pairs
    apart = {(a, b): abs(ranks[a] - ranks[b]) for a, b in pairs}
    overlap = guessed_overlap(surfaces, camera_to_world)
    promising = [pair for pair in pairs if overlap[pair] >= min_overlap]
    # Adjacent frames are compared in any case: if they share nothing, something is wrong.
    chosen = [pair for pair in pairs if apart[pair] == 1]
    chosen += [pair for pair in promising if 1 < apart[pair] <= CHOSEN_REACH]
    others = [pair for pair in promising if apart[pair] > CHOSEN_REACH]
    if len(others) > budget - len(chosen):
        kept = np.linspace(0, len(others) - 1, budget - len(chosen)).round().astype(int)
        others = [others[index] for index in kept]
    return chosen + others


def neighbour_consensus(found: Mapping[Pair, Agreement], ranks: Sequence[int]) -> Consensus | None:
    """Return the consensus of the pairs of neighbours, of each frame and across each gap.

    Args:
        found: the pairs that overlap enough to count.
        ranks: each frame's place in the order of time.

    Returns:
        The consensus; ``None`` where no neighbours are among the pairs.
    """
    near = {pair: item for pair, item in found.items() if _apart(pair, ranks) <= REACH}
    groups = _by_frame(near)
    frame_at = {rank: frame for frame, rank in enumerate(ranks)}
    for later in range(1, len(ranks)):
        across = [item for pair, item in near.items() if min(_ranks(pair, ranks)) < later <= max(_ranks(pair, ranks))]
        if len(across) > 1:
            groups.append((frame_at[later], across))
    return _worst(groups)


def distant_consensus(
    found: Mapping[Pair, Agreement], barely: Mapping[Pair, Agreement], ranks: Sequence[int]
) -> Consensus | None:
    """Return the consensus of the distant pairs, of each frame.

    Args:
        found: the pairs that overlap enough to count; neighbours among them are left aside.
        barely: the pairs that nearly do; all of these count.
        ranks: each frame's place in the order of time.

    Returns:
        The consensus; ``None`` where no distant pairs are among them.
    """
    far = {pair: item for pair, item in found.items() if _apart(pair, ranks) > REACH}
    return _worst(_by_frame({**far, **barely}))


def shares_nothing(agreement: Agreement) -> bool | None:
    """Return whether two frames show no common surface; ``None`` where missing depth leaves too little to tell."""
    return None if agreement.shared is None else agreement.shared < MIN_SHARED


def _by_frame(found: Mapping[Pair, Agreement]) -> list[tuple[int, list[Agreement]]]:
    frames = sorted({frame for pair in found for frame in pair})
    return [(frame, [item for pair, item in found.items() if frame in pair]) for frame in frames]


def _worst(groups: Sequence[tuple[int, Sequence[Agreement]]]) -> Consensus | None:
    if not groups:
        return None
    residuals = [_lower_median([item.residual for item in items]) for _, items in groups]
    return Consensus(
        misalignment=max(_lower_median([item.misalignment for item in items]) for _, items in groups),
        residual=max(residuals),
        free_space=max(_lower_median([item.free_space for item in items]) for _, items in groups),
        frame=groups[residuals.index(max(residuals))][0],
    )


def _lower_median(values: Sequence[float]) -> float:
    """Return the middle value, the lower of two: a good frame beside a single bad one has one bad pair of two."""
    return sorted(values)[(len(values) - 1) // 2]


def _ranks(pair: Pair, ranks: Sequence[int]) -> Pair:
    return ranks[pair[0]], ranks[pair[1]]


def _apart(pair: Pair, ranks: Sequence[int]) -> int:
    return abs(ranks[pair[0]] - ranks[pair[1]])
