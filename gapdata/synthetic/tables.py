"""Tables, desks and chests of drawers."""

from __future__ import annotations

import numpy as np

from gapdata.synthetic.seating import legs
from gapdata.synthetic.shapes import Mesh, box, cylinder, join, lathe
from gapdata.synthetic.style import Model, Style, level


def _board(style: Style) -> int:
    return style.white() if style.rng.random() < 0.2 else style.wood()


def dining_table(style: Style) -> Model:
    """Make a table for four to eight, rectangular on legs or round on a pedestal."""
    rng = style.rng
    height, top = rng.uniform(0.72, 0.77), _board(style)
    if rng.random() < 0.3:
        radius = rng.uniform(0.50, 0.65)
        disc = cylinder(radius, 0.035, top, bevel=0.01).moved(z=height - 0.035)
        foot = [(0.30, 0.0), (0.29, 0.025), (0.10, 0.06), (0.05, 0.12), (0.045, height - 0.2), (0.16, height - 0.035)]
        return Model.of("table", disc, lathe([foot], top), tops=[level(radius * 1.3, radius * 1.3, height)])
    width, depth = rng.uniform(1.2, 1.9), rng.uniform(0.78, 0.95)
    frame = style.finish("steel") if rng.random() < 0.2 else style.wood()
    parts = [
        box([width, depth, 0.034], top).moved(z=height - 0.017),
        legs(width - 0.1, depth - 0.1, height - 0.034, frame, thick=rng.uniform(0.05, 0.075)),
    ]
    for side in (-1, 1):
        parts.append(box([width - 0.2, 0.022, 0.08], frame).moved(0, side * (depth / 2 - 0.08), height - 0.076))
        parts.append(box([0.022, depth - 0.2, 0.08], frame).moved(side * (width / 2 - 0.08), 0, height - 0.076))
    return Model.of("table", *parts, tops=[level(width, depth, height)])


def school_table(style: Style) -> Model:
    """Make a narrow two-seat table with a steel frame, as classrooms and meeting rooms have."""
    width, depth, height = 1.25, 0.62, 0.73
    return Model.of(
        "table",
        box([width, depth, 0.026], style.wood(0)).moved(z=height - 0.013),
        legs(width - 0.1, depth - 0.08, height - 0.026, style.finish("steel"), thick=0.032),
        box([width - 0.12, 0.02, 0.28], style.wood(0)).moved(0, -depth / 2 + 0.07, height - 0.20),
        tops=[level(width, depth, height)],
    )


def coffee_table(style: Style) -> Model:
    """Make a low table, round or with a shelf below on some."""
    rng = style.rng
    width, depth, height = rng.uniform(0.8, 1.15), rng.uniform(0.50, 0.65), rng.uniform(0.36, 0.45)
    if rng.random() < 0.3:
        radius = rng.uniform(0.36, 0.46)
        disc = cylinder(radius, 0.03, _board(style), bevel=0.008).moved(z=height - 0.03)
        stand = legs(radius, radius, height - 0.03, style.wood(1), thick=0.034, splay=0.10)
        return Model.of("coffee table", disc, stand, tops=[level(radius * 1.3, radius * 1.3, height)])
    wood = _board(style)
    parts = [box([width, depth, 0.038], wood, radius=0.008).moved(z=height - 0.019)]
    parts.append(legs(width - 0.04, depth - 0.04, height - 0.038, wood, thick=0.055))
    if rng.random() < 0.6:
        parts.append(box([width - 0.08, depth - 0.08, 0.02], wood).moved(z=0.13))
    return Model.of("coffee table", *parts, tops=[level(width, depth, height)])


def end_table(style: Style) -> Model:
    """Make a small table to stand beside a couch."""
    size, height = style.rng.uniform(0.40, 0.50), style.rng.uniform(0.50, 0.60)
    wood = style.wood()
    if style.rng.random() < 0.5:
        parts = [cylinder(size / 2, 0.025, wood, bevel=0.006).moved(z=height - 0.025)]
        parts.append(legs(size * 0.55, size * 0.55, height - 0.025, wood, thick=0.028, splay=0.05))
    else:
        parts = [box([size, size, 0.028], wood).moved(z=height - 0.014)]
        parts.append(legs(size, size, height - 0.028, wood))
        parts.append(box([size - 0.05, size - 0.05, 0.02], wood).moved(z=height * 0.35))
    return Model.of("end table", *parts, tops=[level(size, size, height)])


