"""A look inside a model, for one record: its gates, and what a patch attends to in the geometry encoder.

Gates show, token by token, how much of vision and of geometry each level takes (the mean over the channels). Attention
shows what one chosen patch looks at, layer by layer: within its frame, and over all frames. Layers that match frames
attend to corresponding points; the paper finds that answers are wrong where they do not.

Attention is recomputed from the inputs of each attention layer, which hooks capture, so that the forward pass stays as
it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gapdata.errors import UsageError
from gapdata.records.schema import Record
from gapdata.tasks.chat import IMAGE, Question
from gapmodel.field_of_view import centred_window
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.geometry.blocks import Attention, Rotary
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAttention:
    """The attention of one patch in one pair of blocks: shares, the mean over the heads."""

    layer: int
    frame: NDArray[np.float32]  # (h, w), the frame block: patches of its own frame
    view: NDArray[np.float32]  # (F, h, w), the global block: patches of all frames
    # With the special tokens' share, each of the two sums to 1.


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The contents of the picture."""

    title: str
    images: NDArray[np.uint8]  # (F, H, W, 3), as the geometry encoder sees them
    frame_ids: tuple[int, ...]
    patch: tuple[int, int, int]  # the chosen one: frame, row, column
    gates: Mapping[tuple[str, str], NDArray[np.float32]]  # by stream and what the gate is, (F, rows, columns)
    attention: Sequence[TokenAttention]


def attention_shares(q: Tensor, k: Tensor, token: int) -> Tensor:
    """Return the softmax attention of one token, (T,), the mean over the heads; q and k are (heads, T, head_dim)."""
    scores = k.float() @ q[:, token, :, None].float() / q.shape[-1] ** 0.5  # (heads, T, 1)
    shares: Tensor = scores[..., 0].softmax(dim=-1).mean(dim=0)
    return shares


@torch.no_grad()
def token_attention(encoder: GeometryEncoder, images: Tensor, patch: tuple[int, int, int]) -> list[TokenAttention]:
    """Return the attention of one patch in every pair of blocks up to the encoder's last level.

    Args:
        encoder: one with :meth:`GeometryEncoder.attention_pairs`, as VGGT has.
        images: (F, 3, H, W) in [0, 1], one view.
        patch: frame, row and column.

    Raises:
        UsageError: the encoder has no such pairs, or there is no such patch.
    """
    pairs = encoder.attention_pairs()
    if not pairs:
        raise UsageError(f"attention of {type(encoder).__name__} cannot be drawn", cure="choose an encoder like VGGT")
    frames, rows, columns = len(images), *(side // encoder.patch_size for side in images.shape[-2:])
    frame, row, column = patch
    if not (0 <= frame < frames and 0 <= row < rows and 0 <= column < columns):
        raise UsageError(
            f"there is no patch {patch} (frame, row, column) in {frames} frames of {rows} x {columns} patches",
            cure="choose a patch of these frames",
        )
    special = encoder.special
    tokens = special + rows * columns
    place = special + row * columns + column
    in_frames: list[Tensor] = []
    in_views: list[Tensor] = []

    def capture(shares: list[Tensor], item: int, token: int, layer: Attention, inputs: tuple[Tensor, Rotary]) -> None:
        q, k, _ = layer.queries_keys_values(*inputs)
        shares.append(attention_shares(q[item], k[item], token).cpu())

    look_in_frame = partial(capture, in_frames, frame, place)  # q and k (F, heads, T, head_dim)
    look_in_view = partial(capture, in_views, 0, frame * tokens + place)  # (1, heads, F * T, head_dim)
    handles = [block.get_submodule("attn").register_forward_pre_hook(look_in_frame) for block, _ in pairs.values()]
    handles += [block.get_submodule("attn").register_forward_pre_hook(look_in_view) for _, block in pairs.values()]
    try:
        encoder(images[None])
    finally:
        for handle in handles:
            handle.remove()
    numbers = list(pairs)[: len(in_views)]  # those after the last level did not run
    return [
        TokenAttention(
            layer=number,
            frame=in_frame[special:].reshape(rows, columns).numpy(),
            view=in_view.reshape(frames, tokens)[:, special:].reshape(frames, rows, columns).numpy(),
        )
        for number, in_frame, in_view in zip(numbers, in_frames, in_views, strict=True)
    ]


@torch.no_grad()
def inspect_record(
    model: GapForConditionalGeneration,
    processor: GapProcessor,
    record: Record,
    *,
    pixel: tuple[int, int] | None = None,
    frame: int | None = None,
) -> Inspection:
    """Look at one record through a model.

    Args:
        model: in evaluation mode.
        processor: the model's.
        record: with its members.
        pixel: (u, v) of the stored image, in the patch to look at; by default the first prompt's, or the centre.
        frame: position of that frame in the view; by default the first prompt's, or 0.

    Raises:
        UsageError: the pixel lies outside the window that the model sees.
    """
    images = [record.image(index) for index in range(len(record))]
    question = Question(text=IMAGE * len(images), answer="")
    inputs = processor.collate([processor.encode(record.key, images, question, with_answer=False)]).inputs
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    geometry = inputs["geometry_images"][0]  # (F, 3, H, W)
    features = model.model.get_image_features(
        inputs["pixel_values"], inputs["image_grid_thw"], geometry[None], output_gates=True
    )
    _, rows, columns = inputs["image_grid_thw"][0].tolist()
    chosen, pixel = _chosen_pixel(record, frame, pixel)
    patch = (chosen, *centred_window(*record.image_size, (rows, columns)).patch_at(pixel))
    name = type(model.model.geometry).__name__
    return Inspection(
        title=f"{record.key}    {name}    patch at pixel {pixel} of frame {record.frame_ids[chosen]}",
        images=(geometry.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy(),
        frame_ids=record.frame_ids,
        patch=patch,
        gates=_gate_maps(model, features.gates or (), (len(images), rows, columns)),
        attention=token_attention(model.model.geometry, geometry, patch),
    )


def _chosen_pixel(record: Record, frame: int | None, pixel: tuple[int, int] | None) -> tuple[int, tuple[int, int]]:
    """Return the frame and the pixel to look at; what is not given is the first prompt's, or the image's centre."""
    asked = next((prompt for prompt in record.prompts if frame in (None, prompt.frame)), None)
    if pixel is None:
        pixel = asked.pixel if asked else (record.image_size[0] // 2, record.image_size[1] // 2)
        frame = asked.frame if asked else frame
    frame = frame or 0
    if not 0 <= frame < len(record):
        raise UsageError(
            f"record {record.key} has no frame {frame}", cure=f"choose --frame from 0 to {len(record) - 1}"
        )
    return frame, pixel


def _gate_maps(
    model: GapForConditionalGeneration, gates: Sequence[Tensor | None], patches: tuple[int, int, int]
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Return the mean gate of each token, (F, rows, columns), by stream and meaning; ``patches`` are (F, h, w)."""
    merge, (frames, rows, columns) = model.config.vision_config.spatial_merge_size, patches
    maps = {}
    for (stream, strategy), gate in zip(model.model.streams.items(), gates, strict=True):
        if gate is not None:
            values = gate.float().mean(dim=-1).reshape(frames, rows // merge, columns // merge)
            side = "geometry" if strategy == "gated_residual" else "vision"
            maps[stream, f"gate: share of {side}"] = values.cpu().numpy()
    return maps
