"""Lamps, plants, what hangs on walls, and the small things of daily life."""

from __future__ import annotations

import numpy as np

from gapdata.synthetic import pictures, textures
from gapdata.synthetic.shapes import Mesh, about, blob, both, box, cylinder, join, lathe, panel, plate, surface, tube
from gapdata.synthetic.storage import vase
from gapdata.synthetic.style import Model, Style


def _shade(style: Style, radius: float, height: float, lit: float) -> Mesh:
    """Make a cloth shade that is lit with a chance of ``lit``."""
    cloth = style.glow((0.98, 0.90, 0.74), 1.7) if style.rng.random() < lit else style.finish("linen")
    top = radius * style.rng.uniform(0.65, 0.95)
    outer, inner = [(radius, 0.0), (top, height)], [(top - 0.004, height), (radius - 0.004, 0.0)]
    return lathe([outer, inner], cloth, step=0.04)


def table_lamp(style: Style) -> Model:
    """Make a lamp of a turned foot and a cloth shade, lit on some evenings."""
    rng = style.rng
    height = rng.uniform(0.22, 0.30)
    foot = vase(style, height) if rng.random() < 0.6 else cylinder(0.07, 0.02, style.finish("steel"))
    stem = cylinder(0.009, height + 0.08, style.finish("steel"))
    shade = _shade(style, rng.uniform(0.11, 0.15), rng.uniform(0.16, 0.20), 0.6)
    return Model.of("lamp", foot, stem, shade.moved(z=height + 0.03))


def floor_lamp(style: Style) -> Model:
    """Make a standing lamp."""
    rng = style.rng
    height = rng.uniform(1.35, 1.60)
    foot = cylinder(0.14, 0.025, style.black(), bevel=0.008)
    stem = cylinder(0.012, height + 0.05, style.black(), step=0.15)
    shade = _shade(style, rng.uniform(0.17, 0.22), rng.uniform(0.22, 0.28), 0.7)
    return Model.of("lamp", foot, stem, shade.moved(z=height - 0.12))


def desk_lamp(style: Style) -> Model:
    """Make a jointed arm with a metal reflector."""
    paint = style.lacquer(pictures.hue(style.rng, value=(0.15, 0.7)))
    head = lathe([[(0.065, 0.0), (0.05, 0.05), (0.02, 0.09), (0.0, 0.095)]], paint, step=0.03).tilted(18)
    bulb = blob([0.05, 0.05, 0.05], style.glow((1.0, 0.93, 0.8), 2.2), squareness=1.0, step=0.03)
    arm = tube([[0, 0, 0.02], [0.06, 0, 0.24], [-0.12, 0.06, 0.40]], 0.009, paint)
    foot = cylinder(0.08, 0.02, paint)
    return Model.of("lamp", foot, arm, head.moved(-0.13, 0.07, 0.34), bulb.moved(-0.13, 0.075, 0.36))


def ceiling_lamp(style: Style) -> Model:
    """Make a flat luminaire below the ceiling at z = 0: a round bowl or a square panel."""
    light = style.glow((1.0, 0.96, 0.88), 3.0)
    if style.rng.random() < 0.5:
        radius = style.rng.uniform(0.17, 0.24)
        bowl = lathe([[(0.0, -0.10), (radius * 0.7, -0.085), (radius, -0.035), (radius, -0.03)]], light)
        return Model.of("light", bowl, cylinder(radius + 0.012, 0.03, style.white()).moved(z=-0.03))
    width = style.rng.uniform(0.55, 0.62)
    frame = box([width + 0.05, width + 0.05, 0.05], style.white()).moved(z=-0.026)
    return Model.of("light", frame, box([width, width, 0.012], light).moved(z=-0.053))


def plant(style: Style) -> Model:
    """Make a potted plant: broad leaves on bending stalks."""
    rng = style.rng
    height = rng.uniform(0.55, 1.25)
    rim, radius = height * rng.uniform(0.22, 0.30), rng.uniform(0.12, 0.19)
    color = style.pick(((0.62, 0.34, 0.22), (0.85, 0.84, 0.80), (0.25, 0.26, 0.28)))
    wall = [(radius * 0.72, 0.0), (radius, rim)]
    inner = [(radius, rim), (radius - 0.015, rim), (radius - 0.02, rim - 0.03), (0.0, rim - 0.03)]
    soil = cylinder(radius - 0.02, 0.01, style.lacquer((0.13, 0.09, 0.06)), bevel=0.002).moved(z=rim - 0.035)
    parts = [lathe([wall, inner], style.lacquer(color)), soil]
    green = style.leaf()
    for _ in range(int(rng.integers(16, 30))):
        azimuth, reach = rng.uniform(0, 360), rng.uniform(0.10, 0.34) * (0.6 + height * 0.5)
        rise = rng.uniform(0.25, 1.0) * (height - rim)
        length, width = rng.uniform(0.16, 0.30), rng.uniform(0.05, 0.10)
        base = np.array([reach * 0.35, 0, rim + rise * 0.75])
        stalk = tube(np.stack([[0, 0, rim - 0.03], base * [0.6, 1, 0.85], base]), 0.005, green, segments=5, step=0.2)
        leaf = _leaf(length, width, green, droop=rng.uniform(0.15, 0.5)).rotated(about("y", rng.uniform(-60, -5)))
        parts.append(join([stalk, leaf.moved(*base)]).turned(azimuth))
    return Model.of("plant", *parts)


