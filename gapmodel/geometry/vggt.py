"""VGGT's aggregator (arXiv 2503.11651, figure 2): attention within each frame and over all frames in turns.

    frames -> DINOv2 patches
    tokens of a frame: [camera, registers, patches]          the first frame's camera and registers differ from the rest
    24 x ( frame attention -> global attention )             rotary positions; special tokens stand at position 0
    features of level l: [frame block l's output, global block l's output], side by side, patches only

Only its special tokens distinguish the first frame from the others, so the features are relative to its camera and do
not depend on the order of the other frames. VGGT's heads (cameras, depth, points, tracks) are not here: the fusion
reads the features themselves.

Parameter names are those of the file of facebook/VGGT-1B without its prefix ``aggregator.``: 1210 tensors with 909.1
million values at the default sizes (:func:`gapmodel.checkpoints.load_geometry` reads the file).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import initialization as init

from gapmodel.geometry.base import GeometryEncoder, check_levels
from gapmodel.geometry.blocks import (
    Block,
    LayerScale,
    PatchEmbed,
    check_heads,
    normalised,
    of_every_frame,
    rotary_positions,
)
from gapmodel.geometry.dinov2 import DinoV2

NORM_EPS = 1e-5


class VGGT(GeometryEncoder):
    """The aggregator; features of a level are ``2 * embed_dim`` wide.

    Args:
        img_size: side in pixels of a square image with the grid of DINOv2's positions; other sizes are interpolated.
        patch_size: side of a patch in pixels.
        embed_dim: width of DINOv2 and of the aggregator.
        depth: pairs of a frame and a global attention block.
        num_heads: attention heads of these blocks.
        mlp_ratio: width of the hidden layer of a block's MLP, relative to ``embed_dim``.
        num_register_tokens: registers of a frame.
        levels: the pairs that give features, ascending.
        patch_embed: ``dinov2``, or ``conv`` for one linear map of each patch.
        dino_depth: DINOv2's blocks; ``depth`` if left out.
        dino_num_heads: DINOv2's attention heads; ``num_heads`` if left out.
        dino_num_register_tokens: DINOv2's registers; ``num_register_tokens`` if left out.
        rope_freq: base of the rotary frequencies.
        init_values: start of the aggregator's LayerScale; ``None`` leaves LayerScale out.
        token_std: spread of the special tokens at initialisation.
    """

    # VGGT's code and the later file VGGT-1B-Commercial allow commercial use; this file does not.
    licence: ClassVar[str] = "CC-BY-NC-4.0"
    source: ClassVar[str] = "facebook/VGGT-1B"

    def __init__(
        self,
        *,
        img_size: int = 518,
        patch_size: int = 14,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        num_register_tokens: int = 4,
        levels: Sequence[int] = (4, 11, 17, 23),
        patch_embed: Literal["dinov2", "conv"] = "dinov2",
        dino_depth: int | None = None,
        dino_num_heads: int | None = None,
        dino_num_register_tokens: int | None = None,
        rope_freq: float = 100.0,
        init_values: float | None = 0.01,
        token_std: float = 1e-6,
    ) -> None:
        super().__init__()
        check_heads(embed_dim, num_heads)
        check_levels(levels, range(depth), "pairs of blocks")
        self.patch_size = patch_size
        self.levels = tuple(levels)
        self.dim = 2 * embed_dim
        self.reference = "first"
        self.special = 1 + num_register_tokens
        self.head_dim = embed_dim // num_heads
        self.rope_freq = rope_freq
        self.token_std = token_std
        self.patch_embed: nn.Module
        if patch_embed == "conv":
            self.patch_embed = PatchEmbed(patch_size, embed_dim)
        else:
            self.patch_embed = DinoV2(
                img_size=img_size,
                patch_size=patch_size,
                embed_dim=embed_dim,
                depth=_first(dino_depth, depth),
                num_heads=_first(dino_num_heads, num_heads),
                mlp_ratio=mlp_ratio,
                num_register_tokens=_first(dino_num_register_tokens, num_register_tokens),
            )
        # Index 0 is for the first frame, index 1 for all others.
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, embed_dim))
        self.register_token = nn.Parameter(torch.empty(1, 2, num_register_tokens, embed_dim))
        self.frame_blocks, self.global_blocks = (
            nn.ModuleList(
                Block(embed_dim, num_heads, mlp_ratio, norm_eps=NORM_EPS, qk_norm=True, init_values=init_values)
                for _ in range(depth)
            )
            for _ in range(2)
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise special tokens, positions and layer scales as VGGT does."""
        init.normal_(self.camera_token, std=self.token_std)
        init.normal_(self.register_token, std=self.token_std)
        for module in self.modules():
            if isinstance(module, DinoV2):
                module.init_weights()
            elif isinstance(module, LayerScale):
                init.constant_(module.gamma, module.init_values)

    def encode(self, images: Tensor) -> list[Tensor]:
        """See :meth:`GeometryEncoder.forward`."""
        B, frames, _, H, W = images.shape
        rows, columns = H // self.patch_size, W // self.patch_size
        patches = self.patch_embed(normalised(images).flatten(0, 1))  # (B * F, h * w, D)
        x = torch.cat([self._special_tokens(B, frames), patches], dim=1)  # (B * F, S + h * w, D)
        of_frame = cos, sin = rotary_positions(rows, columns, self.special, self.head_dim, self.rope_freq, x.device)
        of_view = cos.repeat(frames, 1), sin.repeat(frames, 1)  # every frame has the same positions

        features = []
        for level in range(self.levels[-1] + 1):
            x = in_frame = self.frame_blocks[level](x, of_frame)
            x = self.global_blocks[level](x.reshape(B, -1, x.shape[-1]), of_view).reshape(in_frame.shape)
            if level in self.levels:
                both = torch.cat([in_frame, x], dim=-1)[:, self.special :]
                features.append(both.reshape(B, frames, rows, columns, self.dim))
        return features

    def attention_pairs(self) -> dict[int, tuple[nn.Module, nn.Module]]:
        """See :meth:`GeometryEncoder.attention_pairs`."""
        return dict(enumerate(zip(self.frame_blocks, self.global_blocks, strict=True)))

    def _special_tokens(self, B: int, frames: int) -> Tensor:
        """Return the camera and register tokens of every frame, (B * F, S, D)."""
        return of_every_frame(torch.cat([self.camera_token, self.register_token], dim=2), B, frames)


def _first(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
