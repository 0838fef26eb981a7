"""The fusion strategies, each against its formula, and the order in which patches become tokens."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gapdata.errors import UsageError
from gapmodel.fusion import (
    STRATEGIES,
    CrossAttention,
    FusionLevel,
    Gated,
    GatedResidual,
    GeometryMerger,
    Weighted,
    fusion_streams,
    grid_positions,
)
from gapmodel.geometry.base import merge_block_order

WIDTH = 16
GRIDS = [(1, 2), (3, 1)]
"""Two images of two and of three tokens: what ``tokens`` makes."""


def tokens(seed: int, count: int = 5, width: int = WIDTH) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gated_fusion_is_the_papers_formula() -> None:
    fuse = Gated(WIDTH).double()
    v, g = tokens(0), tokens(1)
    norm_v, norm_g = F.layer_norm(v, (WIDTH,)), F.layer_norm(g, (WIDTH,))
    gate = torch.sigmoid(torch.cat([norm_v, norm_g], -1) @ fuse.gate.weight.T + fuse.gate.bias)
    fused, given = fuse(v, g, GRIDS)
    torch.testing.assert_close(fused, gate * norm_v + (1 - gate) * norm_g)
    torch.testing.assert_close(given, gate)


def test_an_open_gate_passes_vision_and_a_closed_one_geometry() -> None:
    fuse = Gated(WIDTH).double()
    v, g = tokens(0), tokens(1)
    torch.nn.init.zeros_(fuse.gate.weight)
    torch.nn.init.constant_(fuse.gate.bias, 40.0)
    torch.testing.assert_close(fuse(v, g, GRIDS)[0], F.layer_norm(v, (WIDTH,)))
    torch.nn.init.constant_(fuse.gate.bias, -40.0)
    torch.testing.assert_close(fuse(v, g, GRIDS)[0], F.layer_norm(g, (WIDTH,)))


def test_gated_residual_is_exactly_vision_until_its_output_moves() -> None:
    fuse = GatedResidual(WIDTH).double()
    fuse.out.init_weights()
    v, g = tokens(0), tokens(1)
    assert torch.equal(fuse(v, g, GRIDS)[0], v)
    torch.nn.init.eye_(fuse.out.weight)
    assert not torch.equal(fuse(v, g, GRIDS)[0], v)


def test_weighted_fusion_starts_as_the_mean() -> None:
    v, g = tokens(0), tokens(1)
    torch.testing.assert_close(Weighted(WIDTH).double()(v, g, GRIDS)[0], (v + g) / 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_images_apart(strategy: str) -> None:
    fuse = STRATEGIES[strategy](WIDTH).double()
    v, g = tokens(0), tokens(1)
    fused, _ = fuse(v, g, GRIDS)
    torch.testing.assert_close(fused[:2], fuse(v[:2], g[:2], GRIDS[:1])[0])
    torch.testing.assert_close(fused[2:], fuse(v[2:], g[2:], GRIDS[1:])[0])


def test_cross_attention_mixes_the_geometry_of_one_image_and_is_the_textbook_formula() -> None:
    fuse = CrossAttention(WIDTH, heads=2).double()
    v, g = tokens(0), tokens(1)
    fused, gate = fuse(v, g, GRIDS)
    assert gate is None
    changed, _ = fuse(v, g.index_add(0, torch.tensor([2]), tokens(2, 1)), GRIDS)
    assert torch.equal(changed[:2], fused[:2])
    assert not torch.isclose(changed[2:], fused[2:]).all(dim=1).any()
    place = grid_positions(1, 2, WIDTH).double()
    weights, biases = fuse.attention.in_proj_weight.chunk(3), fuse.attention.in_proj_bias.chunk(3)
    sides = (fuse.norm_visual(v[:2]) + place, fuse.norm_geometry(g[:2]) + place, fuse.norm_geometry(g[:2]))
    query, key, value = (side @ w.T + b for side, w, b in zip(sides, weights, biases, strict=True))
    heads = []
    for half in (slice(0, WIDTH // 2), slice(WIDTH // 2, WIDTH)):
        scores = query[:, half] @ key[:, half].T / (WIDTH // 2) ** 0.5
        heads.append(scores.softmax(dim=-1) @ value[:, half])
    x = v[:2] + fuse.attention.out_proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(fused[:2], x + fuse.mlp(fuse.norm_mlp(x)))


def test_gates_are_shares() -> None:
    v, g = tokens(0), tokens(1)
    for strategy, kind in STRATEGIES.items():
        _, gate = kind(WIDTH).double()(v, g, GRIDS)
        assert (gate is None) == (strategy in ("add", "concat", "cross_attention"))
        assert gate is None or (gate.shape == v.shape and ((gate > 0) & (gate < 1)).all())


def test_levels_go_to_the_streams_that_are_named() -> None:
    assert fusion_streams("add", 1, 3) == {"final": "add"}
    assert list(fusion_streams("add", 4, 3)) == ["deepstack.0", "deepstack.1", "deepstack.2", "final"]
    assert list(fusion_streams({"final": "gated", "deepstack.1": "add"}, 2, 3).items()) == [
        ("deepstack.1", "add"),
        ("final", "gated"),
    ]
    with pytest.raises(
        UsageError,
        match=r"visual stream 'deepstack\.3' is unknown; did you mean deepstack\.2",
    ):
        fusion_streams({"deepstack.3": "add"}, 1, 3)
    with pytest.raises(UsageError, match="gives 2 levels for the visual streams final"):
        fusion_streams({"final": "add"}, 2, 3)


def test_the_merger_joins_runs_of_four_patches() -> None:
    merger = GeometryMerger(8, 12, WIDTH, merge=2).double()
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
        FusionLevel("film", 8, WIDTH, WIDTH, 2)
