"""Make an example of ``objects.json`` for a capture that has none, with a box where its cameras look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError
from gapdata.geometry.camera import is_rigid, transform
from gapdata.sources.base import Scan

LABEL = "chair"
SIDE = 0.5  # metres
AHEAD = 1.5  # metres before the camera, where no depth can be read
HEADING = 30.0  # degrees
NEAR, FAR = 0.3, 4.0  # metres of depth that is looked at
MIDDLE = 0.1
"""Share of an image's sides within which depth is looked at."""


def objects_example(scan: Scan) -> dict[str, Any]:
    """Return the content of an ``objects.json`` with one box of the scan, on what its middle frame shows.

    One depth image is decoded.
    """
    center = _seen(scan)
    alignment = scan.axis_alignment
    if alignment is not None:
        center = transform(alignment, center)
    box = {
        "label": LABEL,
        "center": [round(float(value), 2) + 0.0 for value in center],
        "size": [SIDE, SIDE, SIDE],
        "heading": HEADING,
    }
    if alignment is not None:
        return {"world": "aligned", "objects": [box]}
    # Of most worlds without a known vertical it is the z axis; where it is not, the user sees the field.
    up = {} if scan.world_up is not None else {"up": [0, 0, 1]}
    return {"world": "scan", **up, "objects": [box]}


def example_text(example: Mapping[str, Any]) -> str:
    """Return the content as a file that is easy to go on with: one line for each object."""
    rows = ",\n".join(f"    {json.dumps(item)}" for item in example["objects"])
    world = "".join(f"  {json.dumps(name)}: {json.dumps(example[name])},\n" for name in example if name != "objects")
    return f'{{\n{world}  "objects": [\n{rows}\n  ]\n}}'


def _seen(scan: Scan) -> NDArray[np.float64]:
    """Return a point that the middle one of the frames with a pose looks at, (3,) metres, the scan's world."""
    posed = np.flatnonzero(scan.present & is_rigid(scan.camera_to_world))
    if not len(posed):
        return np.zeros(3)
    frame = int(posed[len(posed) // 2])
    point = np.array([0.0, 0.0, _depth_ahead(scan, frame)])
    return transform(scan.camera_to_world[frame], point)


def _depth_ahead(scan: Scan, frame: int) -> float:
    """Return the depth in the middle of a frame, metres, or a usual one where there is none."""
    try:
        depth = scan.depth(frame) / scan.depth_units_per_metre
    except SourceError:
        return AHEAD
    height, width = depth.shape
    rows, columns = (slice(int(side * (0.5 - MIDDLE)), int(side * (0.5 + MIDDLE)) + 1) for side in (height, width))
    middle = depth[rows, columns]
    middle = middle[(middle > NEAR) & (middle < FAR)]
    return float(np.median(middle)) if len(middle) else AHEAD
