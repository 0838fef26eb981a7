"""AdamW as the recipe wants it: learning rates by part of the model, warm-up and cosine, clipping."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gapmodel.training.recipe import TrainRecipe

FUSION, GATES = "model.model.fusion.", ".fuse."
"""Names of a learner's parameters: the prefix of the fusion, and what the gates and their norms have within it."""


def build_optimizer(learner: nn.Module, train: TrainRecipe) -> torch.optim.AdamW:
    """Make AdamW for what is trained, in groups by learning rate (``peak``) and weight decay."""
    fusion = train.fusion_learning_rate or train.learning_rate
    gates = train.gate_learning_rate or fusion
    decaying = _decaying(learner, train)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            inside = name.startswith(FUSION)
            peak = (gates if GATES in name else fusion) if inside else train.learning_rate
            decay = train.weight_decay if name in decaying else 0.0
            groups.setdefault((peak, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": members, "peak": peak, "weight_decay": decay} for (peak, decay), members in groups.items()],
        lr=train.learning_rate,
        betas=(0.9, train.beta2),
        fused=True,
    )


def _decaying(learner: nn.Module, train: TrainRecipe) -> set[str]:
    """Return the names of parameters that decay: matrices, or all except biases and those of LayerNorms."""
    named = dict(learner.named_parameters())
    if not train.decay_norms:
        return {name for name, parameter in named.items() if parameter.ndim >= 2}
    spared = [f"{name}." for name, module in learner.named_modules() if isinstance(module, nn.LayerNorm)]
    return {name for name in named if "bias" not in name and not name.startswith(tuple(spared))}


def learning_rate_share(step: int, steps: int, train: TrainRecipe) -> float:
    """Return the share of the peak at a step: linear warm-up, then a cosine down to ``final_learning_rate``.

    ``warmup_from_zero`` is how Hugging Face's trainer counts: 0 at the first step, warm-up steps rounded up.
    """
    exact = train.warmup * steps
    if train.warmup_from_zero:
        warmup, risen = math.ceil(exact), step
    else:
        warmup, risen = max(1, round(exact)), step + 1
    if step < warmup:
        return risen / max(1, warmup)
    progress = (step - warmup) / max(1, steps - warmup)
    return train.final_learning_rate + (1 - train.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the learning rate of every group to this share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]


def clip_gradients(optimizer: torch.optim.Optimizer, largest: float) -> Tensor:
    """Scale the gradients down to a norm of at most ``largest``, and return the norm that they had, over all ranks."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, largest)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
