"""What DINOv2, VGGT and Depth Anything 3 share: a transformer block, patch embedding, rotary positions.

Module names are those of the public checkpoints, so that their files load key by key.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gapdata.errors import UsageError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1]."""
Rotary = tuple[Tensor, Tensor]
"""Factors (T, head_dim) of each channel and of the channel it is paired with: cosines, and sines with their sign."""


class Block(nn.Module):
    """``x + ls1(attn(norm1(x)))``, then ``x + ls2(mlp(norm2(x)))``; GELU is the exact one, every layer has biases."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        *,
        norm_eps: float,
        qk_norm: bool = False,
        init_values: float | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, qk_norm)
        self.ls1 = nn.Identity() if init_values is None else LayerScale(dim, init_values)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        hidden = round(dim * mlp_ratio)
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(dim, hidden), act=nn.GELU(), fc2=nn.Linear(hidden, dim)))
        self.ls2 = nn.Identity() if init_values is None else LayerScale(dim, init_values)

    def forward(self, x: Tensor, rotary: Rotary | None = None) -> Tensor:
        """Mix tokens (B, T, D)."""
        x = x + self.ls1(self.attn(self.norm1(x), rotary))
        mixed: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return mixed


class Attention(nn.Module):
    """Multi-head self-attention; with ``qk_norm`` a LayerNorm over each head's queries and keys, before rotation."""

    def __init__(self, dim: int, num_heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def queries_keys_values(self, x: Tensor, rotary: Rotary | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (B, num_heads, T, head_dim)."""
        B, T, _ = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        return q.type_as(v), k.type_as(v), v

    def forward(self, x: Tensor, rotary: Rotary | None = None) -> Tensor:
        """Attend among tokens (B, T, D)."""
        attended = F.scaled_dot_product_attention(*self.queries_keys_values(x, rotary))
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(x.shape))
        return projected


class LayerScale(nn.Module):
    """A learned factor per channel, which starts small so that a deep network starts near the identity."""

    def __init__(self, dim: int, init_values: float) -> None:
        super().__init__()
        self.init_values = init_values
        self.gamma = nn.Parameter(torch.full((dim,), init_values))

    def forward(self, x: Tensor) -> Tensor:
        """Scale (..., D)."""
        return x * self.gamma


class PatchEmbed(nn.Module):
    """(I, 3, H, W) pixels to (I, h * w, D) tokens, row by row: one linear map of every patch."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed the patches of images."""
        patches: Tensor = self.proj(pixels.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)
        return patches


def normalised(images: Tensor) -> Tensor:
    """Return images (..., 3, H, W) of RGB in [0, 1] with ImageNet's mean and spread taken away."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def check_heads(embed_dim: int, num_heads: int) -> None:
    """Refuse a width whose heads cannot be rotated in two axes.

    Raises:
        UsageError: the heads do not have a multiple of four channels each.
    """
    if embed_dim % (4 * num_heads):
        raise UsageError(
            f"embed_dim {embed_dim} does not give {num_heads} heads a multiple of 4 channels each",
            cure="rotary positions in two axes turn channels in pairs; change embed_dim or num_heads",
        )


def rotary_positions(rows: int, columns: int, special: int, head_dim: int, base: float, device: torch.device) -> Rotary:
    """Return rotary factors of ``special`` tokens, which stand at position 0, and of a grid of patches after them.

    The patch in row i and column j stands at (1 + i, 1 + j). Half of a head's channels turn by the row, half by the
    column, with frequencies ``base ** (-k / n)`` for k of n = head_dim / 4 (RoFormer, arXiv 2104.09864, per axis). In
    each half, channel k is paired with channel k + n.
    """
    n = head_dim // 4
    frequency = base ** (-torch.arange(n, device=device) / n)
    grid = torch.cartesian_prod(torch.arange(1, rows + 1, device=device), torch.arange(1, columns + 1, device=device))
    positions = F.pad(grid, (0, 0, special, 0))  # (S + h * w, 2)
    angles = positions[:, :, None] * frequency  # (S + h * w, 2, n)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1).flatten(1), torch.cat([-sin, sin], dim=-1).flatten(1)


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn (..., T, head_dim) by the tokens' angles."""
    cos, sin = rotary
    row, row_pair, column, column_pair = x.chunk(4, dim=-1)
    return x * cos + torch.cat([row_pair, row, column_pair, column], dim=-1) * sin


def of_every_frame(tokens: Tensor, batch: int, frames: int) -> Tensor:
    """Return special tokens for every frame, (batch * frames, S, D).

    Args:
        tokens: (1, 2, S, D): index 0 is for the first frame of a view, index 1 for all others.
        batch: number of views.
        frames: of a view.
    """
    each = torch.cat([tokens[:, :1], tokens[:, 1:].expand(-1, frames - 1, -1, -1)], dim=1)  # (1, F, S, D)
    return each.expand(batch, -1, -1, -1).flatten(0, 1)
