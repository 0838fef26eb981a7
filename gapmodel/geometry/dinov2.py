"""DINOv2 with registers (arXiv 2304.07193, 2309.16588): how VGGT turns each frame into patch tokens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from gapmodel.geometry.blocks import Block, PatchEmbed

NORM_EPS = 1e-6
INIT_VALUES = 1.0
"""LayerScale's start."""


class DinoV2(nn.Module):
    """A vision transformer of ``depth`` blocks; its learned positions are interpolated to the image's grid.

    Args:
        img_size: side in pixels of a square image with the grid of ``pos_embed``.
        patch_size: side of a patch in pixels.
        embed_dim: width.
        depth: number of blocks.
        num_heads: attention heads of a block.
        mlp_ratio: width of the hidden layer of a block's MLP, relative to ``embed_dim``.
        num_register_tokens: registers, which have no position.
    """

    def __init__(
        self,
        *,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        num_register_tokens: int,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        side = img_size // patch_size
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + side**2, embed_dim))
        self.register_tokens = nn.Parameter(torch.empty(1, num_register_tokens, embed_dim))
        # Used only in masked pre-training, but it is in the public file.
        self.mask_token = nn.Parameter(torch.empty(1, embed_dim), requires_grad=False)
        self.patch_embed = PatchEmbed(patch_size, embed_dim)
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, mlp_ratio, norm_eps=NORM_EPS, init_values=INIT_VALUES) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=NORM_EPS)

    def init_weights(self) -> None:
        """Initialise tokens as DINOv2 does."""
        init.trunc_normal_(self.pos_embed, std=0.02)
        init.normal_(self.cls_token, std=1e-6)
        init.normal_(self.register_tokens, std=1e-6)
        init.zeros_(self.mask_token)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalised pixels (I, 3, H, W) as normalised patch tokens (I, h * w, D), row by row."""
        rows, columns = (side // self.patch_size for side in pixels.shape[-2:])
        patches = self.patch_embed(pixels)
        x = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        x = x + self.positions(rows, columns).to(x.dtype)
        registers = self.register_tokens.expand(len(pixels), -1, -1)
        x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)  # (I, 1 + R + h * w, D)
        for block in self.blocks:
            x = block(x)
        tokens: Tensor = self.norm(x)[:, 1 + registers.shape[1] :]
        return tokens

    def positions(self, rows: int, columns: int) -> Tensor:
        """Return the position embedding of the class token and of a grid of patches, (1, 1 + h * w, D)."""
        return resized_positions(self.pos_embed, rows, columns, offset=0, antialias=True)


def resized_positions(learned: Tensor, rows: int, columns: int, *, offset: float, antialias: bool) -> Tensor:
    """Resize learned positions of a class token and a square grid to (rows, columns), in float32 and bicubically.

    If the image has the learned grid, they are returned as they are. DINOv2 once asked for ``offset`` = 0.1 patches
    more than there are, so that rounding could not lose one; files of that time depend on its slightly smaller step.

    Args:
        learned: (1, 1 + side * side, D), the class token first.
        rows: patches of a column of the image.
        columns: patches of a row.
        offset: patches that the scale counts beyond the rows and columns.
        antialias: widen the filter where the grid shrinks.
    """
    side = math.isqrt(learned.shape[1] - 1)
    if rows == columns == side:
        return learned
    learned = learned.float()
    square = learned[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + offset) / side, (columns + offset) / side) if offset else None
    size = None if offset else (rows, columns)
    grid = F.interpolate(square, size, scale, mode="bicubic", antialias=antialias)
    return torch.cat([learned[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
