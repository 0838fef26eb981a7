"""Split the cross-entropy of answers by part: label, centre, size, angles.

F1 of a few hundred boxes is a coarse measure of small models. The cross-entropy of each part of the true answers is a
fine one, and tells what a model has learnt: names come from vision, centres and sizes need geometry, angles the
camera's tilt. The rest of an answer, brackets and keys, is the same for all boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate

PARTS = ("label", "centre", "size", "angles")
_BOX = re.compile(r'"label": "(?P<label>[^"]*)", "(?:bbox_3d|pointmap)": \[(?P<numbers>[^\]]*)\]')
_NUMBER = re.compile(r"-?\d[\d.]*")


def token_parts(tokens: Sequence[str]) -> tuple[list[str | None], int]:
    """Return the part of :data:`PARTS` that each token belongs to, if any, and the number of boxes.

    A marked point counts as a box that has only a centre. A number's tokens are those of its digits and the ones beside
    them: a model must also know whether a space or a minus comes first, and after how many decimals the comma.

    Args:
        tokens: the texts of a true answer's tokens (:mod:`gapdata.tasks.detection`, :mod:`gapdata.tasks.pointmap`), in
            order.
    """
    text, ends = "".join(tokens), list(accumulate(map(len, tokens)))
    parts: list[str | None] = [None] * len(tokens)
    boxes = list(_BOX.finditer(text))
    for box in boxes:
        spans = [("label", *box.span("label"))]
        first = box.start("numbers")
        for place, number in enumerate(_NUMBER.finditer(box["numbers"])):
            spans.append((PARTS[1 + place // 3], first + number.start() - 1, first + number.end() + 1))
        for part, start, end in spans:
            for index, (token, after) in enumerate(zip(tokens, ends, strict=True)):
                if start < after and after - len(token) < end:
                    parts[index] = part
    return parts, len(boxes)


def nats_by_part(answers: Iterable[tuple[Sequence[str], Sequence[float]]]) -> dict[str, float]:
    """Return the summed cross-entropy of each part's tokens in nats, mean over all boxes.

    Args:
        answers: the texts of each true answer's tokens, and the cross-entropy of each.
    """
    totals, boxes = dict.fromkeys(PARTS, 0.0), 0
    for tokens, losses in answers:
        parts, found = token_parts(tokens)
        boxes += found
        for part, loss in zip(parts, losses, strict=True):
            if part is not None:
                totals[part] += loss
    return {part: total / max(boxes, 1) for part, total in totals.items()}
