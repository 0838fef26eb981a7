"""Draw procedural textures of building materials and fabrics from a random stream; all tile without a seam.

A texture is (S, S, 3) float32 sRGB in 0..1. Colours are given as sRGB triples in 0..1.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from gapdata.synthetic.materials import Texture, rgb

Field = NDArray[np.float32]  # (S, S)


def noise(rng: Generator, size: int, *, falloff: float = 1.0, stretch: float = 1.0, finest: float = 1.0) -> Field:
    """Draw tileable fractal noise of unit variance: white noise filtered to a spectrum ``1 / f**falloff``.

    A ``stretch`` above 1 draws it out along v; detail of less than ``finest`` texels is removed.
    """
    fy = np.fft.fftfreq(size).astype(np.float32)[:, None] * np.float32(stretch)
    fx = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1.0
    gain = frequency**-falloff * np.exp(-((frequency * finest) ** 2))
    gain[0, 0] = 0.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32)) * gain
    field = np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32, copy=False)
    return np.asarray(field / field.std())


def colored(color: ArrayLike, shade: Field) -> Texture:
    """Return a colour times a shade, (S, S) around 1."""
    return np.asarray(np.clip(np.asarray(color, dtype=np.float32) * shade[..., None], 0, 1), dtype=np.float32)


def grid_coordinates(size: int) -> tuple[Field, Field]:
    """Return u and v of texel centres, 0..1, each (S, S)."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    u, v = np.meshgrid(line, line)
    return u.astype(np.float32), v.astype(np.float32)


def paint(rng: Generator, color: ArrayLike, size: int = 256) -> Texture:
    """Draw a painted wall: roller stipple and slow unevenness."""
    return colored(color, 1 + 0.010 * noise(rng, size, falloff=0.4, finest=2) + 0.012 * noise(rng, size, falloff=1.6))


def plain(rng: Generator, color: ArrayLike, size: int = 64) -> Texture:
    """Draw lacquer or plastic, which have hardly any structure."""
    return colored(color, 1 + 0.008 * noise(rng, size, falloff=0.8))


def wallpaper(rng: Generator, color: ArrayLike, size: int = 256) -> Texture:
    """Draw wallpaper with a faint printed pattern of stripes or lozenges."""
    u, v = grid_coordinates(size)
    if rng.random() < 0.5:
        figure = np.sign(np.sin(2 * np.pi * u * rng.integers(3, 7)))
    else:
        count = int(rng.integers(2, 5))
        figure = np.cos(2 * np.pi * count * u) * np.cos(2 * np.pi * count * v)
        figure = np.tanh(4 * figure) + 0.4 * np.cos(4 * np.pi * count * (u + v))
    return colored(color, 1 + 0.03 * figure + 0.012 * noise(rng, size, falloff=0.6))


def brick(rng: Generator, color: ArrayLike, size: int = 512) -> Texture:
    """Draw bricks in running bond, eight courses to a tile."""
    u, v = grid_coordinates(size)
    courses, columns = 8, 3
    row = np.floor(v * courses).astype(int)
    shifted = u * columns + 0.5 * (row % 2)
    tone = rng.normal(1, 0.13, (courses, columns)).astype(np.float32)[row, np.floor(shifted).astype(int) % columns]
    edge = np.minimum(_to_edge(shifted) / columns, _to_edge(v * courses) / courses)
    edge = edge + 0.002 * noise(rng, size, falloff=0.8)
    mortar = np.clip((0.012 - edge) * 300, 0, 1)[..., None]
    face = colored(color, tone + 0.09 * noise(rng, size, falloff=0.7))
    return np.asarray(face * (1 - mortar) + rgb([0.68, 0.66, 0.62]) * mortar, dtype=np.float32)


def _to_edge(coordinate: NDArray[np.floating]) -> Field:
    """Return the distance to the nearest whole number."""
    return np.asarray(np.abs(coordinate - np.round(coordinate)), dtype=np.float32)


