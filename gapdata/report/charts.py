"""Histograms as inline SVG and counts as bars: drawn here, so that they print and need no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.report.markup import Markup, joined, tag

WIDTH, HEIGHT = 340, 132
LEFT, RIGHT, TOP, BOTTOM = 36, 10, 12, 22  # margins of the plot
BARS = 32
TAIL = 99.5
"""Percentile beyond which the largest values share the last bar, where they lie far out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """The values of a histogram and their names. ``values`` (N,) are in ``unit``; NaN stands for not measured."""

    title: str
    meaning: str
    values: NDArray[np.float64]
    unit: str = ""
    digits: int = 2
    whole: bool = False
    """The values are whole numbers, so bars are as well."""
    limit: float | None = None
    limit_text: str = "limit"


def histogram(shown: Distribution) -> Markup:
    """Draw a histogram with its median and spread in words, and how many values there are."""
    values = shown.values[np.isfinite(shown.values)]
    heading = tag("h3", shown.title, tag("span", f" {shown.unit}", class_="unit") if shown.unit else None)
    about = tag("p", shown.meaning, class_="meaning")
    if not len(values):
        nothing = tag("p", "Not measured in this build.", class_="empty")
        return tag("figure", tag("figcaption", heading, about), nothing, class_="chart")
    low, middle, high = (_number(value, shown) for value in np.percentile(values, [5, 50, 95]))
    missing = len(shown.values) - len(values)
    words = f"median {middle}, nine in ten {low} to {high}, n = {len(values):,}"
    words += f", {missing:,} not measured" if missing else ""
    return tag(
        "figure",
        tag("figcaption", heading, about),
        _plot(shown, values, f"Histogram of {shown.title}: {words}"),
        tag("p", words, class_="statistics"),
        class_="chart",
    )


def bars(counts: Mapping[str, int], total: int) -> Markup:
    """Draw counts as horizontal bars, in the order given; lengths relative to the largest."""
    largest = max(counts.values(), default=1)
    rows = [
        tag(
            "li",
            tag("span", name or "(no label)", class_="name"),
            tag("span", class_="bar", style=f"--share:{count / largest:.4f}", aria_hidden="true"),
            tag("span", f"{count:,}", class_="count"),
            title=f"{name or '(no label)'}: {count:,} ({count / max(total, 1):.1%})",
        )
        for name, count in counts.items()
    ]
    return tag("ol", *rows, class_="bars")


def bin_edges(values: NDArray[np.float64], *, whole: bool = False) -> NDArray[np.float64]:
    """Return edges at round numbers that cover all values but a far tail, about :data:`BARS` + 1 of them.

    Args:
        values: (N,) finite, N > 0.
        whole: every bar holds the same number of whole numbers and is centred on them.
    """
    low, high = float(values.min()), float(values.max())
    tail = float(np.percentile(values, TAIL))
    if high - low > 1.5 * (tail - low) > 0:
        high = tail
    if whole:
        step = float(max(1, int(np.ceil((np.floor(high) - low + 1) / BARS))))
        count = int(np.ceil((np.floor(high) - low + 1) / step))
        return np.asarray(low - 0.5 + step * np.arange(count + 1), dtype=np.float64)
    step = _round_step((high - low) / BARS or max(abs(high), 1.0) / BARS)
    first = np.floor(low / step)
    return np.asarray(step * np.arange(first, max(np.ceil(high / step), first + 1) + 1), dtype=np.float64)


def _plot(shown: Distribution, values: NDArray[np.float64], words: str) -> Markup:
    edges = bin_edges(values, whole=shown.whole)
    beyond = int((values > edges[-1]).sum())
    counts = [*np.histogram(values, edges)[0].tolist(), *([beyond] if beyond else [])]
    step = float(edges[1] - edges[0])
    start, end = float(edges[0]), float(edges[-1]) + (step if beyond else 0.0)
    limit_shown = shown.limit is not None and start <= shown.limit <= end + 0.6 * (end - start)
    if limit_shown and shown.limit is not None:
        end = max(end, shown.limit + 0.03 * (end - start))

    def across(value: float) -> float:
        return LEFT + (value - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    floor, largest = HEIGHT - BOTTOM, max(counts)
    parts = [_grid_line(floor, "0"), _grid_line(TOP, _short(largest))]
    for at, count in enumerate(counts):
        if not count:
            continue
        left, right = across(start + at * step), across(start + (at + 1) * step)
        high = max((floor - TOP) * count / largest, 1.0)
        last = beyond and at == len(counts) - 1
        inner = f"above {_number(float(edges[-1]), shown)}" if last else _interval(start + at * step, step, shown)
        gap = min(1.0, 0.2 * (right - left))
        shape = {"x": f"{left + gap / 2:.2f}", "width": f"{right - left - gap:.2f}", "y": f"{floor - high:.2f}"}
        bar = tag(
            "rect", tag("title", f"{inner}: {count:,}"), height=f"{high:.2f}", class_="tail" if last else None, **shape
        )
        parts.append(bar)
    parts += [_tick(across(value), value, step, shown) for value in _ticks(start, end, shown.whole)]
    middle = across(float(np.median(values)))
    parts.append(
        tag(
            "line",
            tag("title", "median"),
            x1=f"{middle:.2f}",
            x2=f"{middle:.2f}",
            y1=TOP - 4,
            y2=floor,
            class_="median",
        )
    )
    if limit_shown and shown.limit is not None:
        at_limit = f"{across(shown.limit):.2f}"
        parts.append(
            tag("line", tag("title", shown.limit_text), x1=at_limit, x2=at_limit, y1=TOP - 4, y2=floor, class_="limit")
        )
        parts.append(tag("text", shown.limit_text, x=f"{across(shown.limit) - 4:.2f}", y=TOP + 4, class_="limit-text"))
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words)


def _grid_line(y: float, text: str) -> Markup:
    line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
    return joined([line, tag("text", text, x=LEFT - 5, y=y + 3.5, class_="y")])


def _tick(x: float, value: float, step: float, shown: Distribution) -> Markup:
    digits = 0 if shown.whole else max(0, -int(np.floor(np.log10(step * 5))))
    return tag("text", f"{value:.{digits}f}", x=f"{x:.2f}", y=HEIGHT - BOTTOM + 14, class_="x")


def _ticks(start: float, end: float, whole: bool) -> Sequence[float]:
    step = _round_step((end - start) / 5)
    step = max(step, 1.0) if whole else step
    first = int(np.ceil(start / step - 1e-9))
    return [at * step for at in range(first, int(np.floor(end / step + 1e-9)) + 1)]


def _interval(left: float, step: float, shown: Distribution) -> str:
    if shown.whole:
        first, last = round(left + 0.5), round(left + step - 0.5)
        return f"{first}" if first == last else f"{first} to {last}"
    digits = max(0, -int(np.floor(np.log10(step))))
    return f"{left:.{digits}f} to {left + step:.{digits}f}{shown.unit and ' ' + shown.unit}"


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below ``step``."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(factor for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9)) * power)


def _number(value: float, shown: Distribution) -> str:
    return f"{value:,.{0 if shown.whole else shown.digits}f}"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e4 else str(count)
