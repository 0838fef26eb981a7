"""A model's answers beside the truth, one view of each scene: frames with their marks and boxes, and words below them.

The views are not chosen by how good their answers are: each scene shows the first view that has an answer, from the
first scene on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import UsageError
from gapdata.geometry.boxes import BOX_EDGES, OrientedBox
from gapdata.geometry.camera import transform
from gapdata.prompts.marks import draw_mark
from gapdata.records.schema import Prompt, Record
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.answers import AnswerRow, Answers, answers_about
from gapdata.show.scene.palette import MUTED, PREDICTED, PROMPT, TEXT, Color
from gapdata.show.sheet.parts import GAP, Image, blank, resized, scaled_pixel, write
from gapdata.tasks import detection
from gapdata.tasks.predictions import Predictions

COLUMNS = 4
CELL = 300  # pixels, the width of a frame
MARGIN, LINE, TITLE = 16, 20, 30
MAX_ROWS = 3
"""Lines of words below a frame."""
TRUE: Color = (96, 220, 120)
"""Of true boxes, whatever the object: here they stand against the model's."""
NEAREST = 0.1
"""Metres before the camera at which a box's edge is cut off."""
STEPS = 48
"""Pieces of an edge, which may leave the camera's sight."""
DASH = 3
"""Pieces of a dash, and of the gap after it."""


def answer_gallery(reader: ShardReader, predictions: Sequence[Predictions]) -> Image:
    """Draw one row for the points and one for the boxes that these predictions hold, (H, W, 3) uint8 RGB.

    Args:
        reader: the build that was asked about.
        predictions: of one model or several.

    Raises:
        UsageError: they hold neither points nor boxes of this build.
        ShardError: a record is damaged.
    """
    rows: list[Image] = []
    for told in predictions:
        for kind, title in (("pointmap", "What is at the cross, and where?"), ("detection", "Where are the objects?")):
            cells = [_cell(reader[at], told, kind) for at in _one_a_scene(reader, told, kind)]
            if cells:
                rows += [_heading(title), _side_by_side(cells)]
    if not rows:
        raise UsageError(
            "no answer is a point or a box of a view of this build",
            path=predictions[0].path,
            cure="evaluate pointmap or detection",
        )
    inner = np.concatenate([part for row in rows for part in (row, blank(GAP, row.shape[1]))])
    sheet = blank(len(inner) + 2 * MARGIN, inner.shape[1] + 2 * MARGIN)
    sheet[MARGIN:-MARGIN, MARGIN:-MARGIN] = inner
    return sheet


def _one_a_scene(reader: ShardReader, told: Predictions, kind: str) -> list[int]:
    """Return the position of the first answered view of each scene, for at most ``COLUMNS`` scenes."""
    found: dict[str, int] = {}
    for place, key in enumerate(reader.keys):
        if any(reply.kind == kind for reply in told.replies.get(key, ())):
            found.setdefault(key.split("-")[0], place)
    return list(found.values())[:COLUMNS]


def _cell(record: Record, told: Predictions, kind: str) -> Image:
    """Draw the first answer of a kind about a record: a frame, and the answer and the truth in words."""
    reply = next(reply for reply in told.replies[record.key] if reply.kind == kind)
    answers = answers_about(record, replace(told, replies={record.key: (reply,)}))
    height = round(CELL * record.image_size[1] / record.image_size[0])
    if kind == "pointmap":
        prompt = next(item for item in record.prompts if item.index == reply.numbers[0])
        picture = _marked(record, prompt, answers, (CELL, height))
    else:
        picture = _boxed(record, told, answers, (CELL, height))
    words = blank(LINE * 2 * MAX_ROWS if kind == "detection" else LINE * 3, CELL)
    for line, row in enumerate(answers.rows[:MAX_ROWS]):
        _say(words, row, line, kind)
    if not answers.rows:
        write(words, [(answers.notes[-1] if answers.notes else "no answer", 13, MUTED, 400)], (0, LINE - 5))
    return np.concatenate([picture, words])