def _leaf(length: float, width: float, material: int, droop: float) -> Mesh:
    """Make a pointed blade along +x, folded at its midrib and drooping at the tip."""
    t, s = np.meshgrid(np.linspace(0, 1, 7), np.linspace(-1, 1, 5))
    outline = np.sin(np.pi * np.clip(t * 0.94 + 0.06, 0, 1)) ** 0.8
    z = -droop * length * t**2 + 0.25 * np.abs(s) * outline * width / 2
    points = np.stack([t * length, s * outline * width / 2, z], axis=-1)
    return surface(points, material, uv=np.stack([0.5 + 0.48 * s * outline, 0.02 + 0.96 * t], axis=-1))


def trash_can(style: Style) -> Model:
    """Make a round or square bin, open at the top."""
    rng = style.rng
    height, radius = rng.uniform(0.28, 0.42), rng.uniform(0.12, 0.16)
    colors = ((0.12, 0.12, 0.13), (0.45, 0.46, 0.48), (0.20, 0.28, 0.42), (0.80, 0.79, 0.76))
    skin = style.lacquer(style.pick(colors))
    outer = [(radius * 0.8, 0.0), (radius, height)]
    inner = [(radius, height), (radius - 0.006, height), (radius * 0.8 - 0.004, 0.012), (0.0, 0.012)]
    parts = [lathe([outer, inner], skin, segments=4 if rng.random() < 0.3 else None)]
    if rng.random() < 0.5:
        bag = blob([radius * 1.5, radius * 1.5, height * 0.5], style.lacquer((0.75, 0.75, 0.77)), squareness=0.9)
        parts.append(bag.moved(z=height * 0.52))
    return Model.of("trash can", *parts)


def carton(style: Style) -> Model:
    """Make a cardboard box, closed or with its flaps up."""
    rng = style.rng
    width, depth, height = rng.uniform(0.28, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.38)
    board = style.finish("cardboard")
    parts = [box([width, depth, height], board).moved(z=height / 2)]
    if rng.random() < 0.45:
        for side in (-1, 1):
            flap = box([width - 0.01, 0.005, depth * 0.48], board).moved(z=depth * 0.24).tilted(-side * 35)
            parts.append(flap.moved(0, side * (depth / 2 - 0.004), height - 0.002))
    return Model.of("box", *parts)


def backpack(style: Style) -> Model:
    """Make a backpack that stands on the floor."""
    color = pictures.hue(style.rng, saturation=(0.2, 0.8), value=(0.15, 0.55))
    cloth = style.material(textures.woven(style.rng, color, 128), period=0.08)
    body = blob([0.32, 0.20, 0.46], cloth, squareness=0.5).moved(z=0.23)
    pocket = blob([0.25, 0.12, 0.24], cloth, squareness=0.5).moved(0, 0.10, 0.15)
    angle = np.linspace(-0.3, np.pi + 0.3, 12)
    handle = np.stack([0.05 * np.cos(angle), 0 * angle - 0.03, 0.45 + 0.05 * np.sin(angle)], axis=1)
    black = style.black()
    straps = [[[s * 0.08, -0.08, 0.42], [s * 0.10, -0.14, 0.30], [s * 0.11, -0.10, 0.08]] for s in (-1, 1)]
    tubes = [tube(handle, 0.009, black), *(tube(strap, 0.014, black, step=0.08) for strap in straps)]
    return Model.of("backpack", join([body, pocket, *tubes]).tilted(6))


def books(style: Style) -> Model:
    """Make a small stack, lying: covers about a block of pages, spine to one side."""
    rng = style.rng
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        thick, width, depth = rng.uniform(0.018, 0.045), rng.uniform(0.14, 0.19), rng.uniform(0.20, 0.27)
        cover = style.lacquer(pictures.hue(rng, saturation=(0.05, 0.7), value=(0.12, 0.8)))
        lid = box([width, depth, 0.003], cover, step=0.12)
        pieces = [
            box([width - 0.012, depth - 0.012, thick - 0.006], style.finish("linen"), step=0.12),
            *(lid.moved(z=side * (thick - 0.003) / 2) for side in (-1, 1)),
            box([0.003, depth, thick], cover, step=0.12).moved(0.0015 - width / 2),
        ]
        parts.append(join(pieces).turned(rng.uniform(-14, 14)).moved(z=z + thick / 2))
        z += thick
    return Model.of("book", *parts)


