"""The fusion strategies, each against its formula, and the order in which patches become tokens."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gapdata.errors import UsageError
from gapmodel.fusion import STRATEGIES, FusionLevel, Gated, GatedResidual, GeometryMerger, Weighted
from gapmodel.geometry.base import merge_block_order

WIDTH = 16


def tokens(seed: int, count: int = 5, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gated_fusion_is_the_papers_formula() -> None:
    fuse = Gated(WIDTH).double()
    v, g = tokens(0), tokens(1)
    norm_v, norm_g = F.layer_norm(v, (WIDTH,)), F.layer_norm(g, (WIDTH,))
    gate = torch.sigmoid(torch.cat([norm_v, norm_g], -1) @ fuse.gate.weight.T + fuse.gate.bias)
    torch.testing.assert_close(fuse(v, g), gate * norm_v + (1 - gate) * norm_g)


def test_an_open_gate_passes_vision_and_a_closed_one_geometry() -> None:
    fuse = Gated(WIDTH).double()
    v, g = tokens(0), tokens(1)
    torch.nn.init.zeros_(fuse.gate.weight)
    torch.nn.init.constant_(fuse.gate.bias, 40.0)
    torch.testing.assert_close(fuse(v, g), F.layer_norm(v, (WIDTH,)))
    torch.nn.init.constant_(fuse.gate.bias, -40.0)
    torch.testing.assert_close(fuse(v, g), F.layer_norm(g, (WIDTH,)))


def test_gated_residual_is_exactly_vision_until_its_output_moves() -> None:
    fuse = GatedResidual(WIDTH).double()
    fuse.out.init_weights()
    v, g = tokens(0), tokens(1)
    assert torch.equal(fuse(v, g), v)
    torch.nn.init.eye_(fuse.out.weight)
    assert not torch.equal(fuse(v, g), v)


def test_weighted_fusion_starts_as_the_mean() -> None:
    v, g = tokens(0), tokens(1)
    torch.testing.assert_close(Weighted(WIDTH).double()(v, g), (v + g) / 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_tokens_apart(strategy: str) -> None:
    fuse = STRATEGIES[strategy](WIDTH).double()
    v, g = tokens(0), tokens(1)
    torch.testing.assert_close(fuse(v, g)[2:3], fuse(v[2:3], g[2:3]))


def test_the_merger_joins_runs_of_four_patches() -> None:
    merger = GeometryMerger(8, WIDTH, merge=2).double()
    patches = tokens(2, count=12, width=8)
    merged = merger(patches)
    assert merged.shape == (3, WIDTH)
    torch.testing.assert_close(merger(patches[4:8]), merged[1:2])
    scaled = merger(patches * torch.linspace(1, 9, 12, dtype=torch.float64)[:, None])
    torch.testing.assert_close(scaled, merged, rtol=1e-4, atol=1e-4)  # each patch is normalised before the merge


def test_merge_block_order_keeps_two_by_two_blocks_together() -> None:
    grid = torch.arange(2 * 4 * 6).reshape(2, 4, 6, 1)
    order = merge_block_order(grid, 2).flatten().tolist()
    assert order[:8] == [0, 1, 6, 7, 2, 3, 8, 9]
    assert order[12:16] == [12, 13, 18, 19]
    assert order[24:28] == [24, 25, 30, 31]  # the second image
    assert sorted(order) == list(range(48))


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="fusion strategy 'film' is unknown; choose from gated, gated_residual, add"):
        FusionLevel("film", 8, WIDTH, 2)
