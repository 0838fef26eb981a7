"""Refuse whole scans that are too badly posed to build from, by a few neighbouring frames, before any view is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.engine.bad_views import BADLY_POSED, CURE
from gapdata.engine.recipe import QualityRecipe
from gapdata.errors import SourceError
from gapdata.geometry.consistency import Agreement
from gapdata.geometry.view_agreement import BARELY, shares_nothing
from gapdata.records.prepare import FramePreparer
from gapdata.records.quality import SECOND, QualityMeter
from gapdata.sources.base import Scan

PROBED_PAIRS = 8
"""Pairs of neighbouring frames by which a scan is judged."""
MOST = 0.75
"""Share of these pairs that must disagree for the whole scan to be refused. Fewer may be a bad stretch, which is judged
view by view."""
FAR_APART = "translations in millimetres or centimetres?"
OTHER_AXES = "poses from world to camera, or other axes?"
SCAN_CURE = "give translations in metres, from camera to world, with x right, y down and z forward"


def refuse_bad_scan(
    scan: Scan,
    preparer: FramePreparer,
    meter: QualityMeter,
    usable: NDArray[np.bool_],
    preferred: Sequence[int],
    recipe: QualityRecipe,
    far: float,
) -> None:
    """Judge a scan by a few pairs of frames at most a second apart, before any of its views is built.

    Frames that are further apart are judged only where their cameras are too far from each other to see the same
    surface. Frames that cannot be read are left to the views that need them.

    Args:
        scan: the scan.
        preparer: gives the depth of its frames.
        meter: measures how well two of them agree.
        usable: (N,) bool, frames that may enter a view.
        preferred: frames that views need anyway.
        recipe: the thresholds.
        far: metres beyond which depth counts as invalid.

    Raises:
        SourceError: most of the pairs share no surface, or nearly all disagree.
    """
    probe = _Probe(scan=scan, preparer=preparer, meter=meter, usable=np.flatnonzero(usable), limits=recipe, far=far)
    pairs = neighbour_pairs(probe.usable, preferred, PROBED_PAIRS)
    verdicts = {pair: verdict for pair in pairs if (verdict := probe.verdict(pair)) is not None}
    unshared = [pair for pair, verdict in verdicts.items() if verdict == "unshared"]
    bad = [pair for pair, verdict in verdicts.items() if verdict != "agrees"]
    if unshared and len(unshared) > recipe.max_unshared * len(verdicts):
        raise probe.no_shared_surface(unshared, len(verdicts))
    if len(verdicts) >= PROBED_PAIRS // 2 and len(bad) > MOST * len(verdicts):
        raise probe.disagreement(bad, len(verdicts))


def neighbour_pairs(usable: NDArray[np.intp], preferred: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Return pairs of frames, spread evenly over a scan.

    A preferred frame is paired with the last preferred one within a second of it; else with the last usable one within
    a second; else with the next usable one, however far.

    Args:
        usable: (M,) frames with a pose, ascending.
        preferred: some of them, in any order.
        count: how many pairs are wanted; a short scan gives fewer.
    """
    wanted = np.unique(np.array(preferred, dtype=np.intp))
    starts = wanted[wanted < usable[-1]] if len(wanted) else usable[:-1]
    if not len(starts):
        return []
    pairs = []
    for start in starts[np.unique(np.linspace(0, len(starts) - 1, count).round().astype(int))]:
        partner = _last_within(wanted, start)
        if partner is None:
            partner = _last_within(usable, start)
        if partner is None:
            partner = usable[np.searchsorted(usable, start, side="right")]
        pairs.append((int(start), int(partner)))
    return pairs


def _last_within(frames: NDArray[np.intp], start: np.intp) -> np.intp | None:
    at = int(np.searchsorted(frames, start + SECOND, side="right")) - 1
    return frames[at] if at >= 0 and frames[at] > start else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """A scan, to judge pairs of its frames."""

    scan: Scan
    preparer: FramePreparer
    meter: QualityMeter
    usable: NDArray[np.intp]  # (M,) frames with a pose, ascending
    limits: QualityRecipe
    far: float  # metres

    def verdict(self, pair: tuple[int, int]) -> str | None:
        """Return ``agrees``, ``disagrees`` or ``unshared``, or ``None`` where it cannot be told."""
        first, second = pair
        if second - first > SECOND:
            return "unshared" if self.distance(pair) > 2 * self.far else None
        least = BARELY * self.limits.min_overlap
        following = int(self.usable[np.searchsorted(self.usable, first, side="right")])
        try:
            found = self._compare(first, second)
            if found.overlap < least and following != second:
                # A fast turn, or renumbered frames that are many seconds apart: the next frame must share something.
                found = self._compare(first, following)
        except SourceError:
            return None
        if found.overlap >= least:
            allowed = 1.0 if found.overlap >= self.limits.min_overlap else self.limits.drift
            return "disagrees" if self._disagrees(found, allowed) else "agrees"
        # Such a small overlap is often chance: cameras that are metres too far apart have it, too.
        return "unshared" if shares_nothing(found) else None

    def distance(self, pair: tuple[int, int]) -> float:
        """Return the distance between two cameras in metres."""
        poses = self.scan.camera_to_world
        return float(np.linalg.norm(poses[pair[1], :3, 3] - poses[pair[0], :3, 3]))

    def no_shared_surface(self, pairs: Sequence[tuple[int, int]], probed: int) -> SourceError:
        """Return the error that says which of the probed pairs do not share any surface."""
        apart = float(np.median([self.distance(pair) for pair in pairs]))
        cause = FAR_APART if apart > self.far / 2 else OTHER_AXES
        return SourceError(
            f"is {BADLY_POSED}: {len(pairs)} of {probed} pairs of neighbouring frames share no surface, their"
            f" cameras are {apart:.4g} m apart ({cause}); quality.max_unshared is {self.limits.max_unshared:.0%}",
            path=self.scan.path,
            scene=self.scan.scene_id,
            frame=pairs[len(pairs) // 2][1],
            cure=SCAN_CURE,
        )

    def disagreement(self, pairs: Sequence[tuple[int, int]], probed: int) -> SourceError:
        """Return the error that says which of the probed pairs disagree."""
        first, second = pairs[len(pairs) // 2]
        return SourceError(
            f"is {BADLY_POSED}: {len(pairs)} of {probed} pairs of neighbouring frames disagree about the surfaces"
            f" that both see, among them frames {first} and {second}",
            path=self.scan.path,
            scene=self.scan.scene_id,
            frame=second,
            cure=CURE,
        )

    def _compare(self, first: int, second: int) -> Agreement:
        one, other = (self.meter.surface(frame, self.preparer.depth(frame)) for frame in (first, second))
        return self.meter.compare(first, second, one, other)

    def _disagrees(self, found: Agreement, allowed: float) -> bool:
        limits = self.limits
        return (
            found.misalignment > allowed * limits.max_misalignment
            or found.residual > allowed * limits.max_residual
            or found.free_space > limits.max_free_space
        )
