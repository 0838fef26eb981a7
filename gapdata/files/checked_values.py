"""Take numbers and texts out of decoded JSON and pickles; a value of another type or size gives ``None``.

The work is limited by what is asked for, not by what the file holds: a pickle may refer to one list a billion times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ID = 2**31 - 1
MAX_TEXT = 100_000
"""Most characters of a text; the longest real ones, answers with the boxes of a crowded clip, have some 10,000."""
NAME_CHARACTERS = 200
"""Most characters of a label, an id or a file's name."""


def integer(value: Any) -> int | None:
    """Return an integer from 0 on, which may also be given as text, as some files have their ids."""
    if isinstance(value, str):
        value = int(value) if len(value) <= 10 and value.isascii() and value.isdigit() else None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return None
    return int(value) if 0 <= value <= MAX_ID else None


def integers(value: Any, limit: int) -> tuple[int, ...] | None:
    """Return the integers, from 0 on, of a list, tuple or one-dimensional array with at most ``limit`` items."""
    if isinstance(value, np.ndarray):
        # An empty list turned into an array is float64.
        if value.ndim != 1 or (value.size and value.dtype.kind not in "iu"):
            return None
        value = value.tolist() if value.size <= limit else None
    if not isinstance(value, (list, tuple)) or len(value) > limit:
        return None
    found = tuple(integer(item) if type(item) is not str else None for item in value)
    return None if None in found else found  # type: ignore[return-value]


def numbers(value: Any, shape: Sequence[int]) -> NDArray[np.float64] | None:
    """Return a float64 array of exactly this shape, from nested lists or an array; values may be infinite or NaN."""
    if isinstance(value, np.ndarray):
        fits = value.shape == tuple(shape) and value.dtype.kind in "fiu"
        return value.astype(np.float64) if fits else None
    flat: list[Any] = [value]
    for count in shape:
        deeper: list[Any] = []
        for part in flat:
            if isinstance(part, np.ndarray) and part.ndim == 1 and part.size == count:
                part = part.tolist()
            if not isinstance(part, (list, tuple)) or len(part) != count:
                return None
            deeper.extend(part)
        flat = deeper
    if any(isinstance(item, bool) or not isinstance(item, (int, float, np.integer, np.floating)) for item in flat):
        return None
    try:
        return np.array([float(item) for item in flat], dtype=np.float64).reshape(tuple(shape))
    except OverflowError:
        return None


def finite(value: Any, shape: Sequence[int]) -> NDArray[np.float64] | None:
    """Return the array of :func:`numbers` if all values are finite, else ``None``."""
    array = numbers(value, shape)
    return array if array is not None and bool(np.isfinite(array).all()) else None


def number(value: Any) -> float | None:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def text(value: Any, limit: int = MAX_TEXT) -> str | None:
    """Return a text verbatim, if it is not blank, has at most ``limit`` characters and can be written as UTF-8."""
    if not isinstance(value, str) or len(value) > limit or not value.strip():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def shown(value: Any) -> str:
    """Return a value for a message: texts and numbers shortened, anything else by its type."""
    if isinstance(value, str):
        return ascii(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, int) and not -(10**18) < value < 10**18:
        return "a huge integer"
    return str(value) if isinstance(value, (int, float)) or value is None else f"a {type(value).__name__}"
