"""Lamps, plants, screens and the small things of daily life."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import pictures, textures
from gapdata.synthetic.materials import Material
from gapdata.synthetic.shapes import (
    Mesh,
    about,
    blob,
    box,
    cylinder,
    join,
    lathe,
    panel,
    plate,
    surface,
    tube,
    turned_over,
)
from gapdata.synthetic.storage import vase
from gapdata.synthetic.style import Model, Style


def _shade(style: Style, rng: Generator, radius: float, height: float, lit: bool) -> Mesh:
    cloth = style.glow((0.98, 0.90, 0.74), 1.7) if lit else style.linen()
    top = radius * rng.uniform(0.65, 0.95)
    outer, inner = [(radius, 0.0), (top, height)], [(top - 0.004, height), (radius - 0.004, 0.0)]
    return lathe([outer, inner], cloth, step=0.04)


def table_lamp(style: Style, rng: Generator) -> Model:
    """A turned foot and a cloth shade, lit on some evenings."""
    height = rng.uniform(0.22, 0.30)
    foot = vase(style, rng, height) if rng.random() < 0.6 else cylinder(0.07, 0.02, style.steel())
    stem = cylinder(0.009, height + 0.08, style.steel())
    shade = _shade(style, rng, rng.uniform(0.11, 0.15), rng.uniform(0.16, 0.20), rng.random() < 0.6).moved(
        z=height + 0.03
    )
    return Model(label="lamp", mesh=join([foot, stem, shade]))


def floor_lamp(style: Style, rng: Generator) -> Model:
    """A standing lamp."""
    height = rng.uniform(1.35, 1.60)
    parts = [
        cylinder(0.14, 0.025, style.black(), bevel=0.008),
        cylinder(0.012, height + 0.05, style.black(), step=0.15),
    ]
    parts.append(
        _shade(style, rng, rng.uniform(0.17, 0.22), rng.uniform(0.22, 0.28), rng.random() < 0.7).moved(z=height - 0.12)
    )
    return Model(label="lamp", mesh=join(parts))


def desk_lamp(style: Style, rng: Generator) -> Model:
    """A jointed arm with a metal reflector."""
    color = tuple(float(c) for c in pictures.hue(rng, value=(0.15, 0.7)))
    paint = style.lacquer((color[0], color[1], color[2]))
    path = [[0, 0, 0.02], [0.06, 0, 0.24], [-0.12, 0.06, 0.40]]
    head = (
        lathe([[(0.065, 0.0), (0.05, 0.05), (0.02, 0.09), (0.0, 0.095)]], paint, step=0.03)
        .tilted(18)
        .moved(-0.13, 0.07, 0.34)
    )
    bulb = blob([0.05, 0.05, 0.05], style.glow((1.0, 0.93, 0.8), 2.2), squareness=1.0, step=0.03).moved(
        -0.13, 0.075, 0.36
    )
    return Model(label="lamp", mesh=join([cylinder(0.08, 0.02, paint), tube(path, 0.009, paint), head, bulb]))


def ceiling_lamp(style: Style, rng: Generator) -> Model:
    """A flat luminaire below the ceiling at z = 0: a round bowl or a square panel."""
    light = style.glow((1.0, 0.96, 0.88), 3.0)
    if rng.random() < 0.5:
        radius = rng.uniform(0.17, 0.24)
        bowl = lathe([[(0.0, -0.10), (radius * 0.7, -0.085), (radius, -0.035), (radius, -0.03)]], light)
        return Model(label="light", mesh=join([bowl, cylinder(radius + 0.012, 0.03, style.white()).moved(z=-0.03)]))
    width = rng.uniform(0.55, 0.62)
    frame = box([width + 0.05, width + 0.05, 0.05], style.white(), radius=0.006).moved(z=-0.026)
    return Model(label="light", mesh=join([frame, box([width, width, 0.012], light, radius=0.003).moved(z=-0.053)]))


def plant(style: Style, rng: Generator) -> Model:
    """A potted plant: broad leaves on bending stalks."""
    height = rng.uniform(0.55, 1.25)
    pot_height, radius = height * rng.uniform(0.22, 0.30), rng.uniform(0.12, 0.19)
    color = ((0.62, 0.34, 0.22), (0.85, 0.84, 0.80), (0.25, 0.26, 0.28))[int(rng.integers(3))]
    wall = [(radius * 0.72, 0.0), (radius, pot_height)]
    inner = [
        (radius, pot_height),
        (radius - 0.015, pot_height),
        (radius - 0.02, pot_height - 0.03),
        (0.0, pot_height - 0.03),
    ]
    soil = cylinder(radius - 0.02, 0.01, style.lacquer((0.13, 0.09, 0.06)), bevel=0.002).moved(z=pot_height - 0.035)
    parts = [lathe([wall, inner], style.lacquer(color)), soil]
    green = style.leaf()
    for _ in range(int(rng.integers(16, 30))):
        azimuth, reach = rng.uniform(0, 360), rng.uniform(0.10, 0.34) * (0.6 + height * 0.5)
        rise = rng.uniform(0.25, 1.0) * (height - pot_height)
        length, width = rng.uniform(0.16, 0.30), rng.uniform(0.05, 0.10)
        base = np.array([reach * 0.35, 0, pot_height + rise * 0.75])
        stalk = tube(
            np.stack([[0, 0, pot_height - 0.03], base * [0.6, 1, 0.85], base]), 0.005, green, segments=5, step=0.2
        )
        leaf = _leaf(length, width, green, droop=rng.uniform(0.15, 0.5)).rotated(about("y", rng.uniform(-60, -5)))
        spray = join([stalk, leaf.moved(*base)]).turned(azimuth)
        parts.append(spray)
    return Model(label="plant", mesh=join(parts))


def _leaf(length: float, width: float, material: int, droop: float) -> Mesh:
    """A pointed blade along +x, folded at its midrib and drooping at the tip."""
    t, s = np.meshgrid(np.linspace(0, 1, 7), np.linspace(-1, 1, 5))
    outline = np.sin(np.pi * np.clip(t * 0.94 + 0.06, 0, 1)) ** 0.8
    points = np.stack(
        [t * length, s * outline * width / 2, -droop * length * t**2 + 0.25 * np.abs(s) * outline * width / 2], axis=-1
    )
    uv = np.stack([0.5 + 0.48 * s * outline, 0.02 + 0.96 * t], axis=-1)
    return surface(points, material, uv=uv)


def trash_can(style: Style, rng: Generator) -> Model:
    """A round or square bin, open at the top."""
    height, radius = rng.uniform(0.28, 0.42), rng.uniform(0.12, 0.16)
    color = ((0.12, 0.12, 0.13), (0.45, 0.46, 0.48), (0.20, 0.28, 0.42), (0.80, 0.79, 0.76))[int(rng.integers(4))]
    skin = style.lacquer(color)
    outer = [(radius * 0.8, 0.0), (radius, height)]
    inner = [(radius, height), (radius - 0.006, height), (radius * 0.8 - 0.004, 0.012), (0.0, 0.012)]
    segments = 4 if rng.random() < 0.3 else None
    parts = [lathe([outer, inner], skin, segments=segments)]
    if rng.random() < 0.5:
        bag = blob([radius * 1.5, radius * 1.5, height * 0.5], style.lacquer((0.75, 0.75, 0.77)), squareness=0.9)
        parts.append(bag.moved(z=height * 0.52))
    return Model(label="trash can", mesh=join(parts))


def carton(style: Style, rng: Generator) -> Model:
    """A cardboard box, closed or with its flaps up."""
    width, depth, height = (rng.uniform(0.28, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.38))
    board = style.palette.shared("cardboard", lambda: Material(texture=textures.cardboard(rng), period=0.45))
    parts = [box([width, depth, height], board, radius=0.004).moved(z=height / 2)]
    if rng.random() < 0.45:
        for side in (-1, 1):
            flap = box([width - 0.01, 0.005, depth * 0.48], board, radius=0.0).moved(z=depth * 0.24).tilted(-side * 35)
            parts.append(flap.moved(0, side * (depth / 2 - 0.004), height - 0.002))
    return Model(label="box", mesh=join(parts), tops=())


def backpack(style: Style, rng: Generator) -> Model:
    """Standing on the floor against something."""
    color = tuple(float(c) for c in pictures.hue(rng, saturation=(0.2, 0.8), value=(0.15, 0.55)))
    cloth = style.palette.add(Material(texture=textures.woven(rng, color, 128), period=0.08))
    body = blob([0.32, 0.20, 0.46], cloth, squareness=0.5).moved(z=0.23)
    pocket = blob([0.25, 0.12, 0.24], cloth, squareness=0.5).moved(0, 0.10, 0.15)
    angle = np.linspace(-0.3, np.pi + 0.3, 12)
    handle = np.stack([0.05 * np.cos(angle), 0 * angle - 0.03, 0.45 + 0.05 * np.sin(angle)], axis=1)
    straps = [
        tube(
            [[s * 0.08, -0.08, 0.42], [s * 0.10, -0.14, 0.30], [s * 0.11, -0.10, 0.08]], 0.014, style.black(), step=0.08
        )
        for s in (-1, 1)
    ]
    return Model(label="backpack", mesh=join([body, pocket, tube(handle, 0.009, style.black()), *straps]).tilted(6))


def books(style: Style, rng: Generator) -> Model:
    """A small stack, lying: covers about a block of pages, spine to one side."""
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        thick, width, depth = rng.uniform(0.018, 0.045), rng.uniform(0.14, 0.19), rng.uniform(0.20, 0.27)
        color = tuple(float(c) for c in pictures.hue(rng, saturation=(0.05, 0.7), value=(0.12, 0.8)))
        cover = style.lacquer((color[0], color[1], color[2]))
        pieces = [box([width - 0.012, depth - 0.012, thick - 0.006], style.linen(), step=0.12)]
        pieces += [box([width, depth, 0.003], cover, step=0.12).moved(z=side * (thick - 0.003) / 2) for side in (-1, 1)]
        pieces.append(box([0.003, depth, thick], cover, step=0.12).moved(0.0015 - width / 2))
        parts.append(join(pieces).turned(rng.uniform(-14, 14)).moved(z=z + thick / 2))
        z += thick
    return Model(label="book", mesh=join(parts))


def cup(style: Style, rng: Generator) -> Model:
    """A mug."""
    color = tuple(float(c) for c in pictures.hue(rng, saturation=(0, 0.7), value=(0.4, 0.95)))
    glaze = style.lacquer((color[0], color[1], color[2]))
    inner = [(0.041, 0.095), (0.036, 0.095), (0.035, 0.02), (0.0, 0.02)]
    angle = np.linspace(-np.pi / 2, np.pi / 2, 8)
    handle = np.stack([0.038 + 0.026 * np.cos(angle), 0 * angle, 0.05 + 0.03 * np.sin(angle)], axis=1)
    return Model(
        label="cup",
        mesh=join([lathe([[(0.036, 0.0), (0.041, 0.095)], inner], glaze, step=0.03), tube(handle, 0.006, glaze)]),
    )


def bottle(style: Style, rng: Generator) -> Model:
    """A bottle."""
    color = ((0.10, 0.22, 0.12), (0.20, 0.12, 0.06), (0.55, 0.70, 0.78))[int(rng.integers(3))]
    profile = [(0.034, 0.0), (0.036, 0.01), (0.036, 0.17), (0.028, 0.21), (0.013, 0.24), (0.013, 0.29), (0.0, 0.292)]
    return Model(label="bottle", mesh=lathe([profile], style.lacquer(color), step=0.04))


def vase_on_table(style: Style, rng: Generator) -> Model:
    """Never annotated, as many small things in scans are not."""
    return Model(label=None, mesh=vase(style, rng, rng.uniform(0.14, 0.28)))


def rug(style: Style, rng: Generator) -> Model:
    """Lying flat."""
    width, depth = rng.uniform(1.5, 2.3), rng.uniform(1.1, 1.6)
    material = style.picture(pictures.rug(rng))
    body = box([width, depth, 0.012], style.fabric(0), radius=0.003, step=0.08).moved(z=0.0065)
    return Model(label="rug", mesh=join([body, plate(width - 0.006, depth - 0.006, material).moved(z=0.0135)]))


def picture(style: Style, rng: Generator) -> Model:
    """Framed, its back at y = 0 and its lower edge at z = 0."""
    width, height = rng.uniform(0.35, 0.95), rng.uniform(0.35, 0.75)
    frame = style.black() if rng.random() < 0.4 else style.wood(int(rng.integers(2)))
    art = style.picture(pictures.painting(rng), gloss=0.5 if rng.random() < 0.5 else 0.0)
    rim = 0.022
    parts = [panel(width, height, art).moved(0, 0.012)]
    for side in (-1, 1):
        parts.append(box([rim, 0.024, height + 2 * rim], frame).moved(side * (width + rim) / 2, 0.012, height / 2))
        parts.append(box([width, 0.024, rim], frame).moved(0, 0.012, height / 2 + side * (height + rim) / 2))
    return Model(label="picture", mesh=join(parts))


def mirror(style: Style, rng: Generator) -> Model:
    """Hung like a picture."""
    width, height = rng.uniform(0.45, 0.7), rng.uniform(0.6, 1.0)
    silver = style.palette.shared(
        "mirror", lambda: Material(texture=textures.plain(rng, (0.12, 0.12, 0.13)), gloss=21.0, roughness=0.0)
    )
    back = box([width + 0.05, 0.02, height + 0.05], style.wood(1), radius=0.005).moved(0, 0.01, height / 2)
    return Model(label="mirror", mesh=join([back, panel(width, height, silver).moved(0, 0.0205)]))


def whiteboard(style: Style, rng: Generator) -> Model:
    """Hung like a picture, with a pen tray."""
    width, height = rng.uniform(1.5, 2.2), rng.uniform(0.95, 1.2)
    board = style.picture(pictures.whiteboard(rng), gloss=0.8)
    parts = [panel(width, height, board).moved(0, 0.014)]
    for side in (-1, 1):
        parts.append(
            box([0.025, 0.022, height + 0.05], style.steel()).moved(side * (width + 0.02) / 2, 0.011, height / 2)
        )
        parts.append(box([width, 0.022, 0.025], style.steel()).moved(0, 0.011, height / 2 + side * (height + 0.02) / 2))
    parts.append(box([width * 0.5, 0.07, 0.015], style.steel()).moved(0, 0.045, -0.015))
    return Model(label="whiteboard", mesh=join(parts))


def wall_plate(style: Style, count: int) -> Model:
    """A switch or ``count`` sockets side by side, on the wall like a picture."""
    parts = []
    for k in range(count):
        x = (k - (count - 1) / 2) * 0.075
        parts.append(box([0.072, 0.010, 0.072], style.white(), radius=0.0, step=0.1).moved(x, 0.005, 0.036))
        parts.append(box([0.042, 0.006, 0.042], style.white(), radius=0.0, step=0.1).moved(x, 0.012, 0.036))
    return Model(label=None, mesh=join(parts))


def towel(style: Style, rng: Generator) -> Model:
    """Hanging from a bar on the wall."""
    width, height = rng.uniform(0.4, 0.55), rng.uniform(0.5, 0.7)
    cloth = style.fabric(int(rng.integers(3)), figured=rng.random() < 0.4)
    x, z = np.meshgrid(np.linspace(-width / 2, width / 2, 16), np.linspace(0, height, 16))
    fold = 0.012 * np.sin(x * 26 + rng.uniform(0, 6)) * (1.15 - z / height)
    sheet = surface(np.stack([x, 0.085 + fold, z], axis=-1), cloth)
    sheet = sheet if sheet.normals[:, 1].mean() > 0 else turned_over(sheet)
    bar = tube(
        [
            [-width / 2 - 0.05, 0, height],
            [-width / 2 - 0.05, 0.07, height],
            [width / 2 + 0.05, 0.07, height],
            [width / 2 + 0.05, 0, height],
        ],
        0.009,
        style.steel(),
        step=0.1,
    )
    return Model(label="towel", mesh=join([sheet, bar]))
