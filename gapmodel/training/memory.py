"""Estimate the memory of a step before the first one, and refuse a step that does not fit.

What training keeps for the backward pass is measured: one question goes forward once, and every tensor that autograd
saves is counted. It grows with a micro-batch's tokens, since each row brings its own frames. The rest is arithmetic.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gapdata.errors import UsageError
from gapdata.runtime.counting import counted
from gapmodel.packing import Batch
from gapmodel.training.distributed import Ranks
from gapmodel.training.learner import Learner
from gapmodel.training.loading import Step
from gapmodel.training.recipe import TrainingRecipe

WORKING = 1.2
"""Peak memory of activations, divided by what is saved: the layer at work has results of its own. Measured on a CPU
with the tiny preset at full size: 1.98 GB to 1.70 GB."""
OPTIMIZER_BYTES = 12
"""A trained weight's gradient and AdamW's two moments, float32."""
PREFETCHED = 2
"""Steps that each loader worker makes ahead of time (torch's default)."""
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The memory that one rank needs, in bytes."""

    optimizer: int  # and gradients, and rounded copies of weights
    saved_per_token: float  # for the backward pass, for each token of a micro-batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A step's size and memory on one rank."""

    rows: int
    visual: int  # tokens
    batches: int
    largest: int  # tokens of the largest micro-batch, padding included
    longest: int  # tokens of the longest row
    activations: int  # bytes, as the following
    data: int  # of further steps that are made ahead
    optimizer: int  # gradients and moments
    held: int  # now: the program, weights, this step's data
    free: int

    @property
    def wanted(self) -> int:
        """Bytes that are needed beyond those that are held."""
        return self.activations + self.data + self.optimizer

    @property
    def total(self) -> int:
        """All bytes together."""
        return self.held + self.wanted

    def __str__(self) -> str:
        """Return one line for whoever starts the run."""
        size = f"{counted(self.rows, 'row')} and {counted(self.visual, 'visual token')}"
        parts = f"{counted(self.batches, 'micro-batch', 'micro-batches')} of at most {counted(self.largest, 'token')}"
        return f"a step: {size} in {parts}; a rank takes about {_gigabytes(self.total)} of memory"


def measure(learner: Learner, batch: Batch | None, ranks: Ranks) -> Footprint:
    """Measure what a learner needs by letting one question go forward; weights must not be sharded yet.

    Args:
        learner: in training mode, on its device.
        batch: a single question; ``None`` where there is none, which needs nothing.
        ranks: this process among the job's; gradients and moments are spread over them.
    """
    weights = {parameter.untyped_storage().data_ptr(): parameter for parameter in learner.parameters()}
    rounded = {_form(parameter) for parameter in weights.values() if parameter.requires_grad}
    saved: dict[int, int] = {}
    copies: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            # Products in bfloat16 keep a rounded copy of each trained weight, however many tokens there are.
            copied = tensor.dtype == torch.bfloat16 and _form(tensor) in rounded
            (copies if copied else saved)[storage.data_ptr()] = storage.nbytes()
        return tensor

    if batch is not None:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), ranks.precision():
            learner(batch.to(ranks.device))
    trained = sum(parameter.numel() for parameter in weights.values() if parameter.requires_grad)
    return Footprint(
        optimizer=trained * OPTIMIZER_BYTES // ranks.world_size + sum(copies.values()),
        saved_per_token=0.0 if batch is None else sum(saved.values()) / batch.labels.numel(),
    )


def fitting(footprint: Footprint, step: Step, recipe: TrainingRecipe, ranks: Ranks) -> Estimate:
    """Return the estimate of a step; all ranks stop where it does not fit one of them.

    Raises:
        UsageError: a rank has less memory than a step needs; the message names the field to change.
    """
    found = estimate(footprint, step, recipe.run.workers, ranks)
    ranks.agree(_misfit(found, footprint, recipe))
    return found


def estimate(footprint: Footprint, step: Step, workers: int, ranks: Ranks) -> Estimate:
    """Return what a step needs on this rank, and what is free; rows and visual tokens are those of all ranks."""
    rows = sum(len(batch.labels) for batch in step.batches)
    visual = sum(int(batch.inputs["mm_token_type_ids"].sum()) for batch in step.batches)
    rows, visual = (int(count) for count in ranks.sum([rows, visual]))
    largest = max((batch.labels.numel() for batch in step.batches), default=0)
    on_gpu = ranks.device.type == "cuda"
    # A GPU holds the pixels of one micro-batch, which count among what is saved.
    data = 0 if on_gpu else sum(_bytes_of(batch.inputs) for batch in step.batches) * (2 + PREFETCHED * workers)
    return Estimate(
        rows=rows,
        visual=visual,
        batches=len(step.batches),
        largest=largest,
        longest=max((batch.labels.shape[1] for batch in step.batches), default=0),
        activations=int(WORKING * footprint.saved_per_token * largest),
        data=data,
        optimizer=footprint.optimizer,
        held=torch.cuda.memory_allocated(ranks.device) if on_gpu else _resident(),
        free=_free(ranks.device),
    )


def _misfit(found: Estimate, footprint: Footprint, recipe: TrainingRecipe) -> UsageError | None:
    """Return the error of a step that does not fit, with what would fit; ``None`` where it does."""
    if found.wanted <= found.free:
        return None
    rest = found.free - (found.wanted - found.activations)
    tokens = int(rest / (WORKING * footprint.saved_per_token)) if footprint.saved_per_token else 0
    row = found.longest
    if found.data > found.activations:
        cure = "lower train.batch_size, data.questions_per_view or run.workers: a step holds the frames of all its rows"
    elif tokens >= row and recipe.train.micro_batch:
        cure = f"set train.micro_batch to at most {tokens // row}"
    elif tokens >= row:
        cure = f"set run.micro_tokens to at most {tokens}"
    else:
        cure = "use fewer or smaller frames (data.frames, processor.image_size), or run.checkpoint_activations = true"
    return UsageError(
        f"{found}: {_gigabytes(found.wanted)} more than it holds now, but only {_gigabytes(found.free)} are free",
        cure=cure,
    )


def _free(device: torch.device) -> int:
    """Return the bytes that a process may still take on a device; a machine's memory is shared by its ranks."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(_available(), _left_of_group()) // here


def _resident() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _available() -> int:
    """Return the bytes that the system has available; all of its memory where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_of_group() -> int:
    """Return the bytes that a container's limit (its control group) leaves; cached files count as free."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return int(limit) - int(used) + int(statistics.get("inactive_file", 0))
    except (OSError, ValueError):
        return 2**62


def _form(tensor: Tensor) -> tuple[int, ...]:
    """Return the sides of a matrix, transposed or not."""
    return tuple(sorted(tensor.shape))


def _bytes_of(values: Any) -> int:
    """Return the bytes of all tensors in nested values."""
    if isinstance(values, Tensor):
        return values.nbytes
    if isinstance(values, dict):
        return sum(_bytes_of(value) for value in values.values())
    return sum(_bytes_of(value) for value in values) if isinstance(values, Sequence) else 0


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
