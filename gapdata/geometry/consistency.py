"""Measure how well two frames agree where they see the same surface, which tells good poses and depth from bad ones.

Surface samples of one frame are projected into the other, and the point that the other frame's depth has there is
compared with the plane through the sample (point-to-plane, Chen and Medioni 1992). Three figures come out:

* the **reprojection error**, the median of those distances in metres: robust and easy to read, but with a floor of
  sensor noise that grows with the square of the depth;
* the **residual**, the median of those distances as a multiple of what the sensor's noise at that depth and 5 mm of
  pose error explain: the error without the floor of noise, so that near and far scenes compare;
* the **misalignment**, the displacement in metres (RMS over the samples) of the small rigid motion that would bring
  the two frames together: one linearised, robust, noise-weighted least squares over all samples. Thousands of samples
  average the noise away and the motion does not depend on how the surfaces happen to face.

They see different errors. A pair that is off by a rigid motion shows in the misalignment; wrong focal lengths or a
wrong depth scale bend the surfaces, which no motion undoes, and show in the residual. How far each goes for good scans
and for bad ones is measured by ``tests/benchmarks/test_pose_judgement.py``.

A sample well *behind* the other frame's surface may be hidden there and is left out. A sample well *in front of* it
lies in space that the other camera looked through, which only a wrong pose, wrong depth or something that moved
explains: it stays in, so that gross errors cannot pass as occlusion, and the share of such samples is reported besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.camera import Intrinsics

OCCLUSION_RATIO = 0.1
"""A sample is hidden (behind) or in free space (in front), and not merely inexact, if its depth differs from the other
frame's by more than this share."""
SAMPLES = 3072
"""Samples of a frame, about: 64 x 48 on an image of 4:3."""
MAX_BEND = 0.1
"""Largest bend of inverse depth across a sample, as a share of it: a plane has no bend, a step a larger one."""
MIN_SAMPLES = 100
"""Visible samples below which two frames are not compared."""
FULL = 0.25
"""A frame with a smaller share of ``SAMPLES`` has too little depth to tell that it shares nothing with another."""
NOISE = (0.0012, 0.0019, 0.4)
"""Axial noise of a structured light sensor, ``0.0012 + 0.0019 * (z - 0.4)**2`` metres (Nguyen, Izadi, Lovell 2012)."""
POSE_NOISE = 0.005
"""Metres that good poses may be off, added to the sensor's noise so that close samples do not outweigh all others."""
DAMPING = 0.01
"""Share of the total weight that holds motions back which the samples do not determine, e.g. along a single wall."""
HUBER, ROUNDS = 1.5, 3
"""Residuals beyond this multiple of the median count linearly; rounds of reweighting."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """The samples of a frame for comparing, in its own camera. ``depth`` is kept, not copied."""

    depth: NDArray[np.uint16]  # (H, W) millimetres, 0 invalid
    camera: Intrinsics
    points: NDArray[np.float32]  # (3, n) metres; a row for each axis, because whole rows are computed at once
    normals: NDArray[np.float32]  # (3, n) unit, of either sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The figures by which two frames agree, both directions together."""

    overlap: float  # visible samples as a share of all samples of the two frames
    shared: float | None  # as overlap, of samples that do not fall on missing depth; None where depth is scarce
    reprojection_error: float  # metres, median point-to-plane distance of the visible samples
    residual: float  # the same, each distance as a multiple of what noise and good poses explain
    misalignment: float  # metres, RMS displacement that would bring the frames together
    free_space: float  # share of the visible samples that lie in the other camera's free space


