"""Measure the quality of a view: valid depth, sharpness, and how well its frames agree on the same surface."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.consistency import Agreement, Surface, compare_surfaces, sample_surface
from gapdata.geometry.view_agreement import (
    BARELY,
    Consensus,
    Pair,
    choose_pairs,
    distant_consensus,
    neighbour_consensus,
    shares_nothing,
)
from gapdata.records.prepare import PreparedFrame

METRE_DIGITS, SHARE_DIGITS = 5, 4
SECOND = 30
"""Raw frames within which two frames must share some surface: a second at 30 Hz."""


class QualityMeter:
    """The figures of the views of one scan. Neighbouring clips share frames and pairs, so both are remembered.

    Args:
        camera: gives the intrinsics of a stored frame by its raw index.
        camera_to_world: (N, 4, 4) of all frames of the scan.
        min_overlap: share of the samples of two frames that must be visible in the other for the pair to count.
        capacity: frames remembered; one takes about 80 kB beside the depth that its preparer holds.
    """

    def __init__(
        self,
        camera: Callable[[int], Intrinsics],
        camera_to_world: NDArray[np.float64],
        min_overlap: float,
        capacity: int = 48,
    ) -> None:
        self._camera = camera
        self._camera_to_world = camera_to_world
        self._min_overlap = min_overlap
        self._capacity = capacity
        self._surfaces: OrderedDict[int, Surface] = OrderedDict()
        self._agreements: dict[tuple[int, int], Agreement] = {}

    def measure(self, frames: Sequence[PreparedFrame]) -> dict[str, Any]:
        """Return the figures of one view, as the record stores them.

        Per frame: ``valid_depth`` and ``sharpness``. ``pairs``: how many pairs of frames overlap enough to be judged.

        Of the worst of these pairs: ``reprojection_error`` (metres), ``free_space``, ``misalignment`` (metres), and
        ``misaligned``, the positions of that pair in the view.

        Of the frame that disagrees most with most of its neighbours in time: ``neighbour_misalignment`` (metres),
        ``neighbour_residual``, ``neighbour_free_space``, and ``outlier``, the position of that frame. Of the frame that
        disagrees most with most of the others, further away in time or barely overlapping: ``distant_misalignment``
        (metres) and ``distant_residual``. See
        :mod:`gapdata.geometry.consistency` and :mod:`gapdata.geometry.view_agreement`.

        ``overlap``: the median over adjacent frames, in the order of time, of the share of what they see that both see.
        ``unshared``: of two or more adjacent frames within a second, the share that has no surface in common.

        A figure is ``None`` where there was nothing to measure.
        """
        ids = [frame.frame_id for frame in frames]
        surfaces = [self.surface(frame.frame_id, frame.depth) for frame in frames]
        ranks = np.argsort(np.argsort(ids, kind="stable")).tolist()
        compared = {
            pair: self.compare(ids[pair[0]], ids[pair[1]], surfaces[pair[0]], surfaces[pair[1]])
            for pair in choose_pairs(surfaces, self._camera_to_world[ids], ranks, self._min_overlap)
        }
        found = {pair: item for pair, item in compared.items() if item.overlap >= self._min_overlap}
        worst = max(found, key=lambda pair: found[pair].misalignment, default=None)
        least = BARELY * self._min_overlap
        barely = {pair: item for pair, item in compared.items() if least <= item.overlap < self._min_overlap}
        near, distant = neighbour_consensus(found, ranks), distant_consensus(found, barely, ranks)
        adjacent = {pair: item for pair, item in compared.items() if abs(ranks[pair[0]] - ranks[pair[1]]) == 1}
        return {
            "valid_depth": [round(frame.valid_depth, SHARE_DIGITS) for frame in frames],
            "sharpness": [round(frame.sharpness, SHARE_DIGITS) for frame in frames],
            "pairs": len(found),
            "reprojection_error": _largest(found, "reprojection_error", METRE_DIGITS),
            "misalignment": _largest(found, "misalignment", METRE_DIGITS),
            "misaligned": None if worst is None else list(worst),
            "free_space": _largest(found, "free_space", SHARE_DIGITS),
            "neighbour_misalignment": near and round(near.misalignment, METRE_DIGITS),
            "neighbour_residual": near and round(near.residual, SHARE_DIGITS),
            "neighbour_free_space": near and round(near.free_space, SHARE_DIGITS),
            "outlier": _frame(near or distant),
            "distant_misalignment": distant and round(distant.misalignment, METRE_DIGITS),
            "distant_residual": distant and round(distant.residual, SHARE_DIGITS),
            "overlap": _overlap(adjacent),
            "unshared": _unshared({pair: item for pair, item in adjacent.items() if _within_a_second(ids, pair)}),
        }

    def surface(self, frame: int, depth: NDArray[np.uint16]) -> Surface:
        """Return the samples of a frame, from its depth at the stored size: (H, W) uint16 millimetres."""
        surface = self._surfaces.get(frame)
        if surface is None:
            surface = self._surfaces[frame] = sample_surface(depth, self._camera(frame))
            if len(self._surfaces) > self._capacity:
                self._surfaces.popitem(last=False)
        return surface

    def compare(self, first: int, second: int, one: Surface, other: Surface) -> Agreement:
        """Return how two frames agree under the scan's poses; ``one`` and ``other`` are their samples."""
        if (first, second) not in self._agreements:
            poses = self._camera_to_world
            first_to_second = np.linalg.inv(poses[second]) @ poses[first]
            self._agreements[first, second] = compare_surfaces(one, other, first_to_second)
        return self._agreements[first, second]


def _frame(consensus: Consensus | None) -> int | None:
    return None if consensus is None else consensus.frame


def _within_a_second(ids: Sequence[int], pair: Pair) -> bool:
    return abs(ids[pair[0]] - ids[pair[1]]) <= SECOND


def _overlap(adjacent: Mapping[Pair, Agreement]) -> float | None:
    if not adjacent:
        return None
    return round(float(np.median([item.overlap for item in adjacent.values()])), SHARE_DIGITS)


def _unshared(adjacent: Mapping[Pair, Agreement]) -> float | None:
    known = [found for found in map(shares_nothing, adjacent.values()) if found is not None]
    return round(sum(known) / len(known), SHARE_DIGITS) if len(known) > 1 else None


def _largest(found: Mapping[tuple[int, int], Agreement], name: str, digits: int) -> float | None:
    return round(max(getattr(item, name) for item in found.values()), digits) if found else None
