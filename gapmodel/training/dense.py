"""Losses beside the text that teach random weights what pre-trained ones know.

GAP-MLLM starts from a vision tower and a language model that have seen the world and from VGGT, which has learned
geometry from millions of scans. The tiny preset starts from noise, and three numbers of text per question are too
little to learn to see and to look from. So while it trains

* each fused visual token is also asked what it shows: its point in the first camera, its class, and whether the mark
  lies on it: the question of stage 1, put to every token at once;
* each position of a stage 1 answer is also asked for the point that the question is about, as three numbers instead
  of digits, which teaches the language model to look at the marked token.

The heads are dropped afterwards and no answer is read from them; a recipe for pre-trained weights sets the loss's
weight to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gapdata.tasks.chat import Question
from gapmodel.processing import ProcessorConfig
from gapmodel.training.augment import View

POINT_SCALE = 2.0
"""Metres per unit of the head's output: rooms give coordinates of about this size."""


class DenseHead(nn.Module):
    """Point (3), mark (1) and class logits from fused visual tokens, and the asked point (3) from answer positions."""

    def __init__(self, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.sizes = (3, 1, classes)
        self.visual = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, sum(self.sizes)))
        self.asked = nn.Linear(hidden_size, 3)

    def visual_loss(self, tokens: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Sum of: L1 of the point in units of :data:`POINT_SCALE`, cross-entropy of the mark and of the class.

        Args:
            tokens: (T, D) fused visual tokens of a batch.
            targets: ``point`` (T, 3) metres with NaN where unknown, ``label`` (T,) class or -1, ``mark`` (T,) 0 or 1.
        """
        point, mark, label = self.visual(tokens).split(self.sizes, dim=-1)
        loss = point_loss(point, targets["point"])
        # As many marked as unmarked tokens in weight: one in a hundred is marked.
        share = targets["mark"].mean()
        if share > 0:
            loss = loss + F.binary_cross_entropy_with_logits(
                mark[:, 0], targets["mark"], pos_weight=(1 - share) / share
            )
        if (targets["label"] >= 0).any():
            loss = loss + F.cross_entropy(label, targets["label"], ignore_index=-1)
        return loss

    def asked_loss(self, hidden: Tensor, rows: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """L1 of the asked point, read at answer positions.

        Args:
            hidden: (n, D) the language model's last hidden states there.
            rows: (n,) the question of the batch that each belongs to.
            targets: ``asked`` (B, 3) metres, NaN for questions that ask for no point.
        """
        return point_loss(self.asked(hidden), targets["asked"][rows])


def point_loss(predicted: Tensor, metres: Tensor) -> Tensor:
    """Mean L1 distance (summed over the axes) in units of :data:`POINT_SCALE`, over the known points (n, 3)."""
    known = torch.isfinite(metres).all(dim=-1)
    error = (predicted - torch.nan_to_num(metres) / POINT_SCALE).abs().sum(dim=-1)
    return (error * known).sum() / known.sum().clamp(min=1)


def dense_targets(
    view: View, question: Question, config: ProcessorConfig, classes: Mapping[str, int], *, in_image: bool = False
) -> dict[str, NDArray[Any]]:
    """What each visual token shows at its centre: ``point`` (T, 3) metres first camera or NaN, ``label`` (T,) class
    or -1, ``mark`` (T,) 1 for a token that contains a marked pixel, and ``asked`` (1, 3) the point of the only marked
    pixel, NaN where there is none or several. ``in_image`` asks for the pixel's place instead (in an image whose sides
    run over the head's unit, both ways; third number 0), as the question does."""
    window = config.window(*view.record.image_size)
    rows, columns = (side // config.merge_size for side in window.grid)
    u = (window.left + (np.arange(columns) + 0.5) * window.width / columns).astype(np.int64)
    v = (window.top + (np.arange(rows) + 0.5) * window.height / rows).astype(np.int64)
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)  # (T / F, 2), raster order, as merged tokens come
    table = np.full(int(view.instances.max()) + 2, -1, dtype=np.int64)
    for item in view.record.objects:
        if item.object_id + 1 < len(table):
            table[item.object_id + 1] = classes.get(item.label, -1)
    points, labels, marks = [], [], []
    for frame in range(len(view.record)):
        points.append(view.points(frame, pixels))
        labels.append(table[view.instances[frame][pixels[:, 1], pixels[:, 0]]])
        mark = np.zeros((rows, columns), dtype=np.float32)
        for drawn in (drawn for drawn in question.marks if drawn.frame == frame):
            column = int((drawn.pixel[0] + 0.5 - window.left) * columns / window.width)
            row = int((drawn.pixel[1] + 0.5 - window.top) * rows / window.height)
            if 0 <= row < rows and 0 <= column < columns:
                mark[row, column] = 1.0
        marks.append(mark.reshape(-1))
    asked = np.full((1, 3), np.nan)
    if question.mark is not None:
        pixel = np.array([question.mark.pixel])
        asked = view.points(question.mark.frame, pixel)
        if in_image:
            place = POINT_SCALE * (2 * (pixel + 0.5) / view.record.image_size - 1)
            asked = np.concatenate([place, np.zeros((1, 1))], axis=1)
    return {
        "asked": asked.astype(np.float32),
        "point": np.concatenate(points).astype(np.float32),
        "label": np.concatenate(labels),
        "mark": np.concatenate(marks),
    }
