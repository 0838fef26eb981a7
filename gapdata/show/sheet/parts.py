"""The flat parts of a sheet: rows of pictures under captions, tables, and what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.prompts.marks import draw_mark
from gapdata.records.schema import Record
from gapdata.show.scene.answers import AnswerRow
from gapdata.show.scene.coloring import frame_maps, legend
from gapdata.show.scene.marks import ShownCamera
from gapdata.show.scene.modes import MEANING
from gapdata.show.scene.palette import (
    MUTED,
    PREDICTED,
    SHEET,
    TEXT,
    Color,
    depth_colors,
    frame_color,
    ink_on,
    prompt_color,
)
from gapdata.show.sheet.text import fitted_text, put_text, text_width

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Words = tuple[str, int, Color, int]
"""A text with its size in pixels, colour and weight."""

GAP = 8
CAPTION = 24
SCALE_WIDTH = 84
COLUMNS = 5
"""Frames side by side."""
MAX_FRAMES = 2 * COLUMNS
LINE, HEADING = 28, 30


def blank(height: int, width: int) -> Image:
    """Return an empty piece of the sheet."""
    return np.full((height, width, 3), SHEET, dtype=np.uint8)


def write(image: Image, words: Sequence[Words], at: tuple[int, int], gap: int = 14, width: int | None = None) -> None:
    """Write texts after each other on one baseline, cut to ``width`` pixels together if that is given.

    An empty text stands for a square of its colour.
    """
    x, y = at
    for text, size, color, weight in words:
        if not text:
            image[y - 11 : y + 1, x : x + 12] = color
            x += 19
            continue
        room = image.shape[1] - x if width is None else at[0] + width - x
        put_text(image, fitted := fitted_text(text, size, room, weight), (x, y), size, color, weight)
        x += text_width(fitted, size, weight) + gap


def picture_row(
    images: Sequence[Image | None], cell: tuple[int, int], width: int, captions: Sequence[Sequence[Words]] = ()
) -> Image:
    """Return pictures of size ``cell`` (width, height) side by side, captions above; ``None`` leaves a place free."""
    top = CAPTION if captions else 0
    row = blank(cell[1] + top, width)
    for place, image in enumerate(images):
        left = place * (cell[0] + GAP)
        if image is not None:
            row[top:, left : left + cell[0]] = resized(image, cell)
        if captions:
            write(row, captions[place], (left, top - 8), 12, cell[0])
    return row


def resized(image: Image, size: tuple[int, int], *, mixed: bool = True) -> Image:
    """Return an image of ``size`` (width, height); without ``mixed`` there are no colours between its own."""
    import cv2

    method = cv2.INTER_NEAREST if not mixed else cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=method))


def scaled_pixel(pixel: Sequence[float] | NDArray[np.float64], scale: float) -> tuple[int, int]:
    """Return where a pixel (u, v) of a frame lies in the frame resized by ``scale``; integers are pixel centres."""
    return round((pixel[0] + 0.5) * scale - 0.5), round((pixel[1] + 0.5) * scale - 0.5)


def chosen_frames(record: Record) -> list[int]:
    """Return at most ``MAX_FRAMES`` frames: the first, those with prompts, an even spread of the rest."""
    wanted = dict.fromkeys([0, *sorted({prompt.frame for prompt in record.prompts})])
    wanted |= dict.fromkeys(np.linspace(0, len(record) - 1, min(len(record), MAX_FRAMES)).round().astype(int).tolist())
    return sorted(list(wanted)[:MAX_FRAMES])


def frame_strip(record: Record, width: int, mode: str = "rgb") -> list[Image]:
    """Return rows of frames with their marks, each above its picture in the colour mode (or its depth, on one scale).

    Raises:
        ShardError: a member is missing or damaged.
    """
    frames = chosen_frames(record)
    cell, columns = _cell(width - SCALE_WIDTH, len(frames), record.image_size[1] / record.image_size[0])
    depths = {frame: record.depth(frame) for frame in frames}
    nearest, farthest = _depth_range(list(depths.values()))
    maps = frame_maps(record, frames, mode, nearest, farthest)
    rows = []
    for start in range(0, len(frames), columns):
        row = frames[start : start + columns]
        valid = {frame: f"depth {100 * float((depths[frame] > 0).mean()):.1f} % valid" for frame in row}
        captions = [
            _caption(f"frame {record.frame_ids[frame]}", frame_color(frame, len(record)), valid[frame]) for frame in row
        ]
        rows.append(picture_row([_marked(record, frame, cell) for frame in row], cell, width, captions))
        mixed = mode not in ("error", "validity")
        rows.append(picture_row([resized(maps[frame], cell, mixed=mixed) for frame in row], cell, width))
        if mode in ("rgb", "frame"):
            _draw_depth_scale(rows[-1], columns * (cell[0] + GAP) + 4, nearest, farthest)
    return rows


def camera_strip(cameras: tuple[ShownCamera, ...], width: int) -> list[Image]:
    """Return rows of the images of an even spread of cameras."""
    shown = [cameras[at] for at in np.linspace(0, len(cameras) - 1, min(len(cameras), MAX_FRAMES)).round().astype(int)]
    cell, columns = _cell(width, len(shown), max(item.image.shape[0] / item.image.shape[1] for item in shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    return [
        picture_row([item.image for item in row], cell, width, [_caption(item.caption, item.color) for item in row])
        for row in rows
    ]


def prompt_table(record: Record, width: int) -> Image:
    """Return number, label, point, frame and pixel of every prompt, (H, width, 3); height 0 without prompts."""
    rows = [
        (
            prompt.index,
            prompt_color(prompt.index),
            [
                (prompt.label or "(no label)", 15, TEXT, 600),
                ("({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point), 15, TEXT, 400),
                ("frame {}, pixel ({}, {})".format(record.frame_ids[prompt.frame], *prompt.pixel), 14, MUTED, 400),
            ],
        )
        for prompt in record.prompts
    ]
    return _table(
        "Prompts: the marked object, and its point in metres in the camera of the first frame", rows, 3, 8, width
    )


def answer_table(rows: tuple[AnswerRow, ...], width: int) -> Image:
    """Return a model's answers, the truth, and the error between them, (H, width, 3); height 0 without answers."""
    lines = [
        (
            row.number,
            row.color,
            [(row.answer, 14, TEXT, 600), (row.error, 14, PREDICTED, 600), (f"truth {row.truth}", 14, MUTED, 400)],
        )
        for row in rows
    ]
    title = "Answers of the model: answer, error, truth (boxes by their centres, in metres)"
    return _table(title, lines, 2, 16, width)


