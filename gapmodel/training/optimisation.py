"""AdamW as the recipe wants it: learning rates by part of the model, warm-up and cosine, clipping."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gapmodel.training.recipe import TrainRecipe

FUSION = "model.model.fusion."


def build_optimizer(learner: nn.Module, train: TrainRecipe) -> torch.optim.AdamW:
    """AdamW over what is trained; weight decay for matrices only. Each group has its ``peak`` learning rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(FUSION), parameter.ndim >= 2), []).append(parameter)
    rates = {True: train.fusion_learning_rate or train.learning_rate, False: train.learning_rate}
    return torch.optim.AdamW(
        [
            {"params": members, "peak": rates[fusion], "weight_decay": train.weight_decay if matrix else 0.0}
            for (fusion, matrix), members in groups.items()
        ],
        lr=train.learning_rate,
        betas=(0.9, train.beta2),
        fused=True,
    )


def learning_rate_share(step: int, steps: int, train: TrainRecipe) -> float:
    """Share of the peak at a step of ``steps``: linear warm-up, then a cosine down to ``final_learning_rate``."""
    warmup = max(1, round(train.warmup * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return train.final_learning_rate + (1 - train.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give every group its share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]


def clip_gradients(optimizer: torch.optim.Optimizer, largest: float) -> Tensor:
    """Scale the gradients down to a norm of ``largest``; the norm that they had, over all ranks."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, largest)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
