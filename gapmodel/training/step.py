"""One step over all ranks: the losses of its micro-batches, their gradients, and new weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from gapdata.errors import GapDataError
from gapmodel.packing import Batch
from gapmodel.training.dense import DenseCounts
from gapmodel.training.distributed import ALONE, Ranks
from gapmodel.training.learner import Learner, Losses, counts_of
from gapmodel.training.loading import Step
from gapmodel.training.optimisation import clip_gradients
from gapmodel.training.recipe import TrainingRecipe

NAMED_KEYS = 8


class TrainingError(GapDataError):
    """Training cannot go on."""


def training_step(
    learner: Learner,
    step: Step,
    optimizer: torch.optim.Optimizer,
    recipe: TrainingRecipe,
    ranks: Ranks = ALONE,
    blank: Batch | None = None,
) -> dict[str, float]:
    """Take one step and return its losses and the norm of its gradient.

    The answers' loss is a mean over all tokens of the step, or over all questions of their own tokens' means
    (``train.mean_over``), and dense losses are means over all their targets, however they are spread over ranks, rows
    and micro-batches.

    Args:
        learner: in training mode.
        step: this rank's part.
        optimizer: of the weights that are trained.
        recipe: how losses are weighted.
        ranks: this process among the job's.
        blank: what a rank computes while it has fewer micro-batches than another, because all gather weights together.

    Raises:
        TrainingError: a loss or a gradient is not finite; the weights have not been changed then.
    """
    weights = {"answer": 1.0, "visual": recipe.train.visual_weight, "asked": recipe.train.asked_weight}
    (shared_by,) = ranks.sum([step.answered if recipe.train.mean_over == "tokens" else step.asked])
    dense = None if learner.head is None else DenseCounts.of(ranks.sum(counts_of(step.batches)))
    sums = {name: torch.zeros((), device=ranks.device) for name in weights}
    seen: list[tuple[Batch, Losses]] = []
    optimizer.zero_grad(set_to_none=True)
    for batch in _as_many_on_all_ranks(step.batches, ranks, blank):
        with ranks.precision():
            losses = learner(batch.to(ranks.device), dense)
        parts = {"answer": losses.answer_sum(recipe.train.mean_over) / max(shared_by, 1.0), **losses.dense}
        _backward(parts, weights, ranks)
        seen.append((batch, losses.detached()))
        for name, part in parts.items():
            sums[name] += part.detach()
    norm = clip_gradients(optimizer, recipe.train.clip).item()
    totals = dict(zip(sums, ranks.sum([value.item() for value in sums.values()]), strict=True))
    total = sum(weights[name] * value for name, value in totals.items())
    if not (math.isfinite(total) and math.isfinite(norm)):
        bad = [key for batch, losses in seen for key in losses.not_finite(batch)]
        _refuse_not_finite(total, norm, bad, step, ranks)
    optimizer.step()
    shown = {name: value for name, value in totals.items() if name == "answer" or learner.head is not None}
    return {"loss": total, **shown, "grad_norm": norm}


def _as_many_on_all_ranks(batches: Sequence[Batch], ranks: Ranks, blank: Batch | None) -> list[Batch]:
    (most,) = ranks.max([len(batches)])
    lacking = int(most) - len(batches)
    if lacking and blank is None:
        raise ValueError("a rank without work needs a blank batch")
    return [*batches, *([blank] * lacking if blank is not None else [])]


def _backward(parts: Mapping[str, Tensor], weights: Mapping[str, float], ranks: Ranks) -> None:
    loss = sum((weights[name] * part for name, part in parts.items()), torch.zeros((), device=ranks.device))
    # FSDP takes the mean over the ranks, and this is a part of a sum.
    torch.autograd.backward(loss * ranks.world_size)


def _refuse_not_finite(loss: float, norm: float, bad: Sequence[str], step: Step, ranks: Ranks) -> NoReturn:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    # A gradient is everybody's: then all questions of the step are named.
    mine = bad if not math.isfinite(loss) else step.keys
    keys = sorted({key for part in ranks.gathered(list(mine)) for key in part})
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    raise TrainingError(
        f"{what} on records {', '.join(keys[:NAMED_KEYS])}{more}",
        cure="look at these records with `gapdata view`, or lower train.learning_rate",
    )
