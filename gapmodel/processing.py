"""Make tensors of frames and questions, without torchvision.

Marks are drawn on the stored frames, which both encoders then see through one window (:mod:`gapmodel.field_of_view`).

A question is laid out as Qwen3-VL's chat template does, in one of the named ways of :mod:`gapdata.tasks.prompting`.
Labels cover the answer and the end of its turn: the first three tokens of that turn (``<|im_start|>``, ``assistant``,
line break) are the header that every prompt for generation ends with, so there is nothing to learn in them. Whatever a
question or an answer says is tokenized as text (:func:`gapmodel.tokenizer.text_encoder`): control tokens come from the
layout alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from gapdata.errors import UsageError
from gapdata.geometry.block_sizes import MERGE, PATCH, near_sizes
from gapdata.prompts.marks import NATIVE_WIDTH, draw_marks
from gapdata.recipes.bounds import NotNegative, Positive, PositiveCount
from gapdata.recipes.typed_fields import from_mapping
from gapdata.runtime.counting import counted
from gapdata.tasks.chat import IMAGE, Mark, Question
from gapdata.tasks.prompting import PROMPTING, Prompting, PromptingName, prompting_name
from gapmodel.field_of_view import (
    MEAN,
    STD,
    Window,
    centred_window,
    paper_frames,
    paper_grid,
    patchify,
    resample,
    scaled,
)
from gapmodel.packing import IGNORED, Batch, Example, Frames, pack, pad_left
from gapmodel.tokenizer import load_tokenizer, special_token_ids, text_encoder

FILE = "gap_processor.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorConfig:
    """How the records are turned into the model's input."""

    image_size: tuple[int, int] = (512, 384)
    """(width, height) of the vision model's input; multiples of ``patch_size * merge_size``."""
    keep_aspect: bool = False
    """Choose the grid of each view by its aspect, with at most the area of ``image_size``, instead of cropping to
    it."""
    paper_preprocessing: bool = False
    """Preprocess as the authors' training does, for checkpoints made with it; ``image_size`` is then ignored. A frame
    of 1296x968, ScanNet's size, gives 192 visual tokens, one of 1296x960 only 176."""
    patch_size: PositiveCount = PATCH
    """Side in pixels of the vision tower's patches."""
    merge_size: PositiveCount = MERGE
    """Patches along each side of a visual token."""
    temporal_patch_size: PositiveCount = 2
    """Times that each image is repeated for the vision tower, which expects videos."""
    geometry_patch_size: PositiveCount = 16
    """Side in pixels of the geometry encoder's patches; the encoder gets an image of its own with the same patch
    grid."""
    mark_native_width: Positive = NATIVE_WIDTH
    """Image width in pixels at which the mark has its native size (:mod:`gapdata.prompts.marks`); a smaller number
    draws a larger mark."""
    prompting: PromptingName = "qwen"
    """Text around a question: ``authors`` (GAP-MLLM's system prompt without time stamps; the line break after the
    answer is learned, too), ``qwen`` (time stamps) or ``plain`` (nothing)."""
    seconds_per_frame: NotNegative = 1.0
    """Time between two frames in time stamps: 1 for frames at 1 fps; the authors' evaluation assumes 1/24."""

    @property
    def way(self) -> Prompting:
        """The texts that ``prompting`` names."""
        return PROMPTING[self.prompting]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a frame of ``image_size``, (rows, columns)."""
        return self.image_size[1] // self.patch_size, self.image_size[0] // self.patch_size

    @property
    def tokens_per_frame(self) -> int:
        """Visual tokens of a frame that has ``image_size``."""
        return self.tokens_of(*self.image_size)

    def tokens_of(self, width: int, height: int) -> int:
        """Return the visual tokens of a stored frame of ``width`` x ``height`` pixels."""
        rows, columns = self.grid_of(width, height)
        return rows * columns // self.merge_size**2

    def grid_of(self, width: int, height: int) -> tuple[int, int]:
        """Return the patches of a stored frame of ``width`` x ``height`` pixels, (rows, columns)."""
        if self.paper_preprocessing:
            return paper_grid(width, height, self.patch_size, self.merge_size)
        rows, columns = self.grid
        if not self.keep_aspect:
            return rows, columns
        # The grid of whole blocks within the area that has most blocks times share of the frame that is seen.
        merge, aspect = self.merge_size, width / height
        area = rows * columns // merge**2
        shapes = [(r, max(1, min(area // r, round(r * aspect)))) for r in range(1, area + 1)]
        best = max(shapes, key=lambda s: s[0] * s[1] * min(s[0] * aspect / s[1], s[1] / (s[0] * aspect)))
        return best[0] * merge, best[1] * merge

    def window(self, width: int, height: int) -> Window:
        """Return the part of a frame of ``width`` x ``height`` pixels that is seen, and its grid."""
        return centred_window(width, height, self.grid_of(width, height))


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a conversation: who speaks, and the texts between which its images stand, one more than images."""

    role: str
    texts: tuple[str, ...]


