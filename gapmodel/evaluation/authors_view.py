"""The authors' inference view: what their inference scripts, and not their training, show and say to a model.

Facts of ZestfulJX/GAP-MLLM at 051011f (``inference_det.py``, ``inference_cap.py``, ``inference_recons.py``,
``inference_vg_stagerefer.py``, ``modeling_qwen3_vl.py``), with Qwen's image processor of transformers 4.57:

* The cross has 21 pixels on every frame, whatever its size. After it every frame is encoded as JPEG of quality 75.
* It is resized to 518 pixels as in training. Training cuts it to whole blocks of 32 pixels; inference cuts an odd row
  of patches only, and Qwen's processor, told to see at least 256 * 28 * 28 pixels, enlarges what is left: a frame of
  ScanNet's 1296x968 becomes 518x392, then 544x416, which is 17 x 13 = 221 visual tokens instead of 192.
* VGGT gets the 518-pixel frame with as many patches as Qwen. Their code does so where there are 221 tokens, which all
  frames of about 4:3 have, and stops at most other sizes; here every size is shown so.
* All frames come before the text, without time stamps. The text has lost its ``<image>``; its line breaks stay. The
  script of grounding in two stages keeps its placeholders, which the model reads as text, 32 in the first stage.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gapdata.prompts.marks import draw_marks
from gapdata.tasks.chat import IMAGE, Mark, Question
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.field_of_view import MEAN, PAPER_WIDTH, STD, Window, paper_height, patchify, resample, scaled
from gapmodel.model_directory import load_model
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Frames
from gapmodel.processing import GapProcessor, ProcessorConfig

View = Literal["own", "authors"]
"""``own``: the frames and texts of the model's training; ``authors``: those of the authors' inference scripts."""
JPEG_QUALITY = 75
"""Pillow's default, which their scripts leave."""
MIN_PIXELS, MAX_PIXELS = 256 * 28 * 28, 1605632
"""What their scripts tell Qwen's image processor."""
FRAMES_IN_TEXT = 32
"""Placeholders in the text of grounding's first stage, whatever the number of frames."""
MAX_TOKENS = 1280
"""Tokens after which their scripts cut an answer off; only lists of boxes come near."""


