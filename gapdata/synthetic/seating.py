"""Chairs, couches, stools, beds and their pillows: what people sit and lie on."""

from __future__ import annotations

import itertools

import numpy as np

from gapdata.synthetic.shapes import Mesh, blob, both, box, cylinder, join, surface, tube
from gapdata.synthetic.style import Model, Style, Top, level


def legs(width: float, depth: float, height: float, material: int, *, thick: float = 0.04, splay: float = 0.0) -> Mesh:
    """Make four square legs, or round ones when they are splayed outward by ``splay`` metres."""
    x, y = (width - thick) / 2, (depth - thick) / 2
    if not splay:
        return box([thick, thick, height], material, step=0.12).at(both(x), both(y), height / 2)
    feet = itertools.product(zip(both(x), both(x + splay), strict=True), zip(both(y), both(y + splay), strict=True))
    lines = ([[x1, y1, 0.0], [x0, y0, height]] for (x0, x1), (y0, y1) in feet)
    return join(tube(line, thick / 2, material, step=0.15) for line in lines)


def chair(style: Style) -> Model:
    """Make a dining chair: slatted, panelled or moulded, on wooden or steel legs."""
    rng = style.rng
    width, depth, seat = rng.uniform(0.40, 0.47), rng.uniform(0.42, 0.48), rng.uniform(0.43, 0.47)
    rise = rng.uniform(0.80, 0.95) - seat
    kind = int(rng.integers(3))
    wood = style.wood()
    if kind == 2:
        return _shell_chair(style, width, depth, seat)
    slatted = kind == 0
    frame, thick, splay = (wood, 0.036, 0.0) if slatted else (style.finish("steel"), 0.026, 0.02)
    stand = legs(width, depth, seat - 0.03, frame, thick=thick, splay=splay)
    cushion = style.fabric() if rng.random() < 0.6 else wood
    high, puff = (0.05, 0.012) if cushion != wood else (0.028, 0.0)
    parts = [stand, box([width, depth, high], cushion, radius=0.02, puff=puff, step=0.07).moved(z=seat - 0.02)]
    back = [box([0.034, 0.03, rise], frame, step=0.12).at(both(width / 2 - 0.02), 0, rise / 2)]
    if slatted:
        for k in range(int(rng.integers(2, 5))):
            back.append(box([width - 0.06, 0.018, 0.055], wood).moved(z=rise - 0.04 - 0.11 * k))
    else:
        rest = box([width - 0.05, 0.035, rise * 0.6], cushion, radius=0.015, puff=0.01)
        back.append(rest.moved(0, 0.005, rise * 0.66))
    parts.append(join(back).tilted(9).moved(0, -depth / 2 + 0.02, seat - 0.01))
    if slatted:
        parts.append(box([0.02, depth - 0.06, 0.03], wood, step=0.15).at(both(width / 2 - 0.018), 0, seat * 0.45))
    return Model.of("chair", *parts)


def _shell_chair(style: Style, width: float, depth: float, seat: float) -> Model:
    """Make a moulded plastic shell on splayed legs."""
    plastic = style.lacquer(style.tint(1.15, 0.05, 0.95))
    u, v = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(0, 1, 18))
    # A profile that runs back along the seat and then up the back, cupped towards the sides.
    bend = np.clip((v - 0.5) / 0.18, 0, 1)
    along = depth / 2 - np.minimum(v / 0.52, 1) * depth + 0.05 * bend - 0.12 * np.clip(v - 0.52, 0, 1)
    rise = 0.36 * np.clip((v - 0.46) / 0.54, 0, 1) ** 1.15 - 0.03 * np.clip(1 - v / 0.12, 0, 1) ** 2
    narrowing = 1 - 0.25 * np.clip((v - 0.55) / 0.45, 0, 1) ** 2
    cup = 0.055 * u**4
    points = np.stack([u * width / 2 * narrowing, along + cup * bend, seat + rise + cup * (1 - bend)], axis=-1)
    upper = surface(points, plastic).facing(2)
    lower = surface(points - 0.012 * np.stack([0 * u, -bend, 1 - bend], axis=-1), plastic).facing(2, -1)
    stand = legs(width * 0.6, depth * 0.6, seat - 0.005, style.wood(0), thick=0.028, splay=0.07)
    return Model.of("chair", upper, lower, stand)


