"""The flat parts of a sheet: the frames with their marks, their depth with a scale in metres, the table of prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import draw_mark
from gapdata.records.codec import record_depth, record_image
from gapdata.records.schema import Prompt, Record
from gapdata.view.palette import MUTED, PROMPT, SHEET, TEXT, depth_colors, frame_color
from gapdata.view.text import fitted_text, put_text, text_width

GAP = 12
SCALE_WIDTH = 84
ROW = 5
"""Frames side by side."""
MAX_ROWS = 2
TABLE_COLUMNS = 3
MAX_TABLE_ROWS = 8


def chosen_frames(record: Record) -> list[int]:
    """At most ``ROW * MAX_ROWS`` frames: the first, those with prompts, an even spread of the rest."""
    count, room = len(record), ROW * MAX_ROWS
    if count <= room:
        return list(range(count))
    wanted = dict.fromkeys([0, *sorted({prompt.frame for prompt in record.prompts})])
    for frame in np.linspace(0, count - 1, room).round().astype(int).tolist():
        wanted.setdefault(frame)
    return sorted(list(wanted)[:room])


def frame_strip(record: Record, width: int) -> NDArray[np.uint8]:
    """Frames with their marks over their depth, one colour scale for all, (H, width, 3) uint8 RGB."""
    import cv2

    frames = chosen_frames(record)
    rows = [frames[start : start + ROW] for start in range(0, len(frames), ROW)]
    columns = max(max(len(row) for row in rows), 3)
    cell = (width - SCALE_WIDTH - (columns - 1) * GAP) // columns
    high = round(cell * record.image_size[1] / record.image_size[0])
    depths = {frame: record_depth(record, frame) for frame in frames}
    nearest, farthest = depth_range(list(depths.values()))
    sheet = np.full((len(rows) * (2 * high + 2 * GAP + 26) - GAP, width, 3), SHEET, dtype=np.uint8)
    for line, row in enumerate(rows):
        top = line * (2 * high + 2 * GAP + 26) + 26
        for column, frame in enumerate(row):
            left = column * (cell + GAP)
            color = cv2.resize(_marked(record, frame), (cell, high), interpolation=cv2.INTER_AREA)
            sheet[top : top + high, left : left + cell] = color
            _number_prompts(sheet[top : top + high, left : left + cell], record, frame)
            tinted = depth_colors(depths[frame], nearest, farthest)
            below = top + high + GAP // 2
            tinted = cv2.resize(tinted, (cell, high), interpolation=cv2.INTER_AREA)
            sheet[below : below + high, left : left + cell] = tinted
            _caption(sheet, record, frame, depths[frame], (left, top - 8), cell)
        _draw_depth_scale(sheet, (columns * (cell + GAP) + 4, top + high + GAP // 2), high, nearest, farthest)
    return sheet


def depth_range(depths: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Nearest and farthest depth of a colour scale: the 1st and 99th percentile of valid pixels, metres."""
    valid = np.concatenate([depth[::4, ::4][depth[::4, ::4] > 0] for depth in depths])
    if not len(valid):
        return 0.0, 1.0
    low, high = np.percentile(valid, [1, 99])
    return float(low), float(max(high, low + 0.1))


def _marked(record: Record, frame: int) -> NDArray[np.uint8]:
    """The frame with its marks as a model sees them."""
    image = record_image(record, frame)
    for prompt in record.prompts:
        if prompt.frame == frame:
            image = draw_mark(image, prompt.pixel)
    return image


def _number_prompts(cell: NDArray[np.uint8], record: Record, frame: int) -> None:
    """A ring around each mark, which is small at training size, and its number beside it."""
    import cv2

    scale = cell.shape[1] / record.image_size[0]
    for prompt in record.prompts:
        if prompt.frame != frame:
            continue
        x, y = (round((value + 0.5) * scale - 0.5) for value in prompt.pixel)
        cv2.circle(cell, (x, y), 13, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.circle(cell, (x, y), 13, PROMPT, 1, cv2.LINE_AA)
        text = str(prompt.index)
        wide = text_width(text, 15, 700) + 10
        left, top = min(x + 14, cell.shape[1] - wide), max(y - 28, 0)
        cell[top : top + 20, left : left + wide] = PROMPT
        put_text(cell, text, (left + 5, top + 15), 15, (255, 255, 255), 700)


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


def prompt_table(record: Record, width: int) -> NDArray[np.uint8]:
    """Every prompt in words: number, label, frame, pixel, point; empty height 0 without prompts."""
    import cv2

    shown = record.prompts[: TABLE_COLUMNS * MAX_TABLE_ROWS]
    lines = -(-len(shown) // TABLE_COLUMNS)
    if not lines:
        return np.zeros((0, width, 3), dtype=np.uint8)
    more = len(record.prompts) - len(shown)
    sheet = np.full((30 + 28 * lines + (24 if more else 0), width, 3), SHEET, dtype=np.uint8)
    put_text(
        sheet,
        "Prompts: what is marked, and where it is in metres in the camera of the first frame",
        (0, 18),
        16,
        TEXT,
        600,
    )
    cell = width // TABLE_COLUMNS
    for position, prompt in enumerate(shown):
        x, y = (position % TABLE_COLUMNS) * cell, 30 + (position // TABLE_COLUMNS) * 28
        cv2.circle(sheet, (x + 11, y + 13), 11, PROMPT, -1, cv2.LINE_AA)
        number = str(prompt.index)
        put_text(sheet, number, (x + 11 - text_width(number, 13, 700) // 2, y + 18), 13, (255, 255, 255), 700)
        _write_prompt(sheet, record, prompt, (x + 32, y + 18), cell - 44)
    if more:
        put_text(sheet, f"and {more} more", (0, sheet.shape[0] - 8), 14, MUTED)
    return sheet


def _write_prompt(sheet: NDArray[np.uint8], record: Record, prompt: Prompt, at: tuple[int, int], width: int) -> None:
    x, y = at
    where = "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point)
    source = f"frame {record.frame_ids[prompt.frame]}, pixel ({prompt.pixel[0]}, {prompt.pixel[1]})"
    label = fitted_text(prompt.label or "(no label)", 15, max(width - text_width(where + source, 15) - 40, 60), 600)
    put_text(sheet, label, (x, y), 15, TEXT, 600)
    x += text_width(label, 15, 600) + 14
    put_text(sheet, where, (x, y), 15, TEXT)
    put_text(sheet, source, (x + text_width(where, 15) + 14, y), 14, MUTED)
