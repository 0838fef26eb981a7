"""Find the Euler convention of the boxes of a file: indoor boxes stand upright only in the right one.

Where the cameras are known, the z axis of each box is taken into the aligned world, where it must be vertical. Where
they are not, all boxes of one item must at least have parallel z axes. A box that stands upright in both conventions
does not count. In GAP-MLLM's sample all eight boxes are upright as ``extrinsic_zxy`` and none as ``intrinsic_zxy``.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import EulerConvention, rotation_from_euler

UPRIGHT = 0.995
"""Cosine of the largest tilt that counts as upright, 5.7 degrees: answers round angles to 0.01."""
CLEAR = 0.9
"""Share of the boxes that must stand upright in a convention for the file to follow it."""
ENOUGH_BOXES = 4
ENOUGH_PAIRS = 20
"""Parallel axes are weaker evidence than vertical ones, so more of them are needed."""
MAX_BOXES = 20_000  # of one file; later ones do not count

CONVENTIONS: tuple[EulerConvention, ...] = get_args(EulerConvention)


class EulerEvidence:
    """Counts of the boxes of one file that stand upright in each convention."""

    def __init__(self) -> None:
        self.upright = dict.fromkeys(CONVENTIONS, 0)
        self.boxes = 0
        self.parallel = dict.fromkeys(CONVENTIONS, 0)
        self.pairs = 0

    def add(self, angles: NDArray[np.float64], camera_to_aligned: NDArray[np.float64] | None) -> None:
        """Count the boxes of one item.

        Args:
            angles: (B, 3) Euler angles, radians.
            camera_to_aligned: (4, 4) from the camera that the boxes are in to the aligned world; ``None``: not known.
        """
        if not len(angles) or self.boxes + self.pairs > MAX_BOXES:
            return
        axes = {name: rotation_from_euler(angles, name)[:, :, 2] for name in CONVENTIONS}
        if camera_to_aligned is not None:
            vertical = {name: np.abs(axis @ camera_to_aligned[2, :3]) > UPRIGHT for name, axis in axes.items()}
            differing = self._differing(vertical)
            self.boxes += int(differing.sum())
            for name in CONVENTIONS:
                self.upright[name] += int(vertical[name][differing].sum())
        elif len(angles) > 1:
            parallel = {name: np.abs((axis[1:] * axis[0]).sum(axis=1)) > UPRIGHT for name, axis in axes.items()}
            differing = self._differing(parallel)
            self.pairs += int(differing.sum())
            for name in CONVENTIONS:
                self.parallel[name] += int(parallel[name][differing].sum())

    @staticmethod
    def _differing(holds: dict[EulerConvention, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Return which boxes differ between the conventions: all but those that stand upright in both."""
        first, second = holds.values()
        return ~(first & second)

    def decision(self) -> EulerConvention | None:
        """Return the convention that the boxes clearly follow, or ``None``."""
        for counts, total, enough in (
            (self.upright, self.boxes, ENOUGH_BOXES),
            (self.parallel, self.pairs, ENOUGH_PAIRS),
        ):
            clear = [name for name in CONVENTIONS if total >= enough and counts[name] >= CLEAR * total]
            if clear:
                return clear[0]
            if total >= enough:
                return None
        return None

    def text(self) -> str:
        """Return the evidence in a sentence."""
        if self.boxes >= ENOUGH_BOXES or not self.pairs:
            counts, total, what, how = self.upright, self.boxes, "boxes", "upright in the aligned world"
        else:
            counts, total, what, how = self.parallel, self.pairs, "pairs of boxes of one clip", "with parallel z axes"
        found = ", ".join(f"{counts[name]} as {name}" for name in CONVENTIONS)
        return f"of {total} {what} that differ between the conventions, {how}: {found}"
