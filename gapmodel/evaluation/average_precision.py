"""Average precision as VoteNet's and ScanNet's detection scores define it, with ties treated as ties.

Predictions of a class are ranked over all views by their score. Each one claims the true box of its view that it
overlaps most; it is right where that overlap reaches the threshold and no better-ranked prediction has claimed the box.
AP is the area under the precision-recall curve after precision was made monotonous (Pascal VOC 2010 and later).

A language model writes boxes without a score. Their order stands in for it: the n-th box of a class in an answer has
the score 1 / n. Predictions of equal score enter the curve together, so the order of the views does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SCORE = "1 / n for the n-th box of its class in an answer: the model gives none"
"""What predictions are ranked by, in words, for the report."""


def average_precision(overlaps: Sequence[NDArray[np.float64]], threshold: float) -> float:
    """Return the AP of one class.

    Args:
        overlaps: for each view (P, T) IoU of its predictions, in the order of the answer, with its true boxes.
        threshold: IoU from which a prediction can be right.

    Returns:
        The area in [0, 1]; NaN where no view has a true box.
    """
    total = sum(item.shape[1] for item in overlaps)
    if not total:
        return float("nan")
    ranks, right = [], []
    for item in overlaps:
        claimed: set[int] = set()
        for rank, row in enumerate(item):
            best = int(np.argmax(row)) if len(row) else -1
            hit = best >= 0 and row[best] >= threshold and best not in claimed
            if hit:
                claimed.add(best)
            ranks.append(rank)
            right.append(hit)
    return area(np.array(ranks, dtype=np.int64), np.array(right, dtype=bool), total)


def area(ranks: NDArray[np.int64], right: NDArray[np.bool_], total: int) -> float:
    """Return the area under the precision-recall curve.

    Args:
        ranks: (N,) of the predictions, 0 is best.
        right: (N,) whether each is right.
        total: number of true boxes.
    """
    if not len(ranks):
        return 0.0
    _, place = np.unique(ranks, return_inverse=True)
    hits, predicted = np.cumsum(np.bincount(place, weights=right)), np.cumsum(np.bincount(place))
    recall = np.concatenate([[0.0], hits / total])
    precision = np.maximum.accumulate((hits / predicted)[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision))
