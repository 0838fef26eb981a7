"""What fills and dresses the openings of walls, in a wall's frame: doors, windows, curtains, blinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.shapes import box, cylinder, join, panel, surface, tube, turned_over
from gapdata.synthetic.style import Model, Style

RECESS = 0.14  # m that a window pane lies behind the wall's surface
CURTAIN = 0.125  # m from the wall to a curtain's rod, clear of the sill


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A door or window in a wall, in the wall's frame."""

    kind: str  # "door" or "window"
    wall: int
    x: tuple[float, float]
    z: tuple[float, float]


def make_door(style: Style, rng: Generator, opening: Opening) -> list[Model]:
    """A panelled door leaf, closed, with its handle, and the architrave about it."""
    (x0, x1), (_, top) = opening.x, opening.z
    width, middle = x1 - x0, (x0 + x1) / 2
    leaf = style.white() if rng.random() < 0.55 else style.wood(int(rng.integers(2)))
    frame = style.white() if rng.random() < 0.6 else leaf
    rows = int(rng.integers(1, 4))
    parts = [box([width, 0.04, top], leaf, radius=0.003).moved(middle, -0.05, top / 2)]
    for k in range(rows):
        tall = (top - 0.25) / rows - 0.12
        for side in (-1, 1):
            z = 0.16 + (k + 0.5) * (top - 0.25) / rows
            parts.append(
                box([width * 0.33, 0.02, tall], leaf, radius=0.009).moved(middle + side * width * 0.21, -0.027, z)
            )
    side = 1 if rng.random() < 0.5 else -1
    x = middle + side * (width / 2 - 0.07)
    handle = tube([[x, -0.03, 1.02], [x, 0.03, 1.02], [x - side * 0.11, 0.03, 1.02]], 0.010, style.steel(), step=0.05)
    parts.append(handle)
    rim = 0.06
    trim = [box([rim, 0.022, top + rim], frame).moved(x0 - rim / 2, 0.011, (top + rim) / 2)]
    trim.append(box([rim, 0.022, top + rim], frame).moved(x1 + rim / 2, 0.011, (top + rim) / 2))
    trim.append(box([width, 0.022, rim], frame).moved(middle, 0.011, top + rim / 2))
    return [Model(label="door", mesh=join(parts)), Model(label="doorframe", mesh=join(trim))]


def make_window(style: Style, opening: Opening, view: int) -> Model:
    """Casements with their pane, a sill board inside."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    width, height, middle = x1 - x0, z1 - z0, (x0 + x1) / 2
    white = style.white()
    sashes = max(1, round(width / 0.75))
    parts = [panel(width, height, view, step=0.12).moved(middle, -RECESS, z0)]
    bar = 0.055
    for k in range(sashes + 1):
        x = x0 + k * width / sashes
        x = float(np.clip(x, x0 + bar / 2, x1 - bar / 2))
        parts.append(
            box([bar if k in (0, sashes) else bar * 1.6, 0.06, height], white, radius=0.006).moved(
                x, -RECESS + 0.03, (z0 + z1) / 2
            )
        )
    for z in (z0 + bar / 2, z1 - bar / 2):
        parts.append(box([width, 0.055, bar], white, radius=0.006).moved(middle, -RECESS + 0.03, z))
    parts.append(
        box([width + 0.10, RECESS + 0.05, 0.03], white, radius=0.01).moved(middle, -RECESS / 2 + 0.045, z0 - 0.014)
    )
    return Model(label="window", mesh=join(parts))


def make_curtains(style: Style, rng: Generator, height: float, opening: Opening, cloth: int) -> list[Model]:
    """A pair drawn aside, hanging from a rod in pleats."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    rod_z = min(z1 + 0.12, height - 0.08)
    bottom = 0.04 if rng.random() < 0.6 else z0 - 0.15
    drawn = rng.uniform(0.18, 0.34) * (x1 - x0)
    models = []
    for side in (-1, 1):
        a, b = (x0 - 0.16, x0 - 0.16 + drawn) if side < 0 else (x1 + 0.16 - drawn, x1 + 0.16)
        u, v = np.meshgrid(
            np.linspace(0, 1, max(20, int((b - a) / 0.016))), np.linspace(0, 1, int((rod_z - bottom) / 0.07) + 2)
        )
        pleats = max(3, round((b - a) / 0.085))
        phase, sway = rng.uniform(0, 6), rng.uniform(-0.03, 0.03)
        wave = np.sin(2 * np.pi * pleats * u + phase + 0.7 * np.sin(5 * u + 2 * v))
        y = CURTAIN + 0.030 * (0.55 + 0.45 * v) * wave
        x = a + (b - a) * u + sway * np.sin(np.pi * v) + 0.012 * np.cos(2 * np.pi * pleats * u + phase)
        z = rod_z - (rod_z - bottom) * v + 0.006 * np.sin(9 * u)
        sheet = surface(np.stack([x, y, z], axis=-1), cloth)
        models.append(Model(label="curtain", mesh=sheet if sheet.normals[:, 1].mean() > 0 else turned_over(sheet)))
    rod = tube(
        [[x0 - 0.22, CURTAIN, rod_z + 0.01], [x1 + 0.22, CURTAIN, rod_z + 0.01]], 0.012, style.steel(), step=0.12
    )
    knobs = [
        cylinder(0.02, 0.04, style.steel(), step=0.04).moved(x, CURTAIN, rod_z - 0.01) for x in (x0 - 0.22, x1 + 0.22)
    ]
    models.append(Model(label=None, mesh=join([rod, *knobs])))
    return models


def make_blinds(style: Style, rng: Generator, opening: Opening) -> Model:
    """Slats within the recess, lowered part of the way."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    slat = style.lacquer((0.80, 0.78, 0.72))
    lowered = rng.uniform(0.35, 0.9) * (z1 - z0)
    parts = [box([x1 - x0 - 0.02, 0.05, 0.05], slat).moved((x0 + x1) / 2, -0.035, z1 - 0.026)]
    tilt = rng.uniform(15, 55)
    for z in np.arange(z1 - 0.08, z1 - lowered, -0.042):
        parts.append(
            box([x1 - x0 - 0.03, 0.045, 0.003], slat, radius=0.0, step=0.3)
            .tilted(tilt)
            .moved((x0 + x1) / 2, -0.04, float(z))
        )
    return Model(label="blinds", mesh=join(parts))
