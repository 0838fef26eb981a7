"""The quality of a view: valid depth, sharpness, and how well its frames agree where they see the same surface."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.consistency import Agreement, Surface, compare_surfaces, sample_surface
from gapdata.records.prepare import PreparedFrame

METRE_DIGITS, SHARE_DIGITS = 5, 4
COARSE_SAMPLES = 64
"""Samples of a frame by which overlap is guessed before two frames are compared."""
PAIRS_PER_FRAME = 2
"""Pairs that are compared beyond neighbouring frames, per frame of the view."""


class QualityMeter:
    """Measures the views of one scan. Neighbouring clips share frames and pairs of frames, so both are remembered.

    Args:
        camera: intrinsics of the stored frames.
        camera_to_world: (N, 4, 4) of all frames of the scan.
        min_overlap: share of the samples of two frames that must be visible in the other for the pair to count.
        capacity: frames remembered; one takes about 80 kB beside the depth that its preparer holds.
    """

    def __init__(
        self, camera: Intrinsics, camera_to_world: NDArray[np.float64], min_overlap: float, capacity: int = 48
    ) -> None:
        self._camera = camera
        self._camera_to_world = camera_to_world
        self._min_overlap = min_overlap
        self._capacity = capacity
        self._surfaces: OrderedDict[int, Surface] = OrderedDict()
        self._agreements: dict[tuple[int, int], Agreement] = {}

    def measure(self, frames: Sequence[PreparedFrame]) -> dict[str, Any]:
        """The figures of one view, as the record stores them.

        ``valid_depth`` and ``sharpness``: per frame. ``pairs``: how many pairs of frames were compared. Over these
        pairs: ``reprojection_error`` (metres) and ``free_space`` of the worst one, ``misalignment`` (metres) of the
        worst one and ``misaligned`` which that is (positions in the view); ``None`` where no pair overlaps enough. See
        :mod:`gapdata.geometry.consistency`.
        """
        ids = [frame.frame_id for frame in frames]
        surfaces = [self._surface(frame) for frame in frames]
        found: dict[tuple[int, int], Agreement] = {}
        for pair in self._pairs(ids, surfaces):
            agreement = self._compare(ids, surfaces, pair)
            if agreement.overlap >= self._min_overlap:
                found[pair] = agreement
        worst = max(found, key=lambda pair: found[pair].misalignment, default=None)
        return {
            "valid_depth": [round(frame.valid_depth, SHARE_DIGITS) for frame in frames],
            "sharpness": [round(frame.sharpness, SHARE_DIGITS) for frame in frames],
            "pairs": len(found),
            "reprojection_error": _largest(found, "reprojection_error", METRE_DIGITS),
            "misalignment": _largest(found, "misalignment", METRE_DIGITS),
            "misaligned": None if worst is None else list(worst),
            "free_space": _largest(found, "free_space", SHARE_DIGITS),
        }

    def _surface(self, frame: PreparedFrame) -> Surface:
        surface = self._surfaces.get(frame.frame_id)
        if surface is None:
            surface = self._surfaces[frame.frame_id] = sample_surface(frame.depth, self._camera)
            if len(self._surfaces) > self._capacity:
                self._surfaces.popitem(last=False)
        return surface

    def _compare(self, ids: Sequence[int], surfaces: Sequence[Surface], pair: tuple[int, int]) -> Agreement:
        first, second = pair
        key = (ids[first], ids[second])
        if key not in self._agreements:
            poses = self._camera_to_world
            first_to_second = np.linalg.inv(poses[key[1]]) @ poses[key[0]]
            self._agreements[key] = compare_surfaces(surfaces[first], surfaces[second], first_to_second)
        return self._agreements[key]

    def _pairs(self, ids: Sequence[int], surfaces: Sequence[Surface]) -> list[tuple[int, int]]:
        """All pairs of a clip; of a long view the neighbours and, evenly spread, some of the others that overlap."""
        pairs = list(itertools.combinations(range(len(ids)), 2))
        budget = (1 + PAIRS_PER_FRAME) * len(ids)
        if len(pairs) <= budget:
            return pairs
        neighbours = [pair for pair in pairs if pair[1] - pair[0] == 1]
        overlap = guessed_overlap(surfaces, self._camera_to_world[list(ids)])
        others = [pair for pair in pairs if pair[1] - pair[0] > 1 and overlap[pair] >= self._min_overlap]
        if len(others) > budget - len(neighbours):
            kept = np.linspace(0, len(others) - 1, budget - len(neighbours)).round().astype(int)
            others = [others[index] for index in kept]
        return neighbours + others


def guessed_overlap(surfaces: Sequence[Surface], camera_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, F) share of a few samples of either frame that fall into the other's image, occlusion left aside."""
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


def _largest(found: Mapping[tuple[int, int], Agreement], name: str, digits: int) -> float | None:
    return round(max(getattr(item, name) for item in found.values()), digits) if found else None
