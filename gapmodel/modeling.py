"""Qwen3-VL with geometry: the stock transformers classes, subclassed at three places.

* :class:`GapConfig` adds the geometry encoder and the fusion strategies to ``Qwen3VLConfig``.
* :meth:`GapModel.get_image_features` is where geometry enters: the stock visual features (final tokens and DeepStack
  levels) come out of ``super()`` and each stream that is configured is fused with a level of the geometry encoder.
  Placeholder masks, multimodal rotary positions and DeepStack's injection into the first decoder blocks stay upstream.
* :meth:`GapModel.forward` hands the fused features to the stock forward as ``mm_encoder_outputs``; ``generate`` finds
  :meth:`GapModel.get_image_features` by its name and therefore encodes once, whatever the number of new tokens or
  beams. :class:`GapForConditionalGeneration` only passes geometry on.

Arguments beyond the stock ones: ``geometry_images`` (the frames, as :mod:`gapmodel.processing` makes them) or
``geometry_features`` (their encoded levels), and on ``get_image_features`` and the outer forward ``output_gates=True``,
with which the output has ``gates``: one (T, D) tensor for each entry of ``GapModel.streams`` (``None`` where a strategy
has no gate), T over all images of the batch in order, each image's tokens row by row.

``from_pretrained(device_map=...)`` needs ``pip install accelerate``, as for every model of transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    BaseModelOutputWithDeepstackFeatures,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
    Qwen3VLPreTrainedModel,
)

from gapdata.errors import UsageError
from gapdata.runtime.choices import check_choice
from gapmodel.checkpoints import load_geometry
from gapmodel.encoder_by_reference import EncoderByReference
from gapmodel.fusion import FINAL, FusionLevel, Weighted, ZeroLinear, fusion_streams
from gapmodel.geometry import ENCODERS, GeometryEncoder, build_geometry_encoder
from gapmodel.geometry.base import encode_views

PARTS = ("visual", "language_model", "geometry", "fusion")
"""The parts of :class:`GapModel` that can be frozen."""


@strict
class GapConfig(Qwen3VLConfig):
    """``geometry`` names the encoder and holds its options, ``fusion`` the strategies (:mod:`gapmodel.fusion`).

    ``merger_dim`` is the width inside the geometry mergers, by default the language model's. ``geometry_weights`` and
    ``geometry_fingerprint`` say where the weights of a frozen encoder are when a checkpoint refers to them instead of
    holding them (:mod:`gapmodel.encoder_by_reference`). ``taught`` lists the tasks of all training stages so far;
    ``None`` where this is not known.
    """

    model_type = "gap_qwen3_vl"

    geometry: dict[str, Any] = field(default_factory=lambda: {"name": "tiny"})
    fusion: str | dict[str, str] = "gated"
    merger_dim: int | None = None
    geometry_weights: str | None = None
    geometry_fingerprint: str | None = None
    taught: list[str] | None = None


@dataclass
class FusedFeatures(BaseModelOutputWithDeepstackFeatures):
    """``pooler_output`` and ``deepstack_features`` after fusion, split by image; ``gates`` if they were asked for."""

    gates: tuple[Tensor | None, ...] | None = None


@dataclass
class GapCausalLMOutput(CausalLMOutputWithPast):
    """The stock output and the gates."""

    gates: tuple[Tensor | None, ...] | None = None


class GapPreTrainedModel(Qwen3VLPreTrainedModel):
    """Initialisation of our own layers, and the modules that a device map must not cut."""

    config_class = GapConfig
    _no_split_modules = (
        *Qwen3VLPreTrainedModel._no_split_modules,
        FusionLevel.__name__,
        *(encoder.__name__ for encoder in ENCODERS.values()),
    )

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (GeometryEncoder, ZeroLinear, Weighted)):
            module.init_weights()
        else:
            super()._init_weights(module)


class GapModel(GapPreTrainedModel, Qwen3VLModel):
    """``Qwen3VLModel`` with visual features that are fused with those of a geometry encoder."""

    def __init__(self, config: GapConfig) -> None:
        super().__init__(config)
        self.geometry = build_geometry_encoder(config.geometry)
        config.geometry = dict(self.geometry.config)  # with the licence and source of its weights
        vision = config.vision_config
        self.streams = fusion_streams(config.fusion, len(self.geometry.levels), len(vision.deepstack_visual_indexes))
        hidden = vision.out_hidden_size
        sizes = (self.geometry.dim, config.merger_dim or hidden, hidden, vision.spatial_merge_size)
        self.fusion = nn.ModuleList(FusionLevel(strategy, *sizes) for strategy in self.streams.values())
        self.post_init()

    def freeze(self, parts: Sequence[str]) -> None:
        """Exclude ``parts`` (of :data:`PARTS`) from training, and train the others.

        Raises:
            UsageError: a part does not exist.
        """
        for part in parts:
            check_choice("model part", part, PARTS)
        for part in PARTS:
            self.get_submodule(part).requires_grad_(part not in parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> GapModel:
        """Switch mode; a part in which nothing is trained stays in evaluation mode."""
        super().train(mode)
        for part in map(self.get_submodule, PARTS):
            part.train(mode and any(parameter.requires_grad for parameter in part.parameters()))
        return self

    def geometry_patches(self, images: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return the geometry encoder's levels, (N, D_g) each, patches in the order of the visual tokens.

        Args:
            images: (B, F, 3, H, W) in [0, 1], or a list of (F, 3, H, W) where views differ.
        """
        return encode_views(self.geometry, images, self.config.vision_config.spatial_merge_size)

    def get_image_features(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        output_gates: bool = False,
        **kwargs: Any,
    ) -> FusedFeatures:
        """Return fused visual features: ``pooler_output`` split by image, ``deepstack_features`` a list of levels.

        Args:
            pixel_values: (N, C * T * P * P) patches of all images in merge-block order.
            image_grid_thw: (I, 3) patches along time, height, width of each image.
            geometry_images: the same frames for the geometry encoder, (B, F, 3, H, W) in [0, 1] or a list of (F, 3,
                H, W).
            geometry_features: instead of the images, their encoded levels, each (N, D_g) in merge-block order.
            output_gates: add ``gates``, one (T, D) or ``None`` for each of :attr:`streams`.
            **kwargs: of the stock method.

        Raises:
            UsageError: neither geometry is given, or its patches do not match the visual ones.
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
        merge = self.config.vision_config.spatial_merge_size
        grids = [(rows // merge, columns // merge) for _, rows, columns in image_grid_thw.tolist()]
        streams = {f"deepstack.{index}": tokens for index, tokens in enumerate(stock.deepstack_features)}
        streams[FINAL], gates = stock.pooler_output, []
        for name, level, patches in zip(self.streams, self.fusion, geometry_features, strict=True):
            tokens, gate = level(torch.cat(tuple(streams[name])), patches, grids)
            streams[name] = tokens.split([len(image) for image in streams[name]])
            gates.append(gate)
        return FusedFeatures(
            last_hidden_state=stock.last_hidden_state,
            pooler_output=streams.pop(FINAL),
            deepstack_features=list(streams.values()),
            gates=tuple(gates) if output_gates else None,
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Any = None,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        mm_encoder_outputs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the stock forward on fused visual features; the other arguments are ``Qwen3VLModel``'s.

        Geometry's arguments stop here: what reaches ``**kwargs`` of the stock forward reaches every decoder layer.
        ``attention_mask`` may be (B, 1, S, S), True where a token may look (shared prefixes, :mod:`gapmodel.packing`).
        """
        if pixel_values is not None:
            fused = self.get_image_features(pixel_values, image_grid_thw, geometry_images, geometry_features)
            mm_encoder_outputs = {"image": fused}
        return super().forward(
            input_ids,
            self._additive(attention_mask),
            image_grid_thw=image_grid_thw,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )

    def _additive(self, mask: Tensor | None) -> Tensor | None:
        # Eager attention adds a (B, 1, S, S) mask to the scores; a boolean mask would be added as 0 and 1.
        if mask is None or mask.ndim != 4 or mask.dtype != torch.bool or self.config._attn_implementation != "eager":
            return mask
        scores = self.language_model.embed_tokens.weight.dtype
        return torch.zeros(mask.shape, dtype=scores, device=mask.device).masked_fill(~mask, torch.finfo(scores).min)