def office_chair(style: Style) -> Model:
    """Make a swivel chair: five castors, gas spring, padded seat and back, arm rests on most."""
    rng = style.rng
    seat = rng.uniform(0.44, 0.52)
    black = style.black()
    cover = style.fabric() if rng.random() < 0.5 else style.leather((0.13, 0.12, 0.12))
    base = style.finish("steel") if rng.random() < 0.4 else black
    parts = []
    for angle in np.radians([18, 90, 162, 234, 306]):
        tip = np.array([np.cos(angle), np.sin(angle)]) * 0.30
        parts.append(tube([[0, 0, 0.12], [*(tip * 0.9), 0.075]], 0.02, base, step=0.2))
        parts.append(blob([0.05, 0.05, 0.06], black, squareness=0.8, step=0.03).moved(tip[0], tip[1], 0.032))
    parts.append(cylinder(0.03, seat - 0.16, base, step=0.15).moved(z=0.10))
    parts.append(box([0.24, 0.22, 0.03], black, radius=0.01).moved(z=seat - 0.06))
    parts.append(box([0.50, 0.48, 0.085], cover, radius=0.04, puff=0.015).moved(z=seat))
    tall = rng.uniform(0.48, 0.66)
    back = box([0.46, 0.07, tall], cover, radius=0.034, puff=0.02).moved(z=tall / 2).tilted(8)
    parts.append(back.moved(0, -0.25, seat + 0.09))
    spine = [[0, -0.14, seat - 0.05], [0, -0.29, seat - 0.03], [0, -0.30, seat + 0.30]]
    parts.append(tube(spine, 0.022, black, step=0.1))
    if rng.random() < 0.75:
        for side in (-1, 1):
            x = side * 0.29
            bracket = [[side * 0.15, 0, seat - 0.05], [x, 0, seat - 0.04], [x, 0, seat + 0.19]]
            parts.append(tube(bracket, 0.016, black, step=0.1))
            parts.append(box([0.06, 0.26, 0.03], black, radius=0.012).moved(x, 0.02, seat + 0.20))
    return Model.of("office chair", *parts)


def _sofa(style: Style, width: float, seats: int, label: str) -> Model:
    rng = style.rng
    depth, seat, back = rng.uniform(0.82, 0.95), rng.uniform(0.40, 0.45), rng.uniform(0.76, 0.88)
    cover = style.leather() if rng.random() < 0.3 else style.fabric(int(rng.integers(2)))
    arm, high = rng.uniform(0.13, 0.22), seat + rng.uniform(0.12, 0.20) - 0.09
    rounding = arm * 0.48 if rng.random() < 0.5 else 0.035
    foot = cylinder(0.022, 0.10, style.wood(1), top=0.028)
    inner = width - 2 * arm
    rest = box([arm, depth, high], cover, radius=rounding, puff=0.008, step=0.08)
    rear = box([inner, 0.20, back - 0.12], cover, radius=0.06, step=0.08).tilted(6)
    parts = [
        box([width - 0.04, depth - 0.06, 0.20], cover, radius=0.03, step=0.08).moved(z=0.19),
        rest.at(both((width - arm) / 2), 0, 0.09 + high / 2),
        rear.moved(0, -depth / 2 + 0.14, 0.11 + (back - 0.12) / 2),
    ]
    each = inner / seats
    for k in range(seats):
        x = -inner / 2 + each * (k + 0.5)
        shift = rng.uniform(0, 1, 2)
        pad = box([each - 0.008, depth - 0.22, 0.16], cover, radius=0.05, puff=0.022, step=0.08).textured(shift)
        parts.append(pad.moved(x, 0.10, seat - 0.07))
        soft = box([each - 0.01, 0.17, back - seat + 0.06], cover, radius=0.06, puff=0.03, step=0.08)
        soft = soft.textured(shift + 0.4).tilted(12 + rng.uniform(-2, 2))
        parts.append(soft.moved(x, -depth / 2 + 0.29, (back + seat) / 2 + 0.03))
    parts.append(foot.at(both(width / 2 - 0.09), both(depth / 2 - 0.09)))
    sit = Top(z=seat + 0.03, x=both(inner / 2), y=(-depth / 2 + 0.44, -depth / 2 + 0.70))
    return Model.of(label, *parts, tops=[sit])


