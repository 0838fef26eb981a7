"""Compute the F1 of a detector with one part of its boxes corrected, to find the part that holds it back.

Stage 1 asks for points, so it can teach where things are; it never asks how large they are or how they are turned. An
arm that gains little from right centres is held back by the rest, and a better sense of place cannot show in its F1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapdata.annotations.categories import normalised
from gapdata.geometry.boxes import EulerConvention
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.detection import DetectionAnswer, TextBox
from gapmodel.evaluation import detection

PARTS = {"centres": slice(0, 3), "sizes and angles": slice(3, 9)}
"""Of a box's nine numbers."""
LIMIT = f"{detection.THRESHOLDS[0]:.2f}"


def corrected_f1(
    answers: Sequence[str], truths: Sequence[Sequence[TextBox]], convention: EulerConvention
) -> dict[str, float]:
    """Return F1 at the lower threshold after each of :data:`PARTS` was put right in all predictions.

    Args:
        answers: the model's texts; one that cannot be read counts as without predictions.
        truths: the true boxes of the same views.
        convention: of the angles.
    """
    parsed = [detection.read(answer) for answer in answers]
    predicted = [() if isinstance(answer, Unparsable) else answer.boxes for answer in parsed]
    found = {}
    for name, part in PARTS.items():
        mended = [
            DetectionAnswer(boxes=_mended(boxes, true, part)) for boxes, true in zip(predicted, truths, strict=True)
        ]
        found[name] = detection.score(mended, truths, convention).overall[LIMIT].f1
    return found


def _mended(predicted: Sequence[TextBox], true: Sequence[TextBox], part: slice) -> tuple[TextBox, ...]:
    """Give each box a part of the nearest true box of its label; boxes with a wrong label stay as they are."""
    mended = []
    for box in predicted:
        same = [other for other in true if normalised(other.label) == normalised(box.label)]
        values = list(box.values)
        if same:
            away = [float(np.linalg.norm(np.subtract(other.values[:3], box.values[:3]))) for other in same]
            values[part] = same[int(np.argmin(away))].values[part]
        mended.append(TextBox(label=box.label, values=tuple(values)))
    return tuple(mended)
