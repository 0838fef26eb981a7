"""Draw the experiment as one picture: what stage 1 learns, and the scores of the arms.

Left, the median point error on held-out scenes by stage 1 step, a line for each seed and their mean, beside the answer
that is the same for every question. Right, F1 and recall of detection for every arm: a bar for the mean over seeds, a
whisker for the standard deviation, a dot for each seed. Drawn with OpenCV, which the data engine brings anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gapdata.show.sheet.text import put_text, text_width
from gapmodel.experiments.miniature.summary import F1, Summary

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Place = tuple[int, int, int, int]  # x, y, width, height in pixels
Color = tuple[int, int, int]  # RGB

WIDTH, HEIGHT = 1500, 640
LEFT_PANEL, RIGHT_PANEL = (90, 90, 540, 450), (740, 90, 710, 450)  # of the axes
INK, GREY, PALE = (40, 40, 40), (140, 140, 140), (228, 228, 228)  # RGB
BLUE, ORANGE = (42, 106, 176), (222, 132, 40)
BLUE_PALE, ORANGE_PALE = (168, 198, 230), (246, 206, 160)
SMALL, NORMAL, LARGE = 15, 17, 21  # pixels
TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A rectangle of the image and the values at its edges."""

    place: Place
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return the pixel of a value."""
        left, top, width, height = self.place
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(left + across * width), round(top + height - up * height)


def draw(summary: Summary) -> bytes:
    """Draw the finished runs, as the bytes of a PNG."""
    image = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    _stage1_panel(image, summary)
    _arms_panel(image, summary)
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    return bytes(data)


def _stage1_panel(image: Image, summary: Summary) -> None:
    _title(image, LEFT_PANEL, "Stage 1: median point error, held-out scenes", "metres")
    runs = list(summary.stage1.values())
    if not runs:
        _note(image, LEFT_PANEL, "no stage 1 run is finished")
        return
    curves = [[(point["steps"], _number(point["median_error"])) for point in run["curve"]] for run in runs]
    constant = float(np.mean([run["curve"][-1]["constant"]["median_error"] for run in runs]))
    highest = max([constant, *(error for curve in curves for _, error in curve if math.isfinite(error))])
    last = max(steps for curve in curves for steps, _ in curve)
    axes = Axes(place=LEFT_PANEL, x=(0, last * 1.04), y=(0, _round_up(highest * 1.1)))
    _frame(image, axes, digits=2)
    for steps, _ in curves[0]:
        _below(image, axes, steps, str(steps))
    _below(image, axes, last / 2, "steps of stage 1", drop=48)
    _line(image, [axes.at(0, constant), axes.at(last * 1.04, constant)], GREY, 2)
    x, y = axes.at(0, constant)
    put_text(image, f"one answer for all: {constant:.2f} m", (x + 10, y - 8), SMALL, GREY)
    for curve in curves:
        _line(image, [axes.at(*point) for point in curve if math.isfinite(point[1])], BLUE_PALE, 2)
    shared = [(each[0][0], float(np.mean([error for _, error in each]))) for each in zip(*curves, strict=False)]
    known = [point for point in shared if math.isfinite(point[1])]
    _line(image, [axes.at(*point) for point in known], BLUE, 3)
    for point in known:
        _dot(image, axes.at(*point), BLUE, 5)
    if known:
        x, y = axes.at(*known[-1])
        put_text(image, f"{known[-1][1]:.2f} m", (x - 62, y + 24), NORMAL, BLUE, 700)
    x, y, width, _ = LEFT_PANEL
    label = f"mean of {len(curves)} seeds (pale: each)" if len(curves) > 1 else "one seed"
    put_text(image, label, (x + width - text_width(label, SMALL) - 8, y + 20), SMALL, BLUE)


def _arms_panel(image: Image, summary: Summary) -> None:
    _title(image, RIGHT_PANEL, "Stage 2: detection at IoU 0.25, held-out scenes", "%")
    arms = {name: runs for name, runs in summary.results.items() if runs}
    if not arms:
        _note(image, RIGHT_PANEL, "no arm is finished")
        return
    figures = {
        name: [[100 * run["scores"][key] for run in runs.values()] for key in (F1, "recall@0.25")]
        for name, runs in arms.items()
    }
    highest = max(value for pair in figures.values() for values in pair for value in values)
    axes = Axes(place=RIGHT_PANEL, x=(0, len(arms)), y=(0, _round_up(max(highest, 0.1) * 1.15)))
    _frame(image, axes, digits=1)
    for position, (name, pair) in enumerate(figures.items()):
        for offset, values, colours in ((0.30, pair[0], (ORANGE, ORANGE_PALE)), (0.70, pair[1], (BLUE, BLUE_PALE))):
            _bar(image, axes, position + offset, values, colours)
        _below(image, axes, position + 0.5, name, weight=700)
        _below(image, axes, position + 0.5, f"{len(pair[0])} seed{'s' * (len(pair[0]) > 1)}", drop=46, colour=GREY)
    x, y, width, _ = RIGHT_PANEL
    for row, (label, colour) in enumerate((("F1", ORANGE), ("recall", BLUE))):
        left = x + width - 90
        image[y + 6 + 22 * row : y + 20 + 22 * row, left : left + 14] = colour
        put_text(image, label, (left + 22, y + 19 + 22 * row), SMALL, INK)
    legend = "a naive, b gated, c stage 1 + gated, d gated with c's whole compute, scarce: part of stage 2's scenes"
    put_text(image, legend, (x, HEIGHT - 20), SMALL, GREY)


def _bar(image: Image, axes: Axes, x: float, values: Sequence[float], colours: tuple[Color, Color]) -> None:
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    (left, top), (right, bottom) = axes.at(x - 0.17, mean), axes.at(x + 0.17, 0)
    image[top:bottom, left:right] = colours[1]
    if len(values) > 1:
        middle = (left + right) // 2
        ends = [axes.at(x, mean + sign * spread)[1] for sign in (1, -1)]
        ends = [min(max(end, axes.place[1]), bottom) for end in ends]
        _line(image, [(middle, ends[0]), (middle, ends[1])], colours[0], 2)
        for end in ends:
            _line(image, [(middle - 7, end), (middle + 7, end)], colours[0], 2)
    for value in values:
        _dot(image, axes.at(x - 0.08, value), colours[0], 4)
    text, highest = f"{mean:.1f}", max([*values, mean + spread])
    centre = (left + right - text_width(text, SMALL)) // 2
    put_text(image, text, (centre, max(axes.at(x, highest)[1] - 8, axes.place[1] - 4)), SMALL, colours[0], 700)


def _title(image: Image, place: Place, title: str, unit: str) -> None:
    put_text(image, title, (place[0], 38), LARGE, INK, 700)
    put_text(image, unit, (place[0] - 52, place[1] - 16), SMALL, GREY)


def _note(image: Image, place: Place, text: str) -> None:
    put_text(image, text, (place[0] + 20, place[1] + 60), NORMAL, GREY)


def _frame(image: Image, axes: Axes, *, digits: int) -> None:
    left, _, width, _ = axes.place
    for value in np.linspace(*axes.y, TICKS + 1):
        _, y = axes.at(axes.x[0], float(value))
        image[y : y + 1, left : left + width] = INK if value == axes.y[0] else PALE
        text = f"{value:.{digits}f}"
        put_text(image, text, (left - 12 - text_width(text, SMALL), y + 5), SMALL, INK)


def _below(
    image: Image,
    axes: Axes,
    x: float,
    text: str,
    *,
    drop: int = 24,
    weight: int = 400,
    colour: Color = INK,
) -> None:
    across, bottom = axes.at(x, axes.y[0])
    put_text(image, text, (across - text_width(text, SMALL, weight) // 2, bottom + drop), SMALL, colour, weight)


def _line(image: Image, points: Sequence[tuple[int, int]], colour: Color, width: int) -> None:
    cv2.polylines(image, [np.array(points, dtype=np.int32)], False, colour, width, cv2.LINE_AA)


def _dot(image: Image, at: tuple[int, int], colour: Color, radius: int) -> None:
    cv2.circle(image, at, radius, colour, -1, cv2.LINE_AA)


def _round_up(value: float) -> float:
    """Round up to 1, 1.5, 2, 2.5, 3, 4, 5, 7.5 or 10 times a power of ten: its fifths are short numbers."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if step * power >= value)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
