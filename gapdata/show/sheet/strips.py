"""The flat parts of a sheet: the frames with their marks, what the colour mode says of each, and the scale of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import draw_mark
from gapdata.records.schema import Record
from gapdata.show.scene.coloring import Legend, error_colors, frame_maps
from gapdata.show.scene.marks import ShownCamera
from gapdata.show.scene.palette import MUTED, SHEET, TEXT, depth_colors, frame_color, ink_on, prompt_color
from gapdata.show.sheet.text import fitted_text, put_text, text_width

GAP = 12
SCALE_WIDTH = 84
ROW = 5
"""Frames side by side."""
MAX_ROWS = 2
LEGEND_BAR = 160


def chosen_frames(record: Record) -> list[int]:
    """At most ``ROW * MAX_ROWS`` frames: the first, those with prompts, an even spread of the rest."""
    count, room = len(record), ROW * MAX_ROWS
    if count <= room:
        return list(range(count))
    wanted = dict.fromkeys([0, *sorted({prompt.frame for prompt in record.prompts})])
    for frame in np.linspace(0, count - 1, room).round().astype(int).tolist():
        wanted.setdefault(frame)
    return sorted(list(wanted)[:room])


def frame_strip(record: Record, width: int, mode: str = "rgb") -> NDArray[np.uint8]:
    """Frames with their marks over what the mode says of them (their depth, on one scale), (H, width, 3) uint8 RGB.

    Raises:
        ShardError: a member is missing or damaged.
    """
    import cv2

    frames = chosen_frames(record)
    rows = [frames[start : start + ROW] for start in range(0, len(frames), ROW)]
    columns = max(max(len(row) for row in rows), 3)
    cell = (width - SCALE_WIDTH - (columns - 1) * GAP) // columns
    high = round(cell * record.image_size[1] / record.image_size[0])
    depths = {frame: record.depth(frame) for frame in frames}
    nearest, farthest = depth_range(list(depths.values()))
    below_photographs = frame_maps(record, frames, mode, nearest, farthest)
    sheet = np.full((len(rows) * (2 * high + 2 * GAP + 26) - GAP, width, 3), SHEET, dtype=np.uint8)
    for line, row in enumerate(rows):
        top = line * (2 * high + 2 * GAP + 26) + 26
        below = top + high + GAP // 2
        for column, frame in enumerate(row):
            left = column * (cell + GAP)
            color = cv2.resize(marked_image(record, frame), (cell, high), interpolation=cv2.INTER_AREA)
            sheet[top : top + high, left : left + cell] = color
            _number_prompts(sheet[top : top + high, left : left + cell], record, frame)
            smooth = cv2.INTER_AREA if mode in ("rgb", "frame", "instance") else cv2.INTER_NEAREST
            sheet[below : below + high, left : left + cell] = cv2.resize(
                below_photographs[frame], (cell, high), interpolation=smooth
            )
            _caption(sheet, record, frame, depths[frame], (left, top - 8), cell)
        if mode in ("rgb", "frame"):
            _draw_depth_scale(sheet, (columns * (cell + GAP) + 4, below), high, nearest, farthest)
    return sheet


def camera_strip(cameras: tuple[ShownCamera, ...], width: int) -> NDArray[np.uint8]:
    """The images of an even spread of cameras, (H, width, 3) uint8 RGB."""
    import cv2

    count = min(len(cameras), ROW * MAX_ROWS)
    shown = [cameras[place] for place in np.linspace(0, len(cameras) - 1, count).round().astype(int)]
    columns = max(min(count, ROW), 3)
    cell = (width - (columns - 1) * GAP) // columns
    high = max(round(cell * item.image.shape[0] / item.image.shape[1]) for item in shown)
    lines = -(-len(shown) // columns)
    sheet = np.full((lines * (high + 26 + GAP) - GAP, width, 3), SHEET, dtype=np.uint8)
    for place, item in enumerate(shown):
        left, top = (place % columns) * (cell + GAP), (place // columns) * (high + 26 + GAP) + 26
        own = round(cell * item.image.shape[0] / item.image.shape[1])
        sheet[top : top + own, left : left + cell] = cv2.resize(item.image, (cell, own), interpolation=cv2.INTER_LINEAR)
        sheet[top - 19 : top - 7, left : left + 12] = item.color
        put_text(sheet, item.caption, (left + 19, top - 8), 15, TEXT, 600)
    return sheet


def depth_range(depths: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Nearest and farthest depth of a colour scale: the 1st and 99th percentile of valid pixels, metres."""
    valid = np.concatenate([depth[::4, ::4][depth[::4, ::4] > 0] for depth in depths])
    if not len(valid):
        return 0.0, 1.0
    low, high = np.percentile(valid, [1, 99])
    return float(low), float(max(high, low + 0.1))


