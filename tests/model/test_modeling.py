"""The model: the stock Qwen3-VL with geometry fused in at the levels that are configured, and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from gapdata.errors import UsageError
from gapmodel.fusion import STRATEGIES
from gapmodel.geometry import build_geometry_encoder
from gapmodel.geometry.base import merge_block_order
from gapmodel.modeling import GapConfig, GapForConditionalGeneration, GapModel
from gapmodel.presets import preset

TOKENS = {"pad": 0, "start": 1, "end": 2, "vision_start": 3, "vision_end": 4, "image": 5, "video": 6}
VOCABULARY = 40
PATCH = 8
ROWS, COLUMNS, FRAMES = 4, 6, 2
SMALL_TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


OURS = ("geometry", "fusion", "merger_dim", "geometry_weights", "geometry_fingerprint", "model_type")


def make_model(fusion: str | dict[str, str] = "gated", **options: object) -> GapForConditionalGeneration:
    torch.manual_seed(0)
    config = preset(
        "tiny",
        token_ids=TOKENS,
        fusion=fusion,
        text=SMALL_TEXT,
        vision={"hidden_size": 48, "intermediate_size": 64, "patch_size": PATCH, "num_position_embeddings": 64},
        geometry={"width": 32, "heads": 2, **options},
    )
    return GapForConditionalGeneration(config).eval()


def make_inputs(texts: list[list[int]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Left-padded questions with two frames each; equal seeds give equal frames, row by row."""
    generator = torch.Generator().manual_seed(seed)
    visual = [TOKENS["vision_start"], *[TOKENS["image"]] * (ROWS * COLUMNS // 4), TOKENS["vision_end"]]
    rows = [[TOKENS["start"], *visual * FRAMES, *text] for text in texts]
    length = max(len(row) for row in rows)
    ids = torch.tensor([[TOKENS["pad"]] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    images = torch.rand(len(texts), FRAMES, 3, ROWS * PATCH, COLUMNS * PATCH, generator=generator)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == TOKENS["image"]).int(),
        "pixel_values": torch.randn(len(texts) * FRAMES * ROWS * COLUMNS, 3 * PATCH**2, generator=generator),
        "image_grid_thw": torch.tensor([[1, ROWS, COLUMNS]] * (len(texts) * FRAMES)),
        "geometry_images": images,
    }


def row_inputs(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """One question of a batch, without its padding."""
    keep = inputs["attention_mask"][row].bool()
    patches = FRAMES * ROWS * COLUMNS
    single = {name: inputs[name][row : row + 1, keep] for name in ("input_ids", "attention_mask", "mm_token_type_ids")}
    return single | {
        "pixel_values": inputs["pixel_values"][row * patches : (row + 1) * patches],
        "image_grid_thw": inputs["image_grid_thw"][row * FRAMES : (row + 1) * FRAMES],
        "geometry_images": inputs["geometry_images"][row : row + 1],
    }


def perturb(model: torch.nn.Module) -> None:
    """Move every parameter a little, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


def test_gated_residual_at_initialisation_is_the_stock_model_bit_for_bit() -> None:
    model = make_model("gated_residual")
    fields = {name: value for name, value in model.config.to_dict().items() if name not in OURS}
    stock = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**fields)).eval()
    missing, unexpected = stock.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    assert all(name.startswith(("model.geometry.", "model.fusion.")) for name in unexpected)
    inputs = make_inputs([[10, 11, 12], [13, 14]])
    with torch.no_grad():
        ours = model(**inputs).logits
        theirs = stock(**{name: value for name, value in inputs.items() if name != "geometry_images"}).logits
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("fusion", STRATEGIES)
def test_a_gradient_reaches_every_parameter(fusion: str) -> None:
    model = make_model(fusion).train()
    perturb(model)  # at initialisation gated_residual's output is zero, which stops the gradient behind it by design
    inputs = make_inputs([[10, 11, 12, 13, 14, 15]] * 2)
    model(**inputs).logits.square().mean().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_frozen_parts_get_no_gradient_and_stay_in_evaluation_mode() -> None:
    model = make_model()
    model.model.freeze(["visual", "geometry"])
    model.train()
    model(**make_inputs([[10, 11, 12]])).logits.sum().backward()
    for part in ("visual", "geometry"):
        module = model.model.get_submodule(part)
        assert not module.training
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
    assert model.model.fusion.training
    assert all(p.grad is not None for p in model.model.fusion.parameters())


def test_an_unknown_part_cannot_be_frozen() -> None:
    with pytest.raises(
        UsageError, match="model part 'vggt' is unknown; choose from visual, language_model, geometry, fusion"
    ):
        make_model().model.freeze(["vggt"])


@pytest.mark.parametrize("fusion", ["gated", "gated_residual"])
def test_a_checkpoint_round_trip_is_exact(fusion: str, tmp_path: Path) -> None:
    model = make_model(fusion)
    perturb(model)
    model.save_pretrained(str(tmp_path))
    inputs = make_inputs([[10, 11, 12]])
    for kind in (GapForConditionalGeneration, AutoModelForImageTextToText):
        again = kind.from_pretrained(str(tmp_path)).eval()
        assert isinstance(again, GapForConditionalGeneration)
        assert again.config.fusion == fusion
        with torch.no_grad():
            assert torch.equal(model(**inputs).logits, again(**inputs).logits)
        assert again.lm_head.weight.data_ptr() == again.model.language_model.embed_tokens.weight.data_ptr()


def test_the_bare_model_is_found_by_the_auto_classes(tmp_path: Path) -> None:
    model = make_model()
    model.config.save_pretrained(str(tmp_path))
    config = AutoConfig.from_pretrained(str(tmp_path))
    assert isinstance(config, GapConfig)
    assert config.geometry == model.config.geometry
    bare = AutoModel.from_config(config).eval()
    assert isinstance(bare, GapModel)
    bare.load_state_dict(model.model.state_dict())
    inputs = make_inputs([[10, 11, 12]])
    with torch.no_grad():
        hidden = bare(**inputs).last_hidden_state
        torch.testing.assert_close(model.lm_head(hidden), model(**inputs).logits, rtol=0, atol=0)


def test_a_left_padded_batch_answers_like_single_questions() -> None:
    model = make_model()
    perturb(model)
    inputs = make_inputs([[10, 11, 12, 13, 14, 15], [20, 21], [30]])
    with torch.no_grad():
        together = model(**inputs).logits
        for row in range(3):
            alone = model(**row_inputs(inputs, row)).logits
            torch.testing.assert_close(together[row, -alone.shape[1] :], alone[0], rtol=0, atol=2e-5)
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": TOKENS["pad"], "eos_token_id": TOKENS["end"]}
    batch = model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
    for row in range(3):
        single = row_inputs(inputs, row)
        alone = model.generate(**single, **options)[0, single["input_ids"].shape[1] :]
        assert batch[row, : len(alone)].tolist() == alone.tolist()


def test_generation_encodes_once_and_agrees_with_repeated_forward_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    perturb(model)
    inputs = make_inputs([[10, 11, 12]])
    calls = []
    encode = model.model.geometry.forward

    def counted(images: torch.Tensor) -> list[torch.Tensor]:
        calls.append(1)
        return encode(images)

    monkeypatch.setattr(model.model.geometry, "forward", counted)
    written = model.generate(**inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False, pad_token_id=TOKENS["pad"])
    assert len(calls) == 1
    grown = dict(inputs)
    with torch.no_grad():
        for token in written[0, inputs["input_ids"].shape[1] :].tolist():
            assert int(model(**grown).logits[0, -1].argmax()) == token
            for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0)):
                grown[name] = torch.cat([grown[name], torch.full((1, 1), value, dtype=grown[name].dtype)], dim=1)


def test_beams_repeat_the_encoded_frames() -> None:
    model = make_model()
    perturb(model)
    inputs = make_inputs([[10, 11], [12]])
    options = {"num_beams": 2, "max_new_tokens": 4, "do_sample": False, "pad_token_id": TOKENS["pad"]}
    together = model.generate(**inputs, **options)
    single = row_inputs(inputs, 0)
    alone = model.generate(**single, **options)
    assert together[0].tolist() == alone[0].tolist()


def test_geometry_reaches_the_answer_only_through_its_levels() -> None:
    model = make_model()
    inputs = make_inputs([[10, 11, 12]])
    levels = model.model.geometry_patches(inputs["geometry_images"])
    with torch.no_grad():
        direct = model(**inputs).logits
        rest = {name: value for name, value in inputs.items() if name != "geometry_images"}
        torch.testing.assert_close(model(**rest, geometry_features=levels).logits, direct, rtol=0, atol=0)
        grid = (inputs["pixel_values"], inputs["image_grid_thw"])
        whole = model.model.get_image_features(*grid, geometry_features=levels)
        for changed in range(len(levels)):
            zeroed = [torch.zeros_like(level) if i == changed else level for i, level in enumerate(levels)]
            features = model.model.get_image_features(*grid, geometry_features=zeroed)
            streams = [*features.deepstack_features, features.pooler_output]
            for index, (one, other) in enumerate(
                zip(streams, [*whole.deepstack_features, whole.pooler_output], strict=True)
            ):
                assert torch.equal(torch.cat(tuple(one)), torch.cat(tuple(other))) == (index != changed)


def test_one_level_is_the_last_level_fusion_of_earlier_work() -> None:
    model = make_model(levels=[3])
    inputs = make_inputs([[10]])
    grid = (inputs["pixel_values"], inputs["image_grid_thw"])
    stock = super(GapModel, model.model).get_image_features(*grid)
    fused = model.model.get_image_features(*grid, geometry_images=inputs["geometry_images"])
    for ours, theirs in zip(fused.deepstack_features, stock.deepstack_features, strict=True):
        assert torch.equal(torch.cat(tuple(ours)), torch.cat(tuple(theirs)))
    assert not torch.equal(torch.cat(tuple(fused.pooler_output)), torch.cat(tuple(stock.pooler_output)))


def test_views_of_different_length_share_a_batch() -> None:
    model = make_model()
    perturb(model)
    first, second = make_inputs([[10, 11]], seed=1), make_inputs([[12, 13]], seed=2)
    visual = ROWS * COLUMNS
    one_frame = {
        "pixel_values": second["pixel_values"][:visual],
        "image_grid_thw": second["image_grid_thw"][:1],
        "geometry_images": second["geometry_images"][:, :1],
    }
    short = torch.cat(
        [second["input_ids"][:, :1], second["input_ids"][:, 1 : 3 + visual // 4], second["input_ids"][:, -2:]], 1
    )
    pad = first["input_ids"].shape[1] - short.shape[1]
    ids = torch.cat([first["input_ids"], torch.nn.functional.pad(short, (pad, 0), value=TOKENS["pad"])])
    mask = torch.ones_like(ids)
    mask[1, :pad] = 0
    together = {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == TOKENS["image"]).int(),
        "pixel_values": torch.cat([first["pixel_values"], one_frame["pixel_values"]]),
        "image_grid_thw": torch.cat([first["image_grid_thw"], one_frame["image_grid_thw"]]),
        "geometry_images": [first["geometry_images"][0], one_frame["geometry_images"][0]],
    }
    alone = {
        "input_ids": short,
        "attention_mask": torch.ones_like(short),
        "mm_token_type_ids": (short == TOKENS["image"]).int(),
    }
    with torch.no_grad():
        logits = model(**together).logits
        torch.testing.assert_close(logits[0], model(**first).logits[0], rtol=0, atol=2e-5)
        torch.testing.assert_close(logits[1, pad:], model(**alone, **one_frame).logits[0], rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("streams", "levels"), [({"deepstack.1": "add", "final": "gated"}, [1, 3]), ({"deepstack.2": "concat"}, [0])]
)
def test_geometry_reaches_the_streams_that_are_named_and_no_other(streams: dict[str, str], levels: list[int]) -> None:
    model = make_model(streams, levels=levels)
    inputs = make_inputs([[10]])
    grid = (inputs["pixel_values"], inputs["image_grid_thw"])
    geometry = model.model.geometry_patches(inputs["geometry_images"])
    stock = super(GapModel, model.model).get_image_features(*grid)

    def named(features: Any) -> dict[str, torch.Tensor]:
        by_image = [*features.deepstack_features, features.pooler_output]
        names = ["deepstack.0", "deepstack.1", "deepstack.2", "final"]
        return {name: torch.cat(tuple(images)) for name, images in zip(names, by_image, strict=True)}

    with torch.no_grad():
        before, fused = named(stock), named(model.model.get_image_features(*grid, geometry_features=geometry))
        assert {name for name in before if not torch.equal(before[name], fused[name])} == set(streams)
        for index, name in enumerate(streams):
            zeroed = [level * (position != index) for position, level in enumerate(geometry)]
            changed = named(model.model.get_image_features(*grid, geometry_features=zeroed))
            assert {other for other in fused if not torch.equal(fused[other], changed[other])} == {name}


def test_gates_are_given_out_when_they_are_asked_for() -> None:
    model = make_model({"deepstack.0": "gated", "deepstack.1": "add", "final": "gated_residual"}, levels=[0, 1, 3])
    inputs = make_inputs([[10, 11], [12]])
    tokens = 2 * FRAMES * ROWS * COLUMNS // 4
    with torch.no_grad():
        plain, asked = model(**inputs), model(**inputs, output_gates=True)
        assert torch.equal(plain.logits, asked.logits)
        assert not hasattr(plain, "gates")
        first, none, last = asked.gates
        assert none is None
        assert first.shape == last.shape == (tokens, SMALL_TEXT["hidden_size"])
        assert ((first > 0) & (first < 1)).all()
        encoded = model.model.get_image_features(
            inputs["pixel_values"], inputs["image_grid_thw"], inputs["geometry_images"], output_gates=True
        )
        assert encoded.gates is not None
        assert [gate is None for gate in encoded.gates] == [False, True, False]
        torch.testing.assert_close((encoded.gates[0], encoded.gates[2]), (first, last), rtol=0, atol=0)
        # The gate of a token belongs to its place: swapping two frames' geometry and pixels swaps their gates.
        level = model.model.fusion[0]
        v, g = torch.randn(6, 64), torch.randn(24, 64)
        _, gate = level(v, g, [(2, 3)])
        _, moved = level(v.flip(0), g.reshape(6, 4, 64).flip(0).reshape(24, 64), [(2, 3)])
        torch.testing.assert_close(moved, gate.flip(0))


def test_images_without_geometry_are_refused() -> None:
    inputs = make_inputs([[10]])
    del inputs["geometry_images"]
    with pytest.raises(UsageError, match="images without geometry; pass geometry_images or geometry_features too"):
        make_model()(**inputs)


def test_geometry_on_another_grid_is_refused() -> None:
    inputs = make_inputs([[10]])
    inputs["geometry_images"] = inputs["geometry_images"][..., : 2 * PATCH]
    with pytest.raises(UsageError, match="geometry has 16 patches, vision 48"):
        make_model()(**inputs)


def test_more_levels_than_the_vision_model_has_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"gives 5 levels for the visual streams deepstack\.0, deepstack\.1, deepstack\.2, final;"
    ):
        make_model(depth=5, levels=[0, 1, 2, 3, 4])


def test_the_geometry_encoder_knows_the_first_frame_and_no_other_order() -> None:
    encoder = make_model().model.geometry
    images = make_inputs([[10]])["geometry_images"]
    images = torch.cat([images, images.flip(-1)[:, :1]], dim=1)  # three different frames
    with torch.no_grad():
        features = encoder(images)[-1]
        swapped = encoder(images[:, [0, 2, 1]])[-1]
        rotated = encoder(images[:, [1, 2, 0]])[-1]
    torch.testing.assert_close(swapped, features[:, [0, 2, 1]], rtol=0, atol=1e-5)
    assert (rotated - features[:, [1, 2, 0]]).abs().max() > 1e-3


def test_an_unknown_geometry_encoder_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="geometry encoder 'dust3r' is unknown; choose from tiny"):
        build_geometry_encoder({"name": "dust3r"})


def test_a_row_of_geometry_that_fills_no_block_is_left_out() -> None:
    """As the paper's preprocessing gives it: five rows of the one encoder's patches, four of the other's."""
    model = make_model()
    inputs = make_inputs([[10]])
    taller = torch.cat([inputs["geometry_images"], inputs["geometry_images"][..., :PATCH, :]], dim=-2)
    with torch.no_grad():
        levels = model.model.geometry(taller)
        cut = [merge_block_order(level[0][:, :ROWS], 2) for level in levels]
        one = model(**{**inputs, "geometry_images": taller}).logits
        rest = {name: value for name, value in inputs.items() if name != "geometry_images"}
        torch.testing.assert_close(model(**rest, geometry_features=cut).logits, one, rtol=0, atol=1e-6)
