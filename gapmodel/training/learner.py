"""The model as training sees it: a batch in, the losses of its questions out.

All that a step computes happens in the forward pass of one module, because FSDP gathers the weights there. Logits are
computed only at the positions of answers: with a vocabulary of 151,936 the others would be the most expensive part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gapmodel.field_of_view import MEAN, STD
from gapmodel.generate import generate_answers
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import IGNORED, Batch, Example
from gapmodel.processing import GapProcessor
from gapmodel.training.dense import DenseCounts, DenseHead, dense_counts

ANSWER_TOKENS = 1024
"""Tokens of answers whose logits are there at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The losses of a batch."""

    answer: Tensor  # (n,) cross-entropy of each token of the answers
    questions: Tensor  # (n,) the question, as a position in the batch's keys, that each belongs to
    dense: dict[str, Tensor] = field(default_factory=dict)  # "visual", "asked": the batch's parts of the step's means

    def detached(self) -> Losses:
        """Return the losses without their graph."""
        dense = {name: value.detach() for name, value in self.dense.items()}
        return Losses(answer=self.answer.detach(), questions=self.questions, dense=dense)

    def answer_sum(self, mean_over: str) -> Tensor:
        """Return what a batch adds to the step's sum over ``tokens``, or over ``questions``.

        Each question adds the mean of its tokens, which are all here: no question is cut into two batches.
        """
        if mean_over == "tokens" or not len(self.answer):
            return self.answer.sum()
        return (self.answer / torch.bincount(self.questions)[self.questions]).sum()

    def not_finite(self, batch: Batch) -> list[str]:
        """Return the keys of the questions with losses that are not finite; all keys where a dense loss is not."""
        if not all(bool(torch.isfinite(value)) for value in self.dense.values()):
            return sorted(set(batch.keys))
        bad = self.questions[~torch.isfinite(self.answer)]
        return sorted({batch.keys[index] for index in torch.unique(bad).tolist()})


class Learner(nn.Module):
    """A model, and the head of the dense losses where there is one."""

    def __init__(self, model: GapForConditionalGeneration, head: DenseHead | None = None) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, batch: Batch, counts: DenseCounts | None = None) -> Losses:
        """Return the losses of a batch on the model's device; ``counts`` are of its step, by default of the batch."""
        model = self.model
        inputs = {"use_cache": False, **as_floats(batch.inputs, model.config.vision_config.temporal_patch_size)}
        features = model.model.get_image_features(
            inputs.pop("pixel_values"),
            inputs["image_grid_thw"],
            inputs.pop("geometry_images", None),
            inputs.pop("geometry_features", None),
        )
        following = following_tokens(batch)
        answered = following != IGNORED  # (B, S) positions that predict a token of an answer
        hidden = model.model(**inputs, mm_encoder_outputs={"image": features}).last_hidden_state[answered]
        answer = self._answer_loss(hidden, following[answered])
        questions = batch.questions[answered]
        if self.head is None or not (batch.targets or self.training):
            return Losses(answer=answer, questions=questions)
        tokens = torch.cat(tuple(features.pooler_output))
        if batch.targets:
            counts = counts or dense_counts(batch.targets, questions)
            visual = self.head.visual_loss(tokens, batch.targets, counts)
            asked = self.head.asked_loss(hidden, questions, batch.targets, counts)
        else:
            # A blank batch: ranks reduce the gradients of the same weights, so the head needs gradients here, too.
            visual, asked = self.head.visual(tokens).sum() * 0.0, self.head.asked(hidden).sum() * 0.0
        return Losses(answer=answer, questions=questions, dense={"visual": visual, "asked": asked})

    def _answer_loss(self, hidden: Tensor, expected: Tensor) -> Tensor:
        """Return the cross-entropy of each token (n,), from the language model's output (n, D).

        Logits of many tokens are computed again in the backward pass, some at a time: in float32 they, their logarithms
        and their gradients take 1.5 MB a token.
        """

        def entropy(part: Tensor, tokens: Tensor) -> Tensor:
            return F.cross_entropy(self.model.lm_head(part).float(), tokens, reduction="none")

        if len(hidden) <= ANSWER_TOKENS:
            return entropy(hidden, expected)
        pairs = zip(torch.split(hidden, ANSWER_TOKENS), torch.split(expected, ANSWER_TOKENS), strict=True)
        return torch.cat([checkpoint(entropy, *pair, use_reentrant=False) for pair in pairs])

    def round_frozen(self) -> None:
        """Keep frozen matrices, and the frozen embeddings of words, in bfloat16, to which products round them anyhow.

        Vectors (norms, scales) stay as they are: products do not round them, and they are small.
        """
        embeddings = self.model.model.language_model.embed_tokens
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)) or module is embeddings:
                for parameter in module.parameters(recurse=False):
                    if not parameter.requires_grad:
                        parameter.data = parameter.data.to(torch.bfloat16)

    def write(self, processor: GapProcessor, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
        """Return the model's own answers (:func:`gapmodel.generate.generate_answers`)."""
        return generate_answers(self.model, processor, examples, max_new_tokens)


def following_tokens(batch: Batch) -> Tensor:
    """Return the answer token that each position predicts, (R, S); :data:`IGNORED` where there is none."""
    following = torch.roll(batch.labels, -1, dims=1)
    following[:, -1] = IGNORED
    return following


def counts_of(batches: Sequence[Batch]) -> list[float]:
    """Return the counts of dense targets of some batches, in the order of :meth:`DenseCounts.values`."""
    found = [dense_counts(item.targets, item.questions[following_tokens(item) != IGNORED]) for item in batches]
    return [sum(column) for column in zip(DenseCounts().values(), *(item.values() for item in found), strict=True)]


def as_floats(inputs: Mapping[str, Any], temporal: int) -> dict[str, Any]:
    """Return model input with uint8 pixels (``look`` of the processor with ``raw``) as floats, on its device.

    The numbers are those of ``look`` without ``raw``. Pixels that are floats already stay as they are.

    Args:
        inputs: a batch's.
        temporal: times that each still frame is repeated in a patch.
    """

    def unit(pixels: Any) -> Any:
        return pixels.float() / 255.0 if pixels.dtype == torch.uint8 else pixels

    patches, geometry = inputs["pixel_values"], inputs.get("geometry_images")
    if patches.dtype == torch.uint8:
        patches = ((unit(patches) - MEAN) / STD).reshape(len(patches), 3, 1, -1).expand(-1, -1, temporal, -1).flatten(1)
    if geometry is None:  # features are given instead
        return {**inputs, "pixel_values": patches}
    geometry = [unit(view) for view in geometry] if isinstance(geometry, list) else unit(geometry)
    return {**inputs, "pixel_values": patches, "geometry_images": geometry}