def sample_surface(depth: NDArray[np.uint16], camera: Intrinsics) -> Surface:
    """Sample a frame on a regular grid, with normals from the four neighbours.

    There is no sample where depth is missing or steps.

    Args:
        depth: (H, W) uint16 millimetres registered to ``camera``, 0 invalid.
        camera: of size (W, H).
    """
    stride = max(1, round(float(np.sqrt(camera.width * camera.height / SAMPLES))))
    rows = np.arange(stride // 2, camera.height, stride, dtype=np.float32)
    columns = np.arange(stride // 2, camera.width, stride, dtype=np.float32)
    grid = depth[stride // 2 :: stride, stride // 2 :: stride].astype(np.float32) / np.float32(1000)
    points = np.empty((3, *grid.shape), dtype=np.float32)
    points[0] = grid * ((columns - np.float32(camera.cx)) / np.float32(camera.fx))
    points[1] = grid * ((rows - np.float32(camera.cy)) / np.float32(camera.fy))[:, None]
    points[2] = grid
    inverse = 1 / np.where(grid > 0, grid, np.float32(np.inf))  # 0 where invalid
    centre, left, right = inverse[1:-1, 1:-1], inverse[1:-1, :-2], inverse[1:-1, 2:]
    above, below = inverse[:-2, 1:-1], inverse[2:, 1:-1]
    bend = np.maximum(np.abs(left + right - 2 * centre), np.abs(above + below - 2 * centre))
    smooth = (bend < MAX_BEND * centre) & (np.minimum(np.minimum(left, right), np.minimum(above, below)) > 0)
    chosen = np.flatnonzero(smooth)
    across, down = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    normals = _cross(_columns(across, chosen), _columns(down, chosen))
    normals /= np.maximum(np.sqrt(_dot(normals, normals)), np.float32(1e-12))
    return Surface(depth=depth, camera=camera, points=_columns(points[:, 1:-1, 1:-1], chosen), normals=normals)


def compare_surfaces(first: Surface, second: Surface, first_to_second: NDArray[np.float64]) -> Agreement:
    """Compare two frames in both directions.

    Args:
        first: one frame.
        second: the other frame.
        first_to_second: (4, 4) rigid, from the camera of the first to that of the second.

    Returns:
        The agreement; its figures other than ``overlap`` are 0 where fewer than ``MIN_SAMPLES`` samples are visible.
    """
    _, blind, forward = _seen_from(first, second, first_to_second)
    _, blind_too, backward = _seen_from(second, first, np.asarray(np.linalg.inv(first_to_second), dtype=np.float64))
    visible = len(forward.residuals) + len(backward.residuals)
    count = first.points.shape[1] + second.points.shape[1]
    known = count - blind - blind_too
    full = min(first.points.shape[1], second.points.shape[1]) >= FULL * SAMPLES and known >= MIN_SAMPLES
    overlap, shared = visible / max(count, 1), visible / known if full else None
    if visible < MIN_SAMPLES:
        return Agreement(
            overlap=overlap, shared=shared, reprojection_error=0.0, residual=0.0, misalignment=0.0, free_space=0.0
        )
    # A motion of the first frame moves the partners of the second one's samples, hence the sign.
    rotation, translation = _single(first_to_second)
    samples = _Seen(
        points=np.concatenate([forward.points, rotation @ backward.points + translation], axis=1),
        normals=np.concatenate([forward.normals, rotation @ backward.normals], axis=1),
        residuals=np.concatenate([forward.residuals, -backward.residuals]),
        depths=np.concatenate([forward.depths, backward.depths]),
        in_front=np.concatenate([forward.in_front, backward.in_front]),
    )
    in_front = int(np.count_nonzero(samples.in_front))
    near = samples
    if in_front and visible - in_front >= MIN_SAMPLES:
        near = samples.chosen(np.flatnonzero(~samples.in_front))
    distances = np.abs(samples.residuals)
    return Agreement(
        overlap=overlap,
        shared=shared,
        reprojection_error=_median(distances),
        residual=_median(distances * _inverse_noise(samples.depths)),
        misalignment=_misalignment(near),
        free_space=in_front / visible,
    )


def surface_distances(samples: Surface, other: Surface, to_other: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the distance of each sample of one frame to the surface that another frame sees there, point to plane.

    Args:
        samples: n samples with normals, of a grid or of every pixel.
        other: the frame that looks; only its depth and camera are used.
        to_other: (4, 4) rigid, from the camera of the samples to the other one.

    Returns:
        (n,) metres, not negative; NaN where the other frame does not see the sample: outside its image, without depth
        there, or hidden behind a nearer surface.
    """
    distances = np.full(samples.points.shape[1], np.nan, dtype=np.float32)
    chosen, _, seen = _seen_from(samples, other, to_other)
    distances[chosen] = np.abs(seen.residuals)
    return distances


def stretch_terms(samples: Surface, other: Surface, to_other: NDArray[np.float64]) -> tuple[float, float]:
    """Return the terms of a pair of frames in the search for the length of all translations.

    The terms of several pairs add up to one linearised least squares.

    Args:
        samples: the frame with the samples.
        other: the frame that looks at them.
        to_other: (4, 4) rigid, from the camera of the samples to the other one; its translation is not zero.

    Returns:
        Weighted sums over the visible samples of ``(n . d) * r`` and ``(n . d)**2``: d is the unit translation, n a
        sample's normal and r its distance to the other frame's surface. Their quotient is the length in metres to add.
    """
    _, _, seen = _seen_from(samples, other, to_other)
    if len(seen.residuals) < MIN_SAMPLES // 2:
        return 0.0, 0.0
    length = max(float(np.linalg.norm(to_other[:3, 3])), 1e-12)
    along = (to_other[:3, 3] / length).astype(np.float32) @ seen.normals
    size = np.abs(seen.residuals)
    bound = np.float32(HUBER * _median(size) + 1e-6)
    weights = along * np.minimum(1, bound / np.maximum(size, np.float32(1e-6)))
    return float(weights @ seen.residuals), float(weights @ along)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """Samples of one frame that another frame sees, in one camera."""

    points: NDArray[np.float32]  # (3, n)
    normals: NDArray[np.float32]  # (3, n)
    residuals: NDArray[np.float32]  # (n,) metres along the normal from the sample to the other frame's surface
    depths: NDArray[np.float32]  # (n,) metres from the camera that looks
    in_front: NDArray[np.bool_]  # (n,)

    def chosen(self, indices: NDArray[np.intp]) -> _Seen:
        """Return some of the samples."""
        return _Seen(
            points=self.points.take(indices, axis=1),
            normals=self.normals.take(indices, axis=1),
            residuals=self.residuals[indices],
            depths=self.depths[indices],
            in_front=self.in_front[indices],
        )


def _seen_from(samples: Surface, other: Surface, to_other: NDArray[np.float64]) -> tuple[NDArray[np.intp], int, _Seen]:
    """Return which samples the other frame sees, how many fall where it has no depth, and what it sees of them."""
    camera = other.camera
    rotation, translation = _single(to_other)
    points = rotation @ samples.points + translation
    scale = 1 / np.maximum(points[2], np.float32(1e-6))
    u = np.floor(points[0] * scale * np.float32(camera.fx) + np.float32(camera.cx + 0.5))
    v = np.floor(points[1] * scale * np.float32(camera.fy) + np.float32(camera.cy + 0.5))
    inside = (points[2] > 0) & (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    chosen = np.flatnonzero(inside)
    u, v = u[chosen], v[chosen]
    depth = other.depth[v.astype(np.intp), u.astype(np.intp)].astype(np.float32) / np.float32(1000)
    z = points[2][chosen]
    blind = len(depth) - int(np.count_nonzero(depth))
    visible = np.flatnonzero((depth > 0) & (depth - z > np.float32(-OCCLUSION_RATIO) * z))
    u, v, depth, chosen = u[visible], v[visible], depth[visible], chosen[visible]
    points = points.take(chosen, axis=1)
    normals = rotation @ samples.normals.take(chosen, axis=1)
    gap = depth - points[2]
    x = (u - np.float32(camera.cx)) / np.float32(camera.fx) * depth - points[0]
    y = (v - np.float32(camera.cy)) / np.float32(camera.fy) * depth - points[1]
    seen = _Seen(
        points=points,
        normals=normals,
        residuals=x * normals[0] + y * normals[1] + gap * normals[2],
        depths=points[2],
        in_front=gap > np.float32(OCCLUSION_RATIO) * points[2],
    )
    return chosen, blind, seen


def _misalignment(samples: _Seen) -> float:
    """Return the RMS displacement by the motion (w, t) with the least weighted ``(n . (w x p + t) - residual)**2``."""
    inverse_noise = _inverse_noise(samples.depths)
    centred = samples.points - samples.points.mean(axis=1, keepdims=True)
    # Six rows of the Jacobian and the residuals below them: one product gives both sides of the normal equations.
    system = np.concatenate([_cross(centred, samples.normals), samples.normals, samples.residuals[None]])  # (7, n)
    scatter = (centred @ centred.T).astype(np.float64) / centred.shape[1]
    spread = float(np.trace(scatter))
    damping = DAMPING * np.array([spread] * 3 + [1.0] * 3)
    motion = np.zeros(6)
    for _ in range(ROUNDS):
        scaled = np.abs(np.append(-motion, 1).astype(np.float32) @ system) * inverse_noise
        bound = np.float32(HUBER * _median(scaled) + 1e-6)
        weights = inverse_noise**2 * np.minimum(1, bound / np.maximum(scaled, np.float32(1e-6)))
        normal_equations = ((system[:6] * weights) @ system.T).astype(np.float64)  # (6, 7)
        held = normal_equations[:, :6] + np.diag(damping * float(weights.sum()))
        motion = np.linalg.solve(held, normal_equations[:, 6])
    # The mean of |w x c + t|^2 over points c with a mean of zero.
    turn, shift = motion[:3], motion[3:]
    return float(np.sqrt(max(spread * (turn @ turn) - turn @ scatter @ turn, 0.0) + shift @ shift))


def _inverse_noise(depths: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / the metres by which sensor and good poses may be off, for depths in metres."""
    constant, quadratic, nearest = NOISE
    noise = constant + POSE_NOISE + quadratic * (depths - np.float32(nearest)) ** 2
    return np.asarray(1 / noise, dtype=np.float32)


def _columns(planes: NDArray[np.float32], chosen: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the (3, n) vectors at some positions of a (3, h, w) image."""
    return planes.reshape(3, -1).take(chosen, axis=1)


def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scalar products of (3, n) vectors."""
    return np.asarray(np.einsum("ij,ij->j", a, b))


def _cross(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cross products of (3, n) vectors; numpy's own costs five times as much at this size."""
    out = np.empty_like(a)
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
    return out


def _median(values: NDArray[np.float32]) -> float:
    """Return the middle value, the upper of two; numpy's median takes four times as long for a few thousand."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _single(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return rotation (3, 3) and translation (3, 1) in float32."""
    return matrix[:3, :3].astype(np.float32), matrix[:3, 3:].astype(np.float32)