def wood(rng: Generator, color: ArrayLike, size: int = 256, figure: float = 1.0) -> Texture:
    """Draw sawn timber with its grain along v.

    It has growth rings cut lengthwise, pores, and a few darker streaks; ``figure`` is how strongly they show.
    """
    u, _ = grid_coordinates(size)
    warp = noise(rng, size, falloff=1.7, stretch=7)
    rings = np.sin(2 * np.pi * (u * 7 + 0.55 * warp))
    pores = noise(rng, size, falloff=0.35, stretch=14)
    streak = noise(rng, size, falloff=1.1, stretch=9)
    shade = 1 + figure * (0.045 * rings + 0.05 * pores + 0.05 * streak)
    dark = np.clip(1 - shade, 0, 1)[..., None] * rgb([0.0, 0.12, 0.25])
    return np.asarray(np.clip(colored(color, shade) - dark * 0.5, 0, 1))


def planks(rng: Generator, color: ArrayLike, size: int = 1024, rows: int = 10) -> Texture:
    """Draw a wooden floor: boards along v, staggered joints, every board of its own tone and cut."""
    u, v = grid_coordinates(size)
    row = np.floor(u * rows).astype(int)
    start = rng.uniform(0, 1, rows).astype(np.float32)
    along = (v + start[row]) * 2
    board = np.floor(along).astype(int) % 2
    tone = rng.normal(1, 0.085, (rows, 2)).astype(np.float32)[row, board]
    # Half the size suffices for the cut of single boards: each shows another stretch of it.
    grain = np.tile(wood(rng, color, size // 2), (2, 2, 1))
    shift = rng.integers(0, size, rows)
    cuts = zip(np.array_split(grain, rows, axis=1), shift, strict=True)
    rolled = np.concatenate([np.roll(cut, int(s), axis=0) for cut, s in cuts], axis=1)
    gap = np.minimum(_to_edge(u * rows) / rows, _to_edge(along) / 2 * 0.7)
    line = 1 - 0.55 * np.clip(1 - gap * size / 1.7, 0, 1)
    return np.asarray(np.clip(rolled * (tone * line)[..., None], 0, 1), dtype=np.float32)


def carpet(rng: Generator, color: ArrayLike, size: int = 512) -> Texture:
    """Draw cut pile: tufts, flecks of a second yarn, and trodden areas."""
    tuft = noise(rng, size, falloff=0.15, finest=1.5)
    fleck = (noise(rng, size, falloff=0.3, finest=3) > 1.3).astype(np.float32)
    return colored(color, 1 + 0.11 * tuft - 0.10 * fleck + 0.035 * noise(rng, size, falloff=1.8))


def tiles(rng: Generator, color: ArrayLike, size: int = 512, count: int = 4, veined: bool = False) -> Texture:
    """Draw ceramic or stone tiles with grout."""
    u, v = grid_coordinates(size)
    i, j = np.floor(v * count).astype(int), np.floor(u * count).astype(int)
    tone = rng.normal(1, 0.022, (count, count)).astype(np.float32)[i, j]
    body = tone + 0.018 * noise(rng, size, falloff=1.3)
    if veined:
        body -= 0.10 * np.exp(-np.abs(noise(rng, size, falloff=1.9)) * 9)
    edge = np.minimum(_to_edge(u * count), _to_edge(v * count)) * size / count
    grout = np.clip(2.6 - edge, 0, 1)[..., None]
    rim = 1 - 0.05 * np.clip(1 - (edge - 2.6) / 3, 0, 1)
    grey = colored([0.60, 0.58, 0.55], 1 + 0.05 * noise(rng, size, falloff=0.3))
    return (colored(color, body * rim) * (1 - grout) + grey * grout).astype(np.float32)


def stone(rng: Generator, color: ArrayLike, size: int = 256) -> Texture:
    """Draw speckled granite."""
    speck = np.clip(noise(rng, size, falloff=0.35, finest=2), -2.5, 2.5)
    return colored(color, 1 + 0.10 * speck + 0.05 * noise(rng, size, falloff=1.2))


def woven(rng: Generator, color: ArrayLike, size: int = 256, second: ArrayLike | None = None) -> Texture:
    """Draw upholstery: threads over and under, with stripes or checks of a second colour when one is given."""
    u, v = grid_coordinates(size)
    threads = size // 8
    over = np.sin(2 * np.pi * threads * u) * np.sin(2 * np.pi * threads * v)
    shade = 1 + 0.06 * over + 0.06 * noise(rng, size, falloff=0.3) + 0.012 * noise(rng, size, falloff=1.2)
    base = np.broadcast_to(np.asarray(color, dtype=np.float32), (size, size, 3))
    if second is not None:
        mask = _fabric_figure(rng, u, v)[..., None]
        base = base * (1 - mask) + np.asarray(second, dtype=np.float32) * mask
    return np.asarray(np.clip(base * shade[..., None], 0, 1), dtype=np.float32)


def _fabric_figure(rng: Generator, u: Field, v: Field) -> Field:
    """Return the share of the second colour, 0..1: stripes, checks, dots, zigzag or ikat-like clouds."""
    count = int(rng.integers(3, 7))
    kind = int(rng.integers(5))
    if kind == 0:
        return np.asarray(np.sin(2 * np.pi * count * u) > 0.2, dtype=np.float32)
    if kind == 1:
        across, along = np.sin(2 * np.pi * count * u) > 0, np.sin(2 * np.pi * count * v) > 0
        return np.asarray(0.5 * across + 0.5 * along, dtype=np.float32)
    if kind == 2:
        return np.clip((0.3 - np.hypot(_to_edge(u * count), _to_edge(v * count))) * 12, 0, 1).astype(np.float32)
    if kind == 3:
        zigzag = v * count + 0.6 * np.abs(_to_edge(u * count))
        return (np.sin(2 * np.pi * zigzag) > 0).astype(np.float32)
    return np.clip(noise(rng, len(u), falloff=1.9, finest=12) * 2, 0, 1).astype(np.float32)


def leather(rng: Generator, color: ArrayLike, size: int = 256) -> Texture:
    """Draw grained leather: fine creases between small cells, and worn patches."""
    cells = noise(rng, size, falloff=0.6, finest=5)
    crease = np.exp(-np.abs(cells) * 5)
    return colored(color, 1.02 - 0.11 * crease + 0.05 * noise(rng, size, falloff=1.7))


def metal(rng: Generator, color: ArrayLike, size: int = 128) -> Texture:
    """Draw metal brushed along v."""
    return colored(color, 1 + 0.04 * noise(rng, size, falloff=0.3, stretch=20))


def cardboard(rng: Generator, color: ArrayLike = (0.66, 0.50, 0.34), size: int = 256) -> Texture:
    """Draw cardboard with its flutes showing through and a strip of parcel tape."""
    u, _ = grid_coordinates(size)
    body = colored(color, 1 + 0.02 * np.sin(2 * np.pi * 40 * u) + 0.05 * noise(rng, size, falloff=0.9, stretch=3))
    tape = (np.abs(u - 0.5) < 0.07)[..., None]
    return np.where(tape, np.clip(body * 1.12 + 0.03, 0, 1), body).astype(np.float32)


def foliage(rng: Generator, color: ArrayLike, size: int = 128) -> Texture:
    """Draw a leaf across the tile, its midrib along v and side veins in pairs."""
    u, v = grid_coordinates(size)
    side = np.abs(u - 0.5)
    veins = np.exp(-_to_edge((v + side * 0.9) * 9) * 14) * 0.14 + np.exp(-side * 60) * 0.30
    return colored(color, 1 + veins + 0.09 * noise(rng, size, falloff=1.3))
