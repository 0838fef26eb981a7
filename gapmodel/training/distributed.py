"""The processes of a job: one, or as many as torchrun or Ray Train started; on CPUs or on one GPU each.

Weights that are trained are sharded over the ranks (FSDP2), layer by layer. Frozen towers are not: they need no
gradient and no optimizer state, every rank keeps them whole, and no checkpoint holds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from gapmodel.training.learner import Learner

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among the job's."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU
    half: bool = False
    """Whether a CPU uses bfloat16 products, too."""

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return element-wise sums over the ranks."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def max(self, values: Sequence[float]) -> list[float]:
        """Return element-wise maxima over the ranks."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def gathered(self, value: Any) -> list[Any]:
        """Return the value of each rank, in the order of the ranks; values are plain Python."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def agree(self, problem: Exception | None) -> None:
        """Go on where no rank has a problem; else raise the first problem on all ranks."""
        for found in self.gathered(problem):
            if found is not None:
                raise found

    def wait(self) -> None:
        """Wait until all ranks are here."""
        if self.world_size > 1:
            dist.barrier()

    def precision(self) -> AbstractContextManager[Any]:
        """Use bfloat16 products on a GPU, and with ``half``; otherwise everything is float32 on a CPU."""
        rounds = self.half or self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16) if rounds else nullcontext()

    def _reduced(self, values: Sequence[float], how: Any) -> list[float]:
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total, how)
        return total.tolist()


ALONE = Ranks()
"""A job of one process."""


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the job that torchrun or Ray Train describes in the environment, and leave it at the end.

    A process group that is there already (Ray Train makes one) is used and left alone.
    """
    world_size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    device = CPU
    if torch.cuda.is_available():
        device = torch.device("cuda", local % torch.cuda.device_count())
        torch.cuda.set_device(device)
    if world_size == 1:
        yield Ranks(device=device)
        return
    made = not dist.is_initialized()
    if made:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=dist.get_rank(), world_size=dist.get_world_size(), device=device)
    finally:
        if made:
            dist.destroy_process_group()


def shard(learner: Learner, ranks: Ranks) -> None:
    """Spread the weights that are trained over the ranks; does nothing for a single process."""
    if ranks.world_size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
    half = torch.bfloat16 if ranks.device.type == "cuda" else None
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False)
    frozen = {parameter for parameter in learner.parameters() if not parameter.requires_grad}
    layers: list[nn.Module] = list(learner.model.model.language_model.layers)
    trained = [layer for layer in layers if any(parameter.requires_grad for parameter in layer.parameters())]
    for module in [*trained, learner]:
        fully_shard(module, mesh=mesh, mp_policy=policy, ignored_params=frozen)
    register_fsdp_forward_method(learner, "write")
