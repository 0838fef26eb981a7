"""What a geometry encoder is: several frames in, patch features of several depths of the network out.

Shape letters used in this package: B views, F frames of a view, H x W pixels, h x w patches, D channels, L levels, N
patches of all frames of a batch one after another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn


class GeometryEncoder(nn.Module, ABC):
    """Encodes the frames of a view together, so that its features know the views' relative geometry.

    ``levels`` are the depths of the network whose features come out, earliest first; the last one is fused with the
    final visual tokens, those before it with the DeepStack levels in order. ``reference`` says whether features are
    relative to the first frame's camera (``"first"``: metric coordinates "in the first camera" can be read from them)
    or to none.
    """

    patch_size: int
    levels: tuple[int, ...]
    dim: int
    config: dict[str, Any]
    reference: Literal["first", "none"]

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Patch features, one (B, F, h, w, ``dim``) per level.

        Args:
            images: (B, F, 3, H, W) RGB in [0, 1]; H and W multiples of ``patch_size``.
        """

    @abstractmethod
    def init_weights(self) -> None:
        """Initialise what is no linear or normalisation layer, through ``transformers.initialization``."""


def merge_block_order(features: Tensor, merge: int) -> Tensor:
    """(I, h, w, D) patch features of I images to (I * h * w, D) in Qwen's order: merge x merge blocks stay together."""
    images, rows, columns, dim = features.shape
    blocks = features.reshape(images, rows // merge, merge, columns // merge, merge, dim)
    return blocks.transpose(2, 3).reshape(-1, dim)


def encode_views(encoder: GeometryEncoder, views: Tensor | Sequence[Tensor], merge: int) -> list[Tensor]:
    """Encode a batch of views, of equal shape (B, F, 3, H, W) or ragged [(F, 3, H, W)], to one (N, D) per level.

    Patches come in the order of Qwen's visual tokens: view by view, frame by frame, merge blocks together.
    """
    batches = [views] if isinstance(views, Tensor) else [view[None] for view in views]
    encoded = [encoder(batch) for batch in batches]
    levels = []
    for level in range(len(encoder.levels)):
        parts = [merge_block_order(features[level].flatten(0, 1), merge) for features in encoded]
        levels.append(torch.cat(parts))
    return levels
