"""Check that a Ray cluster has room for a run's ranks; without room Ray Train would wait for ever in silence."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gapdata.errors import UsageError
from gapdata.runtime.cores import available_cores
from gapdata.runtime.counting import counted
from gapdata.runtime.ray_session import RaySession
from gapdata.runtime.terminal import say

GROWTH_SECONDS = 30.0
"""How long a cluster that is too small may stay as it is; Ray's autoscalers look for demand every 5 s."""
LOOK_SECONDS = 2.0


@contextmanager
def room_for(ranks: int | None) -> Iterator[None]:
    """Attach to the cluster of ``RAY_ADDRESS`` and wait until it has room for the ranks.

    Without ``RAY_ADDRESS`` this machine is looked at, which does not grow.

    Args:
        ranks: how many are asked for; ``None`` for what there is.

    Raises:
        UsageError: there is no room, or the cluster cannot be reached.
    """
    if os.environ.get("RAY_ADDRESS", "local") == "local":
        _refuse_too_many_ranks(ranks or 1)
        yield
        return
    with RaySession():
        _await_room(ranks or 1)
        yield


def _refuse_too_many_ranks(ranks: int) -> None:
    import torch

    gpus = torch.cuda.device_count()
    has, kind = (gpus, "GPU") if gpus else (available_cores(), "CPU")
    if ranks > has:
        raise UsageError(
            f"--ranks needs {counted(ranks, kind)}, one for each rank, but this machine has {counted(has, kind)}",
            cure=f"ask for at most {has}, or name a larger Ray cluster with RAY_ADDRESS",
        )


def _await_room(count: int) -> None:
    """Wait until the cluster has a GPU for each rank, or a CPU where it does not have GPUs, and say so.

    Waiting goes on as long as an autoscaler enlarges the cluster. Room that others occupy counts: Ray Train queues for
    it.
    """
    import ray

    kind = "GPU" if _has(ray.cluster_resources(), "GPU") else "CPU"
    has, free = _has(ray.cluster_resources(), kind), _has(ray.available_resources(), kind)
    if has >= count:
        if free < count:
            say(f"waiting until {count} of the cluster's {counted(has, kind)} are free; now {free} are", error=True)
        return
    lacking = f"--ranks needs {counted(count, kind)}, one for each rank, but the cluster has {counted(has, kind)}"
    say(f"{lacking}; waiting {GROWTH_SECONDS:.0f} s for it to grow", error=True)
    with _wanted(count, kind):
        until, grew = time.monotonic() + GROWTH_SECONDS, False
        while has < count:
            if time.monotonic() > until:
                raise UsageError(
                    f"{lacking} and does not grow", cure="ask for fewer --ranks, or add nodes and run the command again"
                )
            time.sleep(LOOK_SECONDS)
            now = _has(ray.cluster_resources(), kind)
            if now > has or _is_growing():
                if now > has or not grew:
                    say(f"{counted(now, kind)} now, more nodes are on their way", error=True)
                until, grew = time.monotonic() + GROWTH_SECONDS, True
            has = now


@contextmanager
def _wanted(count: int, kind: str) -> Iterator[None]:
    """Ask the autoscaler, if there is one, for what is lacking; a cluster grows only by demand."""
    from ray.util.placement_group import placement_group, remove_placement_group

    group = placement_group([{kind: 1}] * count)
    try:
        yield
    finally:
        remove_placement_group(group)


def _is_growing() -> bool:
    """Return whether new nodes are on their way, as either generation of Ray's autoscaler says."""
    import ray
    from ray.autoscaler.v2.sdk import get_cluster_status
    from ray.experimental.internal_kv import _internal_kv_get

    status: Any = get_cluster_status(ray.get_runtime_context().gcs_address)
    if status.pending_launches or status.pending_nodes:
        return True
    told = _internal_kv_get(b"__autoscaling_status")
    report = (json.loads(told).get("autoscaler_report") or {}) if told else {}
    return bool(report.get("pending_launches") or report.get("pending_nodes"))


def _has(resources: dict[str, float], kind: str) -> int:
    return int(resources.get(kind, 0))
