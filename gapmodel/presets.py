"""Models by name: ``tiny`` runs anywhere, ``2b``, ``4b`` and ``8b`` are the public Qwen3-VL sizes with VGGT-1B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.errors import UsageError
from gapmodel.modeling import GapConfig

QWEN_TOKENS = {
    "pad": 151643,
    "start": 151644,
    "end": 151645,
    "vision_start": 151652,
    "vision_end": 151653,
    "image": 151655,
    "video": 151656,
}
"""Qwen3-VL's special tokens by role."""
_TEXT = {
    "vocab_size": 151_936,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
_VISION = {"num_heads": 16, "patch_size": 16, "temporal_patch_size": 2, "num_position_embeddings": 2304}
_VISION_SMALL = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}
_VISION_LARGE = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]}
_VGGT = {"geometry": {"name": "vggt"}, "fusion": "gated", "merger_dim": 4096}

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
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
        },
        "vision": {
            "depth": 4,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "patch_size": 16,
            "temporal_patch_size": 1,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [0, 1, 2],
            "initializer_range": 0.04,
        },
        "geometry": {"name": "tiny"},
        "tie_word_embeddings": True,
    },
    "2b": {
        "text": _TEXT
        | {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
        "vision": _VISION | _VISION_SMALL,
        "tie_word_embeddings": True,
        **_VGGT,
    },
    "4b": {
        "text": _TEXT
        | {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
        "vision": _VISION | _VISION_SMALL,
        "tie_word_embeddings": True,
        **_VGGT,
    },
    "8b": {
        "text": _TEXT
        | {"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36, "num_attention_heads": 32},
        "vision": _VISION | _VISION_LARGE,
        "tie_word_embeddings": False,
        **_VGGT,
    },
}
"""The public configurations (config.json of Qwen/Qwen3-VL-2B, 4B and 8B-Instruct); ``merger_dim`` is the authors'."""


def preset(name: str, *, token_ids: Mapping[str, int] = QWEN_TOKENS, **changes: Any) -> GapConfig:
    """The configuration of a preset.

    Args:
        name: one of :data:`PRESETS`.
        token_ids: ``image``, ``video``, ``vision_start``, ``vision_end``, ``end`` and ``pad`` ids of the tokenizer.
        changes: ``text``, ``vision`` and ``geometry`` (dicts that override fields of that part) and fields of
            :class:`GapConfig`.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"preset {name!r} is unknown", cure=f"choose from {', '.join(PRESETS)}")
    chosen = dict(PRESETS[name])
    text = chosen.pop("text") | changes.pop("text", {})
    vision = chosen.pop("vision") | {"out_hidden_size": text["hidden_size"]} | changes.pop("vision", {})
    geometry = chosen.pop("geometry") | changes.pop("geometry", {})
    if geometry["name"] == "tiny":
        geometry = {"patch_size": vision["patch_size"]} | geometry
    ends = {"pad_token_id": token_ids["pad"], "eos_token_id": token_ids["end"], "bos_token_id": None}
    chosen |= {
        "image_token_id": token_ids["image"],
        "video_token_id": token_ids["video"],
        "vision_start_token_id": token_ids["vision_start"],
        "vision_end_token_id": token_ids["vision_end"],
    }
    # Whether the head is tied is read from both configurations.
    text |= {"tie_word_embeddings": chosen["tie_word_embeddings"]}
    return GapConfig(text_config=text | ends, vision_config=vision, geometry=geometry, **(chosen | changes))
