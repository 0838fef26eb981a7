"""Mean relative accuracy: the score of a number answer, as VSI-Bench defines it (arXiv 2412.14171, section 3.2).

It is the share of ten thresholds t = 0.50, 0.55 ... 0.95 for which the relative error is at most 1 - t. Errors on round
numbers fall exactly on a threshold, so the result depends on how the thresholds are computed: they are spaced and
subtracted here in 64-bit floats, as the benchmark's own program does, and compared by "at most" where the paper
writes "less than".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_THRESHOLD, MOST_THRESHOLD, THRESHOLDS = 0.5, 0.95, 10
ALLOWED_ERRORS = 1 - np.linspace(LEAST_THRESHOLD, MOST_THRESHOLD, THRESHOLDS)  # (10,) relative errors


def relative_accuracy(predicted: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Return the mean relative accuracy of each number, (N,) in 0..1, or () for a single pair.

    A truth of zero has no relative error: only zero itself is right then. A number that is not finite scores 0.

    Args:
        predicted: (N,) or any shape that broadcasts with ``truth``.
        truth: (N,), positive or negative; the error is divided by its amount.
    """
    guess, right = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.where(right == 0, np.where(guess == 0, 0.0, np.inf), np.abs(guess - right) / np.abs(right))
    return np.asarray((error[..., None] <= ALLOWED_ERRORS).mean(axis=-1), dtype=np.float64)


def best_number(tried: NDArray[np.float64], truths: NDArray[np.float64]) -> tuple[float, float]:
    """Return which of some numbers (K,) scores most as the answer to all questions, and its mean score over them.

    Errors are relative, so the median of the true answers ``truths`` (N,) need not be the best. Of equally good ones
    the first counts.
    """
    scores = [float(relative_accuracy(number, truths).mean()) for number in tried]
    best = int(np.argmax(scores))
    return float(tried[best]), scores[best]
