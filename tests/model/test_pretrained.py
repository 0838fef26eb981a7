"""Models from and to files: a stock Qwen3-VL becomes one of ours, and a frozen encoder may stay where it is."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from gapdata.errors import UsageError
from gapmodel.geometry import build_geometry_encoder
from gapmodel.modeling import GapConfig, GapForConditionalGeneration
from gapmodel.presets import PRESETS, preset
from tests.conftest import REPOSITORY
from tests.model.test_modeling import PATCH, make_inputs, make_model, perturb

GEOMETRY = {"name": "tiny", "width": 32, "heads": 2, "patch_size": PATCH}


@pytest.fixture(scope="module")
def stock() -> Qwen3VLForConditionalGeneration:
    config = make_model().config
    fields = {name: getattr(config, name) for name in Qwen3VLConfig().to_dict() if name.endswith(("_id", "embeddings"))}
    torch.manual_seed(3)
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=config.text_config.to_dict(), vision_config=config.vision_config.to_dict(), **fields)
    ).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a geometry encoder under the prefix of VGGT-1B's."""
    encoder = build_geometry_encoder(GEOMETRY)
    torch.manual_seed(4)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path_factory.mktemp("encoder") / "model.safetensors"
    tensors = {f"aggregator.{name}": value for name, value in encoder.state_dict().items()}
    save_file({**tensors, "camera_head.norm.weight": torch.ones(3)}, path)
    return path


