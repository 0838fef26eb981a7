"""What the page says of Qwen3.5 as another base: what it shares with Qwen3-VL, and where it goes wrong in silence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.qwen3_5 import Qwen3_5Config, Qwen3_5ForConditionalGeneration
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

TOKENS = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
VISION: dict[str, Any] = {"depth": 2, "hidden_size": 24, "intermediate_size": 32, "num_heads": 2}
VISION |= {"out_hidden_size": 64, "num_position_embeddings": 16, "patch_size": 4, "temporal_patch_size": 1}
TEXT: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 2}
TEXT |= {"num_key_value_heads": 1, "head_dim": 32, "vocab_size": 60}
LINEAR = {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
GRID = torch.tensor([[1, 4, 4]])


def rotary(section: list[int], **fields: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": section, "mrope_interleaved": True}
    return {"rope_parameters": rope | fields}


@pytest.fixture(scope="module")
def base() -> Qwen3_5ForConditionalGeneration:
    torch.manual_seed(0)
    text = TEXT | LINEAR | rotary([2, 1, 1], partial_rotary_factor=0.25)
    model = Qwen3_5ForConditionalGeneration(Qwen3_5Config(text_config=text, vision_config=dict(VISION), **TOKENS))
    return model.eval()


@pytest.fixture(scope="module")
def stock() -> Qwen3VLForConditionalGeneration:
    vision = VISION | {"deepstack_visual_indexes": [0, 1]}
    config = Qwen3VLConfig(text_config=TEXT | rotary([8, 4, 4]), vision_config=vision, **TOKENS)
    return Qwen3VLForConditionalGeneration(config).eval()


def pixels(seed: int) -> Tensor:
    return torch.randn(16, 48, generator=torch.Generator().manual_seed(seed))


def question(*tail: int) -> Tensor:
    return torch.tensor([[10, 11, 3, 5, 5, 5, 5, 4, *tail]])


def answered(model: Qwen3_5ForConditionalGeneration, ids: Tensor, frames: Tensor, grid: Tensor, **more: Any) -> Tensor:
    types = (ids == 5).int()
    with torch.no_grad():
        output = model(input_ids=ids, pixel_values=frames, image_grid_thw=grid, mm_token_type_ids=types, **more)
    logits: Tensor = output.logits
    return logits


def test_geometry_would_enter_at_the_same_place(base: Qwen3_5ForConditionalGeneration) -> None:
    ids = question(12, 13)
    with torch.no_grad():
        features = base.model.get_image_features(pixels(1), GRID, return_dict=True)
        types = (ids == 5).int()
        given = base(
            input_ids=ids, image_grid_thw=GRID, mm_token_type_ids=types, mm_encoder_outputs={"image": features}
        )
    assert torch.equal(given.logits, answered(base, ids, pixels(1), GRID))
    assert [tuple(image.shape) for image in features.pooler_output] == [(4, 64)]


def test_the_vision_tower_and_the_positions_are_those_of_qwen3_vl(
    base: Qwen3_5ForConditionalGeneration, stock: Qwen3VLForConditionalGeneration
) -> None:
    report = stock.model.visual.load_state_dict(base.model.visual.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert {name.split(".")[0] for name in report.missing_keys} == {"deepstack_merger_list"}
    with torch.no_grad():
        theirs, ours = (model.model.visual(pixels(1), grid_thw=GRID).pooler_output for model in (stock, base))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    ids = question(12, 13)
    places = [
        m.model.get_rope_index(ids, image_grid_thw=GRID, mm_token_type_ids=(ids == 5).int())[0] for m in (base, stock)
    ]
    assert torch.equal(*places)


def test_deepstack_is_missing_and_its_arguments_are_ignored(base: Qwen3_5ForConditionalGeneration) -> None:
    assert not hasattr(base.config.vision_config, "deepstack_visual_indexes")
    features = base.model.get_image_features(pixels(1), GRID, return_dict=True)
    assert not hasattr(features, "deepstack_features")
    embeddings = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(2))
    seen = {"visual_pos_masks": torch.tensor([[True, False, False, False]])}
    with torch.no_grad():
        plain = base.model.language_model(inputs_embeds=embeddings)[0]
        given = base.model.language_model(
            inputs_embeds=embeddings, deepstack_visual_embeds=[torch.ones(1, 64)], **seen
        )[0]
    assert torch.equal(plain, given)


def test_packed_examples_reach_into_each_other_without_an_error(base: Qwen3_5ForConditionalGeneration) -> None:
    assert base.config.text_config.layer_types == ["linear_attention"] * 3 + ["full_attention"]
    first, second = question(12), question(20, 21)
    alone = [answered(base, ids, pixels(seed), GRID)[0] for seed, ids in enumerate((first, second))]
    rows = []
    for ids in (first, second):
        places, _ = base.model.get_rope_index(ids, image_grid_thw=GRID, mm_token_type_ids=(ids == 5).int())
        rows.append(torch.cat([torch.arange(ids.shape[1])[None, None], places]))
    row, frames = torch.cat([first, second], dim=1), torch.cat([pixels(0), pixels(1)])
    length, start = row.shape[1], first.shape[1]
    apart = torch.ones(length, length).tril().bool()
    apart[start:, :start] = False
    common = {"position_ids": torch.cat(rows, dim=-1), "use_cache": False}
    for mask in ({}, {"attention_mask": apart[None, None]}):
        packed = answered(base, row, frames, GRID.repeat(2, 1), **common, **mask)[0]
        torch.testing.assert_close(packed[:start], alone[0], rtol=0, atol=1e-5)
        assert (packed[start:] - alone[1]).abs().max() > 1e-2


def test_left_padding_changes_nothing(base: Qwen3_5ForConditionalGeneration) -> None:
    short, long = question(12), question(12, 13, 14)
    ids = torch.cat([torch.cat([torch.zeros(1, 2, dtype=torch.long), short], dim=1), long])
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    both = answered(base, ids, torch.cat([pixels(0), pixels(1)]), GRID.repeat(2, 1), attention_mask=mask)
    torch.testing.assert_close(both[0, 2:], answered(base, short, pixels(0), GRID)[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(both[1], answered(base, long, pixels(1), GRID)[0], rtol=0, atol=1e-5)
