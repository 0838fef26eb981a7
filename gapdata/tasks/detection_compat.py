"""Read detection answers line by line, as VG-LLM's and GAP-MLLM's evaluation does, to reproduce published numbers.

Their code strips the fence, splits the answer into lines, keeps those that mention ``bbox_3d`` or ``label``, strips
commas and evaluates each line as Python. An entry that is spread over several lines is therefore lost, and so is one
with JSON's ``true`` or ``null``. The same lines are kept here, but nothing is evaluated: a line is parsed to a syntax
tree, and only a dictionary of literals is taken from it. What only evaluation could read (arithmetic, names, calls) is
lost; no model is known to write that.
"""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

from gapdata.tasks.chat import MAX_CHARACTERS
from gapdata.tasks.detection import DetectionAnswer, TextBox

MAX_LINE = 4000
"""Longest line that is parsed: an entry has about 120 characters."""
MAX_BRACKETS = 16
"""Most opening brackets of a line that is parsed: an entry has two."""
WRONG = (math.nan,) * 9
"""Stands for a box that is not nine numbers: it overlaps nothing, so it counts as a false alarm, as theirs does."""


def stripped(text: str) -> str:
    """Strip an answer as their scripts do before they read it."""
    return text[:MAX_CHARACTERS].strip("\n").strip("`").strip("json").strip()


def parse_lines(text: str) -> DetectionAnswer:
    """Return the entries that the authors' evaluation would read, in order. Never raises.

    ``rejected`` counts the kept lines that give no entry. An entry whose box is not nine finite numbers stays, with
    NaN for its values, because theirs counts it as a false alarm.
    """
    boxes, rejected = [], 0
    for line in stripped(text).split("\n"):
        candidate = line.strip().strip(",")
        if "bbox_3d" not in candidate and "label" not in candidate:
            continue
        box = _entry(candidate)
        if box is None:
            rejected += 1
        else:
            boxes.append(box)
    return DetectionAnswer(boxes=tuple(boxes), rejected=rejected)


def _entry(line: str) -> TextBox | None:
    if len(line) > MAX_LINE or sum(line.count(bracket) for bracket in "([{") > MAX_BRACKETS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fields = _literal(ast.parse(line, mode="eval").body)
        if not isinstance(fields, dict) or not isinstance(fields.get("label"), str) or "bbox_3d" not in fields:
            return None
        return TextBox(label=fields["label"], values=_nine(fields["bbox_3d"]))
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return None


def _literal(node: ast.expr | None) -> Any:
    """Return the value of a constant, a signed number, a list or a dictionary of such.

    Raises:
        ValueError: the node is anything else, which only evaluation could read.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(node.op, ast.UAdd | ast.USub) and isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    raise ValueError("not a literal")


def _nine(value: Any) -> tuple[float, ...]:
    """Return nine finite floats or :data:`WRONG`.

    Numbers may be written as text, because theirs fills a numpy array of floats.

    Raises:
        ValueError, TypeError: an item is not a number, which loses the entry.
    """
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, list) for item in items):
        return WRONG
    numbers = tuple(math.nan if item is None else float(item) for item in items)
    return numbers if len(numbers) == 9 and all(math.isfinite(number) for number in numbers) else WRONG
