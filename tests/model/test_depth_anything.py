"""Depth Anything 3's backbone: the public files' names, an independent computation, what the frames' order means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gapdata.errors import UsageError
from gapmodel.checkpoints import load_geometry
from gapmodel.geometry import ENCODERS, build_geometry_encoder
from gapmodel.geometry.depth_anything import DepthAnything3
from gapmodel.geometry.dinov2 import resized_positions
from gapmodel.inspection.attention import token_attention
from tests.conftest import REPOSITORY
from tests.model.test_vggt import PATCH, make_images, slow_block
from tests.support.weights import DEPTH_ANYTHING_HEADS, depth_anything_file

WIDTH = 32
SMALL: dict[str, Any] = {"img_size": 70, "embed_dim": WIDTH, "depth": 6, "num_heads": 2, "alt_start": 2}
SIZES = {
    "small": (384, 6, 12, 4, (5, 7, 9, 11), 207, 22_059_008),
    "base": (768, 12, 12, 4, (5, 7, 9, 11), 207, 86_583_296),
    "large": (1024, 16, 24, 8, (11, 15, 19, 23), 407, 304_373_760),
}
"""Width, heads, blocks, the first that alternates, levels, tensors, values. With these names and shapes, and those of
the heads, a safetensors file has exactly the bytes of the public one: 137,248,940, 541,518,028 and 1,643,843,860."""


def make_encoder(
    levels: tuple[int, ...] = (3, 5), dtype: torch.dtype = torch.float32, **options: Any
) -> DepthAnything3:
    """Seeded weights of a size at which every part matters."""
    encoder = DepthAnything3(**(SMALL | options), levels=levels).to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            factor = name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma"))
            parameter.copy_(factor + torch.randn(parameter.shape, generator=generator) * 0.3)
    return encoder


@pytest.mark.parametrize("size", SIZES)
def test_the_full_models_have_the_tensors_of_the_public_files(size: str) -> None:
    D, heads, depth, start, levels, tensors, values = SIZES[size]
    with torch.device("meta"):
        encoder = build_geometry_encoder({"name": f"depth-anything-3-{size}"})
    expected: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, D),
        "camera_token": (1, 2, D),
        "pos_embed": (1, 37 * 37 + 1, D),
        "patch_embed.proj.weight": (D, 3, 14, 14),
        "patch_embed.proj.bias": (D,),
        "norm.weight": (D,),
        "norm.bias": (D,),
    }
    linear = {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (4 * D, D), "mlp.fc2": (D, 4 * D)}
    for block in range(depth):
        norms = {"norm1": D, "norm2": D} | ({"attn.q_norm": 64, "attn.k_norm": 64} if block >= start else {})
        at = f"blocks.{block}."
        expected |= {f"{at}{name}.gamma": (D,) for name in ("ls1", "ls2")}
        expected |= {f"{at}{name}.weight": shape for name, shape in linear.items()}
        expected |= {f"{at}{name}.bias": shape[:1] for name, shape in linear.items()}
        expected |= {f"{at}{name}.{kind}": (width,) for name, width in norms.items() for kind in ("weight", "bias")}
    state = encoder.state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (tensors, values)
    assert 64 * heads == D
    assert (encoder.levels, encoder.dim, encoder.patch_size, encoder.reference) == (levels, 2 * D, 14, "first")


def cubic(length: int, size: int, scale: float) -> NDArray[np.float64]:
    """The (length, size) matrix of one axis of bicubic interpolation with Keys' a = -0.75, edges repeated."""
    found = np.zeros((length, size))
    for out in range(length):
        at = (out + 0.5) / scale - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            x, a = abs(at - tap), -0.75
            near = (a + 2) * x**3 - (a + 3) * x**2 + 1
            far = a * (x**3 - 5 * x**2 + 8 * x - 4)
            found[out, min(max(tap, 0), size - 1)] += near if x <= 1 else far
    return found


