"""Weight files of others: each tensor lands where it belongs, and what does not fit is named."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from gapdata.errors import UsageError
from gapmodel.checkpoints import load_geometry, load_weights
from gapmodel.gap_mllm import load_gap_mllm
from gapmodel.geometry.vggt import VGGT
from gapmodel.model_directory import load_model
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import AUTHORS
from gapmodel.tokenizer import train_tokenizer
from tests.model.test_vggt import SMALL, make_vggt

LEVELS = [0, 1, 2, 2]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 60,
    "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
    "rope_theta": 5_000_000,
    "tie_word_embeddings": True,
}
VISION = {
    "depth": 4,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": 32,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0, 1, 2],
}
TOKENS = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
PUBLIC = {
    "2B": ((2048, 6144, 28, 16), (24, 1024, 4096, [5, 11, 17]), True, 406_957_056, 1_720_574_976),
    "4B": ((2560, 9728, 36, 32), (24, 1024, 4096, [5, 11, 17]), True, 415_347_712, 4_022_468_096),
    "8B": ((4096, 12_288, 36, 32), (27, 1152, 4304, [8, 16, 24]), False, 576_388_336, 8_190_735_360),
}
"""config.json of Qwen/Qwen3-VL-*-Instruct (text width, MLP, layers, heads; vision depth, width, MLP, DeepStack; tied
head), then the values of the vision tower and of the language model with its head."""


def stock_config(**fields: Any) -> Qwen3VLConfig:
    return Qwen3VLConfig(
        text_config=dict(TEXT), vision_config=dict(VISION), tie_word_embeddings=True, **TOKENS, **fields
    )


def numbered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same names and shapes with random values."""
    generator = torch.Generator().manual_seed(4)
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in tensors.items()}


def vggt_file() -> dict[str, Tensor]:
    """VGGT-1B's file at a small size: the aggregator's tensors with their prefix, and a few of each head's."""
    tensors = {f"aggregator.{name}": tensor for name, tensor in numbered(make_vggt().state_dict()).items()}
    for head, name in (("camera", "trunk.0.norm1.weight"), ("depth", "norm.weight"), ("track", "fmap_norm.bias")):
        tensors[f"{head}_head.{name}"] = torch.zeros(8)
    return tensors | {"point_head.projects.0.weight": torch.zeros(4, 8, 1, 1), "point_head.norm.weight": torch.ones(8)}


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
@pytest.mark.parametrize("place", [lambda path: path, lambda path: path.parent], ids=["file", "directory"])
def test_vggt_loads_by_the_public_names_and_leaves_its_heads_aside(
    tmp_path: Path, name: str, place: Callable[[Path], Path]
) -> None:
    tensors = vggt_file()
    (save_file if name.endswith("safetensors") else torch.save)(tensors, tmp_path / name)
    encoder = VGGT(**SMALL, levels=(0, 2))
    report = load_geometry(encoder, place(tmp_path / name))
    for own, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, tensors[f"aggregator.{own}"]), own
    assert report.loaded == len(encoder.state_dict())
    assert report.ignored == {"camera_head": 1, "depth_head": 1, "track_head": 1, "point_head": 2}
    assert str(report).endswith(f"{report.loaded} tensors loaded, 1 of camera_head ignored, 1 of depth_head ignored, "
                                "2 of point_head ignored, 1 of track_head ignored")  # fmt: skip


