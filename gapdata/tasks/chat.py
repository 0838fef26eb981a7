"""The question put to a model, and the reader of the JSON that models write back, for all tasks.

A model's text is untrusted input. It is never evaluated; it is read by a small scanner that takes JSON and the ways
in which models bend it (Markdown fences, prose, single and typographic quotes, keys without quotes, trailing commas,
Python's tuples and words, an answer cut off by the token limit) in linear time and with bounded nesting, and that
never raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

IMAGE = "<image>"
"""Stands for one frame in a question's text; the processor replaces it with the frame's visual tokens."""

MAX_CHARACTERS = 200_000
"""Longest model output that is read; generation limits lie far below."""
MAX_DEPTH = 8
"""Deepest nesting that is read: the answers of all tasks need three levels."""

_OPENING = re.compile(r"[\[{]")
_SPACE = re.compile(r"[\s,]*")
_NUMBER = re.compile(r"[+\-\u2212]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_WORD = re.compile(r"[A-Za-z]{1,16}")
_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}(?=\s{0,8}:)")
_CLOSING = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
"""Opening quotation marks and what closes them."""
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": math.nan,
    "infinity": math.inf,
}
_NUMBERED = re.compile(r"\s{0,8}(?:[A-Za-z]{1,8}[ _#-]{0,2})?(\d{1,9})\s{0,8}", re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A pixel that a question points at; drawn on that frame before any encoder sees it."""

    frame: int  # position within the view
    pixel: tuple[int, int]  # (u, v) of the stored image
    number: int = 0
    """0 draws GAP-MLLM's red cross; 1 to 9 the cross of that number's colour with the number beside it; higher ones are
    SPAR's discs and boxes (:mod:`gapdata.prompts.colored_shapes`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a view: ``text`` has one ``<image>`` per frame, ``answer`` is what the model should write."""

    text: str
    answer: str
    marks: tuple[Mark, ...] = ()

    @property
    def mark(self) -> Mark | None:
        """The question's mark, where it has exactly one; else ``None``."""
        return self.marks[0] if len(self.marks) == 1 else None

    def messages(self) -> list[dict[str, Any]]:
        """Return question and answer as chat messages in the form of Hugging Face's chat templates."""
        content: list[dict[str, str]] = []
        for index, piece in enumerate(self.text.split(IMAGE)):
            if index:
                content.append({"type": "image"})
            if piece:
                content.append({"type": "text", "text": piece})
        answer = [{"type": "text", "text": self.answer}]
        return [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True, slots=True)
class Unparsable:
    """The reason why a model's text cannot be used. It counts as a wrong answer and is counted apart."""

    reason: str


def image_placeholders(frames: int) -> str:
    """Return ``frames`` placeholders, as they stand at the start of every question."""
    return IMAGE * frames


def read_json(text: str) -> list[Any]:
    """Return the JSON values at the top level of a model's text; values that are cut off keep what is complete.

    Text before, between and after the values (prose, Markdown fences) is skipped. Only lists and objects count as
    values. A member of an object is left out if its value is cut off, and so is an entry of a list that is itself an
    incomplete object.
    """
    text = text[:MAX_CHARACTERS]
    values: list[Any] = []
    position = 0
    while start := _OPENING.search(text, position):
        value, position, _ = _value(text, start.start(), 0)
        values.append(value)
    return values


def fenced_list(items: Iterable[Mapping[str, Any]]) -> str:
    """Write a list as models should write it, byte for byte as in VG-LLM's and GAP-MLLM's files.

    These have default JSON separators, one entry a line, and the closing fence glued to the bracket.
    """
    return "```json\n[\n\t" + ",\n\t".join(map(json.dumps, items)) + "\n]```"


def finite_numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return ``value`` as ``count`` finite floats, or ``None`` for anything else, booleans included."""
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(item, float) and math.isfinite(item) for item in value):
        return None
    return tuple(value)


def entries(values: Iterable[Any], keys: Collection[str]) -> list[dict[str, Any]]:
    """Return the dictionaries among values of :func:`read_json`, wherever they are wrapped, in the order of the text.

    A dictionary with one of ``keys`` is an entry; another one is searched, and is an entry itself where nothing is
    found inside. Empty ones are left out. Nesting is bounded by the reader.
    """
    found: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, list):
            found += entries(value, keys)
        elif isinstance(value, dict) and value:
            found += [value] if any(key in value for key in keys) else (entries(value.values(), keys) or [value])
    return found


def whole_number(value: Any, below: int | None = None) -> int | None:
    """Return ``value`` as an integer from 0 up, less than ``below``, or ``None``; "3" and "Frame-3" are taken for 3."""
    if isinstance(value, str) and (written := _NUMBERED.fullmatch(value)):
        value = float(written.group(1))
    if not isinstance(value, float) or not value.is_integer() or value < 0:
        return None
    return int(value) if below is None or value < below else None


_CUT = object()
"""Marks a value that the scanner could not read to its end."""


def _value(text: str, position: int, depth: int) -> tuple[Any, int, bool]:
    """Return the value that starts at ``position``, the position after it, and whether it was complete."""
    if position >= len(text) or depth > MAX_DEPTH:
        return _CUT, len(text), False
    head = text[position]
    if head in "[(":
        return _list(text, position + 1, depth)
    if head == "{":
        return _object(text, position + 1, depth)
    if head in _CLOSING:
        return _string(text, position)
    if number := _NUMBER.match(text, position):
        # A number at the very end of the text may have lost digits: it is not complete.
        return float(number.group().replace("\u2212", "-")), number.end(), number.end() < len(text)
    if word := _WORD.match(text, position):
        value = _WORDS.get(word.group().lower(), _CUT)
        return value, word.end(), value is not _CUT
    return _CUT, position, False


def _list(text: str, position: int, depth: int) -> tuple[list[Any], int, bool]:
    items: list[Any] = []
    while True:
        position = _skip(text, position)
        if position < len(text) and text[position] in "])":
            return items, position + 1, True
        value, position, complete = _value(text, position, depth + 1)
        if not complete:
            return items, position, False
        items.append(value)


def _object(text: str, position: int, depth: int) -> tuple[dict[str, Any], int, bool]:
    members: dict[str, Any] = {}
    while True:
        position = _skip(text, position)
        if position < len(text) and text[position] == "}":
            return members, position + 1, True
        key, position, complete = _key(text, position)
        position = _skip(text, position)
        if not complete or position >= len(text) or text[position] != ":":
            return members, position, False
        value, position, complete = _value(text, _skip(text, position + 1), depth + 1)
        if not complete:
            return members, position, False
        members[key] = value


def _key(text: str, position: int) -> tuple[str, int, bool]:
    if position < len(text) and text[position] in _CLOSING:
        return _string(text, position)
    if bare := _BARE_KEY.match(text, position):
        return bare.group(), bare.end(), True
    return "", position, False


def _string(text: str, position: int) -> tuple[str, int, bool]:
    quote, position = _CLOSING[text[position]], position + 1
    parts: list[str] = []
    while position < len(text):
        character = text[position]
        if character == quote:
            return _joined(parts), position + 1, True
        if character == "\\" and position + 1 < len(text):
            escaped = text[position + 1]
            code = text[position + 2 : position + 6]
            if escaped == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", code):
                parts.append(chr(int(code, 16)))
                position += 6
                continue
            parts.append(_ESCAPES.get(escaped, escaped))
            position += 2
            continue
        parts.append(character)
        position += 1
    return _joined(parts), position, False


def _joined(parts: list[str]) -> str:
    """Return the text of characters and escapes: surrogate pairs become one character, lone ones the replacement."""
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
