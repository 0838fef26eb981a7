"""A small geometry encoder of VGGT's shape: attention per frame and over all frames in turns, frame 0 told apart.

VGGT (arXiv 2503.11651) tells the first frame from the others by giving it other camera and register tokens;
everything else is symmetric in the frames. Features of a level are the frame block's and the global block's outputs
side by side. This one differs in size, in its patch embedding (a convolution instead of DINOv2) and in that it is
meant to be trained from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from gapmodel.geometry.base import GeometryEncoder

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet statistics, as VGGT normalises its input."""


class TinyGeometryEncoder(GeometryEncoder):
    """``depth`` pairs of (frame, global) attention blocks of width ``width``; features are ``2 * width`` wide."""

    def __init__(
        self,
        *,
        patch_size: int = 16,
        width: int = 96,
        depth: int = 4,
        heads: int = 4,
        registers: int = 1,
        levels: Sequence[int] = (0, 1, 2, 3),
        rope_base: float = 100.0,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.levels = tuple(levels)
        self.dim = 2 * width
        self.reference = "first"
        self.rope_base = rope_base
        self.head_dim = width // heads
        self.patch_embed = nn.Conv2d(3, width, patch_size, patch_size)
        # Index 0 belongs to the first frame, index 1 to every other one.
        self.camera_token = nn.Parameter(torch.zeros(2, 1, width))
        self.register_token = nn.Parameter(torch.zeros(2, registers, width))
        self.frame_blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.global_blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def init_weights(self) -> None:
        """Tokens as small normal noise; the buffers again, since a model may have been built on the meta device."""
        init.normal_(self.camera_token, std=0.02)
        init.normal_(self.register_token, std=0.02)
        init.copy_(self.mean, torch.tensor(MEAN).view(3, 1, 1))
        init.copy_(self.std, torch.tensor(STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :meth:`GeometryEncoder.forward`."""
        B, frames = images.shape[:2]
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        pixels = (images.flatten(0, 1) - mean) / std
        x = self.patch_embed(pixels.to(self.patch_embed.weight.dtype))  # (B * F, D, h, w)
        rows, columns = x.shape[-2:]
        x = torch.cat([self._special_tokens(B, frames), x.flatten(2).transpose(1, 2)], dim=1)  # (B * F, S + h * w, D)
        special = x.shape[1] - rows * columns
        angles = self._angles(rows, columns, special, x.device)
        angles_of_all = angles.repeat(frames, 1)

        features = []
        for level, (frame_block, global_block) in enumerate(zip(self.frame_blocks, self.global_blocks, strict=True)):
            x = frame_block(x, angles)
            in_frame = x
            x = global_block(x.reshape(B, -1, x.shape[-1]), angles_of_all).reshape(in_frame.shape)
            if level in self.levels:
                both = torch.cat([in_frame, x], dim=-1)[:, special:]
                features.append(both.reshape(B, frames, rows, columns, self.dim))
        return features

    def _special_tokens(self, B: int, frames: int) -> Tensor:
        """Camera and register tokens of every frame, (B * F, S, D)."""
        tokens = torch.cat([self.camera_token, self.register_token], dim=1)  # (2, S, D)
        which = torch.ones(frames, dtype=torch.long, device=tokens.device)
        which[0] = 0
        return tokens[which].repeat(B, 1, 1)

    def _angles(self, rows: int, columns: int, special: int, device: torch.device) -> Tensor:
        """Rotary angles, (S + h * w, head_dim / 2): half for rows, half for columns; special tokens at position 0."""
        quarter = self.head_dim // 4
        frequency = self.rope_base ** (-torch.arange(quarter, device=device) / quarter)
        row = torch.arange(1, rows + 1, device=device)[:, None].expand(rows, columns)
        column = torch.arange(1, columns + 1, device=device)[None, :].expand(rows, columns)
        position = torch.stack([row, column], dim=-1).reshape(-1, 2, 1) * frequency  # (h * w, 2, quarter)
        return F.pad(position.flatten(1), (0, 0, special, 0))


class Block(nn.Module):
    """Pre-norm attention with rotary positions and normalised queries and keys, then an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.LayerNorm(width // heads)
        self.k_norm = nn.LayerNorm(width // heads)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """(B, T, D) tokens at rotary ``angles`` (T, head_dim / 2)."""
        B, T, D = x.shape
        q, k, v = (
            self.qkv(self.norm1(x)).reshape(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )  # (B, heads, T, head_dim)
        q, k = rotate(self.q_norm(q), angles), rotate(self.k_norm(k), angles)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D))
        return x + self.mlp(self.norm2(x))


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the pairs (first half, second half) of the last dimension of (..., T, 2 * A) by ``angles`` (T, A)."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
