"""An independent look at how two frames' pointmaps agree: point to reprojected point, with nothing but a pinhole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics


def reprojection_distances(
    points: NDArray[np.float32],
    other_points: NDArray[np.float32],
    camera: Intrinsics,
    other_to_first: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Distances (n,) in metres between points of one frame and the points that another has where they reproject.

    Points that the other frame does not see, or that it sees something else in front of (a tenth of the depth), are
    left out. Pointmaps (H, W, 3) are in metres in the first camera, NaN where invalid; ``camera`` and
    ``other_to_first`` are those of the other frame.
    """
    flat = points.reshape(-1, 3)
    flat = flat[np.isfinite(flat).all(axis=-1)].astype(np.float64)
    first_to_other = np.linalg.inv(other_to_first)
    local = flat @ first_to_other[:3, :3].T + first_to_other[:3, 3]
    ahead = local[:, 2] > 0
    flat, local = flat[ahead], local[ahead]
    u = np.rint(local[:, 0] / local[:, 2] * camera.fx + camera.cx).astype(int)
    v = np.rint(local[:, 1] / local[:, 2] * camera.fy + camera.cy).astype(int)
    inside = (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    partner = other_points[v[inside], u[inside]].astype(np.float64)
    depth = local[inside][:, 2]
    partner_depth = partner @ first_to_other[2, :3] + first_to_other[2, 3]
    with np.errstate(invalid="ignore"):
        together = np.abs(depth - partner_depth) < 0.1 * depth
    return np.linalg.norm(flat[inside][together] - partner[together], axis=-1)
