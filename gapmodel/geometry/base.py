"""The interface of a geometry encoder: several frames in, patch features from several depths of the network out.

Shape letters used in this package: B views, F frames of a view, H x W pixels, h x w patches, D channels, S special
tokens of a frame, T tokens, L levels, N patches of all frames of a batch one after another.

A new encoder is one file (a subclass with :meth:`GeometryEncoder.encode`) and one line in ``geometry/__init__.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gapdata.errors import UsageError


class GeometryEncoder(nn.Module, ABC):
    """An encoder of all frames of a view together, so that its features hold how the frames are placed.

    ``levels`` are the depths of the network that give features, earliest first; the last one is fused with the final
    visual tokens, those before it with the DeepStack levels in order. ``reference`` says whether features are relative
    to the first frame's camera (``"first"``: metric coordinates "in the first camera" can be read from them) or not
    (``"none"``).

    ``licence`` is that of the public weights that the class loads, by its SPDX identifier or its own name, and
    ``source`` their name on the Hugging Face Hub, empty if there are none. Every class states both, whatever its base
    class says: weights of another size often have another licence.
    """

    licence: ClassVar[str]
    source: ClassVar[str]
    patch_size: int
    levels: tuple[int, ...]
    dim: int
    config: dict[str, Any]
    reference: Literal["first", "none"]
    special: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class that does not state its weights' licence and source."""
        super().__init_subclass__(**kwargs)
        if silent := [name for name in ("licence", "source") if not isinstance(cls.__dict__.get(name), str)]:
            raise TypeError(f"{cls.__name__} must state as text: {', '.join(silent)}")

    @abstractmethod
    def encode(self, images: Tensor) -> list[Tensor]:
        """Encode images as :meth:`forward` does, which adds checks, precision and gradient mode."""

    def attention_pairs(self) -> dict[int, tuple[nn.Module, nn.Module]]:
        """Return blocks that attend within each frame and, next, over all frames, by their level; none by default.

        ``gapmodel inspect`` draws their attention. ``special`` tokens of each frame stand before its patches.
        """
        return {}

    def init_weights(self) -> None:
        """Initialise all except linear, convolution and normalisation layers, by ``transformers.initialization``."""

    @property
    def frozen(self) -> bool:
        """Whether no parameter is trained. A frozen encoder stays in evaluation mode and builds no graph."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    def train(self, mode: bool = True) -> GeometryEncoder:
        """Switch mode; a frozen encoder stays in evaluation mode whatever the outer model does."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return patch features, one (B, F, h, w, ``dim``) for each level, earliest first.

        On a GPU, and on a CPU inside autocast, matrix products run in bfloat16, whether the weights are float32 or
        bfloat16; otherwise everything runs in the weights' own precision. No graph is built if every parameter is
        frozen, unless the images require a gradient.

        Args:
            images: (B, F, 3, H, W) floating point RGB in [0, 1]; H and W multiples of ``patch_size``.

        Raises:
            UsageError: the images have another shape or type.
        """
        if images.ndim != 5 or images.shape[2] != 3 or 0 in images.shape or not images.is_floating_point():
            kind = str(images.dtype).removeprefix("torch.")
            raise UsageError(
                f"a geometry encoder takes (B, F, 3, H, W) floating point images, not {tuple(images.shape)} of {kind}",
                cure="stack the frames of a view and scale them to [0, 1]",
            )
        if images.shape[3] % self.patch_size or images.shape[4] % self.patch_size:
            raise UsageError(
                f"images of {images.shape[4]} x {images.shape[3]} are not made of {self.patch_size}-pixel patches",
                cure="resize them to multiples of the geometry encoder's patch_size",
            )
        graph = torch.is_grad_enabled() and (images.requires_grad or not self.frozen)
        device = "cuda" if images.device.type == "cuda" else "cpu"
        rounds = device == "cuda" or torch.is_autocast_enabled(device)
        with torch.set_grad_enabled(graph), torch.autocast(device, torch.bfloat16, enabled=rounds):
            return self.encode(images)


def check_levels(levels: Sequence[int], known: Sequence[int], blocks: str) -> None:
    """Refuse levels that the network does not have or that are out of order.

    Args:
        levels: the chosen ones.
        known: the numbers to choose from, ascending.
        blocks: what they are numbers of.

    Raises:
        UsageError: the levels are not some of them in ascending order.
    """
    if not levels or list(levels) != sorted(set(levels) & set(known)):
        raise UsageError(
            f"levels {tuple(levels)} do not name some of the {len(known)} {blocks} in ascending order",
            cure=f"choose from {', '.join(map(str, known))}",
        )


def merge_block_order(features: Tensor, merge: int) -> Tensor:
    """Put patch features (I, h, w, D) of I images in Qwen's order, (I * h * w, D): merge x merge blocks stay together.

    A last row or column that does not fill a block is left out, as in the authors' merger.
    """
    images, rows, columns, dim = features.shape
    features = features[:, : rows // merge * merge, : columns // merge * merge]
    blocks = features.reshape(images, rows // merge, merge, columns // merge, merge, dim)
    return blocks.transpose(2, 3).reshape(-1, dim)


def encode_views(encoder: GeometryEncoder, views: Tensor | Sequence[Tensor], merge: int) -> list[Tensor]:
    """Encode a batch of views, of equal shape (B, F, 3, H, W) or ragged [(F, 3, H, W)], to one (N, D) per level.

    Views of equal shape share one pass. Patches come in the order of Qwen's visual tokens: view by view, frame by
    frame, merge blocks together.
    """
    groups: dict[torch.Size, list[int]] = {}
    for index, view in enumerate(views):
        groups.setdefault(view.shape, []).append(index)
    encoded: list[list[Tensor]] = [[] for _ in views]
    for members in groups.values():
        levels = encoder(torch.stack([views[index] for index in members]))
        for position, index in enumerate(members):
            encoded[index] = [merge_block_order(level[position], merge) for level in levels]
    return [torch.cat(parts) for parts in zip(*encoded, strict=True)]
