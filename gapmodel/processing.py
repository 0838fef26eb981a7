"""Frames and questions to tensors, without torchvision.

Both encoders look at the same field of view: a record's frames are cropped (centred) to the aspect of the model's
grid and resized once; Qwen's patches and the geometry encoder's image are both made from that crop, so patch (i, j)
of one sees what patch (i, j) of the other sees. Marks are drawn on the stored frame first, so both encoders see them.
Sequences are padded on the left, in training too: answers then end at the same position.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gapdata.errors import UsageError
from gapdata.prompts.marks import NATIVE_WIDTH, draw_marks
from gapdata.tasks.chat import IMAGE, Question
from gapmodel.tokenizer import SPECIAL, special_token_ids

IGNORED = -100
"""Label of a position that no loss is taken at."""
MEAN = STD = 0.5
"""Qwen3-VL's image normalisation, all channels."""
FILE = "gap_processor.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorConfig:
    """How records become model input."""

    image_size: tuple[int, int] = (512, 384)
    """(width, height) of the vision model's input; multiples of ``patch_size * merge_size``."""
    patch_size: int = 16
    merge_size: int = 2
    temporal_patch_size: int = 2
    geometry_patch_size: int = 16
    mark_native_width: float = NATIVE_WIDTH
    """Image width at which the mark has its native size (:mod:`gapdata.prompts.marks`); smaller draws it larger."""
    seconds_per_frame: float = 1.0
    timestamps: bool = True

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a frame, (rows, columns)."""
        return self.image_size[1] // self.patch_size, self.image_size[0] // self.patch_size

    @property
    def tokens_per_frame(self) -> int:
        """Visual tokens of a frame."""
        rows, columns = self.grid
        return rows * columns // self.merge_size**2

    @property
    def geometry_size(self) -> tuple[int, int]:
        """(width, height) of the geometry encoder's input: the same grid with its own patches."""
        rows, columns = self.grid
        return columns * self.geometry_patch_size, rows * self.geometry_patch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question, encoded."""

    key: str
    input_ids: NDArray[np.int64]  # (S,)
    labels: NDArray[np.int64]  # (S,), IGNORED outside the answer
    pixel_values: NDArray[np.float32]  # (F * h * w, 3 * T * P * P)
    geometry_images: NDArray[np.float32]  # (F, 3, H, W) in [0, 1]
    targets: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # dense targets by name, if any


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Several questions: ``inputs`` are the model's keyword arguments, ``labels`` (B, S) the tokens to learn."""

    keys: tuple[str, ...]
    inputs: dict[str, Any]
    labels: Tensor
    targets: dict[str, Tensor]


