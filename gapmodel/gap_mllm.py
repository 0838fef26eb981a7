"""The authors' released checkpoints as models of ours: their configuration and their names of tensors.

The names are those of the repository ZestfulJX/GAP-MLLM at 051011f.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.initialization import no_init_weights

from gapdata.errors import UsageError
from gapmodel.checkpoints import VGGT_HEADS, LoadReport, load_weights, read_json
from gapmodel.modeling import GapConfig, GapForConditionalGeneration

GAP_MLLM = {
    "model_type": ("qwen3_vl",),
    "use_geometry_encoder": (True,),
    "feature_fusion_method": ("gated",),
    "geometry_encoder_type": ("vggt", None),
    "geometry_merger_type": ("mlp", None),
    "reference_frame": ("first", None),
}
"""Fields of the authors' configuration of the models that they released; ``None`` where a field may be missing."""
GAP_MLLM_MERGER_DIM = 4096
"""Width inside the authors' geometry mergers; their configuration leaves it to a default."""
GAP_MLLM_NAMES = (
    (r"^(?:model\.)?geometry_encoder\.vggt\.aggregator\.", "model.geometry."),
    (r"^(?:model\.)?geometry_deepstack_merger_list\.(\d+)\.", r"model.fusion.\1.merger."),
    (r"^(?:model\.)?geometry_merger\.", "model.fusion.3.merger."),
    (r"^(?:model\.)?deepstack_feature_fusion_list\.(\d+)\.", r"model.fusion.\1.fuse."),
    (r"^(?:model\.)?feature_fusion\.", "model.fusion.3.fuse."),
    (r"^(model\.fusion\.\d+\.merger)\.ln_q\.", r"\1.norm."),
    (r"^(model\.fusion\.\d+\.fuse)\.norm1\.", r"\1.norm_visual."),
    (r"^(model\.fusion\.\d+\.fuse)\.norm2\.", r"\1.norm_geometry."),
    (r"^(model\.fusion\.\d+\.fuse)\.gate_projection\.0\.", r"\1.gate."),
)
"""The authors' names into ours, substituted one after another: DeepStack's three levels come first, then the last."""


def gap_mllm_fields(directory: str | Path) -> dict[str, Any]:
    """Return the configuration of a released checkpoint.

    Raises:
        UsageError: there is none, or it is of another model.
    """
    fields = read_json(Path(directory) / "config.json")
    if wrong := [f"{name} {fields.get(name)!r}" for name, known in GAP_MLLM.items() if fields.get(name) not in known]:
        raise UsageError(
            f"is not a GAP-MLLM with gated fusion of VGGT relative to the first frame: {', '.join(wrong)}",
            path=Path(directory) / "config.json",
            cure="name a checkpoint that the authors released",
        )
    return fields


def load_gap_mllm(
    directory: str | Path, *, geometry: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float32
) -> tuple[GapForConditionalGeneration, LoadReport]:
    """Load the model in a directory of the authors (``config.json`` and weights), in evaluation mode.

    Give it a processor with :data:`gapmodel.processing.AUTHORS`, as :func:`gapmodel.model_directory.load_model` does:
    it was trained with the two encoders' different fields of view and with ``prompting = "authors"``.

    Args:
        directory: a released checkpoint.
        geometry: options of the VGGT inside, if it is not of VGGT-1B's size.
        dtype: of the model.

    Raises:
        UsageError: there is no such model, it is of another kind, or its tensors do not fit.
    """
    fields = gap_mllm_fields(directory)
    tokens = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    stock = ("text_config", "vision_config", "tie_word_embeddings", *tokens)
    config = GapConfig(
        **{name: fields[name] for name in stock if name in fields},
        geometry={"name": "vggt", "levels": fields.get("intermediate_layer_idx", [4, 11, 17, 23]), **(geometry or {})},
        fusion="gated",
        merger_dim=fields.get("geometry_merger_hidden_dim", GAP_MLLM_MERGER_DIM),
    )
    with no_init_weights():
        model = GapForConditionalGeneration._from_config(config, dtype=dtype)
    model.tie_weights()
    heads = rf"(?:model\.)?geometry_encoder\.vggt\.{VGGT_HEADS}"
    return model.eval(), load_weights(model, directory, GAP_MLLM_NAMES, ignored=heads)
