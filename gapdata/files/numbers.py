"""Read numbers out of a text, such as a matrix that NumPy, MATLAB, a spreadsheet or a C++ program wrote."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from gapdata.files.text import decode_text

NOT_FINITE = ("#INF", "#IND", "#QNAN")
"""Values that are not finite, as Microsoft's C runtime before 2015 printed them."""
COMMENT = re.compile(r"(?:^|(?<=\s))[#%].*", re.MULTILINE)  # not inside of "-1.#INF"
BETWEEN = str.maketrans(",;[](){}\u2212", " " * 8 + "-")
DECIMAL_COMMA = re.compile(r"(?<!\S)[-+]?\d+,\d+(?:[eE][-+]?\d+)?(?!\S)")


def number_lines(data: bytes) -> list[tuple[int, str]]:
    """Return the lines of a text that are not blank, each with its number from 1 on.

    Comments (``#``, ``%``) are left out; commas, semicolons and brackets become blanks, a typographic minus a minus.

    Raises:
        ValueError: it is not text, or has decimal commas.
    """
    text = COMMENT.sub("", decode_text(data, tolerant=True))
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        found = DECIMAL_COMMA.search(line)
        # "525,0" alone in a line of a text that has points elsewhere is two numbers of a comma-separated list.
        if found is not None and ("." not in text or len(line.split()) > 1):
            raise ValueError(f"line {number} has a decimal comma: {found[0]}; write {found[0].replace(',', '.')}")
    blanked = ((number, line.translate(BETWEEN)) for number, line in enumerate(lines, start=1))
    return [(number, line) for number, line in blanked if line.strip()]


def parse_numbers(data: bytes) -> NDArray[np.float64]:
    """Return all numbers of a text, (n,) float64; Microsoft's spellings of values that are not finite become NaN.

    Raises:
        ValueError: something is not a number, or has a decimal comma.
    """
    return numbers_of(" ".join(line for _, line in number_lines(data)))


def numbers_of(text: str) -> NDArray[np.float64]:
    """Return all numbers of a text that has blanks between them, (n,) float64.

    Raises:
        ValueError: something is not a number.
    """
    words = text.split()
    try:
        return np.array([float(word) for word in words], dtype=np.float64)
    except ValueError:
        return np.array([math.nan if any(mark in word for mark in NOT_FINITE) else float(word) for word in words])