def logits(model: torch.nn.Module, **inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


def test_a_model_from_a_stock_directory_has_its_weights_and_answers_like_it(
    stock: Qwen3VLForConditionalGeneration, tmp_path: Path
) -> None:
    stock.save_pretrained(str(tmp_path / "qwen"))
    model = GapForConditionalGeneration.from_base(tmp_path / "qwen", GEOMETRY, fusion="gated_residual").eval()
    ours = model.state_dict()
    for name, value in stock.state_dict().items():
        assert torch.equal(ours[name], value)
    assert all(torch.isfinite(value).all() for value in ours.values())
    inputs = make_inputs([[10, 11, 12], [13]])
    without = {name: value for name, value in inputs.items() if name != "geometry_images"}
    assert torch.equal(logits(model, **inputs), logits(stock, **without))
    model.save_pretrained(str(tmp_path / "gap"))
    assert json.loads((tmp_path / "gap" / "config.json").read_text())["model_type"] == "gap_qwen3_vl"
    again = AutoModelForImageTextToText.from_pretrained(str(tmp_path / "gap")).eval()
    assert isinstance(again, GapForConditionalGeneration)
    assert torch.equal(logits(again, **inputs), logits(model, **inputs))
    assert again.lm_head.weight.data_ptr() == again.model.language_model.embed_tokens.weight.data_ptr()


def test_a_loaded_model_and_an_encoder_instance_are_taken_as_they_are(stock: Qwen3VLForConditionalGeneration) -> None:
    encoder = build_geometry_encoder({**GEOMETRY, "levels": [1, 3]})
    streams = {"deepstack.2": "add", "final": "gated"}
    model = GapForConditionalGeneration.from_base(stock, encoder, fusion=streams, merger_dim=24).eval()
    assert model.model.geometry is encoder
    assert model.model.visual is stock.model.visual
    assert model.config.geometry == encoder.config
    assert model.model.streams == streams
    assert model.model.fusion[0].merger.mlp[0].out_features == 24
    assert torch.isfinite(logits(model, **make_inputs([[10]]))).all()
    assert not any(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_that_the_stock_model_is_loaded_with_stays(
    stock: Qwen3VLForConditionalGeneration, tmp_path: Path, attention: str
) -> None:
    stock.save_pretrained(str(tmp_path))
    model = GapForConditionalGeneration.from_base(tmp_path, GEOMETRY, attn_implementation=attention)
    configs = (model.config, model.model.language_model.config, model.model.visual.config)
    assert [config._attn_implementation for config in configs] == [attention] * 3


def test_a_configuration_gives_random_weights(stock: Qwen3VLForConditionalGeneration) -> None:
    model = GapForConditionalGeneration.from_base(stock.config, GEOMETRY).eval()
    assert isinstance(model.config, GapConfig)
    assert torch.isfinite(logits(model, **make_inputs([[10]]))).all()


def test_a_checkpoint_may_refer_to_its_frozen_encoder(
    stock: Qwen3VLForConditionalGeneration, weights: Path, tmp_path: Path
) -> None:
    model = GapForConditionalGeneration.from_base(stock, GEOMETRY, geometry_weights=weights).eval()
    value = load_file(weights)["aggregator.camera_token"]
    assert torch.equal(model.model.geometry.camera_token, value)
    with pytest.raises(UsageError, match="the geometry encoder is not frozen"):
        model.save_pretrained(tmp_path, save_frozen=False)
    model.model.freeze(["geometry"])
    model.save_pretrained(tmp_path / "light", save_frozen=False, max_shard_size="200KB")
    files = sorted((tmp_path / "light").glob("*.safetensors"))
    assert len(files) > 1
    held = {name for file in files for name in load_file(file)}
    assert held
    assert not any(name.startswith("model.geometry.") for name in held)
    inputs = make_inputs([[10, 11]])
    again = GapForConditionalGeneration.from_pretrained(tmp_path / "light").eval()
    assert torch.equal(logits(again, **inputs), logits(model, **inputs))
    assert not any(parameter.requires_grad for parameter in again.model.geometry.parameters())

    again.save_pretrained(tmp_path / "whole")
    whole = GapForConditionalGeneration.from_pretrained(tmp_path / "whole").eval()
    assert torch.equal(logits(whole, **inputs), logits(model, **inputs))
    half = GapForConditionalGeneration.from_pretrained(tmp_path / "light", dtype=torch.bfloat16)
    assert half.model.geometry.camera_token.dtype == torch.bfloat16

    moved = weights.rename(weights.with_name("moved.safetensors"))
    try:
        with pytest.raises(UsageError, match=r"model\.safetensors: does not exist; name the weights"):
            GapForConditionalGeneration.from_pretrained(tmp_path / "light")
        found = GapForConditionalGeneration.from_pretrained(tmp_path / "light", geometry_weights=moved).eval()
        assert torch.equal(logits(found, **inputs), logits(model, **inputs))
        other = {name: value + 1 for name, value in load_file(moved).items()}
        save_file(other, tmp_path / "other.safetensors")
        with pytest.raises(UsageError, match="these are not the geometry weights that the model was trained with"):
            GapForConditionalGeneration.from_pretrained(
                tmp_path / "light", geometry_weights=tmp_path / "other.safetensors"
            )
        del other["aggregator.camera_token"]
        save_file(other, tmp_path / "other.safetensors")
        with pytest.raises(UsageError, match=r"does not fit TinyGeometryEncoder: 1 missing \(camera_token\)"):
            GapForConditionalGeneration.from_pretrained(
                tmp_path / "light", geometry_weights=tmp_path / "other.safetensors"
            )
    finally:
        moved.rename(weights)


def test_an_encoder_of_unknown_origin_cannot_be_referred_to(tmp_path: Path) -> None:
    model = make_model()
    model.model.freeze(["geometry"])
    with pytest.raises(UsageError, match="the origin of the geometry encoder's weights is not known"):
        model.save_pretrained(tmp_path, save_frozen=False)


def test_every_stock_argument_is_named() -> None:
    """generate() looks at the signature, so an argument that only passes through **kwargs does not exist for it."""
    theirs = inspect.signature(Qwen3VLForConditionalGeneration.forward).parameters
    ours = inspect.signature(GapForConditionalGeneration.forward).parameters
    assert set(theirs) <= set(ours)


def test_activation_checkpointing_changes_no_gradient() -> None:
    model = make_model().train()
    perturb(model)
    inputs = make_inputs([[10, 11, 12]])
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
            assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
        model.zero_grad()
        model(**inputs, use_cache=False).logits.square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_weights_agree_with_float32_also_beside_a_float32_encoder() -> None:
    """In a process of its own, where oneDNN keeps off instructions that some virtual processors announce and lack."""
    code = (
        "import torch\n"
        "from tests.model.test_modeling import make_inputs, make_model\n"
        "torch.set_grad_enabled(False)\n"
        "model, inputs = make_model(), make_inputs([[10]])\n"
        "exact = model(**inputs).logits\n"
        "model.to(torch.bfloat16)\n"
        "for encoder in (torch.bfloat16, torch.float32):\n"
        "    model.model.geometry.to(encoder)\n"
        "    logits = model(**inputs).logits\n"
        "    assert logits.dtype == torch.bfloat16\n"
        "    assert (logits.float() - exact).norm() < 0.03 * exact.norm(), encoder\n"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_device_map_keeps_encoder_and_fusion_levels_whole() -> None:
    model = make_model()
    present = {type(module).__name__ for module in model.modules()}
    assert {"FusionLevel", "TinyGeometryEncoder", "Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock"} <= present & set(
        model._no_split_modules
    )


@pytest.mark.parametrize(
    ("name", "vision", "language"), [("2b", 407e6, 1721e6), ("4b", 415e6, 4022e6), ("8b", 576e6, 8191e6)]
)
def test_presets_have_the_public_sizes(name: str, vision: float, language: float) -> None:
    """Four levels as wide as VGGT's in the place of VGGT; 8B's untied head counts with the language model."""
    config = preset(name, geometry={"name": "tiny", "width": 1024})
    with torch.device("meta"):
        model = GapForConditionalGeneration(config)
    counts = {part: sum(p.numel() for p in model.model.get_submodule(part).parameters()) for part in PARTS}
    head = 0 if config.tie_word_embeddings else model.lm_head.weight.numel()
    assert counts["visual"] == pytest.approx(vision, rel=0.003)
    assert counts["language_model"] + head == pytest.approx(language, rel=0.003)
    if name == "2b":
        fusion = sum(parameter.numel() for parameter in model.model.fusion.parameters())
        assert fusion == pytest.approx(201e6, rel=0.005)
    assert config.text_config.vocab_size == 151_936
    assert config.image_token_id == 151_655


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match="preset '3b' is unknown; choose from tiny, 2b, 4b, 8b"):
        preset("3b")
    assert list(PRESETS) == ["tiny", "2b", "4b", "8b"]


PARTS = ("visual", "language_model")
