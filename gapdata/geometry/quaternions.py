"""Rotations as unit quaternions, for formats that store them so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def quaternion_of(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the unit quaternion (4,) qw qx qy qz, with qw >= 0, of the rotation that a (3, 3) matrix is nearest to.

    It is the eigenvector of the largest eigenvalue of a symmetric matrix (I. Bar-Itzhack, "New method for extracting
    the quaternion from a rotation matrix", 2000): stable for all angles, and best in the sense of least squares for
    matrices that are rotations only to a few digits, as published poses are.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    symmetric = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1]
    return np.array([w, x, y, z]) * (1.0 if w >= 0 else -1.0)
