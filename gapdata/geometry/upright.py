"""Turn images upright: which quarter turn a scan needs, and what it does to pixels, cameras, lenses and poses.

Many captures lie on their side, because the phone was held upright. A turn is given in degrees clockwise by which a
stored image is turned to become upright: 0, 90, 180 or 270. It is found from the poses, because metadata is often
wrong (17 % of ARKitScenes' ``sky_direction``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Float, Intrinsics, is_rigid
from gapdata.geometry.lens import Lens

Turn = Literal[0, 90, 180, 270]
TURNS: tuple[Turn, ...] = (0, 90, 180, 270)
STEEPEST = 0.7
"""Cosine between the optical axis and the vertical from which on a frame does not vote: seen from above, a floor has
neither side up."""
Pixel = TypeVar("Pixel", bound=np.generic)

_UPRIGHT_TO_HELD: dict[Turn, NDArray[np.float64]] = {
    0: np.eye(3),
    90: np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    180: np.diag([-1.0, -1.0, 1.0]),
    270: np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
}


def find_turn(camera_to_world: NDArray[np.float64], world_up: NDArray[np.float64]) -> Turn:
    """Return the turn that most frames of a scan need.

    Args:
        camera_to_world: (N, 4, 4) poses; those that are not rigid do not vote.
        world_up: (3,) unit vector against gravity in that world.

    Returns:
        The turn, 0 where no other has more than half of the votes.
    """
    poses = camera_to_world[is_rigid(camera_to_world)]
    up = np.einsum("nij,i->nj", poses[:, :3, :3], world_up)  # (n, 3) in each camera
    up = up[np.abs(up[:, 2]) < STEEPEST]
    if not len(up):
        return 0
    scores = np.stack([-up[:, 1], -up[:, 0], up[:, 1], up[:, 0]], axis=-1)  # (n, 4) in the order of TURNS
    votes = np.bincount(scores.argmax(axis=1), minlength=len(TURNS))
    best = int(votes.argmax())
    return TURNS[best] if 2 * votes[best] > len(up) else 0


def opposite(turn: Turn) -> Turn:
    """Return the turn that undoes another."""
    return TURNS[-TURNS.index(turn) % len(TURNS)]


def turn_matrix(turn: Turn) -> NDArray[np.float64]:
    """Return the matrix from the upright camera to the camera as it was held, (4, 4): the images share one centre."""
    matrix = np.eye(4)
    matrix[:3, :3] = _UPRIGHT_TO_HELD[turn]
    return matrix


def turn_poses(camera_to_world: NDArray[np.float64], turn: Turn) -> NDArray[np.float64]:
    """Return the poses (..., 4, 4) of the upright camera; those that are not finite stay as they are."""
    if turn == 0:
        return camera_to_world
    known = np.isfinite(camera_to_world).all(axis=(-2, -1))
    turned = camera_to_world.copy()
    turned[known] = camera_to_world[known] @ turn_matrix(turn)
    return turned


def turn_image(image: NDArray[Pixel], turn: Turn) -> NDArray[Pixel]:
    """Return an image (H, W, ...) turned clockwise, contiguous."""
    return np.ascontiguousarray(np.rot90(image, -(turn // 90)))


def turn_pixels(pixels: Float, turn: Turn, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return where pixels (..., 2) = (u, v) of an image of ``size`` = (width, height) lie once it is turned."""
    u, v = pixels[..., 0], pixels[..., 1]
    width, height = size
    places = {
        0: (u, v),
        90: (height - 1 - v, u),
        180: (width - 1 - u, height - 1 - v),
        270: (v, width - 1 - u),
    }
    return np.stack(places[turn], axis=-1).astype(np.float64)


def turn_camera(camera: Intrinsics, turn: Turn) -> Intrinsics:
    """Return the camera of the turned image."""
    centre = turn_pixels(np.array([camera.cx, camera.cy]), turn, (camera.width, camera.height))
    fx, fy, width, height = camera.fx, camera.fy, camera.width, camera.height
    if turn in (90, 270):
        fx, fy, width, height = fy, fx, height, width
    return Intrinsics(fx=fx, fy=fy, cx=float(centre[0]), cy=float(centre[1]), width=width, height=height)


def can_turn(lens: Lens | None) -> bool:
    """Return whether :func:`turn_lens` knows the turned lens: columns that lean and tilted sensors do not have one."""
    return lens is None or (lens.skew == 0 and len(lens.coefficients) <= 12)


def turn_lens(lens: Lens | None, turn: Turn) -> Lens | None:
    """Return the lens of the turned image.

    Radial terms stay. The tangential displacement of OpenCV's model is ``P r² + 2 x (P · x)`` with ``P = (p2, p1)``, so
    P turns like a point of the image; so do the thin prism's ``(s1, s3)`` and ``(s2, s4)``.

    Raises:
        ValueError: :func:`can_turn` does not hold.
    """
    if lens is None or turn == 0:
        return lens
    if not can_turn(lens):
        raise ValueError(f"have the lens {lens.name} with skew or a tilted sensor, which cannot be turned")
    if lens.model == "fisheye" or len(lens.coefficients) < 4:
        return lens
    to_upright = _UPRIGHT_TO_HELD[turn][:2, :2].T
    values = list(lens.coefficients)
    vectors = [(3, 2), (8, 10), (9, 11)] if len(values) == 12 else [(3, 2)]
    for first, second in vectors:
        values[first], values[second] = (to_upright @ [values[first], values[second]]).tolist()
    return replace(lens, coefficients=tuple(values))
