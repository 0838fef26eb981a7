"""Chairs, couches, stools and beds: what people sit and lie on."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.shapes import Mesh, blob, box, cylinder, join, surface, tube, turned_over
from gapdata.synthetic.style import Model, Style, Top


def legs(
    width: float, depth: float, height: float, material: int, *, thick: float = 0.04, splay: float = 0.0
) -> list[Mesh]:
    """Four square or, when splayed outward by ``splay`` metres, round legs."""
    pieces = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (width - thick) / 2, sy * (depth - thick) / 2
            if splay:
                path = [[x + sx * splay, y + sy * splay, 0.0], [x, y, height]]
                pieces.append(tube(path, thick / 2, material, step=0.15))
            else:
                pieces.append(box([thick, thick, height], material, radius=0.004, step=0.12).moved(x, y, height / 2))
    return pieces


def chair(style: Style, rng: Generator) -> Model:
    """A dining chair: slatted, panelled or moulded, on wooden or steel legs."""
    width, depth, seat = rng.uniform(0.40, 0.47), rng.uniform(0.42, 0.48), rng.uniform(0.43, 0.47)
    height = rng.uniform(0.80, 0.95)
    kind = int(rng.integers(3))
    wood = style.wood(int(rng.integers(2)))
    if kind == 2:
        return _shell_chair(style, rng, width, depth, seat)
    frame = wood if kind == 0 else style.steel()
    parts = legs(
        width, depth, seat - 0.03, frame, thick=0.036 if kind == 0 else 0.026, splay=0.0 if kind == 0 else 0.02
    )
    cushion = style.fabric(int(rng.integers(3))) if rng.random() < 0.6 else wood
    soft = cushion != wood
    parts.append(
        box(
            [width, depth, 0.05 if soft else 0.028], cushion, radius=0.02, puff=0.012 if soft else 0.0, step=0.07
        ).moved(z=seat - 0.02)
    )
    lean = -9.0
    back = []
    rise = height - seat
    for side in (-1, 1):
        back.append(box([0.034, 0.03, rise], frame, step=0.12).moved(side * (width / 2 - 0.02), 0, rise / 2))
    if kind == 0:
        for k in range(int(rng.integers(2, 5))):
            back.append(box([width - 0.06, 0.018, 0.055], wood, radius=0.006).moved(0, 0, rise - 0.04 - 0.11 * k))
    else:
        back.append(
            box([width - 0.05, 0.035, rise * 0.6], cushion, radius=0.015, puff=0.01).moved(0, 0.005, rise * 0.66)
        )
    parts.append(join(back).tilted(-lean).moved(0, -depth / 2 + 0.02, seat - 0.01))
    if kind == 0:
        for side in (-1, 1):
            parts.append(
                box([0.02, depth - 0.06, 0.03], wood, step=0.15).moved(side * (width / 2 - 0.018), 0, seat * 0.45)
            )
    return Model(label="chair", mesh=join(parts))


def _shell_chair(style: Style, rng: Generator, width: float, depth: float, seat: float) -> Model:
    """A moulded plastic shell on splayed legs."""
    tint = tuple(float(c) for c in np.clip(np.asarray(style.fabric_colors[int(rng.integers(3))]) * 1.15, 0.05, 0.95))
    plastic = style.lacquer((tint[0], tint[1], tint[2]))
    u, v = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(0, 1, 18))
    # A profile that runs back along the seat and then up the back, cupped towards the sides.
    bend = np.clip((v - 0.5) / 0.18, 0, 1)
    along = depth / 2 - np.minimum(v / 0.52, 1) * depth + 0.05 * bend - 0.12 * np.clip(v - 0.52, 0, 1)
    rise = 0.36 * np.clip((v - 0.46) / 0.54, 0, 1) ** 1.15 - 0.03 * np.clip(1 - v / 0.12, 0, 1) ** 2
    narrowing = 1 - 0.25 * np.clip((v - 0.55) / 0.45, 0, 1) ** 2
    cup = 0.055 * u**4
    points = np.stack([u * width / 2 * narrowing, along + cup * bend, seat + rise + cup * (1 - bend)], axis=-1)
    upper = surface(points, plastic)
    lower = surface(points - 0.012 * np.stack([0 * u, -bend, 1 - bend], axis=-1), plastic)
    flipped = [m if _faces_up(m) == up else turned_over(m) for m, up in ((upper, True), (lower, False))]
    parts = [*flipped, *legs(width * 0.6, depth * 0.6, seat - 0.005, style.wood(0), thick=0.028, splay=0.07)]
    return Model(label="chair", mesh=join(parts))


def _faces_up(mesh: Mesh) -> bool:
    return bool(mesh.normals[:, 2].mean() > 0)


def office_chair(style: Style, rng: Generator) -> Model:
    """A swivel chair: five castors, gas spring, padded seat and back, arm rests on most."""
    seat = rng.uniform(0.44, 0.52)
    black = style.black()
    cover = style.fabric(int(rng.integers(3))) if rng.random() < 0.5 else style.leather((0.13, 0.12, 0.12))
    base = style.steel() if rng.random() < 0.4 else black
    parts = []
    for k in range(5):
        angle = np.radians(72 * k + 18)
        tip = np.array([np.cos(angle), np.sin(angle)]) * 0.30
        parts.append(tube([[0, 0, 0.12], [*(tip * 0.9), 0.075]], 0.02, base, step=0.2))
        parts.append(blob([0.05, 0.05, 0.06], black, squareness=0.8, step=0.03).moved(tip[0], tip[1], 0.032))
    parts.append(cylinder(0.03, seat - 0.16, base, step=0.15).moved(z=0.10))
    parts.append(box([0.24, 0.22, 0.03], black, radius=0.01).moved(z=seat - 0.06))
    parts.append(box([0.50, 0.48, 0.085], cover, radius=0.04, puff=0.015).moved(z=seat))
    tall = rng.uniform(0.48, 0.66)
    back = box([0.46, 0.07, tall], cover, radius=0.034, puff=0.02).moved(z=tall / 2).tilted(8)
    parts.append(back.moved(0, -0.25, seat + 0.09))
    parts.append(
        tube([[0, -0.14, seat - 0.05], [0, -0.29, seat - 0.03], [0, -0.30, seat + 0.30]], 0.022, black, step=0.1)
    )
    if rng.random() < 0.75:
        for side in (-1, 1):
            x = side * 0.29
            bracket = [[side * 0.15, 0, seat - 0.05], [x, 0, seat - 0.04], [x, 0, seat + 0.19]]
            parts.append(tube(bracket, 0.016, black, step=0.1))
            parts.append(box([0.06, 0.26, 0.03], black, radius=0.012).moved(x, 0.02, seat + 0.20))
    return Model(label="office chair", mesh=join(parts))


def _sofa(style: Style, rng: Generator, width: float, seats: int, label: str) -> Model:
    depth, seat, back = rng.uniform(0.82, 0.95), rng.uniform(0.40, 0.45), rng.uniform(0.76, 0.88)
    hide = rng.random() < 0.3
    cover = style.leather() if hide else style.fabric(int(rng.integers(2)))
    arm, arm_height = rng.uniform(0.13, 0.22), seat + rng.uniform(0.12, 0.20)
    round_arm = rng.random() < 0.5
    foot = style.wood(1)
    inner = width - 2 * arm
    parts = [box([width - 0.04, depth - 0.06, 0.20], cover, radius=0.03, step=0.08).moved(z=0.19)]
    for side in (-1, 1):
        rest = box(
            [arm, depth, arm_height - 0.09], cover, radius=arm * 0.48 if round_arm else 0.035, puff=0.008, step=0.08
        )
        parts.append(rest.moved(side * (width - arm) / 2, 0, 0.09 + (arm_height - 0.09) / 2))
    parts.append(
        box([inner, 0.20, back - 0.12], cover, radius=0.06, step=0.08)
        .tilted(6)
        .moved(0, -depth / 2 + 0.14, 0.11 + (back - 0.12) / 2)
    )
    each = inner / seats
    for k in range(seats):
        x = -inner / 2 + each * (k + 0.5)
        shift = rng.uniform(0, 1, 2)
        pad = box([each - 0.008, depth - 0.22, 0.16], cover, radius=0.05, puff=0.022, step=0.08).textured(shift)
        parts.append(pad.moved(x, 0.10, seat - 0.07))
        rear = box([each - 0.01, 0.17, back - seat + 0.06], cover, radius=0.06, puff=0.03, step=0.08).textured(
            shift + 0.4
        )
        parts.append(rear.tilted(12 + rng.uniform(-2, 2)).moved(x, -depth / 2 + 0.29, (back + seat) / 2 + 0.03))
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(
                cylinder(0.022, 0.10, foot, top=0.028).moved(sx * (width / 2 - 0.09), sy * (depth / 2 - 0.09), 0)
            )
    sit = Top(z=seat + 0.03, x=(-inner / 2, inner / 2), y=(-depth / 2 + 0.44, -depth / 2 + 0.70))
    return Model(label=label, mesh=join(parts), tops=(sit,))


def couch(style: Style, rng: Generator) -> Model:
    """A couch for two or three."""
    seats = int(rng.integers(2, 4))
    return _sofa(style, rng, 0.45 + seats * rng.uniform(0.58, 0.68), seats, "couch")


def armchair(style: Style, rng: Generator) -> Model:
    """A couch for one."""
    return _sofa(style, rng, rng.uniform(0.85, 0.98), 1, "armchair")


def stool(style: Style, rng: Generator) -> Model:
    """A round stool of kitchen or bar height."""
    height, radius = rng.uniform(0.45, 0.66), rng.uniform(0.16, 0.19)
    frame = style.wood(0) if rng.random() < 0.5 else style.steel()
    top = style.leather() if rng.random() < 0.5 else style.wood(0)
    parts = [cylinder(radius, 0.045, top, bevel=0.014).moved(z=height - 0.045)]
    parts += legs(radius * 1.3, radius * 1.3, height - 0.04, frame, thick=0.028, splay=0.04)
    angle = np.linspace(0, 2 * np.pi, 20)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * (radius * 0.93) + [0, 0, height * 0.35]
    parts.append(tube(ring, 0.008, frame, segments=6))
    return Model(label="stool", mesh=join(parts))


def ottoman(style: Style, rng: Generator) -> Model:
    """A padded cube or a round pouffe."""
    width, height = rng.uniform(0.45, 0.65), rng.uniform(0.36, 0.44)
    cover = style.fabric(int(rng.integers(3)), figured=rng.random() < 0.4)
    if rng.random() < 0.4:
        body = blob([width, width, height], cover, squareness=0.55).moved(z=height / 2)
    else:
        body = box([width, width * rng.uniform(0.7, 1), height], cover, radius=0.05, puff=0.02).moved(
            z=height / 2 + 0.005
        )
    return Model(label="ottoman", mesh=body, tops=(Top(z=height + 0.012, x=(-0.2, 0.2), y=(-0.2, 0.2)),))


def pillow_mesh(rng: Generator, material: int, width: float, height: float, thick: float) -> Mesh:
    """A stuffed pillow lying flat: full in the middle, thin at the seam, with drawn-in edges."""
    n, m = max(8, int(width / 0.045)), max(7, int(height / 0.045))
    u, v = np.meshgrid(np.linspace(-1, 1, n + 1), np.linspace(-1, 1, m + 1))
    fullness = (np.clip(1 - u**4, 0, 1) * np.clip(1 - v**4, 0, 1)) ** 0.5
    x, y = u * width / 2 * (1 - 0.07 * (1 - v**2) * u**4), v * height / 2 * (1 - 0.07 * (1 - u**2) * v**4)
    dent = 1 - rng.uniform(0.0, 0.2) * np.exp(-6 * ((u - rng.uniform(-0.3, 0.3)) ** 2 + v**2))
    z = thick / 2 * fullness
    sides = []
    for sign, lift in ((1.0, z * dent), (-1.0, z)):
        points = np.stack([x, y, thick / 2 + sign * lift], axis=-1)
        mesh = surface(points, material)
        sides.append(mesh if _faces_up(mesh) == (sign > 0) else turned_over(mesh))
    return join(sides)


def pillow(style: Style, rng: Generator) -> Model:
    """A throw pillow, lying flat."""
    size = rng.uniform(0.38, 0.48)
    material = style.fabric(int(rng.integers(3)), figured=True) if rng.random() < 0.65 else style.fabric(2)
    return Model(
        label="pillow", mesh=pillow_mesh(rng, material, size, size * rng.uniform(0.8, 1), rng.uniform(0.11, 0.15))
    )
