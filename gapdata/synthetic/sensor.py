"""What cameras make of light and distance: exposure, tone, noise and JPEG; disparity steps, holes and millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

BASELINE_FOCAL = 0.075 * 571.0  # m px: baseline and focal length of a Structure Sensor at 640 px
DISPARITY_STEP = 1 / 16  # px
RANGE = (0.35, 6.0)  # m
JPEG_QUALITY = 90
TABLE = 4096
WHITE = 4.0  # linear value, times exposure, that the tone curve still tells from less


def tone_table() -> NDArray[np.uint8]:
    """SRGB bytes for square roots of linear light in 0..sqrt(WHITE): a filmic shoulder
    (Narkowicz 2015), then 1 / 2.2.
    """
    x = (np.linspace(0, 1, TABLE) ** 2 * WHITE) * 0.72
    filmic = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.round(np.clip(filmic, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


@dataclass(slots=True)
class ColorCamera:
    """Turns linear radiance into the bytes of a frame; keeps the automatic exposure between frames.

    Args:
        width, height: of the image.
        noise: strength of sensor noise, 0 for none.
        rng: for the noise pattern and the white balance.
    """

    width: int
    height: int
    noise: float
    rng: Generator
    _grain: NDArray[np.float32] | None = None
    _vignette: NDArray[np.float32] | None = None
    _balance: NDArray[np.float32] | None = None
    _table: NDArray[np.uint8] | None = None
    _exposure: float = 0.0

    def __post_init__(self) -> None:
        import cv2

        y, x = np.mgrid[-1 : 1 : self.height * 1j, -1 : 1 : self.width * 1j]
        falloff = 1 - 0.20 * ((x**2 + y**2) / 2).astype(np.float32)
        self._balance = (1 + self.rng.normal(0, 0.025, 3)).astype(np.float32)
        self._vignette = falloff[..., None] * self._balance
        self._table = tone_table()
        if self.noise > 0:
            size = (self.height + 96, self.width + 96, 3)
            grain = self.rng.standard_normal(size, dtype=np.float32)
            # Demosaicing spreads a pixel's noise over its neighbours.
            self._grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * np.float32(1.7 * self.noise)

    def develop(self, radiance: NDArray[np.float32], rng: Generator) -> NDArray[np.uint8]:
        """A frame (H, W, 3) uint8 RGB of linear radiance (H, W, 3)."""
        import cv2

        assert self._vignette is not None
        assert self._table is not None
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
    """JPEG bytes of an RGB image: baseline, 4:2:0, as ScanNet's."""
    import cv2

    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    _, data = cv2.imencode(".jpg", image[..., ::-1], options)
    return bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthView:
    """What a depth camera faces, per pixel (H, W)."""

    depth: NDArray[np.float32]  # z, metres, inf where nothing was hit
    cosine: NDArray[np.float32]  # of the angle between ray and surface normal
    albedo: NDArray[np.float32]  # mean reflectance
    clear: NDArray[np.bool_]  # panes: the pattern passes through


def exact_millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """z-depth rounded to millimetres, 0 where nothing was hit or the distance does not fit 16 bits."""
    millimetres = np.round(depth.astype(np.float64) * 1000)
    return np.where(np.isfinite(millimetres) & (millimetres < 65536), millimetres, 0).astype(np.uint16)


class DepthCamera:
    """A structured-light sensor: error grows with the square of distance (Khoshelham & Elberink 2012), and it loses
    sight of edges, grazing, dark, clear and distant surfaces.
    """

    def __init__(self, width: int, height: int, noise: float, rng: Generator) -> None:
        import cv2

        self.noise = noise
        size = (height + 64, width + 64)
        scale = width / 640
        self._fine = rng.standard_normal(size, dtype=np.float32)
        correlated = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), max(2.2 * scale, 0.8))
        self._correlated = correlated / correlated.std()
        coarse = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), max(9 * scale, 1.5))
        self._coarse = coarse / coarse.std()

    def measure(self, view: DepthView, rng: Generator) -> NDArray[np.uint16]:
        """Depth (H, W) uint16 millimetres, 0 where there is no reading."""
        if self.noise <= 0:
            return exact_millimetres(view.depth)
        import cv2

        height, width = view.depth.shape
        z = np.where(np.isfinite(view.depth), view.depth, 50.0).astype(np.float32)
        fine, correlated, coarse = (
            field[y : y + height, x : x + width]
            for field, (y, x) in zip(
                (self._fine, self._correlated, self._coarse), rng.integers(0, 64, (3, 2)), strict=True
            )
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
