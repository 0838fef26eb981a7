"""Qwen3-VL with geometry: the stock transformers classes, subclassed at three places.

* :class:`GapConfig` adds the geometry encoder and the fusion strategy to ``Qwen3VLConfig``.
* :meth:`GapModel.get_image_features` is where geometry enters: the stock visual features (final tokens and DeepStack
levels) come
  out of ``super()`` and each level is fused with the geometry encoder's level. Placeholder masks, multimodal rotary
  positions and DeepStack's injection into the first decoder blocks stay upstream.
* :class:`GapForConditionalGeneration` hands the fused features to the stock forward as ``mm_encoder_outputs``;
``generate``
  finds :meth:`GapModel.get_image_features` by its name and therefore encodes once, whatever the number of new tokens
  or beams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    BaseModelOutputWithDeepstackFeatures,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
    Qwen3VLPreTrainedModel,
)

from gapdata.errors import UsageError
from gapmodel.fusion import FusionLevel, Weighted, ZeroLinear
from gapmodel.geometry import GeometryEncoder, build_geometry_encoder
from gapmodel.geometry.base import encode_views

PARTS = ("visual", "language_model", "geometry", "fusion")
"""The parts of :class:`GapModel` that can be frozen."""


@strict
class GapConfig(Qwen3VLConfig):
    """``geometry`` names the encoder and holds its options, ``fusion`` the strategy of every level.

    The encoder's last level is fused with the final visual tokens, its earlier levels with the DeepStack levels in
    order; an encoder with one level gives the last-level-only fusion of earlier work.
    """

    model_type = "gap_qwen3_vl"

    geometry: dict[str, Any] | None = None
    fusion: str = "gated"

    def __post_init__(self, **kwargs: Any) -> None:
        if self.geometry is None:
            self.geometry = {"name": "tiny"}
        super().__post_init__(**kwargs)


class GapPreTrainedModel(Qwen3VLPreTrainedModel):
    """Initialisation of what is no ordinary linear or normalisation layer."""

    config_class = GapConfig

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (GeometryEncoder, ZeroLinear, Weighted)):
            module.init_weights()
        else:
            super()._init_weights(module)


class GapModel(GapPreTrainedModel, Qwen3VLModel):
    """``Qwen3VLModel`` whose visual features are fused with a geometry encoder's."""

    def __init__(self, config: GapConfig) -> None:
        super().__init__(config)
        self.geometry = build_geometry_encoder(config.geometry or {})
        deepstack = len(config.vision_config.deepstack_visual_indexes)
        if not 1 <= len(self.geometry.levels) <= deepstack + 1:
            raise UsageError(
                f"the geometry encoder gives {len(self.geometry.levels)} levels, "
                f"the vision model takes 1 to {deepstack + 1}",
                cure="choose one level for the final tokens and at most one for each DeepStack level",
            )
        merge = config.vision_config.spatial_merge_size
        self.fusion = nn.ModuleList(
            FusionLevel(config.fusion, self.geometry.dim, config.vision_config.out_hidden_size, merge)
            for _ in self.geometry.levels
        )
        self.frozen_parts: tuple[str, ...] = ()
        self.post_init()

    def freeze(self, parts: Sequence[str]) -> None:
        """Take ``parts`` (of :data:`PARTS`) out of training: no gradients, evaluation mode whatever :meth:`train` says.

        Raises:
            UsageError: a part does not exist.
        """
        if unknown := sorted(set(parts) - set(PARTS)):
            raise UsageError(f"unknown model parts {', '.join(unknown)}", cure=f"choose from {', '.join(PARTS)}")
        self.frozen_parts = tuple(parts)
        for part in PARTS:
            self.get_submodule(part).requires_grad_(part not in parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> GapModel:
        """Switch to training mode, except for the frozen parts."""
        super().train(mode)
        for part in getattr(self, "frozen_parts", ()):
            self.get_submodule(part).eval()
        return self

    def geometry_patches(self, images: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The geometry encoder's levels, (N, D_g) each, patches in the order of the visual tokens.

        Args:
            images: (B, F, 3, H, W) in [0, 1], or a list of (F, 3, H, W) where views differ.
        """
        trained = any(parameter.requires_grad for parameter in self.geometry.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            return encode_views(self.geometry, images, self.config.vision_config.spatial_merge_size)

    def get_image_features(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor | None,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithDeepstackFeatures:
        """Fused visual features: ``pooler_output`` split by image, ``deepstack_features`` a list of such levels.

        Args:
            pixel_values: (N, C * T * P * P) patches of all images in merge-block order.
            image_grid_thw: (I, 3) patches along time, height, width of each image.
            geometry_images: the same frames for the geometry encoder, (B, F, 3, H, W) in [0, 1] or a list of (F, 3,
                H, W).
            geometry_features: instead of the images, their encoded levels, each (N, D_g) in merge-block order.

        Raises:
            UsageError: neither is given, or their patches do not match the visual ones.
        """
        stock = super().get_image_features(pixel_values, image_grid_thw, **{**kwargs, "return_dict": True})
        if geometry_features is None:
            if geometry_images is None:
                raise UsageError("images without geometry", cure="pass geometry_images or geometry_features too")
            geometry_features = self.geometry_patches(geometry_images)
        if any(len(level) != len(pixel_values) for level in geometry_features):
            raise UsageError(
                f"geometry has {len(geometry_features[0])} patches, vision {len(pixel_values)}",
                cure="give both encoders the same frames on the same patch grid",
            )
        *early, last = range(len(self.fusion))
        stock.pooler_output = self._fuse(last, stock.pooler_output, geometry_features)
        for level in early:
            stock.deepstack_features[level] = self._fuse(level, stock.deepstack_features[level], geometry_features)
        return stock

    def _fuse(self, level: int, by_image: Sequence[Tensor], patches: Sequence[Tensor]) -> tuple[Tensor, ...]:
        fused = self.fusion[level](torch.cat(tuple(by_image)), patches[level])
        return torch.split(fused, [len(tokens) for tokens in by_image])

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        mm_encoder_outputs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The stock forward on fused visual features; the other arguments are ``Qwen3VLModel``'s."""
        if pixel_values is not None:
            fused = self.get_image_features(pixel_values, image_grid_thw, geometry_images, geometry_features)
            mm_encoder_outputs = {"image": fused}
        return super().forward(
            input_ids=input_ids, image_grid_thw=image_grid_thw, mm_encoder_outputs=mm_encoder_outputs, **kwargs
        )


class GapForConditionalGeneration(GapPreTrainedModel, Qwen3VLForConditionalGeneration):
    """:class:`GapModel` with a language model's head."""

    def __init__(self, config: GapConfig) -> None:
        # The stock constructor would build a Qwen3VLModel first.
        Qwen3VLPreTrainedModel.__init__(self, config)
        self.model = GapModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        mm_encoder_outputs: Mapping[str, Any] | None = None,
        mm_token_type_ids: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """The stock forward on fused visual features; the other arguments are ``Qwen3VLForConditionalGeneration``'s.

        Geometry's arguments stop here: what reaches ``**kwargs`` of the stock forward reaches every decoder layer.
        The stock arguments are named one by one because ``generate`` reads this signature to see what the model
        understands: without ``position_ids`` in it, for one, generation would go on with the positions of an earlier
            call.
        """
        if pixel_values is not None:
            fused = self.model.get_image_features(pixel_values, image_grid_thw, geometry_images, geometry_features)
            mm_encoder_outputs = {"image": fused}
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            image_grid_thw=image_grid_thw,
            mm_encoder_outputs=mm_encoder_outputs,
            mm_token_type_ids=mm_token_type_ids,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )


def tiny_config(vocab_size: int, token_ids: Mapping[str, int], **options: Any) -> GapConfig:
    """The ``tiny`` preset: random weights, a few million parameters, runs anywhere.

    Args:
        vocab_size: size of the tokenizer.
        token_ids: ``image``, ``video``, ``vision_start``, ``vision_end``, ``end`` and ``pad`` ids of the tokenizer.
        options: ``vision``, ``text`` and ``geometry`` (dicts that override fields of that part) and ``fusion``.
    """
    hidden = 192
    text = {
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "initializer_range": 0.04,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [6, 5, 5],
            "mrope_interleaved": True,
        },
        "pad_token_id": token_ids["pad"],
        "eos_token_id": token_ids["end"],
        "bos_token_id": None,
    }
    vision = {
        "depth": 4,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 3,
        "patch_size": 16,
        "temporal_patch_size": 1,
        "out_hidden_size": hidden,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [0, 1, 2],
        "initializer_range": 0.04,
    }
    text |= options.pop("text", {})
    vision |= {"out_hidden_size": text["hidden_size"]} | options.pop("vision", {})
    geometry = {"name": "tiny", "patch_size": vision["patch_size"]} | options.pop("geometry", {})
    return GapConfig(
        text_config=text,
        vision_config=vision,
        geometry=geometry,
        image_token_id=token_ids["image"],
        video_token_id=token_ids["video"],
        vision_start_token_id=token_ids["vision_start"],
        vision_end_token_id=token_ids["vision_end"],
        tie_word_embeddings=True,
        **options,
    )


AutoConfig.register("gap_qwen3_vl", GapConfig)
AutoModel.register(GapConfig, GapModel)
AutoModelForImageTextToText.register(GapConfig, GapForConditionalGeneration)
AutoModelForCausalLM.register(GapConfig, GapForConditionalGeneration)