def drawers(width: float, depth: float, height: float, rows: int, columns: int, face: int, handle: int) -> Mesh:
    """Make drawer or door fronts with handles on the +y side of a body centred on x and y, standing on z = 0."""
    parts = []
    each_w, each_h = width / columns, height / rows
    tall = each_h > each_w * 1.1
    for i in range(rows):
        for j in range(columns):
            x, z = -width / 2 + (j + 0.5) * each_w, (i + 0.5) * each_h
            front = box([each_w - 0.006, 0.018, each_h - 0.006], face).textured([0.31 * i, 0.17 * j])
            parts.append(front.moved(x, depth / 2 + 0.009, z))
            if tall:
                x += (1 if j % 2 == 0 else -1) * (each_w / 2 - 0.045)
                z += 0.1 * each_h if rows > 1 else 0
            else:
                z += each_h * 0.15
            size = [0.012, 0.022, min(0.16, each_h * 0.4)] if tall else [min(0.16, each_w * 0.4), 0.022, 0.012]
            parts.append(box(size, handle).moved(x, depth / 2 + 0.03, z))
    return join(parts)


def desk(style: Style) -> Model:
    """Make a work desk with drawers on one side or none; its user sits at +y."""
    rng = style.rng
    width, depth, height = rng.uniform(1.15, 1.6), rng.uniform(0.62, 0.78), rng.uniform(0.72, 0.76)
    wood = _board(style)
    frame = style.finish("steel") if rng.random() < 0.4 else wood
    parts = [box([width, depth, 0.03], wood).moved(z=height - 0.015)]
    if rng.random() < 0.65:
        side = 1 if rng.random() < 0.5 else -1
        unit = 0.40
        body = box([unit, depth - 0.06, height - 0.08], wood).moved(z=(height - 0.08) / 2 + 0.05)
        fronts = drawers(unit - 0.01, depth - 0.06, height - 0.10, 3, 1, wood, style.finish("steel")).moved(z=0.06)
        parts += [m.moved(side * (width / 2 - unit / 2 - 0.02)) for m in (body, fronts)]
        panel = box([0.035, depth - 0.04, height - 0.03], frame)
        parts.append(panel.moved(-side * (width / 2 - 0.03), 0, (height - 0.03) / 2))
    else:
        parts.append(legs(width - 0.04, depth - 0.04, height - 0.03, frame, thick=0.045))
    parts.append(box([width - 0.10, 0.018, 0.34], wood).moved(0, -depth / 2 + 0.05, height - 0.20))
    return Model.of("desk", *parts, tops=[level(width, depth, height)])


def _chest(
    style: Style, label: str, width: float, depth: float, height: float, rows: int, columns: int, which: int | None
) -> Model:
    """Make a body on a plinth with drawers."""
    wood, knob = style.wood(which), style.finish("steel")
    return Model.of(
        label,
        box([width - 0.03, depth - 0.04, 0.07], wood).moved(0, -0.01, 0.035),
        box([width, depth, height - 0.09], wood).moved(z=0.07 + (height - 0.09) / 2),
        box([width + 0.03, depth + 0.04, 0.024], wood).moved(0, 0.01, height - 0.012),
        drawers(width - 0.02, depth, height - 0.12, rows, columns, wood, knob).moved(z=0.08),
        tops=[level(width, depth, height)],
    )


def nightstand(style: Style) -> Model:
    """Make two drawers to stand beside a bed."""
    rng = style.rng
    size = rng.uniform(0.40, 0.52), rng.uniform(0.36, 0.42), rng.uniform(0.48, 0.60)
    return _chest(style, "nightstand", *size, 2, 1, 0)


def dresser(style: Style) -> Model:
    """Make a chest of drawers."""
    rng = style.rng
    columns = int(rng.integers(1, 3))
    size = 0.35 + 0.42 * columns + rng.uniform(0, 0.15), rng.uniform(0.42, 0.50), rng.uniform(0.78, 1.05)
    return _chest(style, "dresser", *size, int(rng.integers(3, 5)), columns, None)


def tv_stand(style: Style) -> Model:
    """Make a long low board."""
    rng = style.rng
    size = rng.uniform(1.2, 1.7), rng.uniform(0.38, 0.45), rng.uniform(0.42, 0.55)
    return _chest(style, "tv stand", *size, 1, 3, None)


def file_cabinet(style: Style) -> Model:
    """Make a steel cabinet for hanging files."""
    width, depth, height = 0.42, style.rng.uniform(0.52, 0.62), float(style.rng.choice([0.70, 1.03, 1.32]))
    face = style.lacquer(style.pick(((0.62, 0.62, 0.58), (0.30, 0.31, 0.33), (0.75, 0.70, 0.58))))
    rows = int(np.round(height / 0.33))
    fronts = drawers(width - 0.02, depth, height - 0.04, rows, 1, face, style.finish("steel"))
    body = box([width, depth, height], face).moved(z=height / 2)
    return Model.of("file cabinet", body, fronts.moved(z=0.02), tops=[level(width, depth, height)])
