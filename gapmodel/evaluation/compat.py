"""The differences of the authors' published scoring, in one place: ``compat = "gap"`` reproduces it for every task.

GAP-MLLM's inference scripts (and VG-LLM's, which they follow) read an answer line by line, or evaluate all of it as
Python. Here nothing is evaluated: only literals are read, and what only evaluation could read is lost. Where their code
stops with an error, the answer counts as wrong.
"""

from __future__ import annotations

import ast
import warnings
from typing import Any, Literal

import numpy as np

from gapdata.tasks.chat import Unparsable

Compat = Literal["none", "gap"]
"""``none``: this project's scoring; ``gap``: the authors'."""

MAX_BRACKETS = 64
"""A text with more opening brackets is not parsed as Python; an answer has three."""
AUTHORS_LISTS = {"detection-8": "detection-8", "detection-20": "detection-20", "detection-31": "detection-31-authors"}
"""Their class list for each of ours; the long one has two slips (:mod:`gapdata.annotations.categories`)."""

WHY = {
    "pointmap": "The authors leave out answers that Python cannot read, from the truth as well, and compare with the "
    "truth rounded to centimetres.",
    "detection": "The authors read answers line by line, want an overlap above (not at) the threshold, read all "
    "angles as intrinsic zxy whatever the data means, compute overlaps with tolerances that change those of boxes "
    "within 2.6 degrees of parallel, give thin boxes none, take sizes without their sign, and average over lists in "
    'which a class that does not occur counts as 0, "lamp" counts twice and "towl" never matches.',
    "grounding": "The authors read angles as extrinsic zxy, turn the box into the aligned world and read its new "
    "angles as intrinsic zxy, compute overlaps with tolerances that change those of boxes within 2.6 degrees of "
    "parallel, and give an answer that Python cannot read no overlap.",
    "grounding_two_stage": "The authors take frame 0 where they cannot read one and count negative ones from the end, "
    "read angles as extrinsic zxy, turn the box into the aligned world and read its new angles as intrinsic zxy, and "
    "compute overlaps with tolerances that change those of boxes within 2.6 degrees of parallel.",
    "captioning": "The authors report IoU 0.5 alone, leave METEOR out, and compare the answer with all that it holds, "
    "Markdown fences included.",
}
"""One sentence for each task: why the two columns differ."""


def python_literal(text: str) -> Any | Unparsable:
    """Read a text that is a single Python literal, where their scripts evaluate it. Never raises."""
    if sum(text.count(bracket) for bracket in "([{") > MAX_BRACKETS:
        return Unparsable("no Python literal")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return Unparsable("no Python literal")


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return the first ``count`` numbers of a list as finite floats, or ``None``; the authors ignore further ones."""
    if not isinstance(value, list | tuple) or len(value) < count:
        return None
    found = value[:count]
    if not all(isinstance(item, int | float) for item in found):
        return None
    try:
        floats = tuple(float(item) for item in found)
    except OverflowError:
        return None
    return floats if all(np.isfinite(item) for item in floats) else None
