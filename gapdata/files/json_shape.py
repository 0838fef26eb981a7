"""Check that decoded JSON has the shape that its reader expects, before anything is computed from it."""

from __future__ import annotations

import json
from typing import Any

from gapdata.errors import ShardError
from gapdata.files.storage import Location

MAX_INTEGER = 2**63 - 1
MAX_NAME = 40
"""Most characters of a name out of the file in a message."""


def read_shaped(path: Location, shape: Any, cure: str) -> Any:
    """Read a JSON file that this package wrote, with a shape as :func:`misfit` has it.

    Raises:
        ShardError: it is not JSON, or has another shape.
        OSError: it cannot be read.
    """
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ShardError(f"is not JSON: {error}", path=path, cure=cure) from error
    problem = misfit(value, shape)
    if problem is not None:
        raise ShardError(f"is malformed: {problem}", path=path, cure=cure)
    return value


def misfit(value: Any, shape: Any, where: str = "") -> str | None:
    """Return where and how ``value`` differs from ``shape``, or ``None`` if it fits.

    A shape is ``str``, ``bool``, ``int`` (from 0 to 2^63 - 1), ``float`` (any finite number), ``None`` or ``object``
    (anything); ``[shape]`` for a list of items with this shape; ``{"name": shape}`` for an object with at least these
    fields; ``{str: shape}`` for an object with any names; a tuple of shapes for one of them.
    """
    if isinstance(shape, tuple):
        problems = [misfit(value, option, where) for option in shape]
        return None if None in problems else problems[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _departure(where, value, "a list")
        found = (misfit(item, shape[0], f"{where}[{place}]") for place, item in enumerate(value))
        return next((problem for problem in found if problem is not None), None)
    if isinstance(shape, dict):
        return _object_misfit(value, shape, where)
    if shape is object or (shape is None and value is None):
        return None
    if shape is int and type(value) is int:
        return None if 0 <= value <= MAX_INTEGER else f"{where or 'it'} is out of range (0 to {MAX_INTEGER})"
    if shape is float and type(value) in (int, float):
        return None if abs(value) <= MAX_INTEGER else f"{where or 'it'} is out of range"
    return None if type(value) is shape else _departure(where, value, _NAMES.get(shape, "null"))


def _object_misfit(value: Any, shape: dict[Any, Any], where: str) -> str | None:
    if not isinstance(value, dict):
        return _departure(where, value, "an object")
    if str in shape:
        parts = [(name[:MAX_NAME], item, shape[str]) for name, item in value.items()]
    else:
        missing = [name for name in shape if name not in value]
        if missing:
            return f"{where or 'it'} lacks {', '.join(missing)}"
        parts = [(name, value[name], inner) for name, inner in shape.items()]
    found = (misfit(item, inner, f"{where}.{name}" if where else name) for name, item, inner in parts)
    return next((problem for problem in found if problem is not None), None)


def _departure(where: str, value: Any, expected: str) -> str:
    return f"{where or 'it'} is {_FOUND.get(type(value), 'null')}, expected {expected}"


_NAMES = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
_FOUND = {**_NAMES, list: "a list", dict: "an object"}
