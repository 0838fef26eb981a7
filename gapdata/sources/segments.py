"""Find the vertices of a mesh by the segments of its over-segmentation, of which annotated objects consist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class VerticesBySegment:
    """The vertices of each segment.

    Args:
        segment_of_vertex: (V,) int64.
    """

    def __init__(self, segment_of_vertex: NDArray[np.int64]) -> None:
        self._order = np.argsort(segment_of_vertex, kind="stable")
        self._segments = segment_of_vertex[self._order]

    def vertices(self, segments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the vertices of some different segments, (n,) ascending; segments without vertices add none."""
        starts = np.searchsorted(self._segments, segments, side="left")
        ends = np.searchsorted(self._segments, segments, side="right")
        parts = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