def marked_image(record: Record, frame: int) -> NDArray[np.uint8]:
    """A frame with the crosses of its prompts, each in its prompt's own colour, (H, W, 3) uint8 RGB.

    Raises:
        ShardError: the image is missing or damaged.
    """
    image = record.image(frame)
    for prompt in record.prompts:
        if prompt.frame == frame:
            image = draw_mark(image, prompt.pixel, color=prompt_color(prompt.index))
    return image


def _number_prompts(cell: NDArray[np.uint8], record: Record, frame: int) -> None:
    """A ring around each mark, which is small at training size, and its number beside it, in the prompt's colour."""
    import cv2

    scale = cell.shape[1] / record.image_size[0]
    for prompt in record.prompts:
        if prompt.frame != frame:
            continue
        color = prompt_color(prompt.index)
        x, y = (round((value + 0.5) * scale - 0.5) for value in prompt.pixel)
        cv2.circle(cell, (x, y), 13, ink_on(color), 5, cv2.LINE_AA)
        cv2.circle(cell, (x, y), 13, color, 3, cv2.LINE_AA)
        text = str(prompt.index)
        wide = text_width(text, 15, 700) + 10
        left, top = min(x + 14, cell.shape[1] - wide), max(y - 28, 0)
        cell[top : top + 20, left : left + wide] = color
        put_text(cell, text, (left + 5, top + 15), 15, ink_on(color), 700)


def _caption(
    sheet: NDArray[np.uint8],
    record: Record,
    frame: int,
    depth: NDArray[np.float32],
    at: tuple[int, int],
    width: int,
) -> None:
    x, y = at
    sheet[y - 11 : y + 1, x : x + 12] = frame_color(frame, len(record))
    text = f"frame {record.frame_ids[frame]}"
    put_text(sheet, text, (x + 19, y), 15, TEXT, 600)
    after = x + 19 + text_width(text, 15, 600) + 12
    detail = fitted_text(f"depth {100 * float((depth > 0).mean()):.1f} % valid", 14, x + width - after)
    put_text(sheet, detail, (after, y), 14, MUTED)


def _draw_depth_scale(
    sheet: NDArray[np.uint8], at: tuple[int, int], height: int, nearest: float, farthest: float
) -> None:
    left, top = at
    ramp = np.linspace(farthest, nearest, height, dtype=np.float32)[:, None].repeat(16, axis=1)
    sheet[top : top + height, left : left + 16] = depth_colors(ramp, nearest, farthest)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = farthest + share * (nearest - farthest)
        put_text(sheet, f"{value:.2f} m", (left + 22, top + 12 + round(share * (height - 14))), 13, MUTED)


def draw_legend(image: NDArray[np.uint8], legend: Legend, mode: str, right_end: tuple[int, int]) -> None:
    """What the colours mean, on one line whose right end and baseline are given."""
    x, y = right_end
    if legend.scale is not None:
        for text, at in ((f"{legend.scale * 100:g} cm and more", x), ("0", x - 130 - LEGEND_BAR)):
            put_text(image, text, (at - text_width(text, 15), y), 15, MUTED)
        bar = np.linspace(0.0, legend.scale, LEGEND_BAR, dtype=np.float32)[None].repeat(14, axis=0)
        left = x - 122 - LEGEND_BAR
        image[y - 12 : y + 2, left : left + LEGEND_BAR] = error_colors(bar)
        x = left - 36
    for text, color in reversed(legend.entries):
        x -= text_width(text, 15) + 4
        put_text(image, text, (x, y), 15, MUTED)
        image[y - 11 : y + 1, x - 18 : x - 6] = color
        x -= 34
    text = f"{mode}: {legend.text}"
    put_text(image, text, (x - text_width(text, 15, 600), y), 15, TEXT, 600)