def _extended(stock: Callable[..., Any], own: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a stock method, with the keywords that our own adds to it."""
    theirs, ours = (list(inspect.signature(method).parameters.values()) for method in (stock, own))
    added = [parameter for parameter in ours if parameter.kind is parameter.KEYWORD_ONLY]
    return inspect.Signature([*theirs[:-1], *added, theirs[-1]])


class GapForConditionalGeneration(EncoderByReference, GapPreTrainedModel, Qwen3VLForConditionalGeneration):
    """:class:`GapModel` with a language model's head."""

    def __init__(self, config: GapConfig) -> None:
        # The stock constructor would build a Qwen3VLModel first.
        Qwen3VLPreTrainedModel.__init__(self, config)
        self.model = GapModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
        if config.geometry_fingerprint:
            self._keys_to_ignore_on_load_missing.add(r"^model\.geometry\.")

    @classmethod
    def from_base(
        cls,
        qwen: str | Path | Qwen3VLForConditionalGeneration | Qwen3VLConfig,
        geometry: GeometryEncoder | Mapping[str, Any],
        *,
        fusion: str | dict[str, str] = "gated",
        merger_dim: int | None = None,
        geometry_weights: str | Path | None = None,
        **loading: Any,
    ) -> GapForConditionalGeneration:
        """Fuse a geometry encoder into a stock Qwen3-VL.

        Args:
            qwen: a directory or hub name, a loaded model (its modules are taken over, not copied), or a
                configuration for random weights.
            geometry: an encoder that :func:`build_geometry_encoder` made, or its configuration.
            fusion: see :class:`GapConfig`.
            merger_dim: see :class:`GapConfig`; the authors' checkpoints have 4096.
            geometry_weights: file or directory of the encoder's weights, read here and remembered as their origin.
            **loading: passed to ``from_pretrained`` of the stock model (``dtype``, ``device_map``, ...).
        """
        if isinstance(qwen, (str, Path)):
            qwen = Qwen3VLForConditionalGeneration.from_pretrained(str(qwen), **loading)
        elif isinstance(qwen, Qwen3VLConfig):
            qwen = Qwen3VLForConditionalGeneration(qwen)
        stock = qwen.config
        # Built field by field: a configuration read with from_pretrained would keep the stock model_type.
        own = {"model_type", "architectures", "transformers_version", "text_config", "vision_config"}
        config = GapConfig(
            **{name: value for name, value in stock.to_dict().items() if name not in own},
            text_config=stock.text_config,
            vision_config=stock.vision_config,
            attn_implementation=stock._attn_implementation,
            geometry=dict(geometry.config if isinstance(geometry, GeometryEncoder) else geometry),
            fusion=fusion,
            merger_dim=merger_dim,
            geometry_weights=None if geometry_weights is None else str(geometry_weights),
        )
        with torch.device("meta"):
            model = cls(config)
        model.model.visual, model.model.language_model = qwen.model.visual, qwen.model.language_model
        model.lm_head, model.generation_config = qwen.lm_head, qwen.generation_config
        fresh = [model.model.fusion, model.model.geometry]
        if isinstance(geometry, GeometryEncoder):
            model.model.geometry = geometry
            fresh.pop()
        for part in fresh:
            part.to_empty(device=qwen.device).to(qwen.dtype).apply(model._init_weights)
        if geometry_weights is not None:
            load_geometry(model.model.geometry, geometry_weights)
        model.train(qwen.training)
        return model

    def forward(
        self,
        *args: Any,
        geometry_images: Tensor | Sequence[Tensor] | None = None,
        geometry_features: Sequence[Tensor] | None = None,
        output_gates: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Run the stock forward on fused features; other arguments are ``Qwen3VLForConditionalGeneration``'s."""
        geometry = {"geometry_images": geometry_images, "geometry_features": geometry_features}
        if not output_gates:
            return super().forward(*args, **geometry, **kwargs)
        fused = self.get_image_features(
            kwargs.pop("pixel_values"), kwargs["image_grid_thw"], output_gates=True, **geometry
        )
        output = super().forward(*args, mm_encoder_outputs={"image": fused}, **kwargs)
        return GapCausalLMOutput(**output, gates=fused.gates)

    # What ``generate`` reads to see what the model understands: without ``position_ids`` in it, for one, generation
    # would go on with the positions of an earlier call.
    forward.__signature__ = _extended(Qwen3VLForConditionalGeneration.forward, forward)  # type: ignore[attr-defined]


AutoConfig.register(GapConfig.model_type, GapConfig)
AutoModel.register(GapConfig, GapModel)
AutoModelForImageTextToText.register(GapConfig, GapForConditionalGeneration)
AutoModelForCausalLM.register(GapConfig, GapForConditionalGeneration)
# The pipeline and ``transformers serve`` know models that see by these names.
for _known in (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES):
    _known[GapConfig.model_type] = GapForConditionalGeneration.__name__
