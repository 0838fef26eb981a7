"""Further losses that teach random weights what pre-trained ones know.

GAP-MLLM starts from a pre-trained vision tower and language model, and from VGGT, which has learned geometry from
millions of scans. The tiny preset starts from random weights, and three numbers of text for each question are too
little to learn to see from. So while it trains

* each fused visual token is also asked what it shows: its point in the first camera, its class, and whether the mark
  lies on it. This is the question of stage 1, put to every token at once.
* each position of a stage 1 answer is also asked for the point that the question is about, as three numbers instead
  of digits. This teaches the language model to look at the marked token.

The heads are dropped afterwards and no answer is read from them; a recipe for pre-trained weights sets the weight of
these losses to 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gapdata.tasks.chat import Question
from gapmodel.processing import ProcessorConfig
from gapmodel.training.augment import DecodedRecord

POINT_SCALE = 2.0
"""Metres of one unit of the head's output: coordinates in rooms are about this large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseCounts:
    """The numbers of targets that the dense losses of a step are means over.

    Each micro-batch adds its part of these means, so that a step has the same gradient in one batch and in several.
    """

    points: float = 0.0  # visual tokens with a known point
    marked: float = 0.0  # visual tokens that a mark lies on
    tokens: float = 0.0  # all visual tokens
    labels: float = 0.0  # visual tokens with a known class
    asked: float = 0.0  # answer positions of questions with a known point

    def values(self) -> list[float]:
        """Return the counts in the order of the fields."""
        return [self.points, self.marked, self.tokens, self.labels, self.asked]

    @classmethod
    def of(cls, values: Sequence[float]) -> DenseCounts:
        """Make the counts from what :meth:`values` returns."""
        points, marked, tokens, labels, asked = values
        return cls(points=points, marked=marked, tokens=tokens, labels=labels, asked=asked)


def dense_counts(targets: Mapping[str, Tensor], rows: Tensor) -> DenseCounts:
    """Count the targets of a batch.

    Args:
        targets: as :meth:`DenseHead.visual_loss` and :meth:`DenseHead.asked_loss` take them; empty for a blank batch.
        rows: (n,) the question of the batch that each answer position belongs to.
    """
    if not targets:
        return DenseCounts()
    return DenseCounts(
        points=torch.isfinite(targets["point"]).all(dim=-1).sum().item(),
        marked=targets["mark"].sum().item(),
        tokens=len(targets["mark"]),
        labels=(targets["label"] >= 0).sum().item(),
        asked=torch.isfinite(targets["asked"][rows]).all(dim=-1).sum().item(),
    )


class DenseHead(nn.Module):
    """Point (3), mark (1) and class logits from fused visual tokens, and the asked point (3) from answer positions."""

    def __init__(self, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.sizes = (3, 1, classes)
        self.visual = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, sum(self.sizes)))
        self.asked = nn.Linear(hidden_size, 3)

    def visual_loss(self, tokens: Tensor, targets: Mapping[str, Tensor], counts: DenseCounts) -> Tensor:
        """Return a batch's part of the sum of three losses: of the point, of the mark and of the class.

        They are L1 in units of :data:`POINT_SCALE`, and cross-entropies.

        Args:
            tokens: (T, D) fused visual tokens of a batch.
            targets: ``point`` (T, 3) metres with NaN where unknown, ``label`` (T,) class or -1, ``mark`` (T,) 0 or 1.
            counts: of the whole step.
        """
        point, mark, label = self.visual(tokens).split(self.sizes, dim=-1)
        loss = point_loss(point, targets["point"], counts.points)
        # Marked tokens, one in a hundred, weigh as much as all others together.
        if counts.marked:
            heavier = mark.new_tensor((counts.tokens - counts.marked) / counts.marked)
            marks = F.binary_cross_entropy_with_logits(mark[:, 0], targets["mark"], pos_weight=heavier, reduction="sum")
            loss = loss + marks / counts.tokens
        if counts.labels:
            classes = F.cross_entropy(label, targets["label"], ignore_index=-1, reduction="sum")
            loss = loss + classes / counts.labels
        return loss

    def asked_loss(self, hidden: Tensor, rows: Tensor, targets: Mapping[str, Tensor], counts: DenseCounts) -> Tensor:
        """Return a batch's part of the L1 of the asked point, read at answer positions.

        Args:
            hidden: (n, D) the language model's last hidden states there.
            rows: (n,) the question of the batch that each belongs to.
            targets: ``asked`` (B, 3) metres, NaN for questions that do not ask for a point.
            counts: of the whole step.
        """
        return point_loss(self.asked(hidden), targets["asked"][rows], counts.asked)


