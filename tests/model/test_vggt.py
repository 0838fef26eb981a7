"""VGGT's aggregator: the public file's names, independent computations of its parts, what the frames' order means."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from gapdata.errors import UsageError
from gapmodel.geometry import ENCODERS, GeometryEncoder, build_geometry_encoder
from gapmodel.geometry.base import encode_views, merge_block_order
from gapmodel.geometry.blocks import MEAN, STD, rotary_positions, rotate
from gapmodel.geometry.dinov2 import DinoV2
from gapmodel.geometry.vggt import VGGT

PATCH, WIDTH, HEADS = 14, 32, 2
SMALL: dict[str, Any] = {
    "img_size": 70,
    "embed_dim": WIDTH,
    "depth": 3,
    "num_heads": HEADS,
    "num_register_tokens": 3,
    "dino_depth": 2,
}


def make_vggt(levels: tuple[int, ...] = (0, 2), dtype: torch.dtype = torch.float32) -> VGGT:
    """Seeded weights of a size at which every part matters."""
    encoder = VGGT(**SMALL, levels=levels).to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return encoder


def make_images(frames: int = 3, rows: int = 3, columns: int = 4, views: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(views, frames, 3, rows * PATCH, columns * PATCH, generator=generator)


def test_the_full_model_has_the_tensors_of_the_public_file() -> None:
    with torch.device("meta"):
        encoder = VGGT()
    D = 1024
    expected = {
        "camera_token": (1, 2, 1, D),
        "register_token": (1, 2, 4, D),
        "patch_embed.cls_token": (1, 1, D),
        "patch_embed.pos_embed": (1, 37 * 37 + 1, D),
        "patch_embed.register_tokens": (1, 4, D),
        "patch_embed.mask_token": (1, D),
        "patch_embed.patch_embed.proj.weight": (D, 3, 14, 14),
        "patch_embed.patch_embed.proj.bias": (D,),
        "patch_embed.norm.weight": (D,),
        "patch_embed.norm.bias": (D,),
    }
    linear = {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}
    for stack in ("patch_embed.blocks", "frame_blocks", "global_blocks"):
        norms = {"norm1": D, "norm2": D} | ({} if stack.startswith("patch") else {"attn.q_norm": 64, "attn.k_norm": 64})
        for block in range(24):
            at = f"{stack}.{block}."
            expected |= {f"{at}{name}.gamma": (D,) for name in ("ls1", "ls2")}
            expected |= {f"{at}{name}.weight": shape for name, shape in linear.items()}
            expected |= {f"{at}{name}.bias": shape[:1] for name, shape in linear.items()}
            expected |= {f"{at}{name}.{kind}": (size,) for name, size in norms.items() for kind in ("weight", "bias")}
    assert {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()} == expected
    assert len(expected) == 1210
    count = sum(tensor.numel() for tensor in encoder.state_dict().values())
    assert round(count / 1e6, 1) == 909.1
    assert (encoder.levels, encoder.dim, encoder.patch_size, encoder.reference) == ((4, 11, 17, 23), 2048, 14, "first")


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (3, 4), (7, 6)])
def test_the_patch_tokens_are_those_of_an_independent_dinov2(rows: int, columns: int) -> None:
    ours = make_vggt().patch_embed
    config = Dinov2WithRegistersConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        image_size=70,
        patch_size=PATCH,
        num_register_tokens=3,
    )
    theirs = Dinov2WithRegistersModel(config).eval()
    renamed = {}
    for name, tensor in ours.state_dict().items():
        for old, new in (
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("blocks", "encoder.layer"),
            ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"),
            ("attn.proj", "attention.o_proj"),
        ):
            name = name.replace(old, new)
        name = f"embeddings.{name}" if name.endswith(("_token", "_tokens")) else name
        name = f"layernorm.{name[5:]}" if name.startswith("norm.") else name
        if "attn.qkv" in name:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            renamed[name] = tensor
    theirs.load_state_dict(renamed)
    pixels = torch.randn(2, 3, rows * PATCH, columns * PATCH, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = theirs(pixels).last_hidden_state[:, 1 + 3 :]
        torch.testing.assert_close(ours(pixels), expected, rtol=1e-5, atol=1e-5)


def test_positions_at_the_native_size_are_the_learned_ones() -> None:
    dino = make_vggt().patch_embed
    assert isinstance(dino, DinoV2)
    assert dino.positions(5, 5) is dino.pos_embed
    assert dino.positions(3, 7).shape == (1, 1 + 21, WIDTH)
    torch.testing.assert_close(dino.positions(3, 7)[:, 0], dino.pos_embed[:, 0], rtol=0, atol=0)


def turned(x: Tensor, position: tuple[float, float], base: float = 100.0) -> Tensor:
    """Rotary positions of one token of one head in complex numbers: rows turn the first half, columns the second."""
    n = len(x) // 4
    out = []
    for half, place in zip(x.split(2 * n), position, strict=True):
        pairs = torch.complex(half[:n], half[n:])
        angle = torch.tensor([place * base ** (-2 * k / (2 * n)) for k in range(n)], dtype=x.dtype)
        pairs = pairs * torch.polar(torch.ones_like(angle), angle)
        out += [pairs.real, pairs.imag]
    return torch.cat(out)


def slow_block(block: torch.nn.Module, x: Tensor, positions: list[tuple[int, int]] | None, eps: float = 1e-5) -> Tensor:
    """One block on (T, D) tokens, from the formulas, a head and a query at a time.

    Without positions, queries and keys are neither normalised nor rotated: DINOv2's block.
    """
    weights = dict(block.named_parameters())

    def linear(name: str, value: Tensor) -> Tensor:
        return value @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, value: Tensor, eps: float = eps) -> Tensor:
        centred = value - value.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    D, size = x.shape[1], x.shape[1] // HEADS
    projected = linear("attn.qkv", norm("norm1", x))
    attended = torch.zeros_like(x)
    for head in range(HEADS):
        q, k, v = (projected[:, part * D + head * size : part * D + (head + 1) * size] for part in range(3))
        if positions is not None:
            q, k = norm("attn.q_norm", q, 1e-5), norm("attn.k_norm", k, 1e-5)
            q = torch.stack([turned(token, place) for token, place in zip(q, positions, strict=True)])
            k = torch.stack([turned(token, place) for token, place in zip(k, positions, strict=True)])
        for token in range(len(x)):
            weight = (k @ q[token] / size**0.5).exp()
            attended[token, head * size : (head + 1) * size] = weight @ v / weight.sum()
    x = x + weights["ls1.gamma"] * linear("attn.proj", attended)
    hidden = linear("mlp.fc1", norm("norm2", x))
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    return x + weights["ls2.gamma"] * linear("mlp.fc2", hidden)


@torch.no_grad()
def test_features_are_those_of_a_slow_independent_aggregator() -> None:
    encoder = make_vggt(dtype=torch.float64)
    images = make_images(frames=3, rows=2, columns=3).double()
    normalised = (images[0] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    patches = encoder.patch_embed(normalised)
    special = [torch.cat([encoder.camera_token[0, i], encoder.register_token[0, i]]) for i in (0, 1)]
    tokens = [torch.cat([special[min(frame, 1)], patches[frame]]) for frame in range(3)]
    positions = [(0, 0)] * 4 + [(1 + row, 1 + column) for row in range(2) for column in range(3)]
    expected = []
    for level in range(3):
        in_frame = [slow_block(encoder.frame_blocks[level], frame, positions) for frame in tokens]
        everything = slow_block(encoder.global_blocks[level], torch.cat(in_frame), positions * 3)
        tokens = list(everything.split(len(positions)))
        pairs = [torch.cat(both, dim=-1)[4:] for both in zip(in_frame, tokens, strict=True)]
        expected.append(torch.stack(pairs).reshape(1, 3, 2, 3, 2 * WIDTH))
    for ours, theirs in zip(encoder(images), (expected[0], expected[2]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)  # DINOv2's positions and the angles are float32


def test_rotary_positions_on_a_grid_that_is_not_square() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2 + 2 * 5, 16, generator=generator)
    places = [(0, 0)] * 2 + [(1 + row, 1 + column) for row in range(2) for column in range(5)]
    expected = torch.stack([turned(token, place) for token, place in zip(x, places, strict=True)])
    torch.testing.assert_close(rotate(x, rotary_positions(2, 5, 2, 16, 100.0, x.device)), expected)


@torch.no_grad()
def test_frames_after_the_first_are_interchangeable_and_the_first_is_not() -> None:
    encoder, images = make_vggt(), make_images()
    for features, swapped, other_first in zip(
        encoder(images), encoder(images[:, [0, 2, 1]]), encoder(images[:, [1, 0, 2]]), strict=True
    ):
        torch.testing.assert_close(swapped, features[:, [0, 2, 1]], rtol=0, atol=1e-4)
        assert (other_first - features[:, [1, 0, 2]]).abs().max() > 0.1


@torch.no_grad()
def test_only_the_first_frame_gets_the_first_special_tokens() -> None:
    images = make_images(frames=2)
    for name in ("camera_token", "register_token"):
        encoder = make_vggt(levels=(0,))
        before = encoder(images)[0]
        alone = encoder(images[:, :1])[0]
        # Not by a constant: LayerNorm takes that away.
        encoder.get_parameter(name)[:, 1] += torch.linspace(-1, 1, WIDTH)
        torch.testing.assert_close(encoder(images[:, :1])[0], alone, rtol=0, atol=0)
        moved = (encoder(images)[0] - before).abs()[..., :WIDTH].amax(dim=(0, 2, 3, 4))  # the frame blocks' half
        assert moved[0] == 0
        assert moved[1] > 1e-3


@torch.no_grad()
def test_views_of_a_batch_do_not_see_each_other() -> None:
    encoder, images = make_vggt(), make_images(views=2)
    for together, alone in zip(encoder(images), encoder(images[1:]), strict=True):
        torch.testing.assert_close(together[1:], alone, rtol=0, atol=1e-4)


@torch.no_grad()
def test_ragged_views_keep_their_order_and_equal_shapes_share_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = make_vggt()
    shapes = [(2, 2, 4), (1, 4, 2), (2, 2, 4), (2, 4, 2)]
    views = [make_images(*shape)[0] * (index + 1) / 4 for index, shape in enumerate(shapes)]
    expected = [torch.cat([merge_block_order(encoder(v[None])[level][0], 2) for v in views]) for level in (0, 1)]
    passes = []
    encode = encoder.encode

    def counted(images: Tensor) -> list[Tensor]:
        passes.append(len(images))
        return encode(images)

    monkeypatch.setattr(encoder, "encode", counted)
    for ours, theirs in zip(encode_views(encoder, views, 2), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert passes == [2, 1, 1]


def test_frozen_means_no_graph_and_evaluation_mode_and_a_gradient_is_still_possible() -> None:
    encoder, images = make_vggt(), make_images()
    encoder.train()
    assert encoder.training
    encoder(images)[-1].sum().backward()
    idle = {name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert idle == {"patch_embed.mask_token"}
    encoder.requires_grad_(False)
    outer = torch.nn.ModuleDict({"geometry": encoder}).train()
    assert not any(module.training for module in outer["geometry"].modules())
    assert not any(level.requires_grad for level in encoder(images))
    images.requires_grad_()
    encoder(images)[-1].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@torch.no_grad()
def test_rounding_the_weights_to_bfloat16_moves_features_little() -> None:
    encoder, images = make_vggt(), make_images()
    rounded = copy.deepcopy(encoder).bfloat16().float()
    for exact, near in zip(encoder(images), rounded(images), strict=True):
        assert (near - exact).norm() < 0.05 * exact.norm()


def test_levels_are_configuration() -> None:
    images = make_images()
    with torch.no_grad():
        every = make_vggt((0, 1, 2))(images)
        last = make_vggt((2,))(images)
        early = make_vggt((1,))(images)
    assert torch.equal(last[0], every[2])
    assert torch.equal(early[0], every[1])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 3, 28, 30), "images of 30 x 28 are not made of 14-pixel patches; resize them to multiples"),
        ((2, 3, 28, 28), r"takes \(B, F, 3, H, W\) floating point images, not \(2, 3, 28, 28\) of float32"),
        ((1, 0, 3, 28, 28), r"not \(1, 0, 3, 28, 28\) of float32"),
    ],
)
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_vggt()(torch.zeros(shape))


def test_bytes_instead_of_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"of uint8; stack the frames of a view and scale them to \[0, 1\]"):
        make_vggt()(torch.zeros(1, 2, 3, 28, 28, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"levels": (1, 3)},
            r"levels \(1, 3\) do not name some of the 3 pairs of blocks in ascending order; choose from 0, 1, 2",
        ),
        ({"levels": (2, 1)}, r"levels \(2, 1\)"),
        ({"levels": ()}, r"levels \(\)"),
        ({"levels": (0,), "num_heads": 3}, "embed_dim 32 does not give 3 heads a multiple of 4 channels each"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VGGT(**(SMALL | options))


def test_another_encoder_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mean(GeometryEncoder):
        licence, source = "MIT", "someone/mean"

        def __init__(self, *, patch_size: int) -> None:
            super().__init__()
            self.patch_size, self.levels, self.dim, self.reference = patch_size, (0,), 3, "none"

        def encode(self, images: Tensor) -> list[Tensor]:
            return [F.avg_pool2d(images.flatten(0, 1), self.patch_size).unflatten(0, images.shape[:2]).movedim(2, -1)]

    monkeypatch.setitem(ENCODERS, "mean", Mean)
    encoder = build_geometry_encoder({"name": "mean", "patch_size": 14})
    assert [level.shape for level in encoder(make_images(rows=2, columns=4))] == [(1, 3, 2, 4, 3)]


def test_every_encoder_states_the_licence_and_the_source_of_its_weights() -> None:
    stated = {name: (kind.licence, kind.source) for name, kind in ENCODERS.items()}
    assert stated == {
        "tiny": ("Apache-2.0", ""),
        "vggt": ("CC-BY-NC-4.0", "facebook/VGGT-1B"),
        "depth-anything-3-small": ("Apache-2.0", "depth-anything/DA3-SMALL"),
        "depth-anything-3-base": ("Apache-2.0", "depth-anything/DA3-BASE"),
        "depth-anything-3-large": ("CC-BY-NC-4.0", "depth-anything/DA3-LARGE"),
    }
    with pytest.raises(TypeError, match="Silent must state as text: licence, source"):
        type("Silent", (VGGT,), {})


def test_an_encoders_configuration_carries_its_licence_or_that_of_other_weights() -> None:
    config = {"name": "vggt", **SMALL, "levels": [0]}
    own = build_geometry_encoder(config).config
    assert own == config | {"licence": "CC-BY-NC-4.0", "source": "facebook/VGGT-1B"}
    other = {"licence": "VGGT licence", "source": "facebook/VGGT-1B-Commercial"}
    assert build_geometry_encoder(config | other).config == config | other


@pytest.mark.parametrize("name", ["vggt", "tiny", "depth-anything-3-small", "depth-anything-3-base"])
def test_an_option_that_an_encoder_does_not_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=rf"option of geometry encoder {name} 'pach_size'.*did you mean patch_size"):
        build_geometry_encoder({"name": name, "pach_size": 14})
