"""Doors, windows, curtains and blinds: what fills and dresses the openings of walls, in a wall's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapdata.synthetic.shapes import box, cylinder, panel, surface, tube
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


def make_door(style: Style, opening: Opening) -> list[Model]:
    """Make a panelled door leaf, closed, with its handle, and the architrave about it."""
    rng = style.rng
    (x0, x1), (_, top) = opening.x, opening.z
    width, middle = x1 - x0, (x0 + x1) / 2
    leaf = style.white() if rng.random() < 0.55 else style.wood()
    frame = style.white() if rng.random() < 0.6 else leaf
    rows = int(rng.integers(1, 4))
    parts = [box([width, 0.04, top], leaf).moved(middle, -0.05, top / 2)]
    field = box([width * 0.33, 0.02, (top - 0.25) / rows - 0.12], leaf, radius=0.009)
    for k in range(rows):
        z = 0.16 + (k + 0.5) * (top - 0.25) / rows
        parts += [field.moved(middle + side * width * 0.21, -0.027, z) for side in (-1, 1)]
    side = 1 if rng.random() < 0.5 else -1
    x = middle + side * (width / 2 - 0.07)
    handle = [[x, -0.03, 1.02], [x, 0.03, 1.02], [x - side * 0.11, 0.03, 1.02]]
    parts.append(tube(handle, 0.010, style.finish("steel"), step=0.05))
    rim = 0.06
    upright = box([rim, 0.022, top + rim], frame)
    trim = [upright.moved(x, 0.011, (top + rim) / 2) for x in (x0 - rim / 2, x1 + rim / 2)]
    lintel = box([width, 0.022, rim], frame).moved(middle, 0.011, top + rim / 2)
    return [Model.of("door", *parts), Model.of("doorframe", *trim, lintel)]


def make_window(style: Style, opening: Opening, view: int) -> Model:
    """Make casements with their pane, and a sill board inside."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    width, height, middle = x1 - x0, z1 - z0, (x0 + x1) / 2
    white = style.white()
    sashes = max(1, round(width / 0.75))
    parts = [panel(width, height, view, step=0.12).moved(middle, -RECESS, z0)]
    bar = 0.055
    for k in range(sashes + 1):
        x = float(np.clip(x0 + k * width / sashes, x0 + bar / 2, x1 - bar / 2))
        post = box([bar if k in (0, sashes) else bar * 1.6, 0.06, height], white)
        parts.append(post.moved(x, -RECESS + 0.03, (z0 + z1) / 2))
    for z in (z0 + bar / 2, z1 - bar / 2):
        parts.append(box([width, 0.055, bar], white).moved(middle, -RECESS + 0.03, z))
    sill = box([width + 0.10, RECESS + 0.05, 0.03], white, radius=0.01)
    return Model.of("window", *parts, sill.moved(middle, -RECESS / 2 + 0.045, z0 - 0.014))


def make_curtains(style: Style, height: float, opening: Opening, cloth: int) -> list[Model]:
    """Make a pair of curtains, drawn aside, that hang from a rod in pleats."""
    rng = style.rng
    (x0, x1), (z0, z1) = opening.x, opening.z
    top = min(z1 + 0.12, height - 0.08)
    bottom = 0.04 if rng.random() < 0.6 else z0 - 0.15
    drawn = rng.uniform(0.18, 0.34) * (x1 - x0)
    models = []
    for a, b in ((x0 - 0.16, x0 - 0.16 + drawn), (x1 + 0.16 - drawn, x1 + 0.16)):
        rows, columns = int((top - bottom) / 0.07) + 2, max(20, int((b - a) / 0.016))
        u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
        pleats = max(3, round((b - a) / 0.085))
        phase, sway = rng.uniform(0, 6), rng.uniform(-0.03, 0.03)
        wave = np.sin(2 * np.pi * pleats * u + phase + 0.7 * np.sin(5 * u + 2 * v))
        y = CURTAIN + 0.030 * (0.55 + 0.45 * v) * wave
        x = a + (b - a) * u + sway * np.sin(np.pi * v) + 0.012 * np.cos(2 * np.pi * pleats * u + phase)
        z = top - (top - bottom) * v + 0.006 * np.sin(9 * u)
        models.append(Model.of("curtain", surface(np.stack([x, y, z], axis=-1), cloth).facing(1)))
    steel, ends = style.finish("steel"), (x0 - 0.22, x1 + 0.22)
    rod = tube([[end, CURTAIN, top + 0.01] for end in ends], 0.012, steel, step=0.12)
    knob = cylinder(0.02, 0.04, steel, step=0.04)
    return [*models, Model.of(None, rod, *(knob.moved(end, CURTAIN, top - 0.01) for end in ends))]


def make_blinds(style: Style, opening: Opening) -> Model:
    """Make slats within the recess, lowered part of the way."""
    (x0, x1), (z0, z1) = opening.x, opening.z
    paint, middle = style.lacquer((0.80, 0.78, 0.72)), (x0 + x1) / 2
    lowered = style.rng.uniform(0.35, 0.9) * (z1 - z0)
    rail = box([x1 - x0 - 0.02, 0.05, 0.05], paint).moved(middle, -0.035, z1 - 0.026)
    slat = box([x1 - x0 - 0.03, 0.045, 0.003], paint, step=0.3).tilted(style.rng.uniform(15, 55))
    heights = np.arange(z1 - 0.08, z1 - lowered, -0.042)
    return Model.of("blinds", rail, *(slat.moved(middle, -0.04, float(z)) for z in heights))
