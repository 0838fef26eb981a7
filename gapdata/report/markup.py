"""HTML built from values.

Whatever is not :class:`Markup` is text and gets escaped, so no name from a data set, however it is spelt, can become
markup or run.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

VOID = {"img", "input", "meta"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Attributes that are ``None`` or ``False`` are left out and ``True`` ones stand alone; an underscore in a name reads
    as a hyphen and a trailing one is dropped (``class_``, ``aria_label``).
    """
    parts = [name]
    for key, value in attributes.items():
        spelt = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(spelt)
        elif value is not None and value is not False:
            parts.append(f'{spelt}="{html.escape(str(value))}"')
    start = f"<{' '.join(parts)}>"
    return Markup(start if name in VOID else f"{start}{joined(children)}</{name}>")


def joined(children: Iterable[object], separator: str = "") -> Markup:
    """Join all children, text escaped; ``None`` is left out."""
    return Markup(separator.join(escaped(child) for child in children if child is not None))


def escaped(value: object) -> Markup:
    """Return ``value`` as HTML: itself where it is markup, else its text, escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def data_block(identifier: str, value: Any) -> Markup:
    """Return JSON for a script to read, without any ``<``, so that no text can end the element or open a comment.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{html.escape(identifier)}">{text}</script>')


def table(
    heads: Iterable[object], rows: Iterable[Sequence[object]], *, caption: str, class_: str | None = None
) -> Markup:
    """Return a table; columns that hold a number in some row are aligned to the right."""
    lines = list(rows)
    names = list(heads)
    right = [any(isinstance(line[at], (int, float)) for line in lines) for at in range(len(names))]
    sides = ["number" if number else None for number in right]
    head = tag("tr", *(tag("th", text, scope="col", class_=side) for text, side in zip(names, sides, strict=True)))
    body = [
        tag("tr", *(tag("td", _figure(cell), class_=side) for cell, side in zip(line, sides, strict=True)))
        for line in lines
    ]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _figure(cell: object) -> object:
    return f"{cell:,}" if isinstance(cell, int) else cell
