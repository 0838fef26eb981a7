"""Screens, computers and clocks."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import pictures
from gapdata.synthetic.shapes import box, join, lathe, panel, plate, surface
from gapdata.synthetic.style import Model, Style


def monitor(style: Style, rng: Generator) -> Model:
    """A flat screen on a foot."""
    width, height = rng.uniform(0.48, 0.62), rng.uniform(0.29, 0.36)
    return _display(
        style, width, height, 0.12, "monitor", style.picture(pictures.desktop_screen(rng), gloss=0.6, emission=0.75)
    )


def tv(style: Style, rng: Generator) -> Model:
    """A television on a low foot."""
    width = rng.uniform(0.95, 1.30)
    image = pictures.television_screen(rng)
    screen = style.picture(image, gloss=1.2, emission=0.7 if image.mean() > 0.1 else 0.0)
    return _display(style, width, width * 0.58, 0.06, "tv", screen)


def _display(style: Style, width: float, height: float, lift: float, label: str, screen: int) -> Model:
    black = style.black()
    parts = [box([width, 0.035, height], black, radius=0.008).moved(0, 0, lift + height / 2)]
    parts.append(panel(width - 0.025, height - 0.025, screen).moved(0, 0.0186, lift + 0.0125))
    parts.append(box([0.06, 0.03, lift + 0.12], black, radius=0.006).moved(0, -0.025, (lift + 0.12) / 2))
    parts.append(box([width * 0.42, 0.20, 0.014], black, radius=0.005).moved(0, -0.01, 0.007))
    return Model(label=label, mesh=join(parts))


def laptop(style: Style, rng: Generator) -> Model:
    """Open, facing +y."""
    shell = style.steel() if rng.random() < 0.6 else style.black()
    base = box([0.33, 0.23, 0.016], shell, radius=0.005).moved(z=0.008)
    keys = plate(0.29, 0.11, style.picture(pictures.keyboard(rng))).turned(180).moved(0, -0.03, 0.0168)
    lid = box([0.33, 0.008, 0.22], shell, radius=0.003).moved(0, -0.004, 0.11)
    screen = panel(0.31, 0.20, style.picture(pictures.desktop_screen(rng), gloss=0.6, emission=0.75)).moved(
        0, 0.0008, 0.01
    )
    hinged = join([lid, screen]).tilted(16).moved(0, -0.11, 0.014)
    return Model(label="laptop", mesh=join([base, keys, hinged]))


def keyboard(style: Style, rng: Generator) -> Model:
    """A keyboard; the user sits at +y."""
    base = box([0.44, 0.14, 0.02], style.black(), radius=0.006).moved(z=0.011)
    keys = plate(0.42, 0.12, style.picture(pictures.keyboard(rng))).turned(180).moved(z=0.0215)
    return Model(label="keyboard", mesh=join([base, keys]))


def computer_tower(style: Style, rng: Generator) -> Model:
    """A desktop computer's case."""
    height = rng.uniform(0.38, 0.46)
    case = box([0.19, 0.42, height], style.black(), radius=0.008).moved(z=height / 2 + 0.005)
    front = box([0.17, 0.012, height * 0.9], style.lacquer((0.16, 0.16, 0.17)), radius=0.005).moved(0, 0.21, height / 2)
    drive = box([0.15, 0.008, 0.04], style.lacquer((0.3, 0.3, 0.31)), radius=0.002).moved(0, 0.218, height * 0.8)
    return Model(label="computer tower", mesh=join([case, front, drive]))


def clock(style: Style, rng: Generator) -> Model:
    """A round wall clock whose dial faces +y."""
    radius = rng.uniform(0.13, 0.17)
    rim = lathe([[(radius, 0.0), (radius, 0.03), (radius - 0.014, 0.034), (radius - 0.016, 0.022)]], style.black())
    face = pictures.clock_face(rng)
    t, r = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, radius - 0.014, 4))
    x, z = -r * np.sin(t), r * np.cos(t)
    uv = np.stack([0.5 - x / radius * 0.49, 0.5 - z / radius * 0.49], axis=-1)
    dial = surface(
        np.stack([x, 0 * x + 0.022, z], axis=-1),
        style.picture(face),
        normals=np.broadcast_to([0.0, 1.0, 0.0], (*x.shape, 3)),
        uv=uv,
    )
    return Model(label="clock", mesh=join([rim.tilted(-90), dial]).moved(z=radius))
