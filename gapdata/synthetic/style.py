"""What the furniture of one room has in common: its woods, fabrics, metals and colours."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import pictures, textures
from gapdata.synthetic.materials import Material, Palette, Texture
from gapdata.synthetic.pictures import Color
from gapdata.synthetic.shapes import Mesh

WOODS: tuple[Color, ...] = (
    (0.72, 0.56, 0.38),  # oak
    (0.47, 0.31, 0.19),  # walnut
    (0.81, 0.69, 0.51),  # beech
    (0.55, 0.30, 0.17),  # cherry
    (0.33, 0.24, 0.17),  # wenge
    (0.88, 0.86, 0.82),  # whitewashed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """A level surface on which things can stand, in the frame of its furniture, metres."""

    z: float
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A piece of furniture: standing on z = 0 about the origin, its front towards +y.
    ``label`` None is never annotated.
    """

    label: str | None
    mesh: Mesh
    tops: tuple[Top, ...] = ()


@dataclass(slots=True)
class Style:
    """Materials shared by one room. Every method returns an index into the palette."""

    palette: Palette
    rng: Generator
    wood_colors: list[Color] = field(default_factory=list)
    fabric_colors: list[Color] = field(default_factory=list)

    def __post_init__(self) -> None:
        first = int(self.rng.integers(len(WOODS)))
        second = int((first + self.rng.integers(1, len(WOODS))) % len(WOODS))
        self.wood_colors = [WOODS[first], WOODS[second]]
        base = float(self.rng.random())
        for shift in (0.0, 0.08, 0.5):
            saturation, value = float(self.rng.beta(1.6, 3.2) * 0.75), float(self.rng.uniform(0.2, 0.78))
            self.fabric_colors.append(colorsys.hsv_to_rgb((base + shift) % 1, saturation, value))

    def wood(self, which: int = 0) -> int:
        """The room's main (0) or second (1) wood."""
        color = self.wood_colors[which]
        return self.palette.shared(
            ("wood", which),
            lambda: Material(
                texture=textures.wood(self.rng, color, 512, 0.45 if min(color) > 0.7 else 1.0),
                period=0.55,
                gloss=0.5,
                roughness=0.5,
            ),
        )

    def fabric(self, which: int = 0, *, figured: bool = False) -> int:
        """One of three upholstery fabrics, plain or with a figure of a second colour."""
        color = self.fabric_colors[which % 3]
        second = np.clip(np.asarray(color) * self.rng.uniform(0.5, 1.6) + 0.05, 0, 1) if figured else None
        key = ("fabric", which % 3, self.rng.integers(3) if figured else None)
        return self.palette.shared(
            key,
            lambda: Material(texture=textures.woven(self.rng, color, 256, second), period=0.34 if figured else 0.16),
        )

    def leather(self, color: Color | None = None) -> int:
        """Black, brown or the given leather."""
        chosen = color or ((0.13, 0.12, 0.12), (0.36, 0.21, 0.13), (0.55, 0.42, 0.30))[int(self.rng.integers(3))]
        return self.palette.shared(
            ("leather", chosen),
            lambda: Material(texture=textures.leather(self.rng, chosen), period=0.22, gloss=0.7, roughness=0.55),
        )

    def linen(self) -> int:
        """White to cream cloth for sheets, pillows and shades."""
        return self.palette.shared(
            "linen", lambda: Material(texture=textures.woven(self.rng, (0.88, 0.86, 0.82), 128), period=0.10)
        )

    def lacquer(self, color: Color) -> int:
        """Paint or plastic of one colour."""
        return self.palette.shared(
            ("lacquer", color), lambda: Material(texture=textures.plain(self.rng, color), gloss=0.6, roughness=0.4)
        )

    def white(self) -> int:
        """White lacquer."""
        return self.lacquer((0.86, 0.86, 0.84))

    def black(self) -> int:
        """Black plastic."""
        return self.lacquer((0.07, 0.07, 0.075))

    def steel(self) -> int:
        """Brushed or chromed steel."""
        return self.palette.shared(
            "steel",
            lambda: Material(
                texture=textures.metal(self.rng, (0.62, 0.62, 0.63)), period=0.3, gloss=6.0, roughness=0.3
            ),
        )

    def ceramic(self) -> int:
        """Glazed white."""
        return self.palette.shared(
            "ceramic", lambda: Material(texture=textures.plain(self.rng, (0.90, 0.90, 0.89)), gloss=1.2, roughness=0.15)
        )

    def worktop(self) -> int:
        """A counter's stone."""
        color = ((0.30, 0.29, 0.28), (0.62, 0.58, 0.52), (0.80, 0.79, 0.77))[int(self.rng.integers(3))]
        return self.palette.shared(
            "worktop", lambda: Material(texture=textures.stone(self.rng, color), period=0.45, gloss=1.0, roughness=0.25)
        )

    def glow(self, color: Color, strength: float) -> int:
        """A light source."""
        return self.palette.shared(
            ("glow", color, strength),
            lambda: Material(texture=textures.plain(self.rng, color), emission=strength),
        )

    def glass(self) -> int:
        """A dark glossy front, such as an oven's or a screen's edge."""
        return self.palette.shared(
            "glass", lambda: Material(texture=textures.plain(self.rng, (0.05, 0.05, 0.055)), gloss=1.2, roughness=0.08)
        )

    def picture(self, texture: Texture, *, gloss: float = 0.0, emission: float = 0.0) -> int:
        """A material of its own for an image."""
        return self.palette.add(Material(texture=texture, gloss=gloss, roughness=0.15, emission=emission))

    def spine(self) -> int:
        """One of eighteen book covers of the room."""
        return self.palette.shared(
            ("spine", int(self.rng.integers(18))), lambda: Material(texture=pictures.book_spine(self.rng), gloss=0.2)
        )

    def leaf(self) -> int:
        """A plant's leaves."""
        color = (
            float(self.rng.uniform(0.14, 0.27)),
            float(self.rng.uniform(0.33, 0.46)),
            float(self.rng.uniform(0.10, 0.2)),
        )
        return self.palette.add(Material(texture=textures.foliage(self.rng, color), gloss=0.4, roughness=0.5))
