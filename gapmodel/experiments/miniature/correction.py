"""What a detector's F1 would be had one part of its boxes been right: which part holds it back.

Stage 1 asks for points, so it can teach where things are; how large they are and how they are turned it never asks. An
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
    """F1 at the lower threshold after each of :data:`PARTS` was put right in all predictions.

    Args:
        answers: the model's texts; one that cannot be read has no prediction.
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
    """Each box with a part of the nearest true box that has its label; boxes whose label is wrong stay as they are."""
    mended = []
    for box in predicted:
        same = [other for other in true if normalised(other.label) == normalised(box.label)]
        values = list(box.values)
        if same:
            away = [float(np.linalg.norm(np.subtract(other.values[:3], box.values[:3]))) for other in same]
            values[part] = same[int(np.argmin(away))].values[part]
        mended.append(TextBox(label=box.label, values=tuple(values)))
    return tuple(mended)
