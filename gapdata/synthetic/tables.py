"""Tables, desks and what stands on them by design."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.seating import legs
from gapdata.synthetic.shapes import Mesh, box, cylinder, join, lathe
from gapdata.synthetic.style import Model, Style, Top


def _level(width: float, depth: float, z: float, margin: float = 0.015) -> Top:
    return Top(z=z, x=(-width / 2 + margin, width / 2 - margin), y=(-depth / 2 + margin, depth / 2 - margin))


def _top_material(style: Style, rng: Generator) -> int:
    return style.white() if rng.random() < 0.2 else style.wood(int(rng.integers(2)))


def dining_table(style: Style, rng: Generator) -> Model:
    """For four to eight, rectangular on legs or round on a pedestal."""
    height, top = rng.uniform(0.72, 0.77), _top_material(style, rng)
    if rng.random() < 0.3:
        radius = rng.uniform(0.50, 0.65)
        parts = [cylinder(radius, 0.035, top, bevel=0.01).moved(z=height - 0.035)]
        foot = [(0.30, 0.0), (0.29, 0.025), (0.10, 0.06), (0.05, 0.12), (0.045, height - 0.2), (0.16, height - 0.035)]
        parts.append(lathe([foot], top))
        return Model(label="table", mesh=join(parts), tops=(_level(radius * 1.3, radius * 1.3, height),))
    width, depth = rng.uniform(1.2, 1.9), rng.uniform(0.78, 0.95)
    frame = style.steel() if rng.random() < 0.2 else style.wood(int(rng.integers(2)))
    parts = [box([width, depth, 0.034], top, radius=0.007).moved(z=height - 0.017)]
    inset = 0.05
    parts += legs(width - 2 * inset, depth - 2 * inset, height - 0.034, frame, thick=rng.uniform(0.05, 0.075))
    for side in (-1, 1):
        parts.append(box([width - 0.2, 0.022, 0.08], frame).moved(0, side * (depth / 2 - 0.08), height - 0.076))
        parts.append(box([0.022, depth - 0.2, 0.08], frame).moved(side * (width / 2 - 0.08), 0, height - 0.076))
    return Model(label="table", mesh=join(parts), tops=(_level(width, depth, height),))


def school_table(style: Style, rng: Generator) -> Model:
    """A narrow two-seat table with a steel frame, as classrooms and meeting rooms have."""
    width, depth, height = 1.25, 0.62, 0.73
    parts = [box([width, depth, 0.026], style.wood(0), radius=0.006).moved(z=height - 0.013)]
    parts += legs(width - 0.1, depth - 0.08, height - 0.026, style.steel(), thick=0.032)
    parts.append(box([width - 0.12, 0.02, 0.28], style.wood(0)).moved(0, -depth / 2 + 0.07, height - 0.20))
    return Model(label="table", mesh=join(parts), tops=(_level(width, depth, height),))


def coffee_table(style: Style, rng: Generator) -> Model:
    """Low, with a shelf below on some."""
    width, depth, height = rng.uniform(0.8, 1.15), rng.uniform(0.50, 0.65), rng.uniform(0.36, 0.45)
    if rng.random() < 0.3:
        radius = rng.uniform(0.36, 0.46)
        parts = [cylinder(radius, 0.03, _top_material(style, rng), bevel=0.008).moved(z=height - 0.03)]
        parts += legs(radius, radius, height - 0.03, style.wood(1), thick=0.034, splay=0.10)
        return Model(label="coffee table", mesh=join(parts), tops=(_level(radius * 1.3, radius * 1.3, height),))
    wood = _top_material(style, rng)
    parts = [box([width, depth, 0.038], wood, radius=0.008).moved(z=height - 0.019)]
    parts += legs(width - 0.04, depth - 0.04, height - 0.038, wood, thick=0.055)
    if rng.random() < 0.6:
        parts.append(box([width - 0.08, depth - 0.08, 0.02], wood).moved(z=0.13))
    return Model(label="coffee table", mesh=join(parts), tops=(_level(width, depth, height),))


def end_table(style: Style, rng: Generator) -> Model:
    """Small, beside a couch."""
    size, height = rng.uniform(0.40, 0.50), rng.uniform(0.50, 0.60)
    wood = style.wood(int(rng.integers(2)))
    if rng.random() < 0.5:
        parts = [cylinder(size / 2, 0.025, wood, bevel=0.006).moved(z=height - 0.025)]
        parts += legs(size * 0.55, size * 0.55, height - 0.025, wood, thick=0.028, splay=0.05)
    else:
        parts = [box([size, size, 0.028], wood, radius=0.006).moved(z=height - 0.014)]
        parts += legs(size, size, height - 0.028, wood, thick=0.04)
        parts.append(box([size - 0.05, size - 0.05, 0.02], wood).moved(z=height * 0.35))
    return Model(label="end table", mesh=join(parts), tops=(_level(size, size, height),))


def drawers(
    width: float, depth: float, height: float, rows: int, columns: int, face: int, handle: int, *, gap: float = 0.006
) -> list[Mesh]:
    """Drawer or door fronts with handles on the +y side of a body centred on x and y, standing on z = 0."""
    parts = []
    each_w, each_h = width / columns, height / rows
    for i in range(rows):
        for j in range(columns):
            x, z = -width / 2 + (j + 0.5) * each_w, (i + 0.5) * each_h
            front = box([each_w - gap, 0.018, each_h - gap], face, radius=0.004).textured([0.31 * i, 0.17 * j])
            parts.append(front.moved(x, depth / 2 + 0.009, z))
            tall = each_h > each_w * 1.1
            if tall:
                side = 1 if j % 2 == 0 else -1
                bar = box([0.012, 0.022, min(0.16, each_h * 0.4)], handle, radius=0.005)
                parts.append(
                    bar.moved(x + side * (each_w / 2 - 0.045), depth / 2 + 0.03, z + (0.1 * each_h if rows > 1 else 0))
                )
            else:
                bar = box([min(0.16, each_w * 0.4), 0.022, 0.012], handle, radius=0.005)
                parts.append(bar.moved(x, depth / 2 + 0.03, z + each_h * 0.15))
    return parts


def desk(style: Style, rng: Generator) -> Model:
    """A work desk with drawers on one side or none; its user sits at +y."""
    width, depth, height = rng.uniform(1.15, 1.6), rng.uniform(0.62, 0.78), rng.uniform(0.72, 0.76)
    wood = _top_material(style, rng)
    frame = style.steel() if rng.random() < 0.4 else wood
    parts = [box([width, depth, 0.03], wood, radius=0.006).moved(z=height - 0.015)]
    if rng.random() < 0.65:
        side = 1 if rng.random() < 0.5 else -1
        unit = 0.40
        body = box([unit, depth - 0.06, height - 0.08], wood, radius=0.003).moved(0, 0, (height - 0.08) / 2 + 0.05)
        fronts = join(drawers(unit - 0.01, depth - 0.06, height - 0.10, 3, 1, wood, style.steel())).moved(z=0.06)
        parts += [m.moved(side * (width / 2 - unit / 2 - 0.02)) for m in (body, fronts)]
        other = box([0.035, depth - 0.04, height - 0.03], frame).moved(
            -side * (width / 2 - 0.03), 0, (height - 0.03) / 2
        )
        parts.append(other)
    else:
        parts += legs(width - 0.04, depth - 0.04, height - 0.03, frame, thick=0.045)
    parts.append(box([width - 0.10, 0.018, 0.34], wood).moved(0, -depth / 2 + 0.05, height - 0.20))
    return Model(label="desk", mesh=join(parts), tops=(_level(width, depth, height),))


def chest(style: Style, width: float, depth: float, height: float, rows: int, columns: int, which: int) -> Mesh:
    """A body on a plinth with drawers."""
    wood = style.wood(which)
    knob = style.steel()
    parts = [box([width - 0.03, depth - 0.04, 0.07], wood).moved(0, -0.01, 0.035)]
    parts.append(box([width, depth, height - 0.09], wood, radius=0.004).moved(z=0.07 + (height - 0.09) / 2))
    parts.append(box([width + 0.03, depth + 0.04, 0.024], wood, radius=0.006).moved(0, 0.01, height - 0.012))
    parts.append(join(drawers(width - 0.02, depth, height - 0.12, rows, columns, wood, knob)).moved(z=0.08))
    return join(parts)


def nightstand(style: Style, rng: Generator) -> Model:
    """Two drawers beside a bed."""
    width, depth, height = rng.uniform(0.40, 0.52), rng.uniform(0.36, 0.42), rng.uniform(0.48, 0.60)
    mesh = chest(style, width, depth, height, 2, 1, 0)
    return Model(label="nightstand", mesh=mesh, tops=(_level(width, depth, height),))


def dresser(style: Style, rng: Generator) -> Model:
    """A chest of drawers."""
    columns = int(rng.integers(1, 3))
    width, depth, height = (
        0.35 + 0.42 * columns + rng.uniform(0, 0.15),
        rng.uniform(0.42, 0.50),
        rng.uniform(0.78, 1.05),
    )
    mesh = chest(style, width, depth, height, int(rng.integers(3, 5)), columns, int(rng.integers(2)))
    return Model(label="dresser", mesh=mesh, tops=(_level(width, depth, height),))


def tv_stand(style: Style, rng: Generator) -> Model:
    """A long low board."""
    width, depth, height = rng.uniform(1.2, 1.7), rng.uniform(0.38, 0.45), rng.uniform(0.42, 0.55)
    mesh = chest(style, width, depth, height, 1, 3, int(rng.integers(2)))
    return Model(label="tv stand", mesh=mesh, tops=(_level(width, depth, height),))


def file_cabinet(style: Style, rng: Generator) -> Model:
    """Steel, for hanging files."""
    width, depth, height = 0.42, rng.uniform(0.52, 0.62), float(rng.choice([0.70, 1.03, 1.32]))
    tint = ((0.62, 0.62, 0.58), (0.30, 0.31, 0.33), (0.75, 0.70, 0.58))[int(rng.integers(3))]
    face = style.lacquer(tint)
    parts = [box([width, depth, height], face, radius=0.005).moved(z=height / 2)]
    rows = int(np.round(height / 0.33))
    parts.append(join(drawers(width - 0.02, depth, height - 0.04, rows, 1, face, style.steel())).moved(z=0.02))
    return Model(label="file cabinet", mesh=join(parts), tops=(_level(width, depth, height),))
