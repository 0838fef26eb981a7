"""Colours that tell frames, objects, prompts and depths apart. RGB throughout."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import COLORS

Color = tuple[int, int, int]

SHEET: Color = (21, 23, 28)
PANEL_TOP = (62, 68, 80)
PANEL_BOTTOM = (27, 30, 36)
TEXT: Color = (236, 239, 244)
MUTED: Color = (158, 166, 180)
PROMPT: Color = (255, 48, 48)  # the mark's own red
PREDICTED: Color = (255, 64, 214)  # a model's answers, whatever they are about
ROOM: Color = (205, 205, 190)  # the grid of the axis-aligned room
AXES: tuple[Color, Color, Color] = ((255, 84, 84), (96, 220, 112), (90, 150, 255))  # x, y, z
GOLDEN_RATIO = 0.618033988749895


def frame_color(frame: int, frames: int) -> Color:
    """Return a colour from blue (first) over green and yellow to orange (last), which shows the order of frames."""
    share = frame / max(frames - 1, 1)
    return _rgb(0.58 - 0.5 * share, 0.72, 1.0)


def object_color(object_id: int) -> Color:
    """Return a colour of its own for each object id; steps of the golden ratio keep neighbouring ids apart."""
    return _rgb((object_id * GOLDEN_RATIO + 0.11) % 1.0, 0.62, 0.98)


def prompt_color(index: int) -> Color:
    """Return the colour of prompt 1, 2, ...

    The first nine have the colours in which a question with several marks draws them, the others steps of the golden
    ratio.
    """
    if 1 <= index <= len(COLORS):
        return COLORS[index - 1]
    return _rgb((index * GOLDEN_RATIO + 0.37) % 1.0, (0.9, 0.5)[index % 2], (1.0, 0.85)[index // 2 % 2])


def ink_on(color: Color) -> Color:
    """Return black or white, whichever stands out from ``color`` (luma of Rec. 601)."""
    return (12, 13, 16) if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 125 else (255, 255, 255)


def instance_colors(instances: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Turn object ids + 1 (...,), 0 for none, into colours (..., 3) uint8; none is grey."""
    table = np.full((int(instances.max(initial=0)) + 1, 3), 110, dtype=np.uint8)
    for value in range(1, len(table)):
        table[value] = object_color(value - 1)
    return table[instances]


def frame_colors(frames: NDArray[np.integer], count: int) -> NDArray[np.uint8]:
    """Turn frame positions (...,) into colours (..., 3) uint8."""
    colors = np.array([frame_color(frame, count) for frame in range(max(count, 1))], dtype=np.uint8)
    return np.asarray(colors[frames])


def depth_colors(depth: NDArray[np.floating], nearest: float, farthest: float) -> NDArray[np.uint8]:
    """Turn metres (H, W) into Turbo colours (H, W, 3) uint8, near red, far blue; dark grey where it is missing."""
    import cv2

    valid = np.isfinite(depth) & (depth > 0)
    share = (np.where(valid, depth, farthest) - nearest) / max(farthest - nearest, 1e-6)
    level = np.rint(255 * (0.04 + 0.92 * (1.0 - np.clip(share, 0.0, 1.0)))).astype(np.uint8)
    colors: NDArray[np.uint8] = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colors[~valid] = (38, 40, 46)
    return colors


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue
