"""What an inertial sensor fixed to the camera reads along a walk."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.sources.sens import ImuSample

GRAVITY = np.array([0.0, 0.0, -9.80665])  # m/s^2, world
NORTH = np.array([18.0, 0.0, -44.0])  # microtesla, the field at middle latitudes
GYRO_NOISE, ACCELERATION_NOISE, FIELD_NOISE = 0.002, 0.02, 0.3


def imu_samples(camera_to_world: NDArray[np.float64], timestamps: NDArray[np.int64], rng: Generator) -> list[ImuSample]:
    """A reading per frame in camera axes: rad/s, acceleration without gravity in g, microtesla, radians, gravity in g.

    Args:
        camera_to_world: (N, 4, 4).
        timestamps: (N,) microseconds.
    """
    count = len(camera_to_world)
    if count < 3:
        return []
    rotation, position = camera_to_world[:, :3, :3], camera_to_world[:, :3, 3]
    seconds = np.asarray(timestamps, dtype=np.float64) / 1e6
    velocity = np.gradient(position, seconds, axis=0)
    acceleration = np.gradient(velocity, seconds, axis=0)
    # R' = R [w]x, so the body rates are the off-diagonal entries of R^T R'.
    skew = np.swapaxes(rotation, 1, 2) @ np.gradient(rotation, seconds, axis=0)
    rate = (
        np.stack([skew[:, 2, 1] - skew[:, 1, 2], skew[:, 0, 2] - skew[:, 2, 0], skew[:, 1, 0] - skew[:, 0, 1]], axis=1)
        / 2
    )

    def in_camera(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("nji,nj->ni", rotation, np.broadcast_to(vectors, (count, 3))))

    rate = rate + rng.normal(0, GYRO_NOISE, (count, 3))
    felt = in_camera(acceleration) / 9.80665 + rng.normal(0, ACCELERATION_NOISE / 9.8, (count, 3))
    field = in_camera(NORTH) + rng.normal(0, FIELD_NOISE, (count, 3))
    gravity = in_camera(GRAVITY) / 9.80665
    roll = np.arctan2(rotation[:, 2, 0], -rotation[:, 2, 1])
    pitch = np.arcsin(np.clip(rotation[:, 2, 2], -1, 1))
    yaw = np.arctan2(rotation[:, 1, 2], rotation[:, 0, 2])
    attitude = np.stack([roll, pitch, yaw], axis=1)
    return [
        ImuSample(
            rotation_rate=_triple(rate[k]), acceleration=_triple(felt[k]), magnetic_field=_triple(field[k]),
            attitude=_triple(attitude[k]), gravity=_triple(gravity[k]), timestamp=int(timestamps[k]),
        )
        for k in range(count)
    ]  # fmt: skip


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
