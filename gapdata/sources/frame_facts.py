"""Describe cameras and poses as plain values, for ``gapdata inspect``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens


def path_length(camera_to_world: NDArray[np.float64]) -> float:
    """Return the metres that the camera moves over finite poses (n, 4, 4)."""
    steps = np.diff(camera_to_world[:, :3, 3], axis=0)
    return round(float(np.linalg.norm(steps, axis=1).sum()), 3)


def camera_facts(camera: Intrinsics, lens: Lens | None) -> dict[str, Any]:
    """Return a camera's size and intrinsics, pixels, and its lens where it has one."""
    bent = {} if lens is None else {"lens": {"name": lens.name, "coefficients": lens.coefficients, "skew": lens.skew}}
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": round(camera.fx, 4),
        "fy": round(camera.fy, 4),
        "cx": round(camera.cx, 4),
        "cy": round(camera.cy, 4),
        **bent,
    }
