"""Find which poses of a scan can be used, and why the others cannot."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.camera import is_rigid
from gapdata.geometry.rigidity import pose_fault
from gapdata.runtime.counting import counted
from gapdata.sources.base import Scan
from gapdata.sources.frame_reading import FrameReading


def usable_poses(scan: Scan) -> NDArray[np.bool_]:
    """Return which frames have a finite, rigid pose, (N,).

    Raises:
        SourceError: no frame has such a pose; the message names the commonest fault.
    """
    usable = is_rigid(scan.camera_to_world)
    if usable.any():
        return usable
    faults = _faults(scan)
    problem = f"none of its {counted(int(scan.present.sum()), 'frame')} has a valid pose"
    cure, frame = "leave the scene out", None
    if faults:
        name = Counter(fault[0] for fault in faults.values()).most_common(1)[0][0]
        frame = next(frame for frame, fault in faults.items() if fault[0] == name)
        _, reason, cure = faults[frame]
        problem = f"{problem}: {reason}"
    raise SourceError(problem, path=scan.path, scene=scan.scene_id, frame=frame, cure=cure)


def refused_poses(scan: Scan) -> dict[str, int]:
    """Return how many poses are not rigid though tracking was not lost, by the name of the fault."""
    counts = Counter(name for name, _, _ in _faults(scan).values())
    counts.pop("lost_tracking", None)
    return dict(sorted(counts.items()))


def reading_of(scan: Scan) -> FrameReading:
    """Return the user's statements about the scan's frames, or the default."""
    return scan.reading or FrameReading()


def _faults(scan: Scan) -> dict[int, tuple[str, str, str]]:
    written = scan.written_poses
    refused = np.flatnonzero(scan.present & ~is_rigid(written))
    found = {int(frame): pose_fault(written[frame]) for frame in refused}
    return {frame: fault for frame, fault in found.items() if fault is not None}
