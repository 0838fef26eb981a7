"""Draw the images that hang, stand or glow in a room: paintings, screens, book spines, rugs, the view outdoors.

Each is (S, S, 3) float32 sRGB in 0..1, stretched over its surface once.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from gapdata.synthetic.materials import Texture, rgb
from gapdata.synthetic.textures import colored, grid_coordinates, noise

Color = tuple[float, float, float]


def hue(
    rng: Generator, *, saturation: tuple[float, float] = (0.1, 0.65), value: tuple[float, float] = (0.3, 0.9)
) -> Color:
    """Draw a colour within ranges of HSV saturation and value."""
    return colorsys.hsv_to_rgb(float(rng.random()), float(rng.uniform(*saturation)), float(rng.uniform(*value)))


def _as_texture(image: NDArray[np.uint8]) -> Texture:
    return image.astype(np.float32) / np.float32(255)


def _scaled(color: ArrayLike) -> tuple[float, ...]:
    return tuple(float(c) * 255 for c in np.asarray(color))


def painting(rng: Generator, size: int = 256) -> Texture:
    """Draw a landscape, an abstract or a printed poster, with a passe-partout on most."""
    makers = (_landscape, _abstract, _poster, _circles)
    art = makers[int(rng.integers(len(makers)))](rng, size)
    if rng.random() < 0.6:
        u, v = grid_coordinates(size)
        margin = np.maximum(np.abs(u - 0.5), np.abs(v - 0.5)) > 0.5 - rng.uniform(0.05, 0.13)
        art = np.where(margin[..., None], rgb([0.93, 0.92, 0.88]), art)
    return art.astype(np.float32)


def _landscape(rng: Generator, size: int) -> Texture:
    u, v = grid_coordinates(size)
    top, low = rgb(hue(rng, value=(0.5, 0.9))), rgb(hue(rng, saturation=(0.1, 0.5), value=(0.8, 1.0)))
    image = top + (low - top) * np.clip(v * 1.8, 0, 1)[..., None]
    for k in range(int(rng.integers(3, 6))):
        ridge = 0.35 + 0.13 * k + 0.05 * noise(rng, size, falloff=1.6)[0]
        tint = rgb(hue(rng, saturation=(0.2, 0.6), value=(0.55 - 0.09 * k, 0.7 - 0.09 * k)))
        ground = colored(tint, 1 + 0.12 * noise(rng, size, falloff=0.9))
        image = np.where((v > ridge[None, :])[..., None], ground, image)
    sun = np.hypot(u - rng.uniform(0.2, 0.8), v - 0.22) < 0.07
    return np.where((sun & (v < 0.34))[..., None], rgb([0.99, 0.93, 0.75]), image)


def _abstract(rng: Generator, size: int) -> Texture:
    import cv2

    canvas = np.full((size, size, 3), _scaled(hue(rng, saturation=(0, 0.3), value=(0.7, 0.98))), dtype=np.uint8)
    for _ in range(int(rng.integers(6, 14))):
        x, y, w, h = (int(k) for k in rng.integers(0, size, 4))
        cv2.rectangle(canvas, (x, y), (x + w // 2, y + h // 2), _scaled(hue(rng)), -1)
        if rng.random() < 0.5:
            cv2.line(canvas, (x, 0), (w, size), _scaled(hue(rng, value=(0, 0.4))), int(rng.integers(1, 6)), cv2.LINE_AA)
    return np.clip(_as_texture(canvas) * (1 + 0.06 * noise(rng, size, falloff=0.8))[..., None], 0, 1)


def _circles(rng: Generator, size: int) -> Texture:
    import cv2

    canvas = np.full((size, size, 3), _scaled(hue(rng, saturation=(0.1, 0.5))), dtype=np.uint8)
    for _ in range(int(rng.integers(5, 12))):
        centre = tuple(int(k) for k in rng.integers(0, size, 2))
        radius = int(rng.integers(size // 16, size // 3))
        cv2.circle(canvas, centre, radius, _scaled(hue(rng)), -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, radius // 2, _scaled(hue(rng)), int(rng.integers(2, 9)), cv2.LINE_AA)
    return _as_texture(canvas)


def _poster(rng: Generator, size: int) -> Texture:
    import cv2

    art = _landscape(rng, size) if rng.random() < 0.5 else _circles(rng, size)
    canvas = np.round(art * 255).astype(np.uint8)
    ink, ground = _scaled(hue(rng, value=(0.0, 0.3))), _scaled(hue(rng, saturation=(0, 0.25), value=(0.85, 1)))
    top = int(size * rng.uniform(0.62, 0.78))
    cv2.rectangle(canvas, (0, top), (size, size), ground, -1)
    title = (int(size * rng.uniform(0.5, 0.9)), top + size // 10)
    cv2.rectangle(canvas, (size // 10, top + size // 24), title, ink, -1)
    text_lines(rng, canvas, (size // 10, top + size // 7, size * 9 // 10, size - size // 20), ink)
    return _as_texture(canvas)


def text_lines(
    rng: Generator, canvas: NDArray[np.uint8], rectangle: tuple[int, int, int, int], ink: ArrayLike, pitch: int = 7
) -> None:
    """Draw words as short bars, ragged right, onto ``canvas`` within (left, top, right, bottom) pixels."""
    import cv2

    left, top, right, bottom = rectangle
    for y in range(top, bottom - 2, pitch):
        x, end = left + int(rng.integers(0, 3)) * pitch, right - int(rng.uniform(0, 0.45) * (right - left))
        while x < end:
            length = int(rng.integers(pitch // 2, pitch * 4))
            corner = (min(x + length, end), y + max(1, pitch // 3))
            cv2.rectangle(canvas, (x, y), corner, _scaled(np.asarray(ink) / 255), -1)
            x += length + pitch // 2


def desktop_screen(rng: Generator, size: int = 256) -> Texture:
    """Draw a computer's screen: a wallpaper with windows of text, dark or light."""
    import cv2

    canvas = np.round(_landscape(rng, size) * 200).astype(np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        dark = rng.random() < 0.5
        ground, ink = ((38, 40, 46), (150, 190, 170)) if dark else ((240, 240, 242), (90, 90, 100))
        x, y = (int(k) for k in rng.integers(4, size // 3, 2))
        w, h = (int(k) for k in rng.integers(size // 2, size * 2 // 3, 2))
        cv2.rectangle(canvas, (x, y), (x + w, y + h), ground, -1)
        cv2.rectangle(canvas, (x, y), (x + w, y + size // 26), (90, 95, 110), -1)
        text_lines(rng, canvas, (x + 6, y + size // 16, x + w - 6, y + h - 4), ink, 6)
    cv2.rectangle(canvas, (0, size - size // 24), (size, size), (30, 32, 38), -1)
    return _as_texture(canvas)


def television_screen(rng: Generator, size: int = 256) -> Texture:
    """Draw a television's screen, which is switched off in half of all rooms."""
    if rng.random() < 0.5:
        return colored([0.035, 0.037, 0.042], 1 + 0.02 * noise(rng, size, falloff=1.5))
    return _landscape(rng, size) * np.float32(0.9)


def keyboard(rng: Generator, size: int = 128) -> Texture:
    """Draw rows of keys."""
    u, v = grid_coordinates(size)
    dark = rng.random() < 0.7
    across, down = np.abs((u * 14 + 0.3 * np.floor(v * 5)) % 1 - 0.5), np.abs((v * 5) % 1 - 0.5)
    key, inside = np.minimum(across, down), np.maximum(across, down) < 0.40
    body, cap = (0.10, 0.17) if dark else (0.55, 0.86)
    shade = np.where(inside, cap, body) + np.where(inside & (key < 0.08), 0.12 if dark else -0.2, 0.0)
    return np.repeat(shade[..., None], 3, axis=2).astype(np.float32)


def book_spine(rng: Generator, size: int = 64) -> Texture:
    """Draw a book's cover with bands and a title along the spine (v)."""
    color = hue(rng, saturation=(0.1, 0.85), value=(0.15, 0.85))
    image = colored(color, 1 + 0.04 * noise(rng, size, falloff=0.9))
    u, v = grid_coordinates(size)
    ink = rgb(hue(rng, saturation=(0, 0.5), value=(0.75, 1)) if sum(color) < 1.6 else (0.1, 0.1, 0.12))
    start, end = rng.uniform(0.15, 0.3), rng.uniform(0.5, 0.85)
    words = np.repeat(rng.random(size // 3 + 1) < 0.75, 3)[:size]
    title = (np.abs(u - 0.5) < 0.17) & (v > start) & (v < end) & words[:, None]
    bands = (np.abs(v - 0.08) < 0.012) | (np.abs(v - 0.92) < 0.012)
    return np.where((title | bands)[..., None], ink, image).astype(np.float32)


def rug(rng: Generator, size: int = 512) -> Texture:
    """Draw a woven rug: a field of medallions or stripes within borders."""
    u, v = grid_coordinates(size)
    field, border, accent = (rgb(hue(rng, saturation=(0.08, 0.5), value=(0.25, 0.75))) for _ in range(3))
    count = int(rng.integers(3, 8))
    lozenge = (np.abs((u * count) % 1 - 0.5) + np.abs((v * count * 1.4) % 1 - 0.5)) % 0.5
    stripes = np.sin(2 * np.pi * v * count * 2)
    figure = lozenge < 0.2 if rng.random() < 0.6 else stripes > 0.3
    image = np.where(figure[..., None], accent, field)
    rim = 0.5 - np.maximum(np.abs(u - 0.5), np.abs(v - 0.5))
    image = np.where((rim < 0.10)[..., None], border, image)
    image = np.where(((rim > 0.03) & (rim < 0.045))[..., None], accent, image)
    return np.asarray(np.clip(image * (1 + 0.09 * noise(rng, size, falloff=0.25))[..., None], 0, 1), dtype=np.float32)


def whiteboard(rng: Generator, size: int = 512) -> Texture:
    """Draw white enamel with marker writing, sketches and half-wiped traces."""
    import cv2

    canvas = np.round(colored([0.93, 0.94, 0.94], 1 + 0.012 * noise(rng, size, falloff=1.6)) * 255).astype(np.uint8)
    pens = [(25, 40, 140), (170, 25, 30), (20, 20, 24), (20, 110, 50)]
    for _ in range(int(rng.integers(4, 9))):
        pen = pens[int(rng.integers(len(pens)))]
        x, y = (int(k) for k in rng.integers(size // 16, size * 3 // 4, 2))
        for line in range(int(rng.integers(1, 6))):
            steps = np.cumsum(rng.normal((3.0, 0.0), (2.0, 5.0), (int(rng.integers(12, 50)), 2)), axis=0)
            stroke = np.stack([x + steps[:, 0], y + line * 16 + steps[:, 1] % 11], axis=1).astype(np.int32)
            cv2.polylines(canvas, [stroke], False, pen, 2, cv2.LINE_AA)
        if rng.random() < 0.5:
            corner = (x + int(rng.integers(40, 130)), y + int(rng.integers(30, 90)))
            cv2.rectangle(canvas, (x, y), corner, pen, 2, cv2.LINE_AA)
    return _as_texture(canvas)


def clock_face(rng: Generator, size: int = 128) -> Texture:
    """Draw twelve ticks and two hands."""
    import cv2

    canvas = np.full((size, size, 3), 240, dtype=np.uint8)
    half = size / 2
    for k in range(12):
        direction = np.array([np.sin(k * np.pi / 6), -np.cos(k * np.pi / 6)])
        a, b = (tuple(int(c) for c in half + half * r * direction) for r in (0.74, 0.88))
        cv2.line(canvas, a, b, (20, 20, 20), 3, cv2.LINE_AA)
    for length, width in ((0.45, 5), (0.66, 3)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (int(half + half * length * np.sin(angle)), int(half - half * length * np.cos(angle)))
        cv2.line(canvas, (int(half), int(half)), tip, (15, 15, 15), width, cv2.LINE_AA)
    return _as_texture(canvas)


def outdoors(rng: Generator, size: int = 512) -> Texture:
    """Draw the view through a window: u is azimuth over 180 degrees, v elevation from +45 (top) to -45 degrees."""
    _u, v = grid_coordinates(size)
    horizon = 0.54
    sky = rgb([0.52, 0.70, 0.94]) + rgb([0.42, 0.26, 0.05]) * np.clip(v / horizon, 0, 1)[..., None] ** 1.5
    cloud = np.clip(noise(rng, size, falloff=1.5, stretch=0.5) * 0.5, 0, 1) * np.clip(1.3 - v, 0, 1)
    cloud = cloud[..., None]
    image = sky * (1 - 0.7 * cloud) + 0.7 * cloud * rgb([0.97, 0.97, 0.98])
    for k in range(26):
        left, width = int(rng.integers(size)), int(rng.integers(size // 60, size // 22))
        top = int(size * (horizon - rng.uniform(0.015, 0.16) * (1 - k / 52)))
        tint = rgb(hue(rng, saturation=(0.03, 0.3), value=(0.45, 0.8)))
        columns = np.arange(left, left + width) % size
        window = ((np.arange(top, size)[:, None] // 3 % 2) * (columns[None] // 2 % 2))[..., None]
        image[top:, columns] = tint * (1 - 0.35 * window)
    trees = horizon - 0.03 + 0.014 * noise(rng, size, falloff=1.0)[0] + 0.012 * noise(rng, size, falloff=0.3)[1]
    leaves = colored([0.40, 0.47, 0.34], 1 + 0.22 * noise(rng, size, falloff=0.9, finest=2))
    image = np.where((v > trees[None, :])[..., None], leaves, image)
    lawn = colored([0.50, 0.56, 0.40], 1 + 0.12 * noise(rng, size, falloff=1.0))
    return np.clip(np.where((v > horizon + 0.07)[..., None], lawn, image), 0, 1).astype(np.float32)
