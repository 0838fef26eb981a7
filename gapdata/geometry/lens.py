"""Undo lenses: how a real camera's image differs from a pinhole's, and the pinhole camera that replaces it.

Only images of pinhole cameras are stored (:mod:`gapdata.geometry.camera`), so a lens is undone once, while frames are
resized: each stored pixel's ray is sent through the lens, and the source image is sampled where it comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Float, Intrinsics

LARGEST_ZOOM = 2.0
"""A pinhole image that must be enlarged by more than this to show nothing but what the lens saw is refused: COLMAP's
undistorter has the same bound (``--max_scale``)."""
ZOOM_STEPS = 14
GRID = (48, 36)
"""Places over an image at which a lens is examined."""
NEGLIGIBLE = 1e-3
"""Pixels at the border of an image that a skew may move before it counts as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """The change of a ray before the pinhole's focal lengths and principal point apply.

    ``perspective`` is OpenCV's radial, tangential and thin-prism model with its coefficients in its order, ``k1 k2 p1
    p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]]``; ``fisheye`` its equidistant one, ``k1 k2 k3 k4``, which bends rays even
    where all four are 0. ``skew`` is ``K[0, 1] / K[0, 0]``: how far columns lean.
    """

    name: str  # as the calibration calls it
    model: Literal["perspective", "fisheye"] = "perspective"
    coefficients: tuple[float, ...] = ()
    skew: float = 0.0

    def distort(self, rays: Float) -> NDArray[np.float64]:
        """Return the rays of a pinhole camera as the lens bends them.

        It computes what OpenCV 4's ``projectPoints`` and ``fisheye::distortPoints`` do.

        Args:
            rays: (..., 2) = (x / z, y / z).

        Returns:
            (..., 2) float64 in the same coordinates.
        """
        import cv2

        flat = np.ascontiguousarray(rays, dtype=np.float64).reshape(-1, 1, 2)
        seen: NDArray[np.floating] = flat
        if self.model == "fisheye":
            seen = cv2.fisheye.distortPoints(flat, np.eye(3), np.array(self.coefficients))
        elif self.coefficients:
            points = np.concatenate([flat[:, 0], np.ones((len(flat), 1))], axis=-1)
            zero = np.zeros(3)
            seen = cv2.projectPoints(points, zero, zero, np.eye(3), np.array(self.coefficients))[0]
        seen = seen.reshape(np.shape(rays)).astype(np.float64)
        return np.stack([seen[..., 0] + self.skew * seen[..., 1], seen[..., 1]], axis=-1)


def skew_of(matrix: Float) -> float:
    """Return the ``skew`` of a calibration matrix, (3, 3), (3, 4) or (4, 4) in pixels.

    Raises:
        ValueError: it is not a calibration matrix ``fx s cx / 0 fy cy / 0 0 1``.
    """
    square = np.asarray(matrix[:3, :3], dtype=np.float64)
    scale = float(np.abs(square[:2, :2]).max())
    below = np.array([square[1, 0] / scale, square[2, 0], square[2, 1], square[2, 2] - 1.0])
    if not (np.isfinite(square).all() and (np.abs(below) < 1e-6).all()):
        rows = " / ".join(" ".join(f"{value:g}" for value in row) for row in square)
        raise ValueError(f"are not a calibration matrix: {rows}, expected fx s cx / 0 fy cy / 0 0 1")
    if matrix.shape[1] == 4 and not (np.abs(matrix[:3, 3]) < 1e-6).all():
        raise ValueError("have a fourth column that is not 0, as the projection matrix of the second camera of a pair")
    return float(square[0, 1] / square[0, 0])


def counts_as_skew(skew: float, camera: Intrinsics) -> bool:
    """Return whether columns lean so far that it can be seen in an image of this camera."""
    return abs(skew * camera.fx) * camera.height / camera.fy > NEGLIGIBLE