class AuthorsProcessor(GapProcessor):
    """A processor that shows and says what the authors' inference scripts do; for any model's tokenizer and patches."""

    def __init__(self, own: GapProcessor) -> None:
        super().__init__(own.tokenizer, replace(own.config, paper_preprocessing=True, prompting="authors"))
        self._own = own

    def __reduce__(self) -> tuple[type[AuthorsProcessor], tuple[Any, ...]]:
        return type(self), (self._own,)

    def look(self, images: Sequence[NDArray[np.uint8]], marks: Sequence[Mark] = (), *, raw: bool = False) -> Frames:
        """Return both encoders' input for the frames of one view, as floats: there is nothing ``raw`` to return."""
        config = self.config
        marked = []
        for index, image in enumerate(images):
            pixels_of = {mark.number: mark.pixel for mark in marks if mark.frame == index}
            # The native width being the image's own, the cross has 21 pixels.
            marked.append(draw_marks(image, pixels_of, image.shape[1]) if pixels_of else image)
        pixels, geometry = authors_frames(marked, config)
        return Frames(
            pixel_values=patchify(
                (pixels - MEAN) / STD, config.patch_size, config.merge_size, config.temporal_patch_size
            ),
            geometry_images=np.ascontiguousarray(geometry.transpose(0, 3, 1, 2)),
            grid=(pixels.shape[1] // config.patch_size, pixels.shape[2] // config.patch_size),
        )

    def token_sequence(
        self, question: Question, frames: int, tokens_per_frame: int | None = None
    ) -> tuple[list[int], list[int]]:
        """Return the token ids of the prompt and of the answer: all frames first, then all text."""
        return super().token_sequence(
            replace(question, text=authors_text(question.text, frames)), frames, tokens_per_frame
        )


def authors_text(text: str, frames: int) -> str:
    """Return a question's text with its frames where the authors' scripts put them, each one an ``<image>``.

    Those after the frames' own are literal: :meth:`GapProcessor.token_sequence` takes them for text.
    """
    numbered = text.startswith(f"Frame-0: {IMAGE}")
    said = text.rpartition(IMAGE)[2] if numbered else text.replace(IMAGE, "")
    if said.lstrip("\n").startswith("Localize the") and not ('"frame"' in said and "bbox_3d" in said):
        kept = FRAMES_IN_TEXT if numbered else frames
        said = "".join(f"Frame-{index}: {IMAGE}" if numbered else IMAGE for index in range(kept)) + said
    shown = "".join(f"Frame-{index}: {IMAGE}" if numbered else IMAGE for index in range(frames))
    # A line break after the last placeholder is removed, as training does; inference keeps it.
    return shown + ("\n" if said.startswith("\n") else "") + said


def authors_sizes(width: int, height: int, patch: int, merge: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return what of the 518-pixel frame Qwen's processor is given, and what it makes of that, each (rows, columns).

    The second is ``smart_resize`` of transformers' Qwen2-VL with :data:`MIN_PIXELS` and :data:`MAX_PIXELS`.
    """
    block = patch * merge
    rows, columns = (
        side - side // patch % merge * patch for side in (min(PAPER_WIDTH, paper_height(width, height)), PAPER_WIDTH)
    )
    found = [round(side / block) * block for side in (rows, columns)]
    if found[0] * found[1] > MAX_PIXELS:
        beta = math.sqrt(rows * columns / MAX_PIXELS)
        found = [max(block, math.floor(side / beta / block) * block) for side in (rows, columns)]
    elif found[0] * found[1] < MIN_PIXELS:
        beta = math.sqrt(MIN_PIXELS / (rows * columns))
        found = [math.ceil(side * beta / block) * block for side in (rows, columns)]
    return (rows, columns), (found[0], found[1])


def authors_frames(
    images: Sequence[NDArray[np.uint8]], config: ProcessorConfig
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the authors' two images of each frame, (F, H, W, 3) float32 about [0, 1], for Qwen and for VGGT."""
    height, width = images[0].shape[:2]
    rows = paper_height(width, height)
    whole = Window(left=0, top=0, width=width, height=height, grid=(0, 0))
    resized = [resample(as_jpeg(image), whole, (PAPER_WIDTH, rows), always_pillow=True) for image in images]
    start = max(0, rows - PAPER_WIDTH) // 2
    frames = torch.from_numpy(scaled(np.stack(resized))[:, start : start + PAPER_WIDTH]).movedim(-1, 1)
    (seen_rows, seen_columns), size = authors_sizes(width, height, config.patch_size, config.merge_size)
    # Their processor resizes tensors by torchvision, whose bicubic filter with antialiasing this is.
    seen = F.interpolate(
        frames[:, :, :seen_rows, :seen_columns], size=size, mode="bicubic", antialias=True, align_corners=False
    )
    target = tuple(side // config.patch_size * config.geometry_patch_size for side in size)
    geometry = F.interpolate(frames, size=target, mode="bilinear", align_corners=False)
    return seen.movedim(1, -1).numpy(), geometry.movedim(1, -1).numpy()


def as_jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB as it is after it was written as JPEG and read again."""
    from PIL import Image

    with io.BytesIO() as file:
        Image.fromarray(image).save(file, format="JPEG", quality=JPEG_QUALITY)
        return np.asarray(Image.open(file).convert("RGB"))


def load_for_view(directory: Path, view: View) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Read a model and the processor of a view (:func:`gapmodel.model_directory.load_model`)."""
    model, processor = load_model(directory)
    return model, AuthorsProcessor(processor) if view == "authors" else processor


def in_view(questions: TaskQuestions, view: View) -> TaskQuestions:
    """Return a task's questions with answers as long as a view allows."""
    if view == "own" or questions.task != "detection":
        return questions
    return replace(questions, asked=tuple(replace(item, tokens=MAX_TOKENS) for item in questions.asked))


def view_facts(view: View) -> dict[str, str]:
    """Return what a view changes, as a report has it; nothing for ``own``."""
    if view == "own":
        return {}
    return {
        "name": "authors",
        "frames": f"written as JPEG of quality {JPEG_QUALITY} after the mark, which has 21 pixels on every frame; 518 "
        "pixels wide, then enlarged to at least 256 * 28 * 28 pixels (1296x968: 221 visual tokens, not 192)",
        "text": "the authors' system prompt and wording, all frames before the text, no time stamps; grounding in two "
        "stages keeps <image> in its text",
        "answers": f"lists of boxes end after {MAX_TOKENS} tokens",
    }