AUTHORS = ProcessorConfig(paper_preprocessing=True, geometry_patch_size=14, prompting="authors")
"""For the checkpoints that the authors released."""


def read_processor_config(directory: str | Path) -> ProcessorConfig:
    """Read the configuration of the processor in a model directory.

    Raises:
        UsageError: the directory does not have a processor.
    """
    path = Path(directory) / FILE
    if not path.is_file():
        raise UsageError("does not exist", path=path, cure="name a checkpoint directory that training wrote")
    fields = json.loads(path.read_text())
    if "timestamps" in fields:  # as written before 0.2
        fields["prompting"] = prompting_name(fields.pop("system_prompt"), fields.pop("timestamps"))
    config: ProcessorConfig = from_mapping(ProcessorConfig, fields, path)
    return config


class GapProcessor:
    """A tokenizer and the geometry of the model's input."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: ProcessorConfig) -> None:
        check_processor(config)
        self.tokenizer = tokenizer
        self.config = config
        self.token_ids = special_token_ids(tokenizer)
        self._ids = lru_cache(maxsize=4096)(text_encoder(tokenizer))

    def __reduce__(self) -> tuple[type[GapProcessor], tuple[Any, ...]]:
        # Loader processes that are not forked get a pickle, and the cache of _ids cannot be in one.
        return type(self), (self.tokenizer, self.config)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the tokenizer's files and ``gap_processor.json``."""
        self.tokenizer.save_pretrained(str(directory))
        (Path(directory) / FILE).write_text(json.dumps(asdict(self.config), indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> GapProcessor:
        """Read what :meth:`save_pretrained` wrote.

        Raises:
            UsageError: the directory does not have a processor.
        """
        config = read_processor_config(directory)
        return cls(load_tokenizer(directory), config)

    def look(self, images: Sequence[NDArray[np.uint8]], marks: Sequence[Mark] = (), *, raw: bool = False) -> Frames:
        """Return both encoders' input for the frames of one view: stored frames (H, W, 3) uint8 RGB, all of one size.

        Questions that share their pixels should share the result: :func:`gapmodel.packing.pack` sees by that which
        questions can share a visual prefix. With ``raw`` the pixels stay uint8, an eighth of the bytes, until they are
        on the device (:func:`gapmodel.training.learner.as_floats`); ``paper_preprocessing`` gives floats all the same.
        """
        if not images:
            return self._nothing()
        native = self.config.mark_native_width
        marked = []
        for index, image in enumerate(images):
            pixels_of = {mark.number: mark.pixel for mark in marks if mark.frame == index}
            marked.append(draw_marks(image, pixels_of, native) if pixels_of else image)
        config, patch = self.config, self.config.geometry_patch_size
        if config.paper_preprocessing:
            pixels, geometry = paper_frames(marked, config.patch_size, config.merge_size, patch)
        else:
            window = config.window(images[0].shape[1], images[0].shape[0])
            rows, columns = window.grid
            sizes = [(columns * side, rows * side) for side in (config.patch_size, patch)]
            pixels, geometry = (np.stack([resample(image, window, size) for image in marked]) for size in sizes)
            if not raw:
                pixels, geometry = scaled(pixels), scaled(geometry)
        repeats = 1
        if pixels.dtype != np.uint8:
            pixels, repeats = (pixels - MEAN) / STD, config.temporal_patch_size
        return Frames(
            pixel_values=patchify(pixels, config.patch_size, config.merge_size, repeats),
            geometry_images=np.ascontiguousarray(geometry.transpose(0, 3, 1, 2)),
            grid=(pixels.shape[1] // config.patch_size, pixels.shape[2] // config.patch_size),
        )

    def _nothing(self) -> Frames:
        """Return no frame, with the grid that one would have."""
        config, (rows, columns) = self.config, self.config.grid
        side = config.geometry_patch_size
        return Frames(
            pixel_values=np.zeros((0, 3 * config.temporal_patch_size * config.patch_size**2), np.float32),
            geometry_images=np.zeros((0, 3, rows * side, columns * side), np.float32),
            grid=(rows, columns),
        )

    def encode(
        self,
        key: str,
        images: Sequence[NDArray[np.uint8]] | Frames,
        question: Question,
        *,
        with_answer: bool,
        targets: Mapping[str, NDArray[Any]] | None = None,
    ) -> Example:
        """Return one question about ``images`` (stored, unmarked frames) as model input, with or without its answer.

        ``images`` may also be what :meth:`look` made of them (with the question's marks).

        Raises:
            UsageError: the question has more or fewer placeholders than there are images.
        """
        frames = images if isinstance(images, Frames) else self.look(images, question.marks)
        count, tokens = len(frames.geometry_images), self._tokens(frames)
        prompt, answer = self.token_sequence(question, count, tokens)
        return self._example(key, frames, prompt, answer if with_answer else (), targets)

    def encode_turns(
        self,
        key: str,
        frames: Frames,
        turns: Sequence[Turn],
        *,
        answer: str = "",
        seconds: Sequence[float] | None = None,
        opened: bool = True,
    ) -> Example:
        """Return a conversation that the model is to continue; ``answer`` is the beginning of what it says.

        Args:
            key: its name.
            frames: all its images, as :meth:`look` made them; none is possible, too.
            turns: a first one of the role ``system`` stands in the place of the system prompt in use.
            answer: labelled, without an end.
            seconds: of the images' time stamps, if there are any; ``None`` counts ``seconds_per_frame``.
            opened: end with the beginning of the assistant's turn, where the model goes on.
        """
        prompt = self._prompt(turns, self._tokens(frames), seconds)
        if not opened:
            prompt = prompt[: -len([self.token_ids["start"], *self._ids("assistant\n")])]
        return self._example(key, frames, prompt, self._ids(answer))

    def _tokens(self, frames: Frames) -> int:
        return frames.grid[0] * frames.grid[1] // self.config.merge_size**2

    def _example(
        self,
        key: str,
        frames: Frames,
        prompt: Sequence[int],
        answer: Sequence[int],
        targets: Mapping[str, NDArray[Any]] | None = None,
    ) -> Example:
        ids = np.array([*prompt, *answer], dtype=np.int64)
        labels = np.full(len(ids), IGNORED, dtype=np.int64)
        labels[len(prompt) :] = ids[len(prompt) :]
        return Example(
            key=key,
            input_ids=ids,
            labels=labels,
            visual=ids == self.token_ids["image"],
            token_grid=(frames.grid[0] // self.config.merge_size, frames.grid[1] // self.config.merge_size),
            frames=frames,
            targets=targets or {},
        )

    def token_sequence(
        self, question: Question, frames: int, tokens_per_frame: int | None = None
    ) -> tuple[list[int], list[int]]:
        """Return the token ids of the prompt (with visual placeholders) and of the answer (with its end)."""
        # What a description says after the frames' own placeholders is text, even if it spells another one.
        pieces = question.text.split(IMAGE, frames)
        if len(pieces) != frames + 1:
            raise UsageError(
                f"the question has {counted(len(pieces) - 1, 'image placeholder')} for {counted(frames, 'image')}",
                cure="give one image for each placeholder",
            )
        ids, learns = self.token_ids, self.config.way.learns_line_break
        prompt = self._prompt([Turn("user", tuple(pieces))], tokens_per_frame or self.config.tokens_per_frame)
        return prompt, [*self._ids(question.answer), ids["end"], *(self._ids("\n") if learns else ())]

    def _prompt(
        self, turns: Sequence[Turn], tokens_per_frame: int, seconds: Sequence[float] | None = None
    ) -> list[int]:
        config, ids, way = self.config, self.token_ids, self.config.way
        visual = [ids["vision_start"], *[ids["image"]] * tokens_per_frame, ids["vision_end"]]
        if way.system_prompt and (not turns or turns[0].role != "system"):
            turns = [Turn("system", (way.system_prompt,)), *turns]
        prompt: list[int] = []
        shown = 0
        for turn in turns:
            # Text between two control tokens is tokenized as one string, as a chat template's output would be.
            text = f"{turn.role}\n{turn.texts[0]}"
            prompt.append(ids["start"])
            for piece in turn.texts[1:]:
                time = shown * config.seconds_per_frame if seconds is None else seconds[shown]
                prompt += [*self._ids(text + (f"<{time:.1f} seconds>" if way.timestamps else "")), *visual]
                # The published loaders remove the line break after a placeholder; so do we.
                text, shown = piece.removeprefix("\n"), shown + 1
            prompt += [*self._ids(text), ids["end"], *self._ids("\n")]
        return [*prompt, ids["start"], *self._ids("assistant\n")]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Return a batch with a row for each example, padded on the left."""
        return pad_left(examples, self.token_ids["pad"])

    def pack(self, examples: Sequence[Example], budget: int) -> Batch:
        """Return a batch with several examples in a row, at most ``budget`` tokens."""
        return pack(examples, budget, self.token_ids["pad"])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of generated tokens up to the end of the turn, special tokens left out."""
        written = itertools.takewhile(lambda token: token != self.token_ids["end"], map(int, ids))
        return str(self.tokenizer.decode(list(written), skip_special_tokens=True))


def check_processor(config: ProcessorConfig, path: Path | None = None) -> None:
    """Refuse an image size that the vision tower cannot see.

    Raises:
        UsageError: ``image_size`` is not made of whole visual tokens.
    """
    block, (width, height) = config.patch_size * config.merge_size, config.image_size
    if any(side % block or side <= 0 for side in config.image_size):
        cure = f"use {near_sizes(config.image_size, block, block, 2**16)}"
        raise UsageError(f"image_size {width}x{height} is not made of {block}-pixel blocks", path=path, cure=cure)
