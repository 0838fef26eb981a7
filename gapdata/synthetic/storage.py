"""Bookcases, cabinets, kitchen units and appliances: what stands along the walls."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic.shapes import Mesh, blob, box, cylinder, join, lathe, surface, tube, turned_over
from gapdata.synthetic.style import Model, Style, Top
from gapdata.synthetic.tables import drawers


def book_row(style: Style, rng: Generator, width: float, height: float, depth: float) -> list[Mesh]:
    """Books side by side between x = 0 and ``width``, spines at +y, some leaning, some missing."""
    parts: list[Mesh] = []
    x = 0.0
    limit = width * rng.uniform(0.55, 1.0)
    while True:
        thick = rng.uniform(0.018, 0.055)
        if x + thick > limit:
            return parts
        tall, deep = height * rng.uniform(0.66, 0.95), depth * rng.uniform(0.7, 0.95)
        parts.append(_book(style.spine(), thick - 0.002, deep, tall).moved(x + thick / 2, depth / 2 - deep / 2, 0))
        x += thick + (rng.uniform(0.02, 0.07) if rng.random() < 0.06 else 0.0)


def _book(cover: int, thick: float, deep: float, tall: float) -> Mesh:
    """A closed book standing upright, its spine (the whole cover texture) at +y."""
    mesh = box([thick, deep, tall], cover, radius=0.0, step=0.12).moved(z=tall / 2)
    x, _, z = mesh.vertices.T
    uv = np.stack([0.02 + 0.96 * (x / thick + 0.5), 0.02 + 0.96 * (1 - z / tall)], axis=-1)
    return Mesh(
        vertices=mesh.vertices,
        normals=mesh.normals,
        uv=uv,
        faces=mesh.faces,
        material=mesh.material,
        part=mesh.part * 0,
    )


def bookshelf(style: Style, rng: Generator) -> Model:
    """An open case filled with books, boxes and small things."""
    width, depth, height = rng.uniform(0.70, 1.05), rng.uniform(0.27, 0.33), rng.uniform(1.5, 2.05)
    wood = style.wood(int(rng.integers(2)))
    board = 0.022
    shelves = round(height / rng.uniform(0.31, 0.37))
    parts = [
        box([board, depth, height], wood, radius=0.002).moved(s * (width - board) / 2, 0, height / 2) for s in (-1, 1)
    ]
    parts.append(box([width - 0.01, 0.008, height - 0.06], wood, radius=0.0).moved(0, -depth / 2 + 0.006, height / 2))
    bay = (height - 0.06 - board) / shelves
    inner = width - 2 * board
    for k in range(shelves + 1):
        z = 0.06 + k * bay
        shelf = box([inner, depth - 0.01, board], wood, radius=0.002).textured([0.2 * k, 0.1 * k])
        parts.append(shelf.moved(0, 0.0, z))
        if k == shelves:
            break
        free = bay - board - 0.02
        choice = rng.random()
        floor = z + board / 2 + 0.001
        if choice < 0.72:
            row = book_row(style, rng, inner - 0.02, min(free, 0.29), depth - 0.06)
            parts += [m.moved(-inner / 2 + 0.01, 0, floor) for m in row]
        elif choice < 0.86:
            for j in range(2):
                tint = style.fabric(int(rng.integers(3)))
                crate = box([inner * 0.42, depth - 0.06, free * 0.75], tint, radius=0.012)
                parts.append(crate.moved((-1 if j == 0 else 1) * inner * 0.24, 0.01, floor + free * 0.375))
        else:
            parts.append(vase(style, rng, free * 0.8).moved(rng.uniform(-0.2, 0.2), 0, floor))
    return Model(
        label="bookshelf", mesh=join(parts), tops=(Top(z=height, x=(-width / 2, width / 2), y=(-depth / 2, depth / 2)),)
    )


def vase(style: Style, rng: Generator, height: float) -> Mesh:
    """A turned vase."""
    radius = height * rng.uniform(0.22, 0.34)
    t = np.linspace(0, 1, 9)
    profile = radius * (0.55 + 0.45 * np.sin(np.pi * (t * rng.uniform(0.9, 1.25) + 0.12)))
    wall = np.stack([profile, t * height], axis=1)
    color = tuple(float(c) for c in np.clip(np.asarray(style.fabric_colors[int(rng.integers(3))]) * 1.2, 0, 0.95))
    inside = [
        (profile[-1], height),
        (profile[-1] * 0.8, height - 0.004),
        (profile[-1] * 0.7, height * 0.75),
        (0.0, height * 0.7),
    ]
    return lathe([wall, inside], style.lacquer((color[0], color[1], color[2])), step=0.03)


def wardrobe(style: Style, rng: Generator) -> Model:
    """A tall cabinet with doors."""
    doors = int(rng.integers(2, 4))
    width, depth, height = doors * rng.uniform(0.42, 0.52), rng.uniform(0.52, 0.60), rng.uniform(1.85, 2.15)
    wood = style.white() if rng.random() < 0.3 else style.wood(int(rng.integers(2)))
    parts = [box([width, depth, height], wood, radius=0.004).moved(z=height / 2)]
    parts.append(join(drawers(width - 0.02, depth, height - 0.12, 1, doors, wood, style.steel())).moved(z=0.08))
    parts.append(box([width + 0.04, depth + 0.05, 0.04], wood, radius=0.012).moved(0, 0.005, height - 0.0))
    return Model(label="wardrobe", mesh=join(parts))


def cabinet(style: Style, rng: Generator) -> Model:
    """A half-height cabinet with doors, on short feet."""
    width, depth, height = rng.uniform(0.8, 1.25), rng.uniform(0.38, 0.46), rng.uniform(0.75, 1.1)
    wood = style.wood(int(rng.integers(2)))
    parts = [box([width, depth, height - 0.10], wood, radius=0.005).moved(z=0.10 + (height - 0.10) / 2)]
    parts.append(join(drawers(width - 0.03, depth, height - 0.15, 1, 2, wood, style.steel())).moved(z=0.12))
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(cylinder(0.018, 0.10, style.steel()).moved(sx * (width / 2 - 0.06), sy * (depth / 2 - 0.05)))
    level = Top(z=height, x=(-width / 2, width / 2), y=(-depth / 2, depth / 2))
    return Model(label="cabinet", mesh=join(parts), tops=(level,))


def kitchen_run(style: Style, rng: Generator, width: float, *, with_sink: bool) -> list[Model]:
    """Base units under a counter of ``width``: the cabinet, the counter and perhaps a sink as objects of their own."""
    depth, height = 0.58, 0.90
    front = style.white() if rng.random() < 0.5 else style.wood(0)
    columns = max(2, round(width / 0.5))
    base = [box([width - 0.01, depth - 0.06, 0.10], style.black()).moved(0, -0.03, 0.05)]
    # The carcass ends below the sink's bowl; end panels and fronts go up to the counter.
    base.append(box([width - 0.04, depth - 0.06, height - 0.32], front).moved(0, -0.01, 0.10 + (height - 0.32) / 2))
    for side in (-1, 1):
        end = box([0.018, depth - 0.02, height - 0.145], front, radius=0.003)
        base.append(end.moved(side * (width / 2 - 0.012), -0.01, 0.10 + (height - 0.145) / 2))
    base.append(
        join(drawers(width - 0.01, depth - 0.04, height - 0.16, 1, columns, front, style.steel())).moved(z=0.11)
    )
    models = [Model(label="kitchen cabinet", mesh=join(base))]
    slab = style.worktop()
    z = height - 0.02
    level = Top(z=height, x=(-width / 2, width / 2), y=(-0.28, 0.28))
    if not with_sink:
        slab_mesh = box([width, depth + 0.04, 0.04], slab, radius=0.008).moved(0, 0.01, z)
        return [*models, Model(label="counter", mesh=slab_mesh, tops=(level,))]
    hole_w, hole_d, x0 = 0.54, 0.40, rng.uniform(-0.2, 0.2) * max(width - 1.2, 0)
    left, right = x0 - hole_w / 2 + width / 2, width / 2 - x0 - hole_w / 2
    lip = (depth + 0.04 - hole_d) / 2
    pieces = [
        box([left, depth + 0.04, 0.04], slab, radius=0.006).moved(-width / 2 + left / 2, 0.01, z),
        box([right, depth + 0.04, 0.04], slab, radius=0.006).moved(width / 2 - right / 2, 0.01, z),
        box([hole_w + 0.01, lip, 0.04], slab, radius=0.002).moved(x0, 0.01 - hole_d / 2 - lip / 2, z),
        box([hole_w + 0.01, lip, 0.04], slab, radius=0.002).moved(x0, 0.01 + hole_d / 2 + lip / 2, z),
    ]
    sides = ((-width / 2, x0 - hole_w / 2 - 0.03), (x0 + hole_w / 2 + 0.03, width / 2))
    tops = tuple(Top(z=height, x=side, y=(-0.28, 0.28)) for side in sorted(sides, key=lambda s: s[0] - s[1]))
    models.append(Model(label="counter", mesh=join(pieces), tops=tops))
    models.append(Model(label="sink", mesh=_basin(style, hole_w, hole_d).moved(x0, 0.01, height)))
    return models


def _basin(style: Style, width: float, depth: float) -> Mesh:
    """A steel bowl hung into a counter whose top is z = 0, with its tap."""
    steel = style.steel()
    wall, deep = 0.012, 0.15
    parts = [box([width, depth, wall], steel).moved(z=-deep)]
    for side in (-1, 1):
        parts.append(box([wall, depth, deep], steel, radius=0.004).moved(side * (width - wall) / 2, 0, -deep / 2))
        parts.append(box([width, wall, deep], steel, radius=0.004).moved(0, side * (depth - wall) / 2, -deep / 2))
        parts.append(box([0.035, depth + 0.06, 0.006], steel, radius=0.002).moved(side * (width + 0.01) / 2, 0, 0.003))
        parts.append(box([width + 0.04, 0.035, 0.006], steel, radius=0.002).moved(0, side * (depth + 0.01) / 2, 0.003))
    angle = np.linspace(np.pi, 0, 10)
    arc = np.stack([0 * angle, -depth / 2 - 0.04 + 0.09 + 0.09 * np.cos(angle), 0.24 + 0.09 * np.sin(angle)], axis=1)
    path = np.concatenate([[[0, -depth / 2 - 0.04, 0.0]], arc, [[0, arc[-1, 1], 0.19]]])
    parts.append(tube(path, 0.011, steel, step=0.08))
    return join(parts)


def wall_cabinet(style: Style, rng: Generator, width: float) -> Model:
    """Hung above a counter; stands for the whole row."""
    height, depth = rng.uniform(0.55, 0.72), 0.32
    front = style.white() if rng.random() < 0.5 else style.wood(0)
    body = box([width, depth, height], front, radius=0.003, step=0.08).moved(z=height / 2)
    doors = join(drawers(width - 0.01, depth, height - 0.01, 1, max(2, round(width / 0.5)), front, style.steel()))
    return Model(label="kitchen cabinet", mesh=join([body, doors.moved(z=0.005)]))


def bathtub(style: Style, rng: Generator) -> Model:
    """A built-in tub with its taps at one end."""
    width, depth, height = rng.uniform(1.55, 1.75), rng.uniform(0.70, 0.78), rng.uniform(0.52, 0.58)
    ceramic = style.ceramic()
    t, around = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 2 * np.pi, 49))
    # From the rim down the wall to the bottom: a superellipse that narrows.
    share = np.where(t < 0.7, 1 - 0.16 * (t / 0.7) ** 2, 0.84 * (1 - (t - 0.7) / 0.3))
    c, s = np.cos(around), np.sin(around)
    x = share * (width / 2 - 0.06) * np.sign(c) * np.abs(c) ** 0.45
    y = share * (depth / 2 - 0.06) * np.sign(s) * np.abs(s) ** 0.45
    z = height - 0.40 * np.clip(t / 0.7, 0, 1) ** 1.4
    inner = surface(np.stack([x, y, z], axis=-1), ceramic)
    inner = inner if inner.normals[:, 2].mean() > 0 else turned_over(inner)
    rim_x, rim_y = np.sign(c) * np.abs(c) ** 0.05 * width / 2, np.sign(s) * np.abs(s) ** 0.05 * depth / 2
    rim = np.stack(
        [np.stack([x[:, 0], y[:, 0], z[:, 0]], axis=-1), np.stack([rim_x[:, 0], rim_y[:, 0], z[:, 0]], axis=-1)]
    )
    top = surface(rim, ceramic, normals=np.broadcast_to([0.0, 0.0, 1.0], rim.shape))
    sides = [
        box([width, 0.02, height], ceramic, radius=0.0).moved(0, k * (depth / 2 - 0.011), height / 2 - 0.001)
        for k in (-1, 1)
    ]
    sides += [
        box([0.02, depth, height], ceramic, radius=0.0).moved(k * (width / 2 - 0.011), 0, height / 2 - 0.001)
        for k in (-1, 1)
    ]
    tap = tube(np.array([[0, 0, 0], [0, 0, 0.10], [0.11, 0, 0.10], [0.12, 0, 0.07]]), 0.014, style.steel(), step=0.05)
    return Model(label="bathtub", mesh=join([inner, top, *sides, tap.moved(-width / 2 + 0.03, 0, height)]))


def refrigerator(style: Style, rng: Generator) -> Model:
    """A fridge-freezer."""
    width, depth, height = rng.uniform(0.58, 0.72), rng.uniform(0.60, 0.68), rng.uniform(1.60, 1.85)
    skin = style.steel() if rng.random() < 0.5 else style.white()
    split = height * rng.uniform(0.58, 0.70)
    low = rng.random() < 0.5
    split = height - split if low else split
    parts = [box([width, depth - 0.06, height - 0.03], skin, radius=0.008).moved(0, -0.03, 0.03 + (height - 0.03) / 2)]
    for z0, z1 in ((0.05, split - 0.004), (split + 0.004, height)):
        parts.append(box([width, 0.055, z1 - z0], skin, radius=0.012).moved(0, depth / 2 - 0.025, (z0 + z1) / 2))
        grip = min(0.5, (z1 - z0) * 0.6)
        middle = z1 - grip / 2 - 0.06 if z0 < 0.1 else z0 + grip / 2 + 0.06
        parts.append(
            tube([[0, 0, -grip / 2], [0, 0, grip / 2]], 0.012, style.steel()).moved(
                -width / 2 + 0.06, depth / 2 + 0.03, middle
            )
        )
    parts.append(box([width - 0.06, depth - 0.1, 0.05], style.black()).moved(0, -0.03, 0.025))
    return Model(label="refrigerator", mesh=join(parts))


def stove(style: Style, rng: Generator) -> Model:
    """A cooker with four plates and an oven door."""
    width, depth, height = 0.60, 0.60, 0.90
    skin, glass = (style.steel() if rng.random() < 0.5 else style.white()), style.glass()
    parts = [box([width, depth, height - 0.02], skin, radius=0.006).moved(z=(height - 0.02) / 2)]
    parts.append(box([width - 0.02, depth - 0.02, 0.02], glass, radius=0.004).moved(z=height - 0.01))
    for sx in (-1, 1):
        for sy in (-1, 1):
            ring = cylinder(0.095 if sx == sy else 0.075, 0.004, style.lacquer((0.2, 0.2, 0.2)), bevel=0.001)
            parts.append(ring.moved(sx * 0.15, sy * 0.14, height))
    parts.append(box([width - 0.06, 0.02, 0.44], glass, radius=0.006).moved(0, depth / 2 + 0.01, 0.38))
    parts.append(tube([[-0.22, 0, 0], [0.22, 0, 0]], 0.011, style.steel()).moved(0, depth / 2 + 0.05, 0.64))
    for k in range(5):
        knob = cylinder(0.018, 0.025, style.black(), step=0.03).tilted(-90)
        parts.append(knob.moved(-0.22 + 0.11 * k, depth / 2, 0.78))
    return Model(label="stove", mesh=join(parts), tops=())


def microwave(style: Style, rng: Generator) -> Model:
    """On a counter."""
    width, depth, height = rng.uniform(0.44, 0.52), 0.34, rng.uniform(0.26, 0.30)
    skin = style.black() if rng.random() < 0.5 else style.steel()
    parts = [box([width, depth, height], skin, radius=0.008).moved(z=height / 2 + 0.01)]
    parts.append(
        box([width * 0.68, 0.014, height * 0.82], style.glass(), radius=0.004).moved(
            -width * 0.12, depth / 2, height / 2 + 0.01
        )
    )
    parts.append(
        tube([[0, 0, 0.05], [0, 0, height - 0.04]], 0.008, style.steel()).moved(width * 0.25, depth / 2 + 0.02)
    )
    return Model(label="microwave", mesh=join(parts))


def radiator(style: Style, rng: Generator) -> Model:
    """A ribbed hot-water radiator below a window."""
    columns = int(rng.integers(10, 18))
    height, pitch = rng.uniform(0.50, 0.62), 0.055
    paint = style.white()
    parts = []
    for k in range(columns):
        x = (k - (columns - 1) / 2) * pitch
        parts.append(box([0.042, 0.08, height], paint, radius=0.019, step=0.16).moved(x, 0, 0.12 + height / 2))
    for z in (0.17, 0.07 + height):
        parts.append(box([columns * pitch, 0.03, 0.04], paint, radius=0.012).moved(z=z))
    parts.append(
        tube(
            [[columns * pitch / 2, 0, 0.17], [columns * pitch / 2 + 0.05, 0, 0.15], [columns * pitch / 2 + 0.05, 0, 0]],
            0.011,
            paint,
        )
    )
    return Model(label="radiator", mesh=join(parts))


def toilet(style: Style, rng: Generator) -> Model:
    """A close-coupled toilet, its cistern at the wall."""
    ceramic = style.ceramic()
    profile = [(0.11, 0.0), (0.105, 0.05), (0.09, 0.18), (0.13, 0.28), (0.185, 0.36), (0.19, 0.39)]
    inside = [(0.19, 0.39), (0.15, 0.395), (0.13, 0.34), (0.08, 0.26), (0.0, 0.24)]
    bowl = lathe([profile, inside], ceramic)
    oval = Mesh(
        vertices=bowl.vertices * [1, 1.25, 1],
        normals=bowl.normals,
        uv=bowl.uv,
        faces=bowl.faces,
        material=bowl.material,
        part=bowl.part,
    )
    lid = blob([0.38, 0.46, 0.03], ceramic, squareness=0.7).moved(0, 0.10, 0.415)
    tank = box([0.40, 0.17, 0.34], ceramic, radius=0.03).moved(0, -0.22, 0.57)
    cap = box([0.42, 0.19, 0.03], ceramic, radius=0.012).moved(0, -0.22, 0.755)
    neck = box([0.20, 0.28, 0.36], ceramic, radius=0.04).moved(0, -0.14, 0.22)
    return Model(label="toilet", mesh=join([oval.moved(0, 0.10), lid, tank, cap, neck]))


def washbasin(style: Style, rng: Generator) -> Model:
    """A pedestal basin with a tap."""
    ceramic = style.ceramic()
    column = lathe([[(0.10, 0.0), (0.075, 0.1), (0.07, 0.6), (0.11, 0.74)]], ceramic)
    wall = [(0.11, 0.70), (0.22, 0.78), (0.27, 0.85), (0.27, 0.86)]
    inside = [(0.27, 0.86), (0.24, 0.86), (0.20, 0.78), (0.0, 0.73)]
    bowl = lathe([wall, inside], ceramic)
    oval = Mesh(
        vertices=bowl.vertices * [1.05, 0.82, 1],
        normals=bowl.normals,
        uv=bowl.uv,
        faces=bowl.faces,
        material=bowl.material,
        part=bowl.part,
    )
    tap = tube([[0, -0.19, 0.85], [0, -0.19, 0.97], [0, -0.14, 1.0], [0, -0.07, 0.98]], 0.012, style.steel(), step=0.06)
    shelf = box([0.46, 0.09, 0.10], ceramic, radius=0.03).moved(0, -0.20, 0.81)
    return Model(label="sink", mesh=join([column, oval, tap, shelf]))
