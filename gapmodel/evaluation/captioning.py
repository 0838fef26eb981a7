"""Dense captioning scores (Scan2Cap's m@kIoU): the caption of an object that was not found counts as empty.

An item is an object with all its descriptions. Its caption was asked for at the centre of the proposal that overlaps
the object best; with an IoU below k, or without a proposal, the caption that is scored is empty. Captions and
references are compared in Scan2Cap's form (:func:`gapdata.tasks.captioning.metric_text`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gapdata.tasks.captioning import CaptionAnswer, metric_text, parse
from gapdata.tasks.chat import Unparsable
from gapmodel.evaluation.captions import bleu, cider, rouge_l
from gapmodel.evaluation.compat import Compat
from gapmodel.evaluation.meteor import meteor

THRESHOLDS = (0.25, 0.5)
MISSED = "the object has no proposal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """An object's caption, as the model wrote it, and the descriptions to compare it with."""

    scene: str
    text: str | None  # None where the model was not asked
    references: tuple[str, ...]
    iou: float  # of the box that was asked about with the object's box; 1 where it was the object's own


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionScores:
    """Scores by IoU threshold, and how many objects were found at it.

    They are ``CIDEr`` (0 to 10; 1 is reported as 100), ``BLEU-1`` to ``BLEU-4``, ``ROUGE-L``, and ``METEOR``, which is
    NaN where its program is missing.
    """

    objects: int
    unparsable: int
    reasons: dict[str, int]
    scores: dict[str, dict[str, float]]  # "0.50" -> metric -> score
    found: dict[str, int]


def score(captions: Sequence[Caption], *, compat: Compat = "none") -> CaptionScores:
    """Score captions. The authors report k = 0.5, leave METEOR out, and compare the answer with all that it holds."""
    limits = [limit for limit in THRESHOLDS if compat == "none" or limit == 0.5]
    reasons = [reason for item in captions if (reason := unread(item, compat)) is not None]
    return CaptionScores(
        objects=len(captions),
        unparsable=len(reasons),
        reasons=dict(Counter(reasons)),
        scores={f"{limit:.2f}": _metrics(captions, limit, compat) for limit in limits},
        found={
            f"{limit:.2f}": sum(item.text is not None and item.iou >= limit for item in captions) for limit in limits
        },
    )


def item_scores(captions: Sequence[Caption], limit: float, compat: Compat = "none") -> tuple[list[float], list[float]]:
    """Return CIDEr and ROUGE-L of each caption at an IoU threshold; document frequencies are of all references."""
    candidates, references = _texts(captions, limit, compat)
    return cider(candidates, references), rouge_l(candidates, references)


def unread(item: Caption, compat: Compat = "none") -> str | None:
    """Return why an object has no caption; ``None`` where it has one."""
    if item.text is None:
        return MISSED
    read = parse(item.text) if compat == "none" else CaptionAnswer(text=item.text)
    return read.reason if isinstance(read, Unparsable) else None


def _metrics(captions: Sequence[Caption], limit: float, compat: Compat) -> dict[str, float]:
    candidates, references = _texts(captions, limit, compat)
    by_item = cider(candidates, references), rouge_l(candidates, references)
    program = meteor(candidates, references) if compat == "none" else None
    return {
        "CIDEr": float(np.mean(by_item[0])) if captions else float("nan"),
        **{f"BLEU-{size}": value for size, value in enumerate(bleu(candidates, references), start=1)},
        "ROUGE-L": float(np.mean(by_item[1])) if captions else float("nan"),
        "METEOR": float("nan") if program is None else program,
    }


def _texts(captions: Sequence[Caption], limit: float, compat: Compat) -> tuple[list[str], list[list[str]]]:
    candidates = []
    for item in captions:
        text = ""
        if item.text is not None and item.iou >= limit:
            read = parse(item.text) if compat == "none" else CaptionAnswer(text=item.text)
            text = read.text if isinstance(read, CaptionAnswer) else ""
        candidates.append(metric_text(text))
    return candidates, [[metric_text(text) for text in item.references] for item in captions]
