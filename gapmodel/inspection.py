"""What a model does inside, for one record, as one picture: gate maps and the geometry encoder's attention.

Gates tell, token by token, how much of vision and of geometry each level takes (the mean over the channels). Attention
tells what one chosen patch looks at, layer by layer: within its frame, and over all frames. Corresponding points light
up in the layers that match frames; where they do not, the paper finds its failures.

Attention is recomputed from the inputs of each attention layer, which hooks capture, so the forward pass is the one
that is always used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gapdata.errors import UsageError
from gapdata.records.codec import record_image
from gapdata.records.schema import Record
from gapdata.tasks.chat import IMAGE, Question
from gapdata.view.palette import MUTED, PROMPT, SHEET, TEXT
from gapdata.view.text import fitted_text, put_text
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.geometry.blocks import Attention, Block, Rotary
from gapmodel.geometry.vggt import VGGT

if TYPE_CHECKING:
    from gapmodel.modeling import GapForConditionalGeneration
    from gapmodel.processing import GapProcessor

MARGIN, GAP, LABEL, CAPTION = 28, 8, 230, 24
MAX_FRAMES, MAX_LAYERS = 8, 12
"""More are thinned evenly; the frame of the chosen patch stays."""
MAX_WIDTH = 1640
"""Of all cells of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAttention:
    """What one patch looks at in one pair of blocks: shares of attention, the mean over the heads."""

    layer: int
    frame: NDArray[np.float32]  # (h, w), the frame block: patches of its own frame
    view: NDArray[np.float32]  # (F, h, w), the global block: patches of all frames
    # With the special tokens' share, each of the two sums to 1.


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All that the picture shows."""

    title: str
    images: NDArray[np.uint8]  # (F, H, W, 3), as the geometry encoder sees them
    frame_ids: tuple[int, ...]
    patch: tuple[int, int, int]  # the chosen one: frame, row, column
    gates: Mapping[tuple[str, str], NDArray[np.float32]]  # by stream and what the gate is, (F, rows, columns)
    attention: Sequence[TokenAttention]


def attention_shares(q: Tensor, k: Tensor, token: int) -> Tensor:
    """Softmax attention of one token, (T,), the mean over the heads; ``q`` and ``k`` are (heads, T, head_dim)."""
    scores = k.float() @ q[:, token, :, None].float() / q.shape[-1] ** 0.5  # (heads, T, 1)
    return scores[..., 0].softmax(dim=-1).mean(dim=0)


@torch.no_grad()
def token_attention(encoder: GeometryEncoder, images: Tensor, patch: tuple[int, int, int]) -> list[TokenAttention]:
    """Attention of one patch in every pair of blocks up to the encoder's last level.

    Args:
        encoder: of VGGT's shape.
        images: (F, 3, H, W) in [0, 1], one view.
        patch: frame, row and column.

    Raises:
        UsageError: the encoder is of another shape, or there is no such patch.
    """
    if not isinstance(encoder, VGGT):
        raise UsageError(f"attention of {type(encoder).__name__} cannot be drawn", cure="choose an encoder like VGGT")
    frames, rows, columns = len(images), *(side // encoder.patch_size for side in images.shape[-2:])
    frame, row, column = patch
    if not (0 <= frame < frames and 0 <= row < rows and 0 <= column < columns):
        raise UsageError(f"no patch {patch} in {frames} frames of {rows} x {columns} patches")
    special = encoder.camera_token.shape[2] + encoder.register_token.shape[2]
    tokens = special + rows * columns
    place = special + row * columns + column
    captured: tuple[list[Tensor], list[Tensor]] = [], []

    def capture(shares: list[Tensor], item: int, token: int, layer: Attention, inputs: tuple[Tensor, Rotary]) -> None:
        q, k, _ = layer.queries_keys_values(
            *inputs
        )  # frame blocks: (F, heads, T, head_dim); global: (1, heads, F * T, ..)
        shares.append(attention_shares(q[item], k[item], token).cpu())

    handles = [
        block.attn.register_forward_pre_hook(partial(capture, shares, item, token))
        for blocks, shares, item, token in (
            (encoder.frame_blocks, captured[0], frame, place),
            (encoder.global_blocks, captured[1], 0, frame * tokens + place),
        )
        for block in blocks
        if isinstance(block, Block)
    ]
    try:
        encoder(images[None])
    finally:
        for handle in handles:
            handle.remove()
    return [
        TokenAttention(
            layer=index,
            frame=in_frame[special:].reshape(rows, columns).numpy(),
            view=in_view.reshape(frames, tokens)[:, special:].reshape(frames, rows, columns).numpy(),
        )
        for index, (in_frame, in_view) in enumerate(zip(*captured, strict=True))
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
        pixel: (u, v) of the stored image whose patch is looked at; the first prompt's (or the image's centre) if left
            out.
        frame: position of that frame in the view; the first prompt's (or 0) if left out.

    Raises:
        UsageError: the pixel lies outside of what the model sees.
    """
    images = [record_image(record, index) for index in range(len(record))]
    question = Question(text=IMAGE * len(images), answer="")
    inputs = processor.collate([processor.encode(record.key, images, question, with_answer=False)]).inputs
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    geometry = inputs["geometry_images"][0]  # (F, 3, H, W)
    features = model.model.get_image_features(
        inputs["pixel_values"], inputs["image_grid_thw"], geometry[None], output_gates=True
    )
    _, rows, columns = inputs["image_grid_thw"][0].tolist()
    merge = model.config.vision_config.spatial_merge_size
    gates = {}
    for (stream, strategy), gate in zip(model.model.streams.items(), features.gates or (), strict=True):
        if gate is not None:
            values = gate.float().mean(dim=-1).reshape(len(images), rows // merge, columns // merge)
            side = "geometry" if strategy == "gated_residual" else "vision"
            gates[stream, f"gate: share of {side}"] = values.cpu().numpy()
    asked = next((prompt for prompt in record.prompts if frame in (None, prompt.frame)), None)
    if pixel is None:
        pixel = asked.pixel if asked else (record.image_size[0] // 2, record.image_size[1] // 2)
        frame = asked.frame if asked else frame
    patch = (frame or 0, *_patch_of(pixel, record.image_size, (rows, columns)))
    if not 0 <= patch[0] < len(record):
        raise UsageError(
            f"record {record.key} has no frame {patch[0]}", cure=f"choose --frame from 0 to {len(record) - 1}"
        )
    name = type(model.model.geometry).__name__
    return Inspection(
        title=f"{record.key}    {name}    patch at pixel {pixel} of frame {record.frame_ids[patch[0]]}",
        images=(geometry.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy(),
        frame_ids=record.frame_ids,
        patch=patch,
        gates=gates,
        attention=token_attention(model.model.geometry, geometry, patch),
    )


def _patch_of(pixel: tuple[int, int], size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the patch that sees a pixel (u, v) of an image of ``size``, centrally cropped to the grid."""
    (width, height), (rows, columns) = size, grid
    seen_width, seen_height = min(width, height * columns / rows), min(height, width * rows / columns)
    column = (pixel[0] + 0.5 - (width - seen_width) / 2) * columns / seen_width
    row = (pixel[1] + 0.5 - (height - seen_height) / 2) * rows / seen_height
    if not (0 <= row < rows and 0 <= column < columns):
        raise UsageError(
            f"pixel {pixel} is outside of what the model sees of {width} x {height}",
            cure="choose another --token",
        )
    return int(row), int(column)


def inspection_sheet(found: Inspection) -> NDArray[np.uint8]:
    """The picture, (H, W, 3) uint8 RGB: the frames, a row of gate maps for each level, of attention for each layer."""
    frames = _thinned(len(found.images), MAX_FRAMES, found.patch[0])
    layers = [found.attention[i] for i in _thinned(len(found.attention), MAX_LAYERS, len(found.attention) - 1)]
    width = min(300, (MAX_WIDTH + GAP) // (len(frames) + 1) - GAP)
    cell = (width, round(width * found.images.shape[1] / found.images.shape[2]))
    grey = [_grey(image, cell) for image in found.images]
    own = found.patch[0]

    pictures = [_fitted(found.images[index], cell) for index in frames]
    _outline(pictures[frames.index(own)], found, cell)
    rows = [_row("", "", [*pictures, None], [*(f"frame {found.frame_ids[i]}" for i in frames), ""])]
    values = np.concatenate([gate.ravel() for gate in found.gates.values()]) if found.gates else np.zeros(1)
    low, high = (float(value) for value in np.percentile(values, [1, 99]))
    for name, gate in found.gates.items():
        maps = [_heat(gate[index], low, high, grey[index], "VIRIDIS") for index in frames]
        means = [f"mean {gate[index].mean():.3f}" for index in frames]
        rows.append(_row(*name, [*maps, _ramp(cell, low, high)], [*means, "scale of all gates"]))
    for layer in layers:
        top = max(float(np.percentile(layer.view, 99.8)), 1e-9)
        maps = [_heat(layer.view[index], 0.0, top, grey[index], "INFERNO") for index in frames]
        inside = _heat(layer.frame, 0.0, max(float(np.percentile(layer.frame, 99.8)), 1e-9), grey[own], "INFERNO")
        for picture in (maps[frames.index(own)], inside):
            _outline(picture, found, cell)
        shares = [f"{100 * layer.view[index].sum():.1f} %" for index in frames]
        special = f"special tokens {100 * (1 - layer.view.sum()):.1f} %"
        texts = [*shares, f"within the frame {100 * layer.frame.sum():.1f} %"]
        rows.append(_row(f"attention, layer {layer.layer}", special, [*maps, inside], texts))
    note = "" if found.gates else "    (this fusion has no gates)"
    header = np.full((58, rows[0].shape[1], 3), SHEET, dtype=np.uint8)
    put_text(header, fitted_text(found.title + note, 24, header.shape[1], 700), (0, 28), 24, TEXT, 700)
    inner = np.concatenate([header, *rows])
    sheet = np.full((inner.shape[0] + 2 * MARGIN, inner.shape[1] + 2 * MARGIN, 3), SHEET, dtype=np.uint8)
    sheet[MARGIN:-MARGIN, MARGIN:-MARGIN] = inner
    return sheet


def _row(name: str, detail: str, cells: Sequence[NDArray[Any] | None], captions: Sequence[str]) -> NDArray[np.uint8]:
    """A label and pictures side by side, each with a caption above it."""
    shape = next(cell.shape for cell in cells if cell is not None)
    row = np.full((shape[0] + CAPTION + GAP, LABEL + len(cells) * (shape[1] + GAP), 3), SHEET, dtype=np.uint8)
    put_text(row, fitted_text(name, 16, LABEL - 12, 600), (0, CAPTION + 18), 16, TEXT, 600)
    put_text(row, fitted_text(detail, 14, LABEL - 12), (0, CAPTION + 42), 14, MUTED)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        left = LABEL + index * (shape[1] + GAP)
        put_text(row, fitted_text(caption, 14, shape[1]), (left, CAPTION - 7), 14, MUTED)
        if cell is not None:
            row[CAPTION : CAPTION + shape[0], left : left + shape[1]] = cell
    return row


def _heat(values: NDArray[Any], low: float, high: float, grey: NDArray[Any], colours: str) -> NDArray[np.uint8]:
    """A map over its frame in grey: one block of colour for each token."""
    import cv2

    level = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    size = grey.shape[1::-1]
    blocks = cv2.resize(np.rint(255 * level).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    tinted = cv2.cvtColor(cv2.applyColorMap(blocks, getattr(cv2, f"COLORMAP_{colours}")), cv2.COLOR_BGR2RGB)
    return cv2.addWeighted(tinted, 0.72, grey, 0.28, 0)


def _ramp(cell: tuple[int, int], low: float, high: float) -> NDArray[np.uint8]:
    """The scale of the gate maps."""
    picture = np.full((cell[1], cell[0], 3), SHEET, dtype=np.uint8)
    ramp = np.linspace(high, low, cell[1])[:, None].repeat(20, axis=1)
    picture[:, :20] = _heat(ramp, low, high, np.full((cell[1], 20, 3), 128, np.uint8), "VIRIDIS")
    for value, y in ((high, 13), ((low + high) / 2, cell[1] // 2 + 5), (low, cell[1] - 3)):
        put_text(picture, f"{value:.3f}", (28, y), 14, TEXT)
    return picture


def _outline(picture: NDArray[np.uint8], found: Inspection, cell: tuple[int, int]) -> None:
    """A frame inside the chosen patch."""
    import cv2

    rows, columns = found.attention[0].frame.shape
    _, row, column = found.patch
    left, top = column * cell[0] // columns, row * cell[1] // rows
    size = (cell[0] // columns, cell[1] // rows)
    for inset, thickness, color in ((1, 3, (255, 255, 255)), (1, 1, PROMPT)):
        corner = (left + size[0] - 1 - inset, top + size[1] - 1 - inset)
        cv2.rectangle(picture, (left + inset, top + inset), corner, color, thickness)


def _fitted(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_CUBIC)


def _grey(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.repeat(_fitted(image, size).mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _thinned(count: int, most: int, kept: int) -> list[int]:
    """At most ``most`` of ``count`` positions, evenly spread, ``kept`` among them."""
    chosen = dict.fromkeys([kept, *np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()])
    return sorted(list(chosen)[:most])