def test_a_missing_an_extra_and_a_misshapen_tensor_are_all_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    tensors = vggt_file()
    del tensors["aggregator.frame_blocks.1.attn.q_norm.weight"]
    tensors["aggregator.frame_blocks.3.attn.proj.bias"] = torch.zeros(32)
    tensors["aggregator.patch_embed.pos_embed"] = torch.zeros(1, 17, 32)
    save_file(tensors, tmp_path / "model.safetensors")
    encoder = VGGT(**SMALL, levels=(0, 2))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    message = (
        r"does not fit VGGT: 1 missing \(frame_blocks\.1\.attn\.q_norm\.weight\); "
        r"1 unexpected \(aggregator\.frame_blocks\.3\.attn\.proj\.bias\); "
        r"1 unfitting \(aggregator\.patch_embed\.pos_embed is \[1, 17, 32\], not \[1, 26, 32\]\); configure the model"
    )
    with pytest.raises(UsageError, match=message):
        load_geometry(encoder, tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    report = load_geometry(encoder, tmp_path, strict=False)
    assert (len(report.missing), len(report.unexpected), len(report.unfitting)) == (1, 1, 1)
    assert torch.equal(encoder.camera_token, tensors["aggregator.camera_token"])
    assert torch.equal(encoder.state_dict()["patch_embed.pos_embed"], before["patch_embed.pos_embed"])


@pytest.mark.parametrize("size", PUBLIC)
def test_the_public_qwen_configurations_have_their_published_sizes(size: str) -> None:
    (width, mlp, layers, heads), (depth, vision_width, vision_mlp, deepstack), tied, vision, language = PUBLIC[size]
    text = {"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers, "num_attention_heads": heads}
    rope = {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"}
    text |= {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "rope_theta": 5_000_000}
    tower: dict[str, object] = {
        "depth": depth,
        "hidden_size": vision_width,
        "intermediate_size": vision_mlp,
        "num_heads": 16,
    }
    tower |= {"deepstack_visual_indexes": deepstack, "out_hidden_size": width, "num_position_embeddings": 2304}
    config = Qwen3VLConfig(
        text_config=text | {"rope_scaling": rope, "tie_word_embeddings": tied},
        vision_config=tower,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        stock = Qwen3VLForConditionalGeneration(config)
        model = GapForConditionalGeneration.from_base(stock, {"name": "vggt"}, merger_dim=4096)
    kept = [p for name, p in model.named_parameters() if not name.startswith(("model.geometry.", "model.fusion."))]
    assert sum(p.numel() for p in model.model.visual.parameters()) == vision
    assert sum(p.numel() for p in kept) == vision + language


def test_a_public_qwen_loads_from_shards_and_geometry_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stock = Qwen3VLForConditionalGeneration(stock_config())
    stock.save_pretrained(str(tmp_path), max_shard_size="50kB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    geometry = {"name": "vggt", **SMALL, "levels": LEVELS[:3]}
    model = GapForConditionalGeneration.from_base(stock_config(), geometry)
    kept = {name: p.clone() for name, p in model.named_parameters() if name.startswith(("model.geometry", "model.fus"))}
    report = load_weights(model, tmp_path, strict=False)
    assert (report.unexpected, report.unfitting) == ((), ())
    assert set(report.missing) == {name for name in model.state_dict() if name in kept}
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in (stock.state_dict() | kept).items())
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight


AUTHORS_FUSION = {
    "geometry_merger.ln_q.weight": "model.fusion.3.merger.norm.weight",
    "geometry_merger.mlp.0.weight": "model.fusion.3.merger.mlp.0.weight",
    "geometry_merger.mlp.0.bias": "model.fusion.3.merger.mlp.0.bias",
    "geometry_merger.mlp.2.weight": "model.fusion.3.merger.mlp.2.weight",
    "geometry_merger.mlp.2.bias": "model.fusion.3.merger.mlp.2.bias",
    "feature_fusion.norm1.weight": "model.fusion.3.fuse.norm_visual.weight",
    "feature_fusion.norm1.bias": "model.fusion.3.fuse.norm_visual.bias",
    "feature_fusion.norm2.weight": "model.fusion.3.fuse.norm_geometry.weight",
    "feature_fusion.norm2.bias": "model.fusion.3.fuse.norm_geometry.bias",
    "feature_fusion.gate_projection.0.weight": "model.fusion.3.fuse.gate.weight",
    "feature_fusion.gate_projection.0.bias": "model.fusion.3.fuse.gate.bias",
}
"""The authors' names of the last level's modules, as their code registers them, and ours."""


def authors_names(own: str) -> str:
    """The authors' name (without ``model.`` before what geometry adds) of one of our tensors."""
    if own.startswith("model.geometry."):
        return own.replace("model.geometry", "geometry_encoder.vggt.aggregator")
    if not own.startswith("model.fusion."):
        return own
    level = own.split(".")[2]
    theirs = {new: old for old, new in AUTHORS_FUSION.items()}[own.replace(f"fusion.{level}", "fusion.3")]
    if level == "3":
        return theirs
    theirs = theirs.replace("geometry_merger", f"geometry_deepstack_merger_list.{level}")
    return theirs.replace("feature_fusion", f"deepstack_feature_fusion_list.{level}")


@pytest.fixture(scope="module")
def gap_mllm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A small checkpoint as the authors' trainer writes it, in two shards, and its tensors by our names."""
    directory = tmp_path_factory.mktemp("gapmllm-3d")
    geometry = {"name": "vggt", **SMALL, "depth": 4, "levels": [0, 1, 2, 3]}
    model = GapForConditionalGeneration.from_base(stock_config(), geometry, merger_dim=40)
    ours = numbered({name: p for name, p in model.state_dict().items() if name != "lm_head.weight"})
    write_authors(directory, ours)
    return directory, ours


def write_authors(directory: Path, ours: dict[str, Tensor], **changes: Any) -> None:
    config = {
        "model_type": "qwen3_vl",
        "text_config": TEXT,
        "vision_config": VISION,
        "tie_word_embeddings": True,
        **TOKENS,
        "use_geometry_encoder": True,
        "geometry_encoder_type": "vggt",
        "geometry_merger_type": "mlp",
        "geometry_merger_hidden_dim": 40,
        "intermediate_layer_idx": [0, 1, 2, 3],
        "feature_fusion_method": "gated",
        "fusion_num_layers": 1,
        "reference_frame": "first",
    }
    (directory / "config.json").write_text(json.dumps(config | changes))
    theirs = {authors_names(name): tensor for name, tensor in ours.items()}
    added = [name for name in theirs if not name.startswith("model.")]
    first = {name: tensor for name, tensor in theirs.items() if name.startswith("model.")}
    first["lm_head.weight"] = ours["model.language_model.embed_tokens.weight"].clone()
    # What geometry adds hangs on the outer and on the inner model: most under both names, some under one.
    second = {name: theirs[name] for name in added[5:]} | {f"model.{name}": theirs[name].clone() for name in added[:-5]}
    places: dict[str, str] = {}
    for number, shard in enumerate((first, second), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(shard, directory / file)
        places |= dict.fromkeys(shard, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_a_gap_mllm_checkpoint_lands_where_it_should(gap_mllm: tuple[Path, dict[str, Tensor]]) -> None:
    directory, ours = gap_mllm
    model, report = load_gap_mllm(directory, geometry=SMALL | {"depth": 4})
    state = model.state_dict()
    assert set(state) == {*ours, "lm_head.weight"}
    for name, tensor in ours.items():
        assert torch.equal(state[name], tensor), name
    assert {authors_names(name) for name in ours} >= set(AUTHORS_FUSION)
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    added = sum(not authors_names(name).startswith("model.") for name in ours)
    assert (report.loaded, report.repeated, report.problems) == (len(ours), added - 10 + 1, "")
    assert (model.config.fusion, model.config.merger_dim, model.config.model_type) == ("gated", 40, "gap_qwen3_vl")
    rope = model.config.text_config.rope_parameters
    assert (rope["rope_theta"], rope["mrope_section"]) == (5_000_000, [4, 2, 2])
    assert not model.training


def test_a_checkpoint_of_the_authors_comes_with_their_preprocessing_and_prompts(
    gap_mllm: tuple[Path, dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, _ = gap_mllm
    for file in directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    train_tokenizer(["chair"]).save_pretrained(str(tmp_path))
    # Theirs is of VGGT-1B's size, which this one is not.
    small = functools.partial(load_gap_mllm, geometry=SMALL | {"depth": 4})
    monkeypatch.setattr("gapmodel.model_directory.load_gap_mllm", small)
    _, processor = load_model(tmp_path)
    assert processor.config == AUTHORS
    assert (AUTHORS.prompting, AUTHORS.paper_preprocessing) == ("authors", True)
    (tmp_path / "config.json").write_text("3.0")
    with pytest.raises(UsageError, match=r"config\.json: does not hold a JSON object"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda shard: shard.pop("model.geometry_merger.ln_q.weight"), r"1 missing \(model.fusion.3.merger.norm"),
        (
            lambda shard: shard.update({"model.feature_fusion.norm3.weight": torch.ones(32)}),
            r"1 unexpected \(model\.feature_fusion\.norm3\.weight\)",
        ),
        (
            lambda shard: shard.update({"model.feature_fusion.norm1.bias": torch.ones(31)}),
            r"1 unfitting \(model\.feature_fusion\.norm1\.bias is \[31\], not \[32\]\)",
        ),
        (
            lambda shard: shard.update({"model.feature_fusion.norm1.bias": torch.ones(32)}),
            r"norm1\.bias differs from (model\.)?feature_fusion\.norm1\.bias, the same tensor",
        ),
    ],
    ids=["missing", "extra", "misshapen", "unequal"],
)
def test_a_gap_mllm_checkpoint_that_does_not_fit_is_refused(
    gap_mllm: tuple[Path, dict[str, Tensor]], tmp_path: Path, spoil: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    from safetensors.torch import load_file

    directory, _ = gap_mllm
    for file in directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shard = load_file(tmp_path / "model-00002-of-00002.safetensors")
    shard.pop("geometry_merger.ln_q.weight", None)
    spoil(shard)
    save_file(shard, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(UsageError, match=message):
        load_gap_mllm(tmp_path, geometry=SMALL | {"depth": 4})


def test_another_kind_of_gap_mllm_is_refused_by_its_configuration(
    gap_mllm: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    write_authors(tmp_path, gap_mllm[1], feature_fusion_method="add", reference_frame="last")
    message = "is not a GAP-MLLM with gated fusion .* feature_fusion_method 'add', reference_frame 'last'"
    with pytest.raises(UsageError, match=message):
        load_gap_mllm(tmp_path)


def index_to(tmp_path: Path, target: object) -> Path:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"weight": target}}))
    return tmp_path


@pytest.mark.parametrize("target", ["../model.safetensors", "/etc/model.safetensors", "..", "a/b.safetensors", ""])
def test_an_index_that_leaves_its_directory_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="which is not beside it"):
        load_weights(torch.nn.Linear(2, 2), index_to(tmp_path, target))


def write_truncated(path: Path) -> None:
    save_file({"weight": torch.zeros(4, 4)}, path)
    path.write_bytes(path.read_bytes()[:-3])


class Ran:
    """Reducing it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must never be printed",)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("model.safetensors", write_truncated, "is not a whole file of tensors"),
        ("model.pt", lambda path: torch.save({"weight": Ran()}, path), "is not a whole file of tensors"),
        ("model.pt", lambda path: path.write_bytes(pickle.dumps({"weight": 1})), "is not a whole file of tensors"),
        (
            "model.pt",
            lambda path: torch.save({"model": {"weight": torch.zeros(2)}}, path),
            "something other than tensors",
        ),
        ("model.safetensors.index.json", lambda path: path.write_text("{"), "cannot be read"),
        ("model.safetensors.index.json", lambda path: path.write_text("{}"), "has no weight_map"),
        (
            "model.safetensors.index.json",
            lambda path: index_to(path.parent, "gone.safetensors"),
            "gone.*does not exist",
        ),
        (
            "notes.txt",
            lambda path: path.write_text(""),
            "has no weights; it should have one of model.safetensors.index",
        ),
    ],
)
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / name)
    with pytest.raises(UsageError, match=message):
        load_weights(torch.nn.Linear(2, 2), tmp_path)
    assert capsys.readouterr().out == ""