def _say(words: Image, row: AnswerRow, line: int, kind: str) -> None:
    top = 2 * LINE * line
    write(words, [(row.answer, 13, PREDICTED, 600)], (0, top + LINE - 5))
    if kind == "pointmap":
        write(words, [(row.truth, 13, TRUE, 400)], (0, top + 2 * LINE - 5))
        write(words, [(row.error, 13, MUTED, 400)], (0, top + 3 * LINE - 5))
    else:
        write(words, [(row.truth, 13, TRUE, 400), (row.error, 13, MUTED, 400)], (0, top + 2 * LINE - 5), 8)


def _marked(record: Record, prompt: Prompt, answers: Answers, size: tuple[int, int]) -> Image:
    """Draw the marked frame; a line leads from the cross to where the answered point lies in this frame."""
    import cv2

    picture = resized(draw_mark(record.image(prompt.frame), prompt.pixel, color=PROMPT), size)
    scale = size[0] / record.image_size[0]
    cross = scaled_pixel(prompt.pixel, scale)
    cv2.circle(picture, cross, 12, PROMPT, 2, cv2.LINE_AA)
    for shown in answers.points:
        seen = _pixels(record, prompt.frame, shown.point[None])
        if np.isfinite(seen).all() and (np.abs(seen) < 4 * size[0]).all():
            cv2.line(picture, cross, scaled_pixel(seen[0], scale), PREDICTED, 2, cv2.LINE_AA)
            cv2.circle(picture, scaled_pixel(seen[0], scale), 5, PREDICTED, -1, cv2.LINE_AA)
    return picture


def _boxed(record: Record, told: Predictions, answers: Answers, size: tuple[int, int]) -> Image:
    """Draw the first frame with the true boxes and the answered ones, which are dashed."""
    asking = told.asking("detection")
    count = asking.frames or len(record)
    seen = tuple(replace(item, visible_pixels=item.visible_pixels[:count]) for item in record.objects)
    picture, scale = resized(record.image(0), size), size[0] / record.image_size[0]
    for item in detection.targets(replace(record, objects=seen), asking.options):
        _draw_box(picture, record, item.box, scale, TRUE, dashed=False)
    for shown in answers.boxes:
        _draw_box(picture, record, shown.box, scale, PREDICTED, dashed=True)
    return picture


def _draw_box(picture: Image, record: Record, box: OrientedBox, scale: float, color: Color, *, dashed: bool) -> None:
    import cv2

    corners, along = box.corners, np.linspace(0, 1, STEPS + 1)[:, None]
    for start, end in BOX_EDGES:
        seen = _pixels(record, 0, corners[start] + along * (corners[end] - corners[start]))
        for piece in range(STEPS):
            ends = seen[piece : piece + 2]
            if dashed and piece // DASH % 2:
                continue
            if np.isfinite(ends).all() and (np.abs(ends) < 4 * len(picture)).all():
                cv2.line(picture, scaled_pixel(ends[0], scale), scaled_pixel(ends[1], scale), color, 2, cv2.LINE_AA)


def _pixels(record: Record, frame: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points (n, 3) of the first camera lie in a frame, (n, 2) pixels; NaN behind the camera."""
    inside = transform(np.linalg.inv(record.camera_to_first[frame]), points)
    inside[inside[:, 2] < NEAREST] = np.nan
    return record.camera(frame).project(inside)


def _side_by_side(cells: Sequence[Image]) -> Image:
    row = blank(max(map(len, cells)), COLUMNS * (CELL + GAP) - GAP)
    for place, cell in enumerate(cells):
        left = place * (CELL + GAP)
        row[: len(cell), left : left + CELL] = cell
    return row


def _heading(title: str) -> Image:
    row = blank(TITLE, COLUMNS * (CELL + GAP) - GAP)
    words = [(title, 18, TEXT, 600), ("answer", 14, PREDICTED, 600), ("truth", 14, TRUE, 600)]
    write(row, [*words, ("metres, camera of the first frame", 14, MUTED, 400)], (0, 20))
    return row