def couch(style: Style) -> Model:
    """Make a couch for two or three."""
    seats = int(style.rng.integers(2, 4))
    return _sofa(style, 0.45 + seats * style.rng.uniform(0.58, 0.68), seats, "couch")


def armchair(style: Style) -> Model:
    """Make a couch for one."""
    return _sofa(style, style.rng.uniform(0.85, 0.98), 1, "armchair")


def stool(style: Style) -> Model:
    """Make a round stool of kitchen or bar height."""
    rng = style.rng
    height, radius = rng.uniform(0.45, 0.66), rng.uniform(0.16, 0.19)
    frame = style.wood(0) if rng.random() < 0.5 else style.finish("steel")
    top = style.leather() if rng.random() < 0.5 else style.wood(0)
    angle = np.linspace(0, 2 * np.pi, 20)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * (radius * 0.93) + [0, 0, height * 0.35]
    return Model.of(
        "stool",
        cylinder(radius, 0.045, top, bevel=0.014).moved(z=height - 0.045),
        legs(radius * 1.3, radius * 1.3, height - 0.04, frame, thick=0.028, splay=0.04),
        tube(ring, 0.008, frame, segments=6),
    )


def ottoman(style: Style) -> Model:
    """Make a padded cube or a round pouffe."""
    rng = style.rng
    width, height = rng.uniform(0.45, 0.65), rng.uniform(0.36, 0.44)
    cover = style.fabric(figured=0.4)
    if rng.random() < 0.4:
        body = blob([width, width, height], cover, squareness=0.55).moved(z=height / 2)
    else:
        size = [width, width * rng.uniform(0.7, 1), height]
        body = box(size, cover, radius=0.05, puff=0.02).moved(z=height / 2 + 0.005)
    return Model.of("ottoman", body, tops=[level(0.4, 0.4, height + 0.012, 0)])


def _pillow(style: Style, material: int, width: float, height: float, thick: float) -> Model:
    """Make a stuffed pillow lying flat: full in the middle, thin at the seam, with drawn-in edges."""
    rng = style.rng
    n, m = max(8, int(width / 0.045)), max(7, int(height / 0.045))
    u, v = np.meshgrid(np.linspace(-1, 1, n + 1), np.linspace(-1, 1, m + 1))
    fullness = (np.clip(1 - u**4, 0, 1) * np.clip(1 - v**4, 0, 1)) ** 0.5
    x, y = u * width / 2 * (1 - 0.07 * (1 - v**2) * u**4), v * height / 2 * (1 - 0.07 * (1 - u**2) * v**4)
    dent = 1 - rng.uniform(0.0, 0.2) * np.exp(-6 * ((u - rng.uniform(-0.3, 0.3)) ** 2 + v**2))
    z = thick / 2 * fullness
    sides = [
        surface(np.stack([x, y, thick / 2 + sign * lift], axis=-1), material).facing(2, sign)
        for sign, lift in ((1, z * dent), (-1, z))
    ]
    return Model.of("pillow", *sides)


def pillow(style: Style) -> Model:
    """Make a throw pillow, lying flat."""
    rng = style.rng
    size = rng.uniform(0.38, 0.48)
    cover = style.fabric(figured=1) if rng.random() < 0.65 else style.fabric(2)
    return _pillow(style, cover, size, size * rng.uniform(0.8, 1), rng.uniform(0.11, 0.15))