def cup(style: Style) -> Model:
    """Make a mug."""
    glaze = style.lacquer(pictures.hue(style.rng, saturation=(0, 0.7), value=(0.4, 0.95)))
    inner = [(0.041, 0.095), (0.036, 0.095), (0.035, 0.02), (0.0, 0.02)]
    angle = np.linspace(-np.pi / 2, np.pi / 2, 8)
    handle = np.stack([0.038 + 0.026 * np.cos(angle), 0 * angle, 0.05 + 0.03 * np.sin(angle)], axis=1)
    body = lathe([[(0.036, 0.0), (0.041, 0.095)], inner], glaze, step=0.03)
    return Model.of("cup", body, tube(handle, 0.006, glaze))


def bottle(style: Style) -> Model:
    """Make a bottle."""
    color = style.pick(((0.10, 0.22, 0.12), (0.20, 0.12, 0.06), (0.55, 0.70, 0.78)))
    profile = [(0.034, 0.0), (0.036, 0.01), (0.036, 0.17), (0.028, 0.21), (0.013, 0.24), (0.013, 0.29), (0.0, 0.292)]
    return Model.of("bottle", lathe([profile], style.lacquer(color), step=0.04))


def vase_on_table(style: Style) -> Model:
    """Make a vase that is never annotated, as many small things in scans are not."""
    return Model.of(None, vase(style, style.rng.uniform(0.14, 0.28)))


def rug(style: Style) -> Model:
    """Make a rug."""
    width, depth = style.rng.uniform(1.5, 2.3), style.rng.uniform(1.1, 1.6)
    figure = style.picture(pictures.rug(style.rng))
    body = box([width, depth, 0.012], style.fabric(0), step=0.08).moved(z=0.0065)
    return Model.of("rug", body, plate(width - 0.006, depth - 0.006, figure).moved(z=0.0135))


def _framed(
    width: float, height: float, image: int, frame: int, bar: tuple[float, float, float], depth: float
) -> list[Mesh]:
    """Frame an image ``depth`` before the wall; a bar has a width, a thickness and what it adds to the distance."""
    rim, thick, gap = bar
    parts = [panel(width, height, image).moved(0, depth)]
    for side in (-1, 1):
        upright = box([rim, thick, height + 2 * rim], frame)
        parts.append(upright.moved(side * (width + gap) / 2, thick / 2, height / 2))
        parts.append(box([width, thick, rim], frame).moved(0, thick / 2, height / 2 + side * (height + gap) / 2))
    return parts


def picture(style: Style) -> Model:
    """Make a framed picture, its back at y = 0 and its lower edge at z = 0."""
    rng = style.rng
    width, height = rng.uniform(0.35, 0.95), rng.uniform(0.35, 0.75)
    frame = style.black() if rng.random() < 0.4 else style.wood()
    art = style.picture(pictures.painting(rng), gloss=0.5 if rng.random() < 0.5 else 0.0)
    return Model.of("picture", *_framed(width, height, art, frame, (0.022, 0.024, 0.022), 0.012))


def mirror(style: Style) -> Model:
    """Make a mirror, hung like a picture."""
    width, height = style.rng.uniform(0.45, 0.7), style.rng.uniform(0.6, 1.0)
    silver = style.finish("mirror")
    back = box([width + 0.05, 0.02, height + 0.05], style.wood(1)).moved(0, 0.01, height / 2)
    return Model.of("mirror", back, panel(width, height, silver).moved(0, 0.0205))


def whiteboard(style: Style) -> Model:
    """Make a whiteboard with a pen tray, hung like a picture."""
    width, height = style.rng.uniform(1.5, 2.2), style.rng.uniform(0.95, 1.2)
    board = style.picture(pictures.whiteboard(style.rng), gloss=0.8)
    steel = style.finish("steel")
    tray = box([width * 0.5, 0.07, 0.015], steel).moved(0, 0.045, -0.015)
    return Model.of("whiteboard", *_framed(width, height, board, steel, (0.025, 0.022, 0.02), 0.014), tray)


def wall_plate(style: Style, count: int) -> Model:
    """Make a switch, or ``count`` sockets side by side, hung like a picture."""
    places = [(k - (count - 1) / 2) * 0.075 for k in range(count)]
    plates = [
        box([size, thick, size], style.white(), step=0.1).moved(x, y, 0.036)
        for x in places
        for size, thick, y in ((0.072, 0.010, 0.005), (0.042, 0.006, 0.012))
    ]
    return Model.of(None, *plates)


def towel(style: Style) -> Model:
    """Make a towel that hangs from a bar on the wall."""
    rng = style.rng
    width, height = rng.uniform(0.4, 0.55), rng.uniform(0.5, 0.7)
    cloth = style.fabric(figured=0.4)
    x, z = np.meshgrid(np.linspace(-width / 2, width / 2, 16), np.linspace(0, height, 16))
    fold = 0.012 * np.sin(x * 26 + rng.uniform(0, 6)) * (1.15 - z / height)
    sheet = surface(np.stack([x, 0.085 + fold, z], axis=-1), cloth).facing(1)
    (left, right), out = both(width / 2 + 0.05), 0.07
    bar = [[left, 0, height], [left, out, height], [right, out, height], [right, 0, height]]
    return Model.of("towel", sheet, tube(bar, 0.009, style.finish("steel"), step=0.1))
