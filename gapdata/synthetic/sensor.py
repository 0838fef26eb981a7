"""The sensors of a scan: a colour camera, a depth camera and an inertial sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.synthetic.sens_writer import ImuSample

BASELINE_FOCAL = 0.075 * 571.0  # m px: baseline and focal length of a Structure Sensor at 640 px
DISPARITY_STEP = 1 / 16  # px
RANGE = (0.35, 6.0)  # m
JPEG_QUALITY = 90
TABLE = 4096
WHITE = 4.0  # linear value, times exposure, that the tone curve still tells from less
GRAVITY = np.array([0.0, 0.0, -9.80665])  # m/s^2, world
NORTH = np.array([18.0, 0.0, -44.0])  # microtesla, the field at middle latitudes
GYRO_NOISE, ACCELERATION_NOISE, FIELD_NOISE = 0.002, 0.02, 0.3


def tone_table() -> NDArray[np.uint8]:
    """Return sRGB bytes for square roots of linear light in 0..sqrt(WHITE), (TABLE,) uint8.

    The curve has a filmic shoulder (Narkowicz 2015), then the exponent 1 / 2.2.
    """
    x = (np.linspace(0, 1, TABLE) ** 2 * WHITE) * 0.72
    filmic = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.round(np.clip(filmic, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


class ColorCamera:
    """A camera that turns linear radiance into frames and keeps its automatic exposure between them.

    Args:
        width, height: of the image.
        noise: strength of sensor noise, 0 for none.
        rng: for the noise pattern and the white balance.
    """

    def __init__(self, width: int, height: int, noise: float, rng: Generator) -> None:
        import cv2

        self.width, self.height = width, height
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        falloff = 1 - 0.20 * ((x**2 + y**2) / 2).astype(np.float32)
        self._vignette = falloff[..., None] * (1 + rng.normal(0, 0.025, 3)).astype(np.float32)
        self._table = tone_table()
        self._exposure = 0.0
        self._grain: NDArray[np.float32] | None = None
        if noise > 0:
            grain = rng.standard_normal((height + 96, width + 96, 3), dtype=np.float32)
            # Demosaicing spreads a pixel's noise over its neighbours.
            self._grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * np.float32(1.7 * noise)

    def develop(self, radiance: NDArray[np.float32], rng: Generator) -> NDArray[np.uint8]:
        """Develop linear radiance (H, W, 3) to a frame (H, W, 3) uint8 RGB."""
        import cv2

        blurred = cv2.GaussianBlur(radiance, (0, 0), 0.00075 * self.width + 0.05)
        sample = blurred[::8, ::8].mean(axis=-1)
        wanted = 0.34 / max(float(np.minimum(sample, 5 * np.median(sample)).mean()), 1e-3)
        self._exposure = wanted if self._exposure == 0 else 0.92 * self._exposure + 0.08 * wanted
        light = blurred * (self._vignette * np.float32(self._exposure))
        if self._grain is not None:
            y, x = rng.integers(0, 96, 2)
            light += self._grain[y : y + self.height, x : x + self.width] * np.sqrt(0.00026 * light + 0.000006)
        np.clip(light, 0, WHITE, out=light)
        # Film and sensors mix a little of each colour into the others.
        grey = (light[..., 0] + light[..., 1] + light[..., 2]) * np.float32(0.14 / 3)
        light = light * np.float32(0.86) + grey[..., None]
        index = np.sqrt(light * np.float32((TABLE - 1) ** 2 / WHITE)).astype(np.uint16)
        return np.asarray(self._table[index])


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image as a JPEG: baseline, 4:2:0, as ScanNet's."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", image[..., ::-1], options)
    return bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthView:
    """The surfaces before a depth camera, per pixel (H, W)."""

    depth: NDArray[np.float32]  # z, metres, inf where nothing was hit
    cosine: NDArray[np.float32]  # of the angle between ray and surface normal
    albedo: NDArray[np.float32]  # mean reflectance
    clear: NDArray[np.bool_]  # panes: the pattern passes through


def exact_millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round z-depth to millimetres, 0 where nothing was hit or the distance does not fit 16 bits."""
    millimetres = np.round(depth.astype(np.float64) * 1000)
    return np.where(np.isfinite(millimetres) & (millimetres < 65536), millimetres, 0).astype(np.uint16)


