"""Read the YAML that OpenCV writes: names with a number, a text or a matrix, one below the other."""

from __future__ import annotations

import re

from gapdata.files.numbers import numbers_of
from gapdata.files.text import decode_text

FIELD = re.compile(r"^(\w+):([^\n]*\n(?:(?!\w+:)[^\n]*\n)*)", re.MULTILINE)
"""A name at the beginning of a line, the rest of the line, and all lines up to the next name."""
MATRIX = re.compile(r"\bdata\s*:\s*\[([^\]]*)\]")


def parse_opencv_yaml(data: bytes) -> dict[str, str | list[float]]:
    """Return the fields of a file: matrices as lists of their numbers by row, all else as text without quotes.

    Raises:
        ValueError: it is not text, has no field, or a matrix has something that is not a number; the field is named.
    """
    fields: dict[str, str | list[float]] = {}
    for name, body in FIELD.findall(decode_text(data, tolerant=True) + "\n"):
        matrix = MATRIX.search(body)
        try:
            fields[name] = body.strip().strip("\"'") if matrix is None else _numbers(matrix[1])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if not fields:
        raise ValueError("has no line such as image_width: 640")
    return fields


def _numbers(text: str) -> list[float]:
    return [float(value) for value in numbers_of(text.replace(",", " "))]
