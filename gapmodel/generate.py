"""Generate answers in batches: greedy by default, padded on the left; encoders run once for each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Example
from gapmodel.processing import GapProcessor


@torch.inference_mode()
def generate_answers(
    model: GapForConditionalGeneration,
    processor: GapProcessor,
    examples: Sequence[Example],
    max_new_tokens: int,
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    **options: Any,
) -> list[str]:
    """Return the model's answer to each of some examples that were encoded without their answers.

    Args:
        model: in evaluation mode.
        processor: the model's.
        examples: of equal or different lengths and numbers of frames.
        max_new_tokens: longer answers are cut off.
        change: of the batch's inputs, on the model's device, before the model gets them.
        **options: passed to transformers' ``generate`` (``num_beams``, ``do_sample``, ...).
    """
    batch = processor.collate(examples).to(model.device)
    settings = {
        "do_sample": False,
        "pad_token_id": processor.token_ids["pad"],
        "eos_token_id": processor.token_ids["end"],
    }
    output = model.generate(**change(batch.inputs), max_new_tokens=max_new_tokens, **(settings | options))
    prompt_length = batch.inputs["input_ids"].shape[1]
    return [processor.decode(row) for row in output[:, prompt_length:].tolist()]
