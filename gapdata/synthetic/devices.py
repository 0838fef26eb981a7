"""Screens, computers and clocks."""

from __future__ import annotations

import numpy as np

from gapdata.synthetic import pictures
from gapdata.synthetic.shapes import Mesh, box, join, lathe, panel, plate, surface
from gapdata.synthetic.style import Model, Style


def _desktop(style: Style) -> int:
    return style.picture(pictures.desktop_screen(style.rng), gloss=0.6, emission=0.75)


def _keys(style: Style, width: float, depth: float) -> Mesh:
    return plate(width, depth, style.picture(pictures.keyboard(style.rng))).turned(180)


def monitor(style: Style) -> Model:
    """Make a flat screen on a foot."""
    width, height = style.rng.uniform(0.48, 0.62), style.rng.uniform(0.29, 0.36)
    return _display(style, "monitor", width, height, 0.12, _desktop(style))


def tv(style: Style) -> Model:
    """Make a television on a low foot."""
    width = style.rng.uniform(0.95, 1.30)
    image = pictures.television_screen(style.rng)
    screen = style.picture(image, gloss=1.2, emission=0.7 if image.mean() > 0.1 else 0.0)
    return _display(style, "tv", width, width * 0.58, 0.06, screen)


def _display(style: Style, label: str, width: float, height: float, lift: float, screen: int) -> Model:
    black = style.black()
    return Model.of(
        label,
        box([width, 0.035, height], black, radius=0.008).moved(z=lift + height / 2),
        panel(width - 0.025, height - 0.025, screen).moved(0, 0.0186, lift + 0.0125),
        box([0.06, 0.03, lift + 0.12], black).moved(0, -0.025, (lift + 0.12) / 2),
        box([width * 0.42, 0.20, 0.014], black).moved(0, -0.01, 0.007),
    )


def laptop(style: Style) -> Model:
    """Make a laptop that is open and faces +y."""
    shell = style.finish("steel") if style.rng.random() < 0.6 else style.black()
    base = box([0.33, 0.23, 0.016], shell).moved(z=0.008)
    keys = _keys(style, 0.29, 0.11).moved(0, -0.03, 0.0168)
    lid = box([0.33, 0.008, 0.22], shell).moved(0, -0.004, 0.11)
    screen = panel(0.31, 0.20, _desktop(style)).moved(0, 0.0008, 0.01)
    return Model.of("laptop", base, keys, join([lid, screen]).tilted(16).moved(0, -0.11, 0.014))


def keyboard(style: Style) -> Model:
    """Make a keyboard; its user sits at +y."""
    base = box([0.44, 0.14, 0.02], style.black()).moved(z=0.011)
    return Model.of("keyboard", base, _keys(style, 0.42, 0.12).moved(z=0.0215))


def computer_tower(style: Style) -> Model:
    """Make a desktop computer's case."""
    height = style.rng.uniform(0.38, 0.46)
    return Model.of(
        "computer tower",
        box([0.19, 0.42, height], style.black(), radius=0.008).moved(z=height / 2 + 0.005),
        box([0.17, 0.012, height * 0.9], style.lacquer((0.16, 0.16, 0.17))).moved(0, 0.21, height / 2),
        box([0.15, 0.008, 0.04], style.lacquer((0.3, 0.3, 0.31))).moved(0, 0.218, height * 0.8),
    )


def clock(style: Style) -> Model:
    """Make a round wall clock; its dial faces +y."""
    radius = style.rng.uniform(0.13, 0.17)
    rim = lathe([[(radius, 0.0), (radius, 0.03), (radius - 0.014, 0.034), (radius - 0.016, 0.022)]], style.black())
    face = style.picture(pictures.clock_face(style.rng))
    t, r = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, radius - 0.014, 4))
    x, z = -r * np.sin(t), r * np.cos(t)
    uv = np.stack([0.5 - x / radius * 0.49, 0.5 - z / radius * 0.49], axis=-1)
    points = np.stack([x, 0 * x + 0.022, z], axis=-1)
    dial = surface(points, face, normals=np.broadcast_to([0.0, 1.0, 0.0], points.shape), uv=uv)
    return Model.of("clock", join([rim.tilted(-90), dial]).moved(z=radius))
