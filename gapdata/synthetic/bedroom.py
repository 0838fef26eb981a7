"""Beds with their bedding."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.seating import pillow_mesh
from gapdata.synthetic.shapes import Mesh, box, join, surface, turned_over
from gapdata.synthetic.style import Model, Style, Top


def bed(style: Style, rng: Generator) -> Model:
    """A single or double bed: frame, headboard at the back, mattress and a duvet that hangs over its edges."""
    width = float(rng.choice([0.95, 1.40, 1.60]))
    length, mattress = rng.uniform(1.95, 2.05), rng.uniform(0.46, 0.54)
    wood = style.wood(int(rng.integers(2)))
    upholstered = rng.random() < 0.35
    head = rng.uniform(0.85, 1.15)
    parts = [box([width + 0.06, length, 0.20], wood, radius=0.008).moved(z=0.20)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(box([0.07, 0.07, 0.12], wood).moved(sx * (width / 2 - 0.04), sy * (length / 2 - 0.05), 0.06))
    if upholstered:
        cover = style.fabric(0)
        columns = max(2, round(width / 0.35))
        for k in range(columns):
            pad = box([(width + 0.06) / columns - 0.004, 0.08, head - 0.1], cover, radius=0.03, puff=0.02)
            parts.append(
                pad.moved(
                    -(width + 0.06) / 2 + (k + 0.5) * (width + 0.06) / columns, -length / 2 - 0.03, head / 2 + 0.05
                )
            )
    else:
        parts.append(box([width + 0.10, 0.045, head], wood, radius=0.012).moved(0, -length / 2 - 0.02, head / 2))
    parts.append(
        box([width, length - 0.03, 0.20], style.linen(), radius=0.05, step=0.08).moved(0, 0.0, mattress - 0.10)
    )
    parts.append(_duvet(style, rng, width, length, mattress))
    return Model(
        label="bed",
        mesh=join(parts),
        tops=(
            Top(z=mattress + 0.0, x=(-width / 2 + 0.03, width / 2 - 0.03), y=(-length / 2 + 0.02, -length / 2 + 0.48)),
            Top(z=mattress + 0.055, x=(-width / 2 + 0.05, width / 2 - 0.05), y=(-0.3, length / 2 - 0.1)),
        ),
    )


def _duvet(style: Style, rng: Generator, width: float, length: float, height: float) -> Mesh:
    """Cloth over the mattress from below the pillows to the foot, falling at three sides, with soft folds."""
    cloth = style.fabric(int(rng.integers(3)), figured=rng.random() < 0.6)
    drop, loft = rng.uniform(0.12, 0.24), 0.05
    half, start, end = width / 2 + 0.025, -length / 2 + rng.uniform(0.45, 0.6), length / 2 + 0.02
    s = np.linspace(-half - drop, half + drop, int((width + 2 * drop) / 0.055))
    t = np.linspace(start, end + drop, int((end + drop - start) / 0.055))
    a, b = np.meshgrid(s, t)
    waves = np.zeros_like(a)
    for _ in range(9):
        direction, length_ = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 0.7)
        phase = rng.uniform(0, 2 * np.pi)
        waves += length_ * np.sin(2 * np.pi * (a * np.cos(direction) + b * np.sin(direction)) / length_ + phase)
    waves *= 0.0048
    over_side, over_foot = np.maximum(np.abs(a) - half, 0), np.maximum(b - end, 0)
    fall = np.maximum(over_side, over_foot)
    edge = 0.035 * np.exp(-((np.minimum(half - np.abs(a), end - b).clip(0)) / 0.05))
    # Out of the cloth's own plane: up on the bed, outward where it hangs.
    x = np.clip(a, -half, half) + np.sign(a) * np.where(over_side > 0, 0.012 + np.abs(waves) * 1.5, 0)
    y = np.minimum(b, end) + np.where(over_foot > 0, 0.012 + np.abs(waves) * 1.5, 0)
    z = height + loft - edge - fall + np.where(fall > 0, 0, waves)
    rolled = np.clip(1 - (b - start) / 0.06, 0, 1)
    z = z - rolled**2 * (loft - 0.004) * (fall <= 0)
    mesh = surface(np.stack([x, y, z], axis=-1), cloth)
    if mesh.normals[:, 2].mean() < 0:
        mesh = turned_over(mesh)
    return mesh


def bed_pillow(style: Style, rng: Generator) -> Model:
    """A sleeping pillow."""
    cover = style.linen() if rng.random() < 0.6 else style.fabric(int(rng.integers(3)))
    return Model(label="pillow", mesh=pillow_mesh(rng, cover, rng.uniform(0.56, 0.70), rng.uniform(0.38, 0.46), 0.14))
