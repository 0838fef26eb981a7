"""The backbone of Depth Anything 3 (arXiv 2511.10647): a DINOv2 of which the later blocks see all frames in turns.

    frames -> patches and a class token, with DINOv2's learned positions
    blocks before ``alt_start``: each frame by itself, as in DINOv2
    then a camera token takes the class token's place        the first frame's differs from the rest
    later blocks: even ones attend within each frame, odd ones over all frames, with normalised queries and keys
    features of level l: [block l - 1's output, the norm of block l's output], side by side, patches only

Within a frame, rotary positions are those of VGGT. Over all frames, every patch stands at (1, 1) and the camera tokens
at (0, 0): the patches are told apart by what they hold.

Depth Anything 3 chooses the frame that is the reference by the features themselves if there are more than two. Here it
is the first one, as in its authors' own evaluation, because the questions are about the first camera. Its heads (depth,
rays, cameras) are not here, nor is its encoder of known cameras.

Parameter names are those of the public files without their prefix ``model.backbone.pretrained.``: 207 tensors of the
sizes Small and Base, 407 of Large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization as init

from gapmodel.geometry.base import GeometryEncoder, check_levels
from gapmodel.geometry.blocks import (
    Block,
    LayerScale,
    PatchEmbed,
    Rotary,
    check_heads,
    normalised,
    of_every_frame,
    rotary_positions,
)
from gapmodel.geometry.dinov2 import INIT_VALUES, NORM_EPS, resized_positions

OFFSET = 0.1
"""See :func:`gapmodel.geometry.dinov2.resized_positions`."""


class DepthAnything3(GeometryEncoder):
    """The backbone, by default of the size Base; features of a level are ``2 * embed_dim`` wide.

    Args:
        img_size: side in pixels of a square image with the grid of the learned positions; others are interpolated.
        patch_size: side of a patch in pixels.
        embed_dim: width.
        depth: number of blocks.
        num_heads: attention heads of a block.
        mlp_ratio: width of the hidden layer of a block's MLP, relative to ``embed_dim``.
        alt_start: the first block after the exchange of the class token. From it on, odd blocks see all frames.
        levels: odd blocks that give features, ascending.
        rope_freq: base of the rotary frequencies.
    """

    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "depth-anything/DA3-BASE"

    def __init__(
        self,
        *,
        img_size: int = 518,
        patch_size: int = 14,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        alt_start: int = 4,
        levels: Sequence[int] = (5, 7, 9, 11),
        rope_freq: float = 100.0,
    ) -> None:
        super().__init__()
        check_heads(embed_dim, num_heads)
        self.over_frames = range(alt_start + 1 - alt_start % 2, depth, 2)
        check_levels(levels, self.over_frames, "blocks that see all frames")
        self.patch_size = patch_size
        self.levels = tuple(levels)
        self.dim = 2 * embed_dim
        self.reference = "first"
        self.special = 1
        self.alt_start = alt_start
        self.head_dim = embed_dim // num_heads
        self.rope_freq = rope_freq
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        # Index 0 is for the first frame, index 1 for all others.
        self.camera_token = nn.Parameter(torch.empty(1, 2, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (img_size // patch_size) ** 2, embed_dim))
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                norm_eps=NORM_EPS,
                qk_norm=index >= alt_start,
                init_values=INIT_VALUES,
            )
            for index in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise tokens, positions and layer scales as DINOv2 and Depth Anything 3 do."""
        init.trunc_normal_(self.pos_embed, std=0.02)
        init.normal_(self.cls_token, std=1e-6)
        init.normal_(self.camera_token)
        for module in self.modules():
            if isinstance(module, LayerScale):
                init.constant_(module.gamma, module.init_values)

    def encode(self, images: Tensor) -> list[Tensor]:
        """See :meth:`GeometryEncoder.forward`."""
        B, frames, _, H, W = images.shape
        rows, columns = H // self.patch_size, W // self.patch_size
        patches = self.patch_embed(normalised(images).flatten(0, 1))  # (B * F, h * w, D)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)  # (B * F, 1 + h * w, D)
        x = x + resized_positions(self.pos_embed, rows, columns, offset=OFFSET, antialias=False).to(x.dtype)
        of_frame, of_view = self._rotaries(frames, rows, columns, x.device)

        features, in_frame = [], x
        for index in range(self.levels[-1] + 1):
            if index == self.alt_start:
                x = torch.cat([of_every_frame(self.camera_token[:, :, None], B, frames), x[:, 1:]], dim=1)
            if index in self.over_frames:
                x = self.blocks[index](x.reshape(B, -1, x.shape[-1]), of_view).reshape(x.shape)
            else:
                x = in_frame = self.blocks[index](x, of_frame if index >= self.alt_start else None)
            if index in self.levels:
                both = torch.cat([in_frame, self.norm(x)], dim=-1)[:, 1:]
                features.append(both.reshape(B, frames, rows, columns, self.dim))
        return features

    def attention_pairs(self) -> dict[int, tuple[nn.Module, nn.Module]]:
        """See :meth:`GeometryEncoder.attention_pairs`."""
        return {index: (self.blocks[index - 1], self.blocks[index]) for index in self.over_frames}

    def _rotaries(self, frames: int, rows: int, columns: int, device: torch.device) -> tuple[Rotary, Rotary]:
        """Return the rotary factors of a frame's tokens and of those of all frames."""
        of_frame = rotary_positions(rows, columns, 1, self.head_dim, self.rope_freq, device)
        # Of one token and one patch: the first patch stands at (1, 1).
        alike = (factor[[0] + [1] * (rows * columns)] for factor in of_frame)
        cos, sin = (factor.repeat(frames, 1) for factor in alike)
        return of_frame, (cos, sin)


class DepthAnything3Small(DepthAnything3):
    """The size Small; ``options`` are those of :class:`DepthAnything3`."""

    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "depth-anything/DA3-SMALL"

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"embed_dim": 384, "num_heads": 6} | options))


class DepthAnything3Large(DepthAnything3):
    """The size Large; ``options`` are those of :class:`DepthAnything3`."""

    licence: ClassVar[str] = "CC-BY-NC-4.0"
    source: ClassVar[str] = "depth-anything/DA3-LARGE"

    def __init__(self, **options: Any) -> None:
        size: dict[str, Any] = {
            "embed_dim": 1024,
            "depth": 24,
            "num_heads": 16,
            "alt_start": 8,
            "levels": (11, 15, 19, 23),
        }
        super().__init__(**(size | options))