def point_loss(predicted: Tensor, metres: Tensor, count: float | None = None) -> Tensor:
    """Return the mean L1 distance (summed over the axes) of points (n, 3), in units of :data:`POINT_SCALE`.

    Args:
        predicted: (n, 3) in those units.
        metres: (n, 3), NaN where unknown; such points do not count.
        count: the divisor of the mean; by default the number of known points.
    """
    known = torch.isfinite(metres).all(dim=-1)
    error = (predicted - torch.nan_to_num(metres) / POINT_SCALE).abs().sum(dim=-1)
    return (error * known).sum() / (known.sum().clamp(min=1) if count is None else max(count, 1.0))


def dense_targets(
    decoded: DecodedRecord,
    question: Question,
    config: ProcessorConfig,
    classes: Mapping[str, int],
    *,
    in_image: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return what each visual token shows at its centre, and the point that the question asks for.

    Args:
        decoded: the frames that the question shows.
        question: it says which pixels are marked.
        config: how frames become tokens.
        classes: numbers of the labels.
        in_image: ask for the marked pixel's place in its image instead of its point: both sides run from -1 to 1 of the
            head's unit, and the third number is 0.

    Returns:
        ``point`` (T, 3) metres, first camera, NaN where unknown; ``label`` (T,) class or -1; ``mark`` (T,) 1 for a
        token with a marked pixel; ``asked`` (1, 3) the point of the only marked pixel, NaN where there is not one.
    """
    window = config.window(*decoded.record.image_size)
    rows, columns = (side // config.merge_size for side in window.grid)
    u = (window.left + (np.arange(columns) + 0.5) * window.width / columns).astype(np.int64)
    v = (window.top + (np.arange(rows) + 0.5) * window.height / rows).astype(np.int64)
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)  # (T / F, 2), raster order, as merged tokens come
    table = np.full(int(decoded.instances.max()) + 2, -1, dtype=np.int64)
    for item in decoded.record.objects:
        if item.object_id + 1 < len(table):
            table[item.object_id + 1] = classes.get(item.label, -1)
    frames = range(len(decoded.record))
    marks = np.zeros((len(frames), rows, columns), dtype=np.float32)
    for drawn in question.marks:
        column = int((drawn.pixel[0] + 0.5 - window.left) * columns / window.width)
        row = int((drawn.pixel[1] + 0.5 - window.top) * rows / window.height)
        if 0 <= row < rows and 0 <= column < columns:
            marks[drawn.frame, row, column] = 1.0
    return {
        "asked": _asked_point(decoded, question, in_image=in_image).astype(np.float32),
        "point": np.concatenate([decoded.points(frame, pixels) for frame in frames]).astype(np.float32),
        "label": table[decoded.instances[:, pixels[:, 1], pixels[:, 0]]].reshape(-1),
        "mark": marks.reshape(-1),
    }


def _asked_point(decoded: DecodedRecord, question: Question, *, in_image: bool) -> NDArray[np.float64]:
    """Return the point of the only marked pixel, or its place in the image, (1, 3); NaN where there is not one."""
    if question.mark is None:
        return np.full((1, 3), np.nan)
    pixel = np.array([question.mark.pixel])
    if in_image:
        place = POINT_SCALE * (2 * (pixel + 0.5) / decoded.record.image_size - 1)
        return np.concatenate([place, np.zeros((1, 1))], axis=1)
    return decoded.points(question.mark.frame, pixel)