def draw_legend(image: Image, mode: str, order: Sequence[int], y: int) -> None:
    """Write what the colours mean on the line with baseline ``y``, to the right."""
    x = image.shape[1]
    for text, color in reversed(legend(mode, order)):
        x -= text_width(text, 15) + 4
        put_text(image, text, (x, y), 15, MUTED)
        image[y - 11 : y + 1, x - 18 : x - 6] = color
        x -= 34
    text = f"{mode}: {MEANING[mode]}"
    put_text(image, text, (x - text_width(text, 15, 600), y), 15, TEXT, 600)


def _cell(width: int, count: int, aspect: float) -> tuple[tuple[int, int], int]:
    """Return the (width, height) of each of ``count`` pictures, and how many stand side by side."""
    columns = max(min(count, COLUMNS), 3)
    wide = (width - (columns - 1) * GAP) // columns
    return (wide, round(wide * aspect)), columns


def _caption(text: str, color: Color, detail: str = "") -> list[Words]:
    return [("", 12, color, 400), (text, 15, TEXT, 600), *([(detail, 14, MUTED, 400)] if detail else [])]


def _marked(record: Record, frame: int, cell: tuple[int, int]) -> Image:
    """Draw a frame with the crosses of its prompts and, since these are small, a ring and a number around each."""
    import cv2

    image, prompts = record.image(frame), [item for item in record.prompts if item.frame == frame]
    for prompt in prompts:
        image = draw_mark(image, prompt.pixel, color=prompt_color(prompt.index))
    image, scale = resized(image, cell), cell[0] / record.image_size[0]
    for prompt in prompts:
        color = prompt_color(prompt.index)
        x, y = scaled_pixel(prompt.pixel, scale)
        cv2.circle(image, (x, y), 13, ink_on(color), 5, cv2.LINE_AA)
        cv2.circle(image, (x, y), 13, color, 3, cv2.LINE_AA)
        wide = text_width(str(prompt.index), 15, 700) + 10
        left, top = min(x + 14, cell[0] - wide), max(y - 28, 0)
        image[top : top + 20, left : left + wide] = color
        put_text(image, str(prompt.index), (left + 5, top + 15), 15, ink_on(color), 700)
    return image


def _depth_range(depths: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Return nearest and farthest depth of a colour scale: the 1st and 99th percentile of valid pixels, metres."""
    valid = np.concatenate([depth[::4, ::4][depth[::4, ::4] > 0] for depth in depths])
    low, high = np.percentile(valid, [1, 99]) if len(valid) else (0.0, 1.0)
    return float(low), float(max(high, low + 0.1))


def _draw_depth_scale(row: Image, left: int, nearest: float, farthest: float) -> None:
    height = len(row)
    row[:, left : left + 16] = depth_colors(np.linspace(farthest, nearest, height)[:, None], nearest, farthest)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = farthest + share * (nearest - farthest)
        put_text(row, f"{value:.2f} m", (left + 22, 12 + round(share * (height - 14))), 13, MUTED)


def _table(
    title: str, rows: Sequence[tuple[int | None, Color, list[Words]]], columns: int, lines: int, width: int
) -> Image:
    """Draw a heading and rows of a number and words, in columns of at most ``lines``; say how many are left out."""
    import cv2

    shown, cell = rows[: columns * lines], width // columns
    if not shown:
        return blank(0, width)
    more = len(rows) - len(shown)
    sheet = blank(HEADING + LINE * -(-len(shown) // columns) + (24 if more else 0), width)
    put_text(sheet, title, (0, 18), 16, TEXT, 600)
    for place, (number, color, words) in enumerate(shown):
        x, y = (place % columns) * cell, HEADING + (place // columns) * LINE
        if number is None:
            sheet[y + 6 : y + 20, x + 4 : x + 18] = color
        else:
            cv2.circle(sheet, (x + 11, y + 13), 11, color, -1, cv2.LINE_AA)
            left = x + 11 - text_width(str(number), 13, 700) // 2
            put_text(sheet, str(number), (left, y + 18), 13, ink_on(color), 700)
        write(sheet, words, (x + 32, y + 18), width=cell - 44)
    if more:
        put_text(sheet, f"and {more} more", (0, len(sheet) - 8), 14, MUTED)
    return sheet
