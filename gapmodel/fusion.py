"""Fusion of geometry and vision: each level of the geometry encoder is fused with one stream of visual tokens.

    geometry level l: (N, D_g) patches -> RMSNorm -> 2x2 blocks side by side -> MLP -> (T, D) tokens g
    visual stream:    (T, D) tokens v: "final", or "deepstack.0" ... that enter the first decoder blocks
    fused:            strategy(v, g)

``gated`` is GAP-MLLM's: both sides pass a LayerNorm, a gate in (0, 1) for each channel is computed from both, and the
fused token is ``gate * v + (1 - gate) * g``. This changes the scale of the visual tokens, so a pre-trained language
model has to adapt. ``gated_residual`` is ours: ``v + gate * W g`` with W = 0 at the start, so a fresh model answers
exactly like the one it was made from. N patches, T = N / 4 tokens, D the language model's width, I images.

A strategy is called with v, g and the (rows, columns) of every image's tokens. It returns the fused tokens and its
gate, (T, D) in (0, 1): the share of vision in ``gated`` and ``weighted``, the share of geometry that is let in in
``gated_residual``; ``None`` for the strategies without a gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from gapdata.errors import UsageError
from gapdata.runtime.choices import check_choice

Grids = Sequence[tuple[int, int]]
"""(rows, columns) of the visual tokens of each image, in order."""
FINAL = "final"


class GeometryMerger(nn.Module):
    """(N, ``geometry_dim``) patches in merge-block order to (N / merge**2, ``hidden_size``) tokens."""

    def __init__(self, geometry_dim: int, merger_dim: int, hidden_size: int, merge: int) -> None:
        super().__init__()
        self.block_dim = geometry_dim * merge**2
        self.norm = nn.RMSNorm(geometry_dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(self.block_dim, merger_dim), nn.GELU(), nn.Linear(merger_dim, hidden_size))

    def forward(self, patches: Tensor) -> Tensor:
        """Merge each run of ``merge**2`` rows into one token."""
        tokens: Tensor = self.mlp(self.norm(patches.to(self.norm.weight.dtype)).reshape(-1, self.block_dim))
        return tokens


class Gated(nn.Module):
    """``gate * norm(v) + (1 - gate) * norm(g)``: the paper's fusion."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.gate = nn.Linear(2 * hidden_size, hidden_size)

    def normalised(self, visual: Tensor, geometry: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return both sides after their norms, and the gate that is computed from them."""
        v, g = self.norm_visual(visual), self.norm_geometry(geometry)
        return v, g, torch.sigmoid(self.gate(torch.cat([v, g], dim=-1)))

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D)."""
        v, g, gate = self.normalised(visual, geometry)
        return gate * v + (1 - gate) * g, gate


class ZeroLinear(nn.Linear):
    """A linear layer that starts as zero."""

    def init_weights(self) -> None:
        """Set weights and bias to zero."""
        init.zeros_(self.weight)
        init.zeros_(self.bias)


class GatedResidual(Gated):
    """``v + gate * W norm(g)`` with W = 0 at initialisation: exactly the visual tokens until training moves it."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.out = ZeroLinear(hidden_size, hidden_size)

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D)."""
        _, g, gate = self.normalised(visual, geometry)
        return visual + gate * self.out(g), gate


class Add(nn.Module):
    """``v + g``: the naive fusion of earlier work."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D)."""
        return visual + geometry, None


class Concat(nn.Module):
    """A linear map of both normalised sides."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.proj = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D)."""
        return self.proj(torch.cat([self.norm_visual(visual), self.norm_geometry(geometry)], dim=-1)), None


class Weighted(nn.Module):
    """One learned weight for each side, normalised by a softmax so that the two sum to 1."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def init_weights(self) -> None:
        """Give both sides the same weight."""
        init.zeros_(self.weight)

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D)."""
        share = F.softmax(self.weight, dim=0)
        return share[0] * visual + share[1] * geometry, share[0].expand_as(visual)


class CrossAttention(nn.Module):
    """The visual tokens of a frame attend to the geometry tokens of the same frame; then an MLP, both residual.

    Frames do not attend to each other here: geometry tokens already come out of attention over all frames of a view.
    Fixed sine positions of the token grid are added to queries and keys.
    """

    def __init__(self, hidden_size: int, heads: int = 8) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.attention = nn.MultiheadAttention(hidden_size, heads)
        self.norm_mlp = nn.LayerNorm(hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, 4 * hidden_size), nn.GELU(), nn.Linear(4 * hidden_size, hidden_size)
        )

    def forward(self, visual: Tensor, geometry: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse (T, D) with (T, D), image by image."""
        places = {grid: grid_positions(*grid, visual.shape[-1]) for grid in set(grids)}
        place = torch.cat([places[grid] for grid in grids]).to(visual)
        v, g = self.norm_visual(visual), self.norm_geometry(geometry)
        lengths = [rows * columns for rows, columns in grids]
        images = zip(*(tokens.split(lengths) for tokens in (v + place, g + place, g)), strict=True)
        x = visual + torch.cat([self.attention(*image, need_weights=False)[0] for image in images])
        return x + self.mlp(self.norm_mlp(x)), None


def grid_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Return sines and cosines of each token's row and column, (rows * columns, dim), each a quarter of ``dim``."""
    frequency = 10_000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = torch.cat([axis.reshape(-1, 1) * frequency for axis in (row, column)], dim=-1)  # (rows * columns, dim / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


STRATEGIES: dict[str, type[nn.Module]] = {
    "gated": Gated,
    "gated_residual": GatedResidual,
    "add": Add,
    "concat": Concat,
    "weighted": Weighted,
    "cross_attention": CrossAttention,
}


class FusionLevel(nn.Module):
    """One level's merger and strategy."""

    def __init__(self, strategy: str, geometry_dim: int, merger_dim: int, hidden_size: int, merge: int) -> None:
        super().__init__()
        check_choice("fusion strategy", strategy, STRATEGIES)
        self.merger = GeometryMerger(geometry_dim, merger_dim, hidden_size, merge)
        self.fuse = STRATEGIES[strategy](hidden_size)

    def forward(self, visual: Tensor, patches: Tensor, grids: Grids) -> tuple[Tensor, Tensor | None]:
        """Fuse visual tokens (T, D) with the geometry patches of the same window, (N, D_g) in merge-block order."""
        fused: tuple[Tensor, Tensor | None] = self.fuse(
            visual, self.merger(patches.to(visual.device)).to(visual.dtype), grids
        )
        return fused


def fusion_streams(fusion: str | Mapping[str, str], levels: int, deepstack: int) -> dict[str, str]:
    """Return the strategy of each visual stream that geometry is fused into, in the order of the encoder's levels.

    Args:
        fusion: one strategy for all levels: the last level goes to ``final``, those before it to ``deepstack.0``,
            ``deepstack.1``, ... in order. Or stream -> strategy, for as many streams as the encoder has levels;
            DeepStack streams in order and then ``final`` receive the levels in order.
        levels: levels that the geometry encoder gives.
        deepstack: DeepStack levels of the vision model.

    Raises:
        UsageError: levels and streams are not equally many, or a stream does not exist.
    """
    known = [*(f"deepstack.{index}" for index in range(deepstack)), FINAL]
    if isinstance(fusion, str):
        streams = dict.fromkeys([*known[: min(levels, deepstack + 1) - 1], FINAL], fusion)
    else:
        for name in fusion:
            check_choice("visual stream", name, known)
        streams = {name: fusion[name] for name in known if name in fusion}
    if len(streams) != levels:
        raise UsageError(
            f"the geometry encoder gives {levels} levels for the visual streams {', '.join(streams) or 'none'}",
            cure=f"choose one level for each stream; there are {', '.join(known)}",
        )
    return streams
