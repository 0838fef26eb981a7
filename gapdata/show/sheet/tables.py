"""The tables of a sheet: every prompt in words, and every answer of a model beside the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.records.schema import Prompt, Record
from gapdata.show.scene.answers import AnswerRow
from gapdata.show.scene.palette import MUTED, PREDICTED, SHEET, TEXT, Color, ink_on, prompt_color
from gapdata.show.sheet.text import fitted_text, put_text, text_width

PROMPT_COLUMNS = 3
MAX_PROMPT_LINES = 8
ANSWER_COLUMNS = 2
MAX_ANSWER_LINES = 16
LINE = 28
HEADING = 30
MORE = 24


def prompt_table(record: Record, width: int) -> NDArray[np.uint8]:
    """Number, label, frame, pixel and point of every prompt, (H, width, 3) uint8 RGB; height 0 without prompts."""
    title = "Prompts: what is marked, and where it is in metres in the camera of the first frame"
    shown = record.prompts[: PROMPT_COLUMNS * MAX_PROMPT_LINES]
    sheet = _empty(title, len(shown), len(record.prompts), PROMPT_COLUMNS, width)
    cell = width // PROMPT_COLUMNS
    for place, prompt in enumerate(shown):
        x, y = (place % PROMPT_COLUMNS) * cell, HEADING + (place // PROMPT_COLUMNS) * LINE
        _badge(sheet, prompt.index, prompt_color(prompt.index), (x, y))
        _write_prompt(sheet, record, prompt, (x + 32, y + 18), cell - 44)
    return sheet


def answer_table(rows: tuple[AnswerRow, ...], width: int) -> NDArray[np.uint8]:
    """What a model answered, what is true, and the error between them, (H, width, 3) uint8 RGB; height 0 without."""
    title = "Answers of the model: answer, truth, error (boxes by their centres, in metres)"
    shown = rows[: ANSWER_COLUMNS * MAX_ANSWER_LINES]
    sheet = _empty(title, len(shown), len(rows), ANSWER_COLUMNS, width)
    cell = width // ANSWER_COLUMNS
    for place, row in enumerate(shown):
        x, y = (place % ANSWER_COLUMNS) * cell, HEADING + (place // ANSWER_COLUMNS) * LINE
        if row.number is None:
            sheet[y + 6 : y + 20, x + 4 : x + 18] = row.color
        else:
            _badge(sheet, row.number, row.color, (x, y))
        wide = (cell - 60) // 5
        for text, share, color, weight in (
            (row.answer, 2, TEXT, 600),
            (f"truth {row.truth}", 2, MUTED, 400),
            (row.error, 1, PREDICTED, 600),
        ):
            put_text(sheet, fitted_text(text, 14, share * wide - 8, weight), (x + 32, y + 18), 14, color, weight)
            x += share * wide
    return sheet


def _empty(title: str, shown: int, total: int, columns: int, width: int) -> NDArray[np.uint8]:
    """A table with its heading, and at its end how many rows it leaves out."""
    lines = -(-shown // columns)
    if not lines:
        return np.zeros((0, width, 3), dtype=np.uint8)
    sheet = np.full((HEADING + LINE * lines + (MORE if total > shown else 0), width, 3), SHEET, dtype=np.uint8)
    put_text(sheet, title, (0, 18), 16, TEXT, 600)
    if total > shown:
        put_text(sheet, f"and {total - shown} more", (0, sheet.shape[0] - 8), 14, MUTED)
    return sheet


def _badge(sheet: NDArray[np.uint8], number: int, color: Color, at: tuple[int, int]) -> None:
    import cv2

    x, y = at
    cv2.circle(sheet, (x + 11, y + 13), 11, color, -1, cv2.LINE_AA)
    text = str(number)
    put_text(sheet, text, (x + 11 - text_width(text, 13, 700) // 2, y + 18), 13, ink_on(color), 700)


def _write_prompt(sheet: NDArray[np.uint8], record: Record, prompt: Prompt, at: tuple[int, int], width: int) -> None:
    x, y = at
    where = "({:.2f}, {:.2f}, {:.2f}) m".format(*prompt.point)
    source = f"frame {record.frame_ids[prompt.frame]}, pixel ({prompt.pixel[0]}, {prompt.pixel[1]})"
    label = fitted_text(prompt.label or "(no label)", 15, max(width - text_width(where + source, 15) - 40, 60), 600)
    put_text(sheet, label, (x, y), 15, TEXT, 600)
    x += text_width(label, 15, 600) + 14
    put_text(sheet, where, (x, y), 15, TEXT)
    put_text(sheet, source, (x + text_width(where, 15) + 14, y), 14, MUTED)
