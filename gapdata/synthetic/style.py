"""The woods, fabrics, metals and colours that the furniture of one room shares, and the furniture made of them."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from gapdata.synthetic import pictures, textures
from gapdata.synthetic.materials import Material, Palette, Texture
from gapdata.synthetic.pictures import Color
from gapdata.synthetic.shapes import Mesh, join

T = TypeVar("T")

WOODS: tuple[Color, ...] = (
    (0.72, 0.56, 0.38),  # oak
    (0.47, 0.31, 0.19),  # walnut
    (0.81, 0.69, 0.51),  # beech
    (0.55, 0.30, 0.17),  # cherry
    (0.33, 0.24, 0.17),  # wenge
    (0.88, 0.86, 0.82),  # whitewashed
)
LEATHERS: tuple[Color, ...] = ((0.13, 0.12, 0.12), (0.36, 0.21, 0.13), (0.55, 0.42, 0.30))
STONES: tuple[Color, ...] = ((0.30, 0.29, 0.28), (0.62, 0.58, 0.52), (0.80, 0.79, 0.77))

FINISHES: Mapping[str, tuple[Callable[..., Texture], Color, Mapping[str, Any]]] = {
    "steel": (textures.metal, (0.62, 0.62, 0.63), {"period": 0.3, "gloss": 6.0, "roughness": 0.3}),
    "mirror": (textures.plain, (0.12, 0.12, 0.13), {"gloss": 21.0, "roughness": 0.0}),
    "glass": (textures.plain, (0.05, 0.05, 0.055), {"gloss": 1.2, "roughness": 0.08}),  # a dark glossy front
    "ceramic": (textures.plain, (0.90, 0.90, 0.89), {"gloss": 1.2, "roughness": 0.15}),
    "linen": (partial(textures.woven, size=128), (0.88, 0.86, 0.82), {"period": 0.10}),
    "cardboard": (textures.cardboard, (0.66, 0.50, 0.34), {"period": 0.45}),
}
"""Materials that a room has once: texture, colour, and how the surface shines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """A level surface on which things can stand, in the frame of its furniture, metres."""

    z: float
    x: tuple[float, float]
    y: tuple[float, float]


def level(width: float, depth: float, z: float, margin: float = 0.015) -> Top:
    """Return the top of a piece that is centred on the origin, without its rim."""
    x, y = width / 2 - margin, depth / 2 - margin
    return Top(z=z, x=(-x, x), y=(-y, y))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A piece of furniture: it stands on z = 0 about the origin, its front towards +y.

    A model without a ``label`` is never annotated.
    """

    label: str | None
    mesh: Mesh
    tops: tuple[Top, ...] = ()

    @classmethod
    def of(cls, label: str | None, *parts: Mesh, tops: Sequence[Top] = ()) -> Model:
        """Join parts to a piece of furniture."""
        return cls(label=label, mesh=join(parts), tops=tuple(tops))


@dataclass(slots=True)
class Style:
    """The random stream and the materials of one room; a material is an index into the palette."""

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

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.rng.integers(len(options)))]

    def tint(self, scale: float, low: float, high: float, shift: float = 0.0) -> Color:
        """Return a lighter or darker shade of one of the fabrics' colours."""
        red, green, blue = np.clip(np.asarray(self.pick(self.fabric_colors)) * scale + shift, low, high).tolist()
        return red, green, blue

    def material(self, texture: Texture, **look: Any) -> int:
        """Add a material that nothing else shares; ``look`` has the other fields of ``Material``."""
        return self.palette.add(Material(texture=texture, **look))

    def finish(self, name: str) -> int:
        """Return one of ``FINISHES``."""
        make, color, look = FINISHES[name]
        return self.palette.shared(name, lambda: Material(texture=make(self.rng, color), **look))

    def lacquer(self, color: Color) -> int:
        """Return paint or plastic of one colour."""
        return self._shared(("lacquer", color), textures.plain, color, gloss=0.6, roughness=0.4)

    def white(self) -> int:
        """Return white lacquer."""
        return self.lacquer((0.86, 0.86, 0.84))

    def black(self) -> int:
        """Return black plastic."""
        return self.lacquer((0.07, 0.07, 0.075))

    def wood(self, which: int | None = None) -> int:
        """Return the room's main (0) or second (1) wood, or either."""
        which = int(self.rng.integers(2)) if which is None else which
        color = self.wood_colors[which]
        make = partial(textures.wood, size=512, figure=0.45 if min(color) > 0.7 else 1.0)
        return self._shared(("wood", which), make, color, period=0.55, gloss=0.5, roughness=0.5)

    def fabric(self, which: int | None = None, *, figured: float = 0.0) -> int:
        """Return one of three upholstery fabrics; ``figured`` is the chance that it shows a second colour."""
        which = int(self.rng.integers(3)) if which is None else which
        color = self.fabric_colors[which]
        if figured >= 1 or (figured > 0 and self.rng.random() < figured):
            second = np.clip(np.asarray(color) * self.rng.uniform(0.5, 1.6) + 0.05, 0, 1)
            key = ("fabric", which, int(self.rng.integers(3)))
            return self._shared(key, partial(textures.woven, second=second), color, period=0.34)
        return self._shared(("fabric", which, None), textures.woven, color, period=0.16)

    def leather(self, color: Color | None = None) -> int:
        """Return leather of a colour: black, brown or tan where none is given."""
        color = color or self.pick(LEATHERS)
        return self._shared(("leather", color), textures.leather, color, period=0.22, gloss=0.7, roughness=0.55)

    def worktop(self) -> int:
        """Return the stone of the room's counters."""
        return self._shared("worktop", textures.stone, self.pick(STONES), period=0.45, gloss=1.0, roughness=0.25)

    def glow(self, color: Color, strength: float) -> int:
        """Return a light source."""
        return self._shared(("glow", color, strength), textures.plain, color, emission=strength)

    def picture(self, texture: Texture, *, gloss: float = 0.0, emission: float = 0.0) -> int:
        """Add an image that is spread over its surface once."""
        return self.material(texture, gloss=gloss, roughness=0.15, emission=emission)

    def spine(self) -> int:
        """Return one of the eighteen book covers of the room."""
        key = ("spine", int(self.rng.integers(18)))
        return self.palette.shared(key, lambda: Material(texture=pictures.book_spine(self.rng), gloss=0.2))

    def leaf(self) -> int:
        """Add the leaves of a plant."""
        red, green, blue = (float(self.rng.uniform(*reach)) for reach in ((0.14, 0.27), (0.33, 0.46), (0.10, 0.2)))
        return self.material(textures.foliage(self.rng, (red, green, blue)), gloss=0.4, roughness=0.5)

    def _shared(self, key: Any, make: Callable[..., Texture], color: Color, **look: Any) -> int:
        return self.palette.shared(key, lambda: Material(texture=make(self.rng, color), **look))
