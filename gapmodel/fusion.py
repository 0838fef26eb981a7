"""Where geometry meets vision: each level of the geometry encoder is fused with the visual tokens of the same level.

    geometry level l: (N, D_g) patches -> RMSNorm -> 2x2 blocks side by side -> MLP -> (T, D) tokens g
    visual level l:   (T, D) tokens v (final tokens, or one of DeepStack's)
    fused:            strategy(v, g)

``gated`` is GAP-MLLM's: both sides are LayerNorm-ed, a gate in (0, 1) per channel is computed from both, and the
fused token is ``gate * v + (1 - gate) * g``; it replaces the scale of the visual tokens, so a pre-trained language
model has to adapt. ``gated_residual`` is ours: ``v + gate * W g`` with W = 0 at the start, so a fresh model answers
exactly like the one it was made from. N patches, T = N / 4 tokens, D the language model's width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from gapdata.errors import UsageError


class GeometryMerger(nn.Module):
    """(N, ``geometry_dim``) patches in merge-block order to (N / merge**2, ``hidden_size``) tokens."""

    def __init__(self, geometry_dim: int, hidden_size: int, merge: int) -> None:
        super().__init__()
        self.block_dim = geometry_dim * merge**2
        self.norm = nn.RMSNorm(geometry_dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(self.block_dim, hidden_size), nn.GELU(), nn.Linear(hidden_size, hidden_size))

    def forward(self, patches: Tensor) -> Tensor:
        """Merge each run of ``merge**2`` rows into one token."""
        return self.mlp(self.norm(patches).reshape(-1, self.block_dim))


class Gated(nn.Module):
    """``gate * norm(v) + (1 - gate) * norm(g)``: the paper's fusion."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.gate = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, visual: Tensor, geometry: Tensor) -> Tensor:
        """Fuse (T, D) with (T, D)."""
        v, g = self.norm_visual(visual), self.norm_geometry(geometry)
        gate = torch.sigmoid(self.gate(torch.cat([v, g], dim=-1)))
        return gate * v + (1 - gate) * g


class ZeroLinear(nn.Linear):
    """A linear layer that starts as zero."""

    def init_weights(self) -> None:
        """Called instead of the initialisation of other linear layers."""
        init.zeros_(self.weight)
        init.zeros_(self.bias)


class GatedResidual(nn.Module):
    """``v + gate * W norm(g)`` with W = 0 at initialisation: exactly the visual tokens until training moves it."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.gate = nn.Linear(2 * hidden_size, hidden_size)
        self.out = ZeroLinear(hidden_size, hidden_size)

    def forward(self, visual: Tensor, geometry: Tensor) -> Tensor:
        """Fuse (T, D) with (T, D)."""
        g = self.norm_geometry(geometry)
        gate = torch.sigmoid(self.gate(torch.cat([self.norm_visual(visual), g], dim=-1)))
        return visual + gate * self.out(g)


class Add(nn.Module):
    """``v + g``: the naive fusion of earlier work."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()

    def forward(self, visual: Tensor, geometry: Tensor) -> Tensor:
        """Fuse (T, D) with (T, D)."""
        return visual + geometry


class Concat(nn.Module):
    """A linear map of both normalised sides."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.norm_visual = nn.LayerNorm(hidden_size)
        self.norm_geometry = nn.LayerNorm(hidden_size)
        self.proj = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, visual: Tensor, geometry: Tensor) -> Tensor:
        """Fuse (T, D) with (T, D)."""
        return self.proj(torch.cat([self.norm_visual(visual), self.norm_geometry(geometry)], dim=-1))


class Weighted(nn.Module):
    """One learned weight for each side, normalised by a softmax so that the two sum to 1."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def init_weights(self) -> None:
        """Half of each."""
        init.zeros_(self.weight)

    def forward(self, visual: Tensor, geometry: Tensor) -> Tensor:
        """Fuse (T, D) with (T, D)."""
        share = F.softmax(self.weight, dim=0)
        return share[0] * visual + share[1] * geometry


STRATEGIES: dict[str, type[nn.Module]] = {
    "gated": Gated,
    "gated_residual": GatedResidual,
    "add": Add,
    "concat": Concat,
    "weighted": Weighted,
}


class FusionLevel(nn.Module):
    """One level's merger and strategy."""

    def __init__(self, strategy: str, geometry_dim: int, hidden_size: int, merge: int) -> None:
        super().__init__()
        if strategy not in STRATEGIES:
            raise UsageError(f"fusion strategy {strategy!r} is unknown", cure=f"choose from {', '.join(STRATEGIES)}")
        self.merger = GeometryMerger(geometry_dim, hidden_size, merge)
        self.fuse = STRATEGIES[strategy](hidden_size)

    def forward(self, visual: Tensor, patches: Tensor) -> Tensor:
        """Visual tokens (T, D) and the geometry patches of the same field of view, (N, D_g) in merge-block order."""
        return self.fuse(visual, self.merger(patches).to(visual.dtype))
