"""Say why frames have next to no depth: no reading, or a depth scale that puts every reading out of range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapdata.geometry.depth_scales import INDOORS, NO_READING, USUAL_SCALES
from gapdata.sources.base import Scan


def median_reading(scan: Scan, frame: int) -> float:
    """Return the median of a frame's readings in metres, 0 for a frame without readings.

    Raises:
        SourceError: the frame's depth is damaged.
    """
    raw = scan.depth(frame)
    readings = raw[(raw > 0) & (raw < NO_READING)]
    return float(np.median(readings)) / scan.depth_units_per_metre if len(readings) else 0.0


def why_without_depth(scan: Scan, medians: Sequence[float], near: float, far: float) -> str | None:
    """Return what is likely wrong with a scan that has next to no usable depth.

    Args:
        scan: the scan.
        medians: :func:`median_reading` of some of those frames.
        near: metres below which depth counts as invalid.
        far: metres beyond which depth counts as invalid.

    Returns:
        A clause with what to do, or ``None`` where readings are in range and only few.
    """
    found = [median for median in medians if median > 0]
    if not found:
        return "its depth images hold no reading" if medians else None
    median, units = float(np.median(found)), scan.depth_units_per_metre
    if near <= median <= far:
        return None
    scale = _likely_scale(median * units, units)
    meant = "it is likely metres per unit; " if units < 1 else ""
    cure = "" if scale is None else f": {meant}write {scale:g}"
    where = "depthShift in its header" if str(scan.path).endswith(".sens") else "depth_scale, or --depth-scale"
    return f"depth_scale is {units:g} units per metre ({where}), which puts the median reading at {median:.3g} m{cure}"


def _likely_scale(reading: float, stated: float) -> float | None:
    """Return the usual scale that is the inverse of the stated one, or the first that puts a reading indoors."""
    inverse = [scale for scale in USUAL_SCALES if abs(scale * stated - 1) < 0.05]
    indoors = [scale for scale in USUAL_SCALES if INDOORS[0] <= reading / scale <= INDOORS[1]]
    return next((scale for scale in (*inverse, *indoors) if scale in indoors), None)