class DepthCamera:
    """A structured-light sensor.

    Its error grows with the square of distance (Khoshelham & Elberink 2012), and it loses sight of edges, and of
    grazing, dark, clear and distant surfaces.
    """

    def __init__(self, width: int, height: int, noise: float, rng: Generator) -> None:
        import cv2

        self.noise = noise
        scale = width / 640
        fine, correlated, coarse = (rng.standard_normal((height + 64, width + 64), dtype=np.float32) for _ in range(3))
        correlated = cv2.GaussianBlur(correlated, (0, 0), max(2.2 * scale, 0.8))
        coarse = cv2.GaussianBlur(coarse, (0, 0), max(9 * scale, 1.5))
        self._fields = (fine, correlated / correlated.std(), coarse / coarse.std())

    def measure(self, view: DepthView, rng: Generator) -> NDArray[np.uint16]:
        """Measure depth, (H, W) uint16 millimetres, 0 where there is no reading."""
        if self.noise <= 0:
            return exact_millimetres(view.depth)
        import cv2

        height, width = view.depth.shape
        z = np.where(np.isfinite(view.depth), view.depth, 50.0).astype(np.float32)
        fine, correlated, coarse = (
            field[y : y + height, x : x + width]
            for field, (y, x) in zip(self._fields, rng.integers(0, 64, (3, 2)), strict=True)
        )
        disparity = BASELINE_FOCAL / z + self.noise * (0.045 * correlated + 0.012 * fine)
        disparity = np.round(disparity / DISPARITY_STEP) * DISPARITY_STEP
        measured = BASELINE_FOCAL / np.maximum(disparity, 0.5)
        lost = (view.depth < RANGE[0]) | (z > RANGE[1] + 0.25 * coarse) | view.clear
        near = cv2.erode(z, np.ones((3, 3), np.uint8))
        far = cv2.dilate(z, np.ones((3, 3), np.uint8))
        # The farther side of an edge lies in the projector's shadow; the nearer one is lost now and then.
        behind = z > (near + far) / 2
        lost |= (far - near > 0.06 * near) & (fine > np.where(behind, 0.2 - 1.2 * self.noise, 1.6 - 1.2 * self.noise))
        lost |= view.cosine < self.noise * (0.10 + 0.05 * coarse)
        lost |= (view.albedo < 0.02) & (coarse > 2.4 - 0.55 * z)
        lost |= coarse > 2.9
        lost |= fine > 3.1
        return np.where(lost, 0, exact_millimetres(measured)).astype(np.uint16)


def imu_samples(camera_to_world: NDArray[np.float64], timestamps: NDArray[np.int64], rng: Generator) -> list[ImuSample]:
    """Return what an inertial sensor fixed to the camera reads at each frame, in camera axes.

    Rates are in rad/s, acceleration (without gravity) and gravity in g, the field in microtesla, attitude in radians.

    Args:
        camera_to_world: (N, 4, 4).
        timestamps: (N,) microseconds.
        rng: for the noise.
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
    rate = np.stack([skew[:, j, i] - skew[:, i, j] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1) / 2

    def in_camera(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("nji,nj->ni", rotation, np.broadcast_to(vectors, (count, 3))))

    rate = rate + rng.normal(0, GYRO_NOISE, (count, 3))
    felt = in_camera(acceleration) / 9.80665 + rng.normal(0, ACCELERATION_NOISE / 9.8, (count, 3))
    field = in_camera(NORTH) + rng.normal(0, FIELD_NOISE, (count, 3))
    roll = np.arctan2(rotation[:, 2, 0], -rotation[:, 2, 1])
    pitch = np.arcsin(np.clip(rotation[:, 2, 2], -1, 1))
    yaw = np.arctan2(rotation[:, 1, 2], rotation[:, 0, 2])
    readings = {
        "rotation_rate": rate,
        "acceleration": felt,
        "magnetic_field": field,
        "attitude": np.stack([roll, pitch, yaw], axis=1),
        "gravity": in_camera(GRAVITY) / 9.80665,
    }
    return [
        ImuSample(**{name: tuple(rows[k].tolist()) for name, rows in readings.items()}, timestamp=int(timestamps[k]))
        for k in range(count)
    ]
