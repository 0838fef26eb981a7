"""Small files with the names, keys and layout of the public weights, for commands that start from those."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from gapdata import tasks
from gapmodel.geometry import build_geometry_encoder
from gapmodel.presets import preset
from gapmodel.tokenizer import special_token_ids, train_tokenizer

SMALL_VGGT = 'model.geometry={embed_dim=32,depth=4,num_heads=2,levels=[0,1,2,3],patch_embed="conv"}'
"""What tells a training recipe how large the VGGT of :func:`write_vggt` is."""

SMALL_DEPTH_ANYTHING = ["model.geometry.embed_dim=32", "model.geometry.depth=8", "model.geometry.num_heads=2"]
SMALL_DEPTH_ANYTHING += ["model.geometry.alt_start=0", "model.geometry.levels=[1,3,5,7]", "model.geometry.img_size=70"]
"""The same for the Depth Anything 3 of :func:`write_depth_anything`."""
DEPTH_ANYTHING_HEADS = (
    "head.norm.weight",
    "head.scratch.output_conv1.bias",
    "cam_enc.token_norm.bias",
    "cam_dec.fc_t.bias",
)
"""A few of the tensors that its public files have beside the backbone."""


def write_qwen(folder: Path) -> None:
    """A directory like Qwen/Qwen3-VL-2B-Instruct's: configuration, weights and tokenizer."""
    torch.manual_seed(0)
    # The modules of the tasks hold all their wordings.
    wordings = [path.read_text() for path in sorted(Path(tasks.__file__).parent.glob("*.py"))]
    tokenizer = train_tokenizer([string.printable, *wordings])
    ids = special_token_ids(tokenizer)
    small = preset("tiny", token_ids=ids, text={"vocab_size": len(tokenizer)}, vision={"temporal_patch_size": 2})
    fields = {name: getattr(small, name) for name in Qwen3VLConfig().to_dict() if name.endswith(("_id", "embeddings"))}
    parts = {"text_config": small.text_config.to_dict(), "vision_config": small.vision_config.to_dict()}
    Qwen3VLForConditionalGeneration(Qwen3VLConfig(**parts, **fields)).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def write_vggt(folder: Path) -> None:
    """A directory like facebook/VGGT-1B's: one file, the aggregator beside heads that nobody reads here."""
    torch.manual_seed(1)
    sizes = {"embed_dim": 32, "depth": 4, "num_heads": 2, "levels": [0, 1, 2, 3], "patch_embed": "conv"}
    encoder = build_geometry_encoder({"name": "vggt", **sizes})
    tensors = {f"aggregator.{name}": value for name, value in encoder.state_dict().items()}
    folder.mkdir(parents=True)
    save_file({**tensors, "camera_head.token_norm.weight": torch.ones(3)}, folder / "model.safetensors")


def depth_anything_file(encoder: nn.Module) -> dict[str, Tensor]:
    """The tensors of a public file of Depth Anything 3: the backbone beside heads that nobody reads here."""
    tensors = {f"model.backbone.pretrained.{name}": value.clone() for name, value in encoder.state_dict().items()}
    return tensors | {f"model.{name}": torch.ones(3) for name in DEPTH_ANYTHING_HEADS}


def write_depth_anything(folder: Path) -> None:
    """A directory like depth-anything/DA3-BASE's."""
    torch.manual_seed(2)
    sizes = {"img_size": 70, "embed_dim": 32, "depth": 8, "num_heads": 2, "alt_start": 0, "levels": [1, 3, 5, 7]}
    encoder = build_geometry_encoder({"name": "depth-anything-3-base", **sizes})
    folder.mkdir(parents=True)
    save_file(depth_anything_file(encoder), folder / "model.safetensors")
