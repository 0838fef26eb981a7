"""Tables of text: rows under a header, for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NONE = "n/a"
"""The text for a figure that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under a header; a row of one cell is a heading."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def without_empty_columns(table: Table) -> Table:
    """Return the table without empty columns, such as the constant answer's where there is only captioning."""
    said = [any(row[at] not in ("", NONE) for row in table.rows if len(row) > at) for at in range(len(table.header))]
    kept = [at for at, something in enumerate(said) if something or not at or not table.rows]
    rows = tuple(tuple(row[at] for at in kept if at < len(row)) for row in table.rows)
    return Table(header=tuple(table.header[at] for at in kept), rows=rows)


def as_text(table: Table) -> str:
    """Return a table for a terminal."""
    cells = [table.header, *table.rows]
    columns = range(len(table.header))
    widths = [max((len(row[at]) for row in cells if len(row) > at and len(row) > 1), default=0) for at in columns]
    lines = []
    for row in cells:
        padded = [row[0].ljust(widths[0]), *(cell.rjust(widths[at]) for at, cell in enumerate(row[1:], start=1))]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def in_markdown(table: Table) -> str:
    """Return a table in Markdown."""
    lines = [_line(table.header), _line(["---", *["---:"] * (len(table.header) - 1)])]
    for row in table.rows:
        cells = [f"**{row[0]}**"] if len(row) == 1 else [row[0].strip(), *row[1:]]
        lines.append(_line([*cells, *[""] * (len(table.header) - len(cells))]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def percent(value: float) -> str:
    """Return a share as a percentage without its sign."""
    return NONE if math.isnan(value) else f"{100 * value:.1f}"


def span(interval: tuple[float, float] | None, factor: float = 100.0, digits: int = 1) -> str:
    """Return an interval, of shares in percent; empty for none."""
    return "" if interval is None else " .. ".join(f"{factor * end:.{digits}f}" for end in interval)
