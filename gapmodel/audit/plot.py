"""Draw the audit as one picture: a row for each treatment of each task, its difference as a dot, its interval as a bar.

Right of the zero line geometry helps, left of it it costs. A hollow dot cannot be told from chance. Drawn with OpenCV,
which the data engine brings anyway.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gapdata.show.sheet.text import fitted_text, put_text, text_width
from gapmodel.audit.contribution import WHOLE, Contribution
from gapmodel.audit.results import GeometryAudit, title_of

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Row = tuple[str, Contribution | None]  # a heading has no contribution

WIDTH, ROW, TOP, BOTTOM = 1100, 26, 66, 54  # pixels
LEFT, RIGHT = 420, 90  # pixels beside the axis: names, and figures
INK, GREY, PALE, BLUE, ORANGE = (40, 40, 40), (140, 140, 140), (228, 228, 228), (42, 106, 176), (222, 132, 40)  # RGB
SMALL, NORMAL, LARGE = 15, 17, 21  # pixels
TICKS = 4
"""Ticks on each side of zero."""


def draw(audit: GeometryAudit) -> bytes:
    """Draw the audit, as the bytes of a PNG."""
    rows = _rows(audit)
    image = np.full((TOP + ROW * max(len(rows), 1) + BOTTOM, WIDTH, 3), 255, dtype=np.uint8)
    reach = _reach([item for _, item in rows if item is not None])
    put_text(image, "What geometry contributes, in points of each task's figure", (24, 36), LARGE, INK, 700)
    _axis(image, reach)
    for number, (name, item) in enumerate(rows):
        middle = TOP + ROW * number + ROW // 2
        weight = 700 if item is None else 400
        indent = 24 if item is None else 44
        put_text(image, fitted_text(name, NORMAL, LEFT - indent - 20), (indent, middle + 6), NORMAL, INK, weight)
        if item is not None:
            _whisker(image, item, middle, reach)
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    return bytes(data)


def _rows(audit: GeometryAudit) -> list[Row]:
    rows: list[Row] = []
    for task in audit.tasks:
        rows.append((f"{title_of(task.task)}: {task.figure}", None))
        for item in task.contributions:
            kind = "" if item.kind == WHOLE else f", {item.kind}"
            rows.append((f"own - {item.treatment.name}{kind}", item))
    return rows


def _reach(items: list[Contribution]) -> float:
    """Return the value at the axis' ends: round, and beyond all intervals."""
    values = [abs(end) for item in items for end in (item.difference, *(item.interval or ())) if math.isfinite(end)]
    highest = max([*values, 0.1]) * 1.05
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 1.2, 1.6, 2, 4, 6, 8, 10) if step * power >= highest)


def _across(value: float, reach: float) -> int:
    """Return the column of a value."""
    share = min(max((value / reach + 1) / 2, 0.0), 1.0)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT))


def _axis(image: Image, reach: float) -> None:
    bottom = image.shape[0] - BOTTOM
    for tick in range(-TICKS, TICKS + 1):
        value = reach * tick / TICKS
        across = _across(value, reach)
        cv2.line(image, (across, TOP - 4), (across, bottom), INK if tick == 0 else PALE, 1)
        text = f"{value:+g}" if tick else "0"
        put_text(image, text, (across - text_width(text, SMALL) // 2, bottom + 20), SMALL, INK)
    put_text(image, "costs", (LEFT, bottom + 42), SMALL, GREY)
    text = "helps; hollow: cannot be told from chance"
    put_text(image, text, (WIDTH - RIGHT - text_width(text, SMALL), bottom + 42), SMALL, GREY)


def _whisker(image: Image, item: Contribution, middle: int, reach: float) -> None:
    if not math.isfinite(item.difference):
        return
    colour = (BLUE if item.difference > 0 else ORANGE) if item.decided else GREY
    if item.interval is not None:
        low, high = (_across(end, reach) for end in item.interval)
        cv2.line(image, (low, middle), (high, middle), colour, 2, cv2.LINE_AA)
    centre = (_across(item.difference, reach), middle)
    cv2.circle(image, centre, 6, colour, -1, cv2.LINE_AA)
    if not item.decided:
        cv2.circle(image, centre, 4, (255, 255, 255), -1, cv2.LINE_AA)
    text = f"{item.difference:+.1f}"
    put_text(image, text, (WIDTH - 24 - text_width(text, NORMAL), middle + 6), NORMAL, colour, 700)