def bed_pillow(style: Style) -> Model:
    """Make a sleeping pillow."""
    rng = style.rng
    cover = style.finish("linen") if rng.random() < 0.6 else style.fabric()
    return _pillow(style, cover, rng.uniform(0.56, 0.70), rng.uniform(0.38, 0.46), 0.14)


def bed(style: Style) -> Model:
    """Make a single or double bed: frame, headboard at the back, mattress and a duvet that hangs over its edges."""
    rng = style.rng
    width = float(rng.choice([0.95, 1.40, 1.60]))
    length, mattress = rng.uniform(1.95, 2.05), rng.uniform(0.46, 0.54)
    wood = style.wood()
    upholstered = rng.random() < 0.35
    head, wide = rng.uniform(0.85, 1.15), width + 0.06
    parts = [
        box([wide, length, 0.20], wood, radius=0.008).moved(z=0.20),
        box([0.07, 0.07, 0.12], wood).at(both(width / 2 - 0.04), both(length / 2 - 0.05), 0.06),
    ]
    if upholstered:
        columns = max(2, round(width / 0.35))
        pad = box([wide / columns - 0.004, 0.08, head - 0.1], style.fabric(0), radius=0.03, puff=0.02)
        for k in range(columns):
            parts.append(pad.moved(-wide / 2 + (k + 0.5) * wide / columns, -length / 2 - 0.03, head / 2 + 0.05))
    else:
        parts.append(box([width + 0.10, 0.045, head], wood, radius=0.012).moved(0, -length / 2 - 0.02, head / 2))
    soft = box([width, length - 0.03, 0.20], style.finish("linen"), radius=0.05, step=0.08)
    parts += [soft.moved(z=mattress - 0.10), _duvet(style, width, length, mattress)]
    pillows = Top(z=mattress, x=both(width / 2 - 0.03), y=(-length / 2 + 0.02, -length / 2 + 0.48))
    cover = Top(z=mattress + 0.055, x=both(width / 2 - 0.05), y=(-0.3, length / 2 - 0.1))
    return Model.of("bed", *parts, tops=[pillows, cover])


def _duvet(style: Style, width: float, length: float, height: float) -> Mesh:
    """Make cloth that lies from below the pillows to the foot and falls at three sides, with soft folds."""
    rng = style.rng
    cloth = style.fabric(figured=0.6)
    drop, loft = rng.uniform(0.12, 0.24), 0.05
    half, start, end = width / 2 + 0.025, -length / 2 + rng.uniform(0.45, 0.6), length / 2 + 0.02
    s = np.linspace(-half - drop, half + drop, int((width + 2 * drop) / 0.055))
    t = np.linspace(start, end + drop, int((end + drop - start) / 0.055))
    a, b = np.meshgrid(s, t)
    waves = np.zeros_like(a)
    for _ in range(9):
        direction, wave = rng.uniform(0, 2 * np.pi), rng.uniform(0.18, 0.7)
        phase = rng.uniform(0, 2 * np.pi)
        waves += wave * np.sin(2 * np.pi * (a * np.cos(direction) + b * np.sin(direction)) / wave + phase)
    waves *= 0.0048
    over_side, over_foot = np.maximum(np.abs(a) - half, 0), np.maximum(b - end, 0)
    fall = np.maximum(over_side, over_foot)
    edge = 0.035 * np.exp(-((np.minimum(half - np.abs(a), end - b).clip(0)) / 0.05))
    # Out of the cloth's own plane: up on the bed, outward where it hangs.
    out = 0.012 + np.abs(waves) * 1.5
    x = np.clip(a, -half, half) + np.sign(a) * np.where(over_side > 0, out, 0)
    y = np.minimum(b, end) + np.where(over_foot > 0, out, 0)
    z = height + loft - edge - fall + np.where(fall > 0, 0, waves)
    rolled = np.clip(1 - (b - start) / 0.06, 0, 1)
    z = z - rolled**2 * (loft - 0.004) * (fall <= 0)
    return surface(np.stack([x, y, z], axis=-1), cloth).facing(2)
