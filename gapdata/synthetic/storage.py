"""Bookcases, cabinets, kitchen units, appliances and bathroom fixtures: what stands along the walls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gapdata.synthetic.shapes import Mesh, blob, both, box, cylinder, join, lathe, surface, tube
from gapdata.synthetic.style import Model, Style, Top, level
from gapdata.synthetic.tables import drawers


def _book_row(style: Style, width: float, height: float, depth: float) -> list[Mesh]:
    """Make books side by side between x = 0 and ``width``, spines at +y, some missing."""
    rng = style.rng
    parts: list[Mesh] = []
    x = 0.0
    limit = width * rng.uniform(0.55, 1.0)
    while True:
        thick = rng.uniform(0.018, 0.055)
        if x + thick > limit:
            return parts
        tall, deep = height * rng.uniform(0.66, 0.95), depth * rng.uniform(0.7, 0.95)
        parts.append(_book(style.spine(), thick - 0.002, deep, tall).moved(x + thick / 2, depth / 2 - deep / 2))
        x += thick + (rng.uniform(0.02, 0.07) if rng.random() < 0.06 else 0.0)


def _book(cover: int, thick: float, deep: float, tall: float) -> Mesh:
    """Make a closed book standing upright, its spine (the whole cover texture) at +y."""
    mesh = box([thick, deep, tall], cover, step=0.12).moved(z=tall / 2)
    x, _, z = mesh.vertices.T
    uv = np.stack([0.02 + 0.96 * (x / thick + 0.5), 0.02 + 0.96 * (1 - z / tall)], axis=-1)
    return replace(mesh, uv=uv, part=mesh.part * 0)


def bookshelf(style: Style) -> Model:
    """Make an open case filled with books, boxes and small things."""
    rng = style.rng
    width, depth, height = rng.uniform(0.70, 1.05), rng.uniform(0.27, 0.33), rng.uniform(1.5, 2.05)
    wood, board = style.wood(), 0.022
    shelves = round(height / rng.uniform(0.31, 0.37))
    bay, inner = (height - 0.06 - board) / shelves, width - 2 * board
    parts = [
        box([board, depth, height], wood).at(both((width - board) / 2), 0, height / 2),
        box([width - 0.01, 0.008, height - 0.06], wood).moved(0, -depth / 2 + 0.006, height / 2),
    ]
    shelf = box([inner, depth - 0.01, board], wood)
    for k in range(shelves):
        z = 0.06 + k * bay
        parts.append(shelf.textured([0.2 * k, 0.1 * k]).moved(z=z))
        parts += _shelved(style, inner, bay - board - 0.02, depth, z + board / 2 + 0.001)
    parts.append(shelf.textured([0.2 * shelves, 0.1 * shelves]).moved(z=0.06 + shelves * bay))
    return Model.of("bookshelf", *parts, tops=[level(width, depth, height, 0)])


def _shelved(style: Style, inner: float, free: float, depth: float, floor: float) -> list[Mesh]:
    """Fill a bay of a bookcase, ``inner`` wide and ``free`` high from ``floor``, with books, two crates or a vase."""
    choice = style.rng.random()
    if choice < 0.72:
        row = _book_row(style, inner - 0.02, min(free, 0.29), depth - 0.06)
        return [mesh.moved(-inner / 2 + 0.01, 0, floor) for mesh in row]
    if choice < 0.86:
        crates = [box([inner * 0.42, depth - 0.06, free * 0.75], style.fabric(), radius=0.012) for _ in range(2)]
        places = zip(crates, both(inner * 0.24), strict=True)
        return [crate.moved(x, 0.01, floor + free * 0.375) for crate, x in places]
    return [vase(style, free * 0.8).moved(style.rng.uniform(-0.2, 0.2), 0, floor)]


def vase(style: Style, height: float) -> Mesh:
    """Make a turned vase."""
    rng = style.rng
    radius = height * rng.uniform(0.22, 0.34)
    t = np.linspace(0, 1, 9)
    profile = radius * (0.55 + 0.45 * np.sin(np.pi * (t * rng.uniform(0.9, 1.25) + 0.12)))
    rim = profile[-1]
    inside = [(rim, height), (rim * 0.8, height - 0.004), (rim * 0.7, height * 0.75), (0.0, height * 0.7)]
    wall = np.stack([profile, t * height], axis=1)
    return lathe([wall, inside], style.lacquer(style.tint(1.2, 0, 0.95)), step=0.03)


def wardrobe(style: Style) -> Model:
    """Make a tall cabinet with doors."""
    rng = style.rng
    doors = int(rng.integers(2, 4))
    width, depth, height = doors * rng.uniform(0.42, 0.52), rng.uniform(0.52, 0.60), rng.uniform(1.85, 2.15)
    wood = style.white() if rng.random() < 0.3 else style.wood()
    return Model.of(
        "wardrobe",
        box([width, depth, height], wood).moved(z=height / 2),
        drawers(width - 0.02, depth, height - 0.12, 1, doors, wood, style.finish("steel")).moved(z=0.08),
        box([width + 0.04, depth + 0.05, 0.04], wood, radius=0.012).moved(0, 0.005, height),
    )


def cabinet(style: Style) -> Model:
    """Make a half-height cabinet with doors, on short feet."""
    rng = style.rng
    width, depth, height = rng.uniform(0.8, 1.25), rng.uniform(0.38, 0.46), rng.uniform(0.75, 1.1)
    wood = style.wood()
    return Model.of(
        "cabinet",
        box([width, depth, height - 0.10], wood).moved(z=0.10 + (height - 0.10) / 2),
        drawers(width - 0.03, depth, height - 0.15, 1, 2, wood, style.finish("steel")).moved(z=0.12),
        cylinder(0.018, 0.10, style.finish("steel")).at(both(width / 2 - 0.06), both(depth / 2 - 0.05)),
        tops=[level(width, depth, height, 0)],
    )


def _front(style: Style) -> int:
    return style.white() if style.rng.random() < 0.5 else style.wood(0)


def kitchen_run(style: Style, width: float) -> list[Model]:
    """Make base units under a counter: the cabinet, the counter and its sink are objects of their own."""
    depth, height, z = 0.58, 0.90, 0.88
    front = _front(style)
    columns = max(2, round(width / 0.5))
    end = box([0.018, depth - 0.02, height - 0.145], front)
    fronts = (width - 0.01, depth - 0.04, height - 0.16, 1, columns, front)
    cupboard = Model.of(
        "kitchen cabinet",
        box([width - 0.01, depth - 0.06, 0.10], style.black()).moved(0, -0.03, 0.05),
        # The carcass ends below the sink's bowl; end panels and fronts go up to the counter.
        box([width - 0.04, depth - 0.06, height - 0.32], front).moved(0, -0.01, 0.10 + (height - 0.32) / 2),
        end.at(both(width / 2 - 0.012), -0.01, 0.10 + (height - 0.145) / 2),
        drawers(*fronts, style.finish("steel")).moved(z=0.11),
    )
    slab = style.worktop()
    hole_w, hole_d, x0 = 0.54, 0.40, style.rng.uniform(-0.2, 0.2) * max(width - 1.2, 0)
    left, right = x0 - hole_w / 2 + width / 2, width / 2 - x0 - hole_w / 2
    lip = (depth + 0.04 - hole_d) / 2
    rim = box([hole_w + 0.01, lip, 0.04], slab)
    sides = ((-width / 2, x0 - hole_w / 2 - 0.03), (x0 + hole_w / 2 + 0.03, width / 2))
    counter = Model.of(
        "counter",
        box([left, depth + 0.04, 0.04], slab).moved(-width / 2 + left / 2, 0.01, z),
        box([right, depth + 0.04, 0.04], slab).moved(width / 2 - right / 2, 0.01, z),
        rim.moved(x0, 0.01 - hole_d / 2 - lip / 2, z),
        rim.moved(x0, 0.01 + hole_d / 2 + lip / 2, z),
        tops=[Top(z=height, x=side, y=(-0.28, 0.28)) for side in sorted(sides, key=lambda s: s[0] - s[1])],
    )
    return [cupboard, counter, Model.of("sink", _basin(style, hole_w, hole_d).moved(x0, 0.01, height))]


def _basin(style: Style, width: float, depth: float) -> Mesh:
    """Make a steel bowl that hangs in a counter with its top at z = 0, and its tap."""
    steel = style.finish("steel")
    wall, deep = 0.012, 0.15
    parts = [box([width, depth, wall], steel).moved(z=-deep)]
    for side in (-1, 1):
        parts += [
            box([wall, depth, deep], steel).moved(side * (width - wall) / 2, 0, -deep / 2),
            box([width, wall, deep], steel).moved(0, side * (depth - wall) / 2, -deep / 2),
            box([0.035, depth + 0.06, 0.006], steel).moved(side * (width + 0.01) / 2, 0, 0.003),
            box([width + 0.04, 0.035, 0.006], steel).moved(0, side * (depth + 0.01) / 2, 0.003),
        ]
    angle = np.linspace(np.pi, 0, 10)
    arc = np.stack([0 * angle, -depth / 2 - 0.04 + 0.09 + 0.09 * np.cos(angle), 0.24 + 0.09 * np.sin(angle)], axis=1)
    path = np.concatenate([[[0, -depth / 2 - 0.04, 0.0]], arc, [[0, arc[-1, 1], 0.19]]])
    return join([*parts, tube(path, 0.011, steel, step=0.08)])


def wall_cabinet(style: Style, width: float) -> Model:
    """Make the row of cabinets above a counter."""
    height, depth = style.rng.uniform(0.55, 0.72), 0.32
    front = _front(style)
    body = box([width, depth, height], front, step=0.08).moved(z=height / 2)
    columns = max(2, round(width / 0.5))
    doors = drawers(width - 0.01, depth, height - 0.01, 1, columns, front, style.finish("steel"))
    return Model.of("kitchen cabinet", body, doors.moved(z=0.005))


def bathtub(style: Style) -> Model:
    """Make a built-in tub with its tap at one end."""
    rng = style.rng
    width, depth, height = rng.uniform(1.55, 1.75), rng.uniform(0.70, 0.78), rng.uniform(0.52, 0.58)
    ceramic = style.finish("ceramic")
    t, around = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 2 * np.pi, 49))
    # From the rim down the wall to the bottom: a superellipse that narrows.
    share = np.where(t < 0.7, 1 - 0.16 * (t / 0.7) ** 2, 0.84 * (1 - (t - 0.7) / 0.3))
    c, s = np.cos(around), np.sin(around)
    x = share * (width / 2 - 0.06) * np.sign(c) * np.abs(c) ** 0.45
    y = share * (depth / 2 - 0.06) * np.sign(s) * np.abs(s) ** 0.45
    z = height - 0.40 * np.clip(t / 0.7, 0, 1) ** 1.4
    inner = surface(np.stack([x, y, z], axis=-1), ceramic).facing(2)
    outer = np.sign(c) * np.abs(c) ** 0.05 * width / 2, np.sign(s) * np.abs(s) ** 0.05 * depth / 2, z
    rim = np.stack([np.stack([each[:, 0] for each in edge], axis=-1) for edge in ((x, y, z), outer)])
    top = surface(rim, ceramic, normals=np.broadcast_to([0.0, 0.0, 1.0], rim.shape))
    tap = tube([[0.0, 0, 0], [0.0, 0, 0.10], [0.11, 0, 0.10], [0.12, 0, 0.07]], 0.014, style.finish("steel"), step=0.05)
    return Model.of(
        "bathtub",
        inner,
        top,
        box([width, 0.02, height], ceramic).at(0, both(depth / 2 - 0.011), height / 2 - 0.001),
        box([0.02, depth, height], ceramic).at(both(width / 2 - 0.011), 0, height / 2 - 0.001),
        tap.moved(-width / 2 + 0.03, 0, height),
    )


def refrigerator(style: Style) -> Model:
    """Make a fridge-freezer."""
    rng = style.rng
    width, depth, height = rng.uniform(0.58, 0.72), rng.uniform(0.60, 0.68), rng.uniform(1.60, 1.85)
    skin = style.finish("steel") if rng.random() < 0.5 else style.white()
    split = height * rng.uniform(0.58, 0.70)
    split = height - split if rng.random() < 0.5 else split
    body = box([width, depth - 0.06, height - 0.03], skin, radius=0.008)
    parts = [body.moved(0, -0.03, 0.03 + (height - 0.03) / 2)]
    for z0, z1 in ((0.05, split - 0.004), (split + 0.004, height)):
        parts.append(box([width, 0.055, z1 - z0], skin, radius=0.012).moved(0, depth / 2 - 0.025, (z0 + z1) / 2))
        grip = min(0.5, (z1 - z0) * 0.6)
        middle = z1 - grip / 2 - 0.06 if z0 < 0.1 else z0 + grip / 2 + 0.06
        handle = tube([[0, 0, -grip / 2], [0, 0, grip / 2]], 0.012, style.finish("steel"))
        parts.append(handle.moved(-width / 2 + 0.06, depth / 2 + 0.03, middle))
    parts.append(box([width - 0.06, depth - 0.1, 0.05], style.black()).moved(0, -0.03, 0.025))
    return Model.of("refrigerator", *parts)


def stove(style: Style) -> Model:
    """Make a cooker with four plates and an oven door."""
    width, depth, height = 0.60, 0.60, 0.90
    skin, glass = style.finish("steel") if style.rng.random() < 0.5 else style.white(), style.finish("glass")
    parts = [box([width, depth, height - 0.02], skin).moved(z=(height - 0.02) / 2)]
    parts.append(box([width - 0.02, depth - 0.02, 0.02], glass).moved(z=height - 0.01))
    for x, y, radius in ((-1, -1, 0.095), (-1, 1, 0.075), (1, -1, 0.075), (1, 1, 0.095)):
        ring = cylinder(radius, 0.004, style.lacquer((0.2, 0.2, 0.2)), bevel=0.001)
        parts.append(ring.moved(x * 0.15, y * 0.14, height))
    parts.append(box([width - 0.06, 0.02, 0.44], glass).moved(0, depth / 2 + 0.01, 0.38))
    parts.append(tube([[-0.22, 0, 0], [0.22, 0, 0]], 0.011, style.finish("steel")).moved(0, depth / 2 + 0.05, 0.64))
    knob = cylinder(0.018, 0.025, style.black(), step=0.03).tilted(-90)
    return Model.of("stove", *parts, *(knob.moved(-0.22 + 0.11 * k, depth / 2, 0.78) for k in range(5)))


def microwave(style: Style) -> Model:
    """Make a microwave oven."""
    rng = style.rng
    width, depth, height = rng.uniform(0.44, 0.52), 0.34, rng.uniform(0.26, 0.30)
    skin = style.black() if rng.random() < 0.5 else style.finish("steel")
    door = box([width * 0.68, 0.014, height * 0.82], style.finish("glass"))
    handle = tube([[0, 0, 0.05], [0, 0, height - 0.04]], 0.008, style.finish("steel"))
    return Model.of(
        "microwave",
        box([width, depth, height], skin, radius=0.008).moved(z=height / 2 + 0.01),
        door.moved(-width * 0.12, depth / 2, height / 2 + 0.01),
        handle.moved(width * 0.25, depth / 2 + 0.02),
    )


def radiator(style: Style) -> Model:
    """Make a ribbed hot-water radiator to stand below a window."""
    columns = int(style.rng.integers(10, 18))
    height, pitch = style.rng.uniform(0.50, 0.62), 0.055
    paint, end = style.white(), columns * pitch / 2
    rib = box([0.042, 0.08, height], paint, radius=0.019, step=0.16)
    rail = box([columns * pitch, 0.03, 0.04], paint, radius=0.012)
    return Model.of(
        "radiator",
        *(rib.moved((k - (columns - 1) / 2) * pitch, 0, 0.12 + height / 2) for k in range(columns)),
        rail.moved(z=0.17),
        rail.moved(z=0.07 + height),
        tube([[end, 0, 0.17], [end + 0.05, 0, 0.15], [end + 0.05, 0, 0]], 0.011, paint),
    )


def toilet(style: Style) -> Model:
    """Make a close-coupled toilet, its cistern at the wall."""
    ceramic = style.finish("ceramic")
    profile = [(0.11, 0.0), (0.105, 0.05), (0.09, 0.18), (0.13, 0.28), (0.185, 0.36), (0.19, 0.39)]
    inside = [(0.19, 0.39), (0.15, 0.395), (0.13, 0.34), (0.08, 0.26), (0.0, 0.24)]
    return Model.of(
        "toilet",
        lathe([profile, inside], ceramic).scaled(1, 1.25).moved(0, 0.10),
        blob([0.38, 0.46, 0.03], ceramic, squareness=0.7).moved(0, 0.10, 0.415),
        box([0.40, 0.17, 0.34], ceramic, radius=0.03).moved(0, -0.22, 0.57),
        box([0.42, 0.19, 0.03], ceramic, radius=0.012).moved(0, -0.22, 0.755),
        box([0.20, 0.28, 0.36], ceramic, radius=0.04).moved(0, -0.14, 0.22),
    )


def washbasin(style: Style) -> Model:
    """Make a pedestal basin with a tap."""
    ceramic = style.finish("ceramic")
    wall = [(0.11, 0.70), (0.22, 0.78), (0.27, 0.85), (0.27, 0.86)]
    inside = [(0.27, 0.86), (0.24, 0.86), (0.20, 0.78), (0.0, 0.73)]
    tap = [[0, -0.19, 0.85], [0, -0.19, 0.97], [0, -0.14, 1.0], [0, -0.07, 0.98]]
    return Model.of(
        "sink",
        lathe([[(0.10, 0.0), (0.075, 0.1), (0.07, 0.6), (0.11, 0.74)]], ceramic),
        lathe([wall, inside], ceramic).scaled(1.05, 0.82),
        tube(tap, 0.012, style.finish("steel"), step=0.06),
        box([0.46, 0.09, 0.10], ceramic, radius=0.03).moved(0, -0.20, 0.81),
    )
