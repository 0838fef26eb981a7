"""Models by name: ``tiny`` runs anywhere, ``2b``, ``4b`` and ``8b`` are the public Qwen3-VL sizes with VGGT-1B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.geometry.block_sizes import PATCH
from gapdata.runtime.choices import check_choice
from gapmodel.modeling import GapConfig

QWEN_TOKENS = {"pad": 151643, "start": 151644, "end": 151645}
QWEN_TOKENS |= {"vision_start": 151652, "vision_end": 151653, "image": 151655, "video": 151656}
"""Qwen3-VL's special tokens by role."""


def _rotary(theta: float, sections: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta, "mrope_section": sections, "mrope_interleaved": True}


def _public(
    hidden: int, inner: int, layers: int, heads: int, *, tied: bool, large_vision: bool = False
) -> dict[str, Any]:
    size = (27, 1152, 4304, [8, 16, 24]) if large_vision else (24, 1024, 4096, [5, 11, 17])
    vision = dict(zip(("depth", "hidden_size", "intermediate_size", "deepstack_visual_indexes"), size, strict=True))
    return {
        "text": {
            "vocab_size": 151_936,
            "hidden_size": hidden,
            "intermediate_size": inner,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 262_144,
            "rope_parameters": _rotary(5_000_000.0, [24, 20, 20]),
        },
        "vision": {**vision, "num_heads": 16, "patch_size": PATCH, "num_position_embeddings": 2304},
        "tie_word_embeddings": tied,
        "geometry": {"name": "vggt"},
        "fusion": "gated",
        "merger_dim": 4096,
    }


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "text": {
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "head_dim": 32,
            "max_position_embeddings": 4096,
            "initializer_range": 0.04,
            "rope_parameters": _rotary(10_000.0, [6, 5, 5]),
        },
        "vision": {
            "depth": 4,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "patch_size": PATCH,
            "temporal_patch_size": 1,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0, 1, 2],
            "initializer_range": 0.04,
        },
        "geometry": {"name": "tiny"},
        "tie_word_embeddings": True,
    },
    "2b": _public(2048, 6144, 28, 16, tied=True),
    "4b": _public(2560, 9728, 36, 32, tied=True),
    "8b": _public(4096, 12_288, 36, 32, tied=False, large_vision=True),
}
"""The public configurations (config.json of Qwen/Qwen3-VL-2B, 4B and 8B-Instruct); ``merger_dim`` is the authors'."""


def preset(name: str, *, token_ids: Mapping[str, int] = QWEN_TOKENS, **changes: Any) -> GapConfig:
    """Return the configuration of a preset.

    Args:
        name: one of :data:`PRESETS`.
        token_ids: ``image``, ``video``, ``vision_start``, ``vision_end``, ``end`` and ``pad`` ids of the tokenizer.
        changes: ``text``, ``vision`` and ``geometry`` (dicts that override fields of that part) and fields of
            :class:`GapConfig`.

    Raises:
        UsageError: there is no such preset.
    """
    check_choice("preset", name, PRESETS)
    chosen = dict(PRESETS[name])
    text = chosen.pop("text") | changes.pop("text", {})
    vision = chosen.pop("vision") | {"out_hidden_size": text["hidden_size"]} | changes.pop("vision", {})
    geometry = chosen.pop("geometry") | changes.pop("geometry", {})
    if geometry["name"] == "tiny":
        geometry = {"patch_size": vision["patch_size"]} | geometry
    ends = {"pad_token_id": token_ids["pad"], "eos_token_id": token_ids["end"], "bos_token_id": None}
    roles = ("image", "video", "vision_start", "vision_end")
    chosen |= {f"{role}_token_id": token_ids[role] for role in roles}
    # Whether the head is tied is read from both configurations.
    text |= {"tie_word_embeddings": chosen["tie_word_embeddings"]}
    return GapConfig(text_config=text | ends, vision_config=vision, geometry=geometry, **(chosen | changes))