def slow_positions(learned: Tensor, rows: int, columns: int) -> Tensor:
    """Positions of the class token and the patches, (1 + h * w, D), from the formula of the interpolation."""
    square = learned[0, 1:].double().reshape(5, 5, -1).numpy()
    across = [cubic(length, 5, (length + 0.1) / 5) for length in (rows, columns)]
    grid = np.einsum("ra,cb,abd->rcd", *across, square).reshape(rows * columns, -1)
    return torch.cat([learned[0, :1].double(), torch.from_numpy(grid)])


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (7, 6), (5, 9)])
def test_positions_are_interpolated_with_the_offset_of_earlier_dinov2(rows: int, columns: int) -> None:
    learned = torch.randn(1, 26, WIDTH, generator=torch.Generator().manual_seed(2))
    found = resized_positions(learned, rows, columns, offset=0.1, antialias=False)
    torch.testing.assert_close(found[0].double(), slow_positions(learned, rows, columns), rtol=0, atol=1e-5)
    plain = resized_positions(learned, rows, columns, offset=0, antialias=False)
    assert (found - plain).abs().max() > 1e-3
    assert resized_positions(learned, 5, 5, offset=0.1, antialias=False) is learned


@torch.no_grad()
@pytest.mark.parametrize("alt_start", [2, 3])
def test_features_are_those_of_a_slow_independent_backbone(alt_start: int) -> None:
    encoder = make_encoder(dtype=torch.float64, alt_start=alt_start)
    images = make_images(frames=3, rows=2, columns=3).double()
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    pixels = (images[0] - mean) / std
    weight, bias = encoder.patch_embed.proj.weight.reshape(WIDTH, -1), encoder.patch_embed.proj.bias
    cut = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).reshape(3, 6, -1)
    places = slow_positions(encoder.pos_embed, 2, 3)
    tokens = [torch.cat([encoder.cls_token[0], patches @ weight.T + bias]) + places for patches in cut]
    of_frame = [(0, 0)] + [(1 + row, 1 + column) for row in range(2) for column in range(3)]
    of_view = ([(0, 0)] + [(1, 1)] * 6) * 3
    in_frame, expected = tokens, []
    for index, block in enumerate(encoder.blocks):
        if index == alt_start:
            cameras = [encoder.camera_token[0, min(frame, 1)][None] for frame in range(3)]
            tokens = [torch.cat([camera, frame[1:]]) for camera, frame in zip(cameras, tokens, strict=True)]
        if index >= alt_start and index % 2:
            tokens = list(slow_block(block, torch.cat(tokens), of_view, 1e-6).split(7))
        else:
            places_now = of_frame if index >= alt_start else None
            tokens = in_frame = [slow_block(block, frame, places_now, 1e-6) for frame in tokens]
        x = torch.stack(tokens)
        normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        normed = normed * encoder.norm.weight + encoder.norm.bias
        expected.append(torch.cat([torch.stack(in_frame), normed], dim=-1)[:, 1:].reshape(1, 3, 2, 3, 2 * WIDTH))
    for ours, theirs in zip(encoder(images), (expected[3], expected[5]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)  # positions and angles are float32


@torch.no_grad()
def test_frames_after_the_first_are_interchangeable_and_the_first_is_not() -> None:
    encoder, images = make_encoder(), make_images()
    for features, swapped, other_first in zip(
        encoder(images), encoder(images[:, [0, 2, 1]]), encoder(images[:, [1, 0, 2]]), strict=True
    ):
        torch.testing.assert_close(swapped, features[:, [0, 2, 1]], rtol=0, atol=1e-4)
        assert (other_first - features[:, [1, 0, 2]]).abs().max() > 0.1


@torch.no_grad()
def test_each_frames_features_hold_the_other_frames_but_not_other_views() -> None:
    encoder, images = make_encoder(), make_images(views=2)
    together = encoder(images)
    for alone, other_frames in zip(encoder(images[1:]), together, strict=True):
        torch.testing.assert_close(other_frames[1:], alone, rtol=0, atol=1e-4)
    changed = images.clone()
    changed[:, 2] = 1 - changed[:, 2]
    for before, after in zip(together, encoder(changed), strict=True):
        assert (after - before)[:, :2].abs().amax(dim=(2, 3, 4)).min() > 0.1


@torch.no_grad()
def test_the_class_token_acts_until_the_camera_token_takes_its_place() -> None:
    images = make_images(frames=2)
    encoder = make_encoder()
    before = encoder(images)[0]
    alone = encoder(images[:, :1])[0]
    encoder.camera_token[:, 1] += torch.linspace(-1, 1, WIDTH)
    torch.testing.assert_close(encoder(images[:, :1])[0], alone, rtol=0, atol=0)
    assert (encoder(images)[0] - before).abs().max() > 1e-3
    encoder.cls_token.add_(torch.linspace(-1, 1, WIDTH))
    assert (encoder(images[:, :1])[0] - alone).abs().max() > 1e-3


@torch.no_grad()
def test_what_is_drawn_is_the_attention_of_both_kinds_of_blocks() -> None:
    found = token_attention(make_encoder(), make_images()[0], (1, 2, 3))
    assert [item.layer for item in found] == [3, 5]
    for item in found:
        assert (item.frame.shape, item.view.shape) == ((3, 4), (3, 3, 4))
        assert 0 < item.frame.sum() < 1
        assert 0 < item.view.sum() < 1


def test_a_public_file_loads_by_its_names_and_its_heads_are_left_aside(tmp_path: Path) -> None:
    encoder = make_encoder()
    save_file(depth_anything_file(encoder), tmp_path / "model.safetensors")
    fresh = DepthAnything3(**SMALL, levels=(3, 5))
    report = load_geometry(fresh, tmp_path)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    counts = {"model.cam_dec": 1, "model.cam_enc": 1, "model.head": 2}
    assert (report.loaded, report.ignored, report.problems) == (len(encoder.state_dict()), counts, "")
    assert sum(counts.values()) == len(DEPTH_ANYTHING_HEADS)


def test_a_file_that_does_not_fit_is_refused_as_a_whole(tmp_path: Path) -> None:
    encoder = make_encoder()
    tensors = depth_anything_file(encoder)
    at = "model.backbone.pretrained."
    del tensors[f"{at}blocks.2.attn.q_norm.weight"]
    tensors[f"{at}blocks.1.attn.q_norm.weight"] = torch.ones(16)
    tensors[f"{at}camera_token"] = torch.zeros(1, 2, 8)
    save_file(tensors, tmp_path / "model.safetensors")
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    message = (
        r"does not fit DepthAnything3: 1 missing \(blocks\.2\.attn\.q_norm\.weight\); "
        r"1 unexpected \(model\.backbone\.pretrained\.blocks\.1\.attn\.q_norm\.weight\); "
        r"1 unfitting \(model\.backbone\.pretrained\.camera_token is \[1, 2, 8\], not \[1, 2, 32\]\)"
    )
    with pytest.raises(UsageError, match=message):
        load_geometry(encoder, tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    vggt = build_geometry_encoder({"name": "vggt", "embed_dim": 32, "num_heads": 2, "depth": 1, "levels": [0]})
    with pytest.raises(UsageError, match="does not fit VGGT"):
        load_geometry(vggt, tmp_path)


@pytest.mark.parametrize("levels", [(3, 4), (1,), (5, 3), ()])
def test_only_blocks_that_see_all_frames_give_features(levels: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"some of the 2 blocks that see all frames in .* order; choose from 3, 5"):
        make_encoder(levels)


def test_the_licence_follows_the_size() -> None:
    with torch.device("meta"):
        encoders = {size: build_geometry_encoder({"name": f"depth-anything-3-{size}"}) for size in SIZES}
    stated = {size: encoder.config["licence"] for size, encoder in encoders.items()}
    assert stated == {"small": "Apache-2.0", "base": "Apache-2.0", "large": "CC-BY-NC-4.0"}


def test_the_page_states_each_encoders_size_licence_and_source() -> None:
    page = (REPOSITORY / "gapmodel" / "README.md").read_text()
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].strip("`") in ENCODERS:
            rows[cells[0].strip("`")] = cells[1:]
    assert set(rows) == set(ENCODERS)
    for name, (values, licence, source, flops, width) in rows.items():
        with torch.device("meta"):
            encoder = build_geometry_encoder({"name": name}).eval().requires_grad_(False)
        count = sum(tensor.numel() for tensor in encoder.state_dict().values())
        assert values == f"{count / 1e6:.1f} M"
        assert (licence, int(width)) == (encoder.licence, encoder.dim)
        assert source.strip("`") == (encoder.source or "none, trained from scratch")
        if name.startswith("depth"):  # counting VGGT's takes five seconds
            with FlopCounterMode(display=False) as counter:
                encoder(torch.zeros(1, 4, 3, 336, 448, device="meta"))
            assert flops == f"{counter.get_total_flops() / 1e12:.2f} TFLOP"
