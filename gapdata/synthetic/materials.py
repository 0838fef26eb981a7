"""Materials, and the mip-mapped image from which a renderer reads all their textures.

All textures of a scene, at all levels of detail, lie in one image, so that a frame's albedo is one bilinear gather. A
level is chosen per pixel from its footprint on the surface, which keeps carpets and book spines from aliasing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Texture = NDArray[np.float32]  # (S, S, 3) sRGB in 0..1, tileable, S a power of two

SHEET = 2048  # px, width of the atlas
GUTTER = 2  # px of wrapped border around every tile
GAMMA = 2.2


def rgb(color: ArrayLike) -> NDArray[np.float32]:
    """Return a colour or vector as float32."""
    return np.asarray(color, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The look of a surface: its texture, the metres that one tile spans, and how it shines.

    ``gloss`` scales the mirror reflection (1 is a dielectric with 4 % at normal incidence, metals have more),
    ``roughness`` blurs it, ``emission`` is the radiance of a light source relative to a white wall, and ``outside``
    marks a pane through which the distant outdoors is seen: its texture is looked up by viewing direction.
    """

    texture: Texture
    period: float = 1.0
    gloss: float = 0.0
    roughness: float = 0.5
    emission: float = 0.0
    outside: bool = False


@dataclass(slots=True)
class Palette:
    """The materials of one scene in the order of their first use."""

    materials: list[Material] = field(default_factory=list)
    _by_key: dict[Hashable, int] = field(default_factory=dict)

    def add(self, material: Material) -> int:
        """Add a material and return its index."""
        self.materials.append(material)
        return len(self.materials) - 1

    def shared(self, key: Hashable, make: Callable[[], Material]) -> int:
        """Return the index of the material known as ``key``, which is made at the first call."""
        if key not in self._by_key:
            self._by_key[key] = self.add(make())
        return self._by_key[key]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kind of each material, such as "wood" or "steel": the first word of its key, "" without a key."""
        named = {index: key[0] if isinstance(key, tuple) else key for key, index in self._by_key.items()}
        return tuple(str(named.get(index, "")) for index in range(len(self.materials)))


class TextureAtlas:
    """All textures of a palette as one image with mip levels.

    Attributes:
        image: (H, 2048, 3) uint8 sRGB.
        size: (M,) texels along a side of level 0.
    """

    def __init__(self, materials: list[Material]) -> None:
        self.size = np.array([len(m.texture) for m in materials], dtype=np.float32)
        self.levels = np.array([int(np.log2(len(m.texture))) - 1 for m in materials], dtype=np.int32)
        pyramids = [_pyramid(m.texture, int(count)) for m, count in zip(materials, self.levels, strict=True)]
        depth = int(self.levels.max())
        self._origin = np.zeros((len(materials), depth, 2), dtype=np.float32)
        tiles = sorted(
            ((len(level), material, k) for material, pyramid in enumerate(pyramids) for k, level in enumerate(pyramid)),
            key=lambda item: (-item[0], item[1], item[2]),
        )
        x = y = row = 0
        corners = []
        for side, material, k in tiles:
            padded = side + 2 * GUTTER
            if x + padded > SHEET:
                x, y, row = 0, y + row, 0
            corners.append((x, y, material, k))
            self._origin[material, k] = x + GUTTER, y + GUTTER
            x, row = x + padded, max(row, padded)
        self.image = np.zeros((y + row, SHEET, 3), dtype=np.uint8)
        for x, y, material, k in corners:
            tile = np.pad(pyramids[material][k], ((GUTTER, GUTTER), (GUTTER, GUTTER), (0, 0)), mode="wrap")
            self.image[y : y + len(tile), x : x + len(tile)] = np.round(tile * 255).astype(np.uint8)
        for material, count in enumerate(self.levels):
            self._origin[material, count:] = self._origin[material, count - 1]

    def sample(
        self, material: NDArray[np.int32], tile_uv: NDArray[np.float32], level: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Return colours (N, 3) uint8 sRGB.

        Args:
            material: (N,) indices.
            tile_uv: (N, 2) coordinates in tiles; a texture repeats at whole numbers.
            level: (N,) level of detail, 0 the finest.
        """
        import cv2

        chosen = np.clip(level, 0, self.levels[material] - 1).astype(np.int32)
        side = np.ldexp(self.size[material], -chosen)
        position = (tile_uv - np.floor(tile_uv)) * side[:, None]
        position += self._origin[material, chosen]
        position -= np.float32(0.5)
        count = len(material)
        width = 1024  # cv2.remap limits either side of its result to 32767
        padded = np.zeros((-(-count // width) * width, 2), dtype=np.float32)
        padded[:count] = position
        colors: NDArray[np.uint8] = cv2.remap(self.image, padded.reshape(-1, width, 2), None, cv2.INTER_LINEAR)
        return colors.reshape(-1, 3)[:count]


def _pyramid(texture: Texture, count: int) -> list[Texture]:
    """Halve a texture again and again in linear light, so that a distant pattern keeps its brightness."""
    levels = [texture]
    linear = texture**GAMMA
    for _ in range(count - 1):
        linear = linear.reshape(len(linear) // 2, 2, len(linear) // 2, 2, 3).mean(axis=(1, 3))
        levels.append(np.clip(linear, 0, 1) ** np.float32(1 / GAMMA))
    return levels