@lru_cache(maxsize=8)
def pinhole_behind(lens: Lens | None, camera: Intrinsics) -> Intrinsics:
    """Return the pinhole camera that shows what ``camera`` saw through ``lens``.

    It is ``camera`` itself, enlarged by the least factor at which no pixel of the image lies where the lens saw
    nothing.

    Raises:
        ValueError: the coefficients do not fit the image: within it they fold rays back on each other, or cover next
            to nothing of it.
    """
    if lens is None:
        return camera
    enough, too_little = LARGEST_ZOOM, 1.0
    if _sees_all(lens, camera, camera):
        return camera
    if not _sees_all(lens, camera, _zoomed(camera, enough)):
        raise ValueError(
            f"have a lens ({lens.name}) that does not fit images of {camera.width}x{camera.height} with fx"
            f" {camera.fx:g}: it folds rays back within the image, or covers too little of it"
        )
    for _ in range(ZOOM_STEPS):
        middle = (enough + too_little) / 2
        enough, too_little = (
            (middle, too_little) if _sees_all(lens, camera, _zoomed(camera, middle)) else (enough, middle)
        )
    return _zoomed(camera, enough)


def lens_map(lens: Lens | None, source: Intrinsics, target: Intrinsics) -> tuple[NDArray[np.float32], ...]:
    """Return the place of every pixel of a pinhole camera in an image taken through a lens from the same centre.

    Args:
        lens: of the source image.
        source: its pinhole part.
        target: the pinhole camera.

    Returns:
        Columns and rows of the source image, two (H, W) float32.
    """
    u, v = np.meshgrid(np.arange(target.width), np.arange(target.height))
    seen = _seen(lens, source, target, np.stack([u, v], axis=-1))
    return seen[..., 0].astype(np.float32), seen[..., 1].astype(np.float32)


def behind_lens(lens: Lens | None, source: Intrinsics, target: Intrinsics, pixel: tuple[float, float]) -> list[float]:
    """Return the pixel [u, v] of a pinhole camera that shows a pixel of an image taken through a lens.

    Both have the same centre. It is the inverse of :func:`lens_map`, by Newton's method with a Jacobian of differences.
    """
    u = (pixel[0] - source.cx) / source.fx * target.fx + target.cx
    v = (pixel[1] - source.cy) / source.fy * target.fy + target.cy
    if lens is None:
        return [u, v]
    wanted, place = np.array(pixel, dtype=np.float64), np.array([u, v])
    for _ in range(20):
        around = _seen(lens, source, target, place + np.array([[0, 0], [0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]]))
        jacobian = np.stack([around[1] - around[2], around[3] - around[4]], axis=-1)
        place = place + np.linalg.lstsq(jacobian, wanted - around[0], rcond=None)[0]
    return [float(value) for value in place]


def _seen(lens: Lens | None, source: Intrinsics, target: Intrinsics, pixels: Float) -> NDArray[np.float64]:
    rays = target.unproject(pixels, np.ones(pixels.shape[:-1]))[..., :2]
    seen = rays if lens is None else lens.distort(rays)
    return np.stack([seen[..., 0] * source.fx + source.cx, seen[..., 1] * source.fy + source.cy], axis=-1)


def _sees_all(lens: Lens, camera: Intrinsics, pinhole: Intrinsics) -> bool:
    """Return whether every pixel of ``pinhole`` has a place in the image, and no two have the same one."""
    columns, rows = np.linspace(0, pinhole.width - 1, GRID[0]), np.linspace(0, pinhole.height - 1, GRID[1])
    seen = _seen(lens, camera, pinhole, np.stack(np.meshgrid(columns, rows), axis=-1))
    along, down = np.diff(seen, axis=1)[:-1], np.diff(seen, axis=0)[:, :-1]
    turns = along[..., 0] * down[..., 1] - along[..., 1] * down[..., 0]
    inside = (seen >= -0.5).all() and (seen <= np.array([camera.width, camera.height]) - 0.5).all()
    return bool(inside and (turns > 0).all())


def _zoomed(camera: Intrinsics, factor: float) -> Intrinsics:
    return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)
