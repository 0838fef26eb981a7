"""The arithmetic of a step, and the share of the hardware that it uses (MFU)."""

from __future__ import annotations

import time

import torch
from torch import nn

from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.training.distributed import Ranks
from gapmodel.training.loading import Step

PEAK_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "4090": 165e12,
}
"""Dense bfloat16 products per second by what the device's name contains (the makers' data sheets); first match."""


def peak_flops(device: torch.device) -> float | None:
    """Return the device's peak in operations a second; ``None`` where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


class Arithmetic:
    """Floating point operations of a step that training needs, recomputed activations left out.

    A weight costs 2 operations for each token that passes it, 2 more where gradients flow back through it, and another
    2 where it is trained. A patch passes the vision tower and the geometry encoder, every ``merge`` squared of them
    make a visual token, which passes the fusion; each token passes the language model, each answer token the head.
    Attention adds 4 L S D a token forwards, S the length of what it may look at, taken as the rows' mean length.
    """

    def __init__(self, model: GapForConditionalGeneration) -> None:
        parts = model.model
        self.patch = sum(_cost(part) for part in (parts.visual, parts.geometry))
        self.visual = _cost(parts.fusion)
        embedding = parts.language_model.embed_tokens
        text = model.config.text_config
        crossed = any(each.requires_grad for part in (parts.language_model, parts.fusion) for each in part.parameters())
        self.token = _cost(parts.language_model, crossed) - _cost(embedding, crossed)
        self.answer = _cost(model.lm_head, crossed)
        self.pair = (12 if crossed else 4) * text.num_hidden_layers * text.num_attention_heads * text.head_dim / 2
        self.merge = model.config.vision_config.spatial_merge_size**2

    def __call__(self, step: Step) -> float:
        """Count the operations of one rank's part of a step."""
        total = step.answered * self.answer + step.tokens * self.token
        for batch in step.batches:
            patches = len(batch.inputs["pixel_values"])
            length = batch.inputs["input_ids"].shape[1]
            total += patches * (self.patch + self.visual / self.merge)
            total += int((batch.questions >= 0).sum()) * length * self.pair
        return total


def _cost(module: nn.Module, crossed: bool = False) -> float:
    """Return operations for a token; through a ``crossed`` module gradients flow back though it may be frozen."""
    frozen = 4 if crossed else 2
    return float(
        sum(parameter.numel() * (6 if parameter.requires_grad else frozen) for parameter in module.parameters())
    )


class Meter:
    """Rates since they were last asked for, over all ranks."""

    def __init__(self, model: GapForConditionalGeneration, ranks: Ranks) -> None:
        self._arithmetic, self._peak, self._ranks = Arithmetic(model), peak_flops(ranks.device), ranks
        self._since = time.monotonic()
        self._sums = [0.0] * 4

    def add(self, step: Step) -> None:
        """Count a step of this rank."""
        counted = (step.visits, len(step.keys), step.tokens, self._arithmetic(step))
        self._sums = [total + value for total, value in zip(self._sums, counted, strict=True)]

    def rates(self) -> dict[str, float]:
        """Return ``questions`` since the last call, records and tokens per second, and on a known GPU ``mfu``."""
        records, questions, tokens, work = self._ranks.sum(self._sums)
        now = time.monotonic()
        seconds, self._since, self._sums = max(now - self._since, 1e-9), now, [0.0] * 4
        rates = {
            "questions": questions,
            "records_per_second": records / seconds,
            "tokens_per_second": tokens / seconds,
        }
        if self._peak is not None:
            rates["mfu"] = work / seconds / self._peak / self._ranks.world_size
        return rates