class GapProcessor:
    """A tokenizer and the geometry of the model's input."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, config: ProcessorConfig) -> None:
        step = config.patch_size * config.merge_size
        if any(side % step or side <= 0 for side in config.image_size):
            raise UsageError(
                f"image_size {config.image_size} is not made of {step}-pixel blocks", cure="change image_size"
            )
        self.tokenizer = tokenizer
        self.config = config
        self.token_ids = special_token_ids(tokenizer)
        self._ids = lru_cache(maxsize=4096)(self._encode_text)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the tokenizer's files and ``gap_processor.json``."""
        self.tokenizer.save_pretrained(str(directory))
        (Path(directory) / FILE).write_text(json.dumps(asdict(self.config), indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> GapProcessor:
        """Read what :meth:`save_pretrained` wrote.

        Raises:
            UsageError: the directory has no processor.
        """
        path = Path(directory) / FILE
        if not path.is_file():
            raise UsageError("no processor here", path=path, cure="name a checkpoint directory that training wrote")
        fields = json.loads(path.read_text())
        fields["image_size"] = tuple(fields["image_size"])
        return cls(AutoTokenizer.from_pretrained(str(directory)), ProcessorConfig(**fields))

    def frames(self, images: Sequence[NDArray[np.uint8]], question: Question) -> NDArray[np.uint8]:
        """Mark, crop and resize: stored frames (H, W, 3) to (F, height, width, 3) uint8 at the model's input size."""
        frames = []
        for index, image in enumerate(images):
            pixels = {mark.number: mark.pixel for mark in question.marks if mark.frame == index}
            marked = draw_marks(image, pixels, self.config.mark_native_width) if pixels else image
            frames.append(fit(marked, self.config.image_size))
        return np.stack(frames)

    def encode(
        self,
        key: str,
        images: Sequence[NDArray[np.uint8]],
        question: Question,
        *,
        with_answer: bool,
        targets: Mapping[str, NDArray[Any]] | None = None,
    ) -> Example:
        """One question about ``images`` (stored, unmarked frames) as model input, with its answer or up to it.

        Raises:
            UsageError: the question's placeholders are not as many as the images.
        """
        frames = self.frames(images, question)
        config = self.config
        pixels = frames.astype(np.float32) / 255.0
        geometry = pixels
        if config.geometry_size != config.image_size:
            geometry = np.stack([fit(frame, config.geometry_size) for frame in frames]).astype(np.float32) / 255.0
        prompt, answer = self.token_sequence(question, len(images))
        ids = [*prompt, *answer] if with_answer else prompt
        labels = [IGNORED] * len(prompt) + (answer if with_answer else [])
        return Example(
            key=key,
            input_ids=np.array(ids, dtype=np.int64),
            labels=np.array(labels, dtype=np.int64),
            pixel_values=patchify(
                (pixels - MEAN) / STD, config.patch_size, config.merge_size, config.temporal_patch_size
            ),
            geometry_images=np.ascontiguousarray(geometry.transpose(0, 3, 1, 2)),
            targets=targets or {},
        )

    def token_sequence(self, question: Question, frames: int) -> tuple[list[int], list[int]]:
        """Token ids of the prompt (with the visual placeholders) and of the answer (with its end)."""
        # The published loaders take the line break after a placeholder away; so do we.
        pieces = question.text.replace(IMAGE + "\n", IMAGE).split(IMAGE)
        if len(pieces) != frames + 1:
            raise UsageError(f"the question has {len(pieces) - 1} image placeholders for {frames} images")
        ids = self.token_ids
        prompt = [ids["start"], *self._ids("user\n")]
        for index, piece in enumerate(pieces):
            prompt += self._ids(piece)
            if index < frames:
                if self.config.timestamps:
                    prompt += self._ids(f"<{index * self.config.seconds_per_frame:.1f} seconds>")
                prompt += [ids["vision_start"], *[ids["image"]] * self.config.tokens_per_frame, ids["vision_end"]]
        prompt += [ids["end"], *self._ids("\n"), ids["start"], *self._ids("assistant\n")]
        return prompt, [*self._ids(question.answer), ids["end"]]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Pad on the left and stack."""
        length = max(len(example.input_ids) for example in examples)
        shape = (len(examples), length)
        input_ids = np.full(shape, self.token_ids["pad"], dtype=np.int64)
        labels = np.full(shape, IGNORED, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, example in enumerate(examples):
            start = length - len(example.input_ids)
            input_ids[row, start:] = example.input_ids
            labels[row, start:] = example.labels
            mask[row, start:] = 1
        views = [torch.from_numpy(example.geometry_images) for example in examples]
        grid = torch.tensor([[1, *self.config.grid]] * sum(len(view) for view in views))
        even = len({len(view) for view in views}) == 1
        inputs = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(mask),
            "mm_token_type_ids": torch.from_numpy((input_ids == self.token_ids["image"]).astype(np.int32)),
            "pixel_values": torch.from_numpy(np.concatenate([example.pixel_values for example in examples])),
            "image_grid_thw": grid,
            "geometry_images": torch.stack(views) if even else views,
        }
        names = examples[0].targets
        targets = {name: torch.from_numpy(np.concatenate([item.targets[name] for item in examples])) for name in names}
        keys = tuple(example.key for example in examples)
        return Batch(keys=keys, inputs=inputs, labels=torch.from_numpy(labels), targets=targets)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens up to the end of the turn, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def _encode_text(self, text: str) -> tuple[int, ...]:
        # Text from data must never turn into control tokens.
        for token in SPECIAL.values():
            text = text.replace(token, "")
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The largest centred crop of (H, W, 3) with the aspect of ``size`` (width, height), resized to it by area."""
    import cv2

    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    crop_width = min(width, round(height * size[0] / size[1]))
    crop_height = min(height, round(width * size[1] / size[0]))
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    crop = np.ascontiguousarray(image[top : top + crop_height, left : left + crop_width])
    shrinking = crop_width >= size[0]
    return cv2.resize(crop, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def patchify(pixels: NDArray[np.float32], patch: int, merge: int, temporal: int) -> NDArray[np.float32]:
    """Normalised frames (F, H, W, 3) to Qwen's patches, (F * h * w, 3 * temporal * patch * patch) in merge-block order.

    Each still frame is repeated ``temporal`` times, as Qwen's image processor does.
    """
    frames, height, width, channels = pixels.shape
    rows, columns = height // (patch * merge), width // (patch * merge)
    blocks = pixels.reshape(frames, rows, merge, patch, columns, merge, patch, channels)
    blocks = blocks.transpose(0, 1, 4, 2, 5, 7, 3, 6)  # (F, rows, columns, merge, merge, C, patch, patch)
    repeated = np.broadcast_to(blocks[:, :, :, :, :, :, None], (*blocks.shape[:6], temporal, patch, patch))
    return np.ascontiguousarray(repeated.reshape(-1, channels * temporal * patch * patch))
