"""A small encoder of VGGT's shape, to be trained from scratch: for tests and the demo.

Besides its size it differs in its patch embedding (one linear map instead of DINOv2), in special tokens that start with
different values, and it does not have LayerScale, which would start it near the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from gapmodel.geometry.vggt import VGGT


class TinyGeometryEncoder(VGGT):
    """``depth`` pairs of (frame, global) attention blocks of width ``width``; features are ``2 * width`` wide."""

    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = ""

    def __init__(
        self,
        *,
        patch_size: int = 16,
        width: int = 96,
        depth: int = 4,
        heads: int = 4,
        levels: Sequence[int] = (0, 1, 2, 3),
    ) -> None:
        super().__init__(
            patch_size=patch_size,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            num_register_tokens=1,
            levels=levels,
            patch_embed="conv",
            init_values=None,
            token_std=0.02,
        )
