"""SPAR-Bench's scorer as published, which lmms-eval copies with its four defects, and its three levels.

1. A choice is right if the answer is a part of the truth, or begins with it: the empty text scores 1.0, and so does
   "Answer: B" where the truth is "A".
2. In a change of view, truth and answer are swapped: the error is divided by the answer.
3. lmms-eval loses the level of the change of view, so its Middle is the mean of two tasks. VLMEvalKit mended 2 and 3.
4. Where the truth is 0 the error is absolute, so an answer of 0.05 scores 1.0.

Signs are not read, so a negative answer counts as a positive one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from gapmodel.evaluation.published.relative_error import MAX_CHARACTERS, as_float, passed

_OBJECTS = ("oc", "oc_mv", "oo", "oo_mv")
LEVELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Low": (
            *(f"depth_prediction_{which}" for which in _OBJECTS),
            *(f"distance_prediction_{which}" for which in _OBJECTS),
        ),
        "Middle": ("position_matching", "camera_motion_infer", "view_change_infer"),
        "High": (
            "distance_infer_center_oo",
            "distance_infer_center_oo_mv",
            "obj_spatial_relation_oc_mv",
            "obj_spatial_relation_oo",
            "obj_spatial_relation_oo_mv",
            *(f"spatial_imagination_{which}" for which in _OBJECTS),
        ),
    }
)
"""The twenty tasks of the benchmark by level."""
VIEW_CHANGE = "view_change_infer"
AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
"""The five signed axes of a change of view: metres, then degrees."""
_NUMBER = re.compile(r"(?<!\^)\d{1,40}(?:\.\d{1,40})?")


def is_number(task: str) -> bool:
    """Return whether a task of the benchmark is answered with a number."""
    return task in LEVELS["Low"]


def original(text: str, answer: str, task: str) -> float:
    """Return the score of an answer to a task of the benchmark by its own program."""
    if is_number(task):
        return number(text, answer, multi_view=task.endswith("_mv"))
    return view_change(text, answer) if task == VIEW_CHANGE else choice(text, answer)


def choice(text: str, answer: str) -> float:
    """Return 1 where a text is the truth, a part of it, or begins with it as its first character; defect 1."""
    said, right = text.lower(), answer.lower()
    return float(said in right or said[:1] == right)


def number(text: str, answer: str, *, multi_view: bool) -> float:
    """Return the score of a number: of the first one in the text, for several views of the last one; defect 4."""
    found = _NUMBER.findall(text[:MAX_CHARACTERS])
    truth = as_float(answer)
    if truth is None or not found:
        return 0.0
    return passed(_error(float(found[-1 if multi_view else 0]), truth))


def view_change(text: str, answer: str) -> float:
    """Return the score of a change of view with truth and answer swapped; defects 2 and 4.

    A text that is not ``key:value,key:value`` scores 0.
    """
    said, right = _strict_axes(text), _strict_axes(answer)
    if said is None or right is None:
        return 0.0
    return sum(passed(_error(truth, read)) for read, truth in zip(said, right, strict=True)) / len(AXES)


def mended_view_change(text: str, answer: str) -> float:
    """Return the score of a change of view as VLMEvalKit mended it: errors by the truth, entries read one by one."""
    said, right = axes(text), axes(answer)
    return sum(passed(_error(read, truth)) for read, truth in zip(said, right, strict=True)) / len(AXES)


def axes(text: str) -> list[float]:
    """Return the five signed axes of a change of view, 0 for those that a text does not state readably."""
    return _axes(_entries(text))


def _error(read: float, truth: float) -> float:
    return abs(read - truth) if truth == 0 else abs((read - truth) / truth)


def _strict_axes(text: str) -> list[float] | None:
    parts = [part.split(":") for part in text[:MAX_CHARACTERS].split(",")]
    entries: dict[str, float] = {}
    for part in parts:
        value = as_float(part[1]) if len(part) == 2 else None
        if value is None:
            return None
        entries[part[0]] = value
    return _axes(entries)


def _entries(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text[:MAX_CHARACTERS].split(","):
        name, _, value = part.partition(":")
        number = as_float(value.strip())
        if number is not None:
            found[name.strip()] = number
    return found


def _axes(entries: Mapping[str, float]) -> list[float]:
    return [entries.get(forth, 0.0) - entries.get(back, 0.0) for forth, back in AXES]
