"""Find the image sizes of whole blocks, as patches need them, that are nearest to any other size."""

from __future__ import annotations

PATCH = 16
"""Pixels along a patch of Qwen3-VL's vision tower: sides of stored frames are multiples of it."""
MERGE = 2
"""Patches along a visual token: images for the vision tower have sides that are multiples of ``PATCH * MERGE``. Stored
frames need not have such sides, since the model's processor cuts and resizes it."""


def near_sizes(size: tuple[int, int], block: int, least: int, most: int) -> str:
    """Return the sizes of whole blocks next to a size, as text: ``1296x960 or 1296x976``.

    Args:
        size: width and height.
        block: pixels that sides are multiples of.
        least: the smallest side that is allowed.
        most: the largest side that is allowed.

    Returns:
        The sizes, nearest first; empty if no size is allowed.
    """
    sides = [sorted({side // block * block, -(-side // block) * block}) for side in size]
    near = [(w, h) for w in sides[0] for h in sides[1] if least <= min(w, h) and max(w, h) <= most]
    near.sort(key=lambda each: (abs(each[0] - size[0]) + abs(each[1] - size[1]), each))
    return " or ".join(f"{width}x{height}" for width, height in near)
