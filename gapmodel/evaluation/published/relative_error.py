"""The share of thresholds that a relative error passes, as every published scorer of numbers computes it."""

from __future__ import annotations

import numpy as np

from gapdata.tasks.spatial.mra import ALLOWED_ERRORS

MAX_CHARACTERS = 10_000
"""Longest text that is read of an answer."""


def passed(error: float) -> float:
    """Return the share of the ten thresholds t at which an error is at most 1 - t; 0 for one that is not a number.

    A negative error passes all of them: scorers that divide by the truth itself, and not by its amount, give full marks
    to any answer where the truth is negative.
    """
    return float(np.mean(error <= ALLOWED_ERRORS))


def as_float(text: str) -> float | None:
    """Return what Python's ``float`` makes of a text, which takes "nan", "1e3" and "1_0" too, or ``None``."""
    try:
        return float(text[:MAX_CHARACTERS])
    except ValueError:
        return None
