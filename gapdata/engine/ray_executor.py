"""Shards as Ray Core tasks. Paths go in and events come out; no pixel enters Ray's object store.

A task is a generator: what it yields reaches the driver as it is yielded, frames done and at last the commit record, so
that no further actor or queue can die or lose its place. Ray retries nothing (``max_retries=0``, which turns off its
separate budget for memory too): attempts are the driver's to count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from gapdata.engine.build import ShardTask, build_shard
from gapdata.engine.executors import Advanced, Crashed, Event, Failed, Halted, Started, Work
from gapdata.engine.plan import ENGINE_VERSION
from gapdata.engine.ray_session import RaySession
from gapdata.engine.worker import conduct
from gapdata.errors import GapDataError, UsageError

TASK_BYTES = 600 * 2**20
"""Peak memory of a worker that renders masks from a mesh; Ray admits tasks by it but enforces nothing."""
TASKS_PER_WORKER = 16
"""A worker is replaced after that many shards, against leaks in native libraries."""
AHEAD = 1
"""Tasks in flight beyond the cluster's cores: the next one is at hand, and an autoscaler sees that there is more."""
CANNOT_IMPORT = ("No module named", "failed to import")
"""How Ray words it that a task's function or its arguments need a module which the worker lacks."""
CAPACITY_SECONDS = 10.0  # between two looks at the size of the cluster


class RayExecutor:
    """Ray Core tasks of one core each; ``workers`` bounds how many are in flight."""

    def __init__(self, workers: int | None = None, work: Work = build_shard) -> None:
        self._workers = workers
        self._work = work
        self._session = RaySession(workers)
        self._streams: dict[int, Any] = {}
        self._capacity = 0
        self._counted = float("-inf")
        self._task: Any = None

    def __enter__(self) -> RayExecutor:
        self._session.__enter__()
        import ray

        largest = max((node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]), default=0)
        self._task = ray.remote(
            num_cpus=1,
            memory=int(min(TASK_BYTES, largest)),
            max_retries=0,
            max_calls=TASKS_PER_WORKER,
            num_returns="streaming",
        )(_serve)
        return self

    def __exit__(self, *_: object) -> None:
        for attempt in list(self._streams):
            self.cancel(attempt)
        self._session.__exit__()

    @property
    def description(self) -> str:
        return self._session.description

    @property
    def capacity(self) -> int:
        if self._workers is not None:
            return self._workers
        if time.monotonic() - self._counted > CAPACITY_SECONDS:
            import ray

            self._capacity = int(ray.cluster_resources().get("CPU", 0)) + AHEAD
            self._counted = time.monotonic()
        return self._capacity

    def start(self, attempt: int, task: ShardTask) -> None:
        self._streams[attempt] = self._task.remote(attempt, ENGINE_VERSION, self._work, task)

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        import ray

        attempts = {id(stream): attempt for attempt, stream in self._streams.items()}
        streams = list(self._streams.values())
        if not streams:
            time.sleep(seconds)  # no node has a core at present
            return
        try:
            ready, _ = ray.wait(streams, num_returns=1, timeout=seconds, fetch_local=False)
            if ready:
                ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
        except ray.exceptions.RayError as error:
            raise GapDataError(
                f"the connection to Ray is lost: {_first_line(error)}",
                cure="the same command goes on where this one stopped",
            ) from error
        for stream in ready:
            attempt = attempts[id(stream)]
            if attempt not in self._streams:
                continue  # cancelled by an event before this one
            event = self._receive(attempt, stream)
            if not isinstance(event, Started | Advanced):
                del self._streams[attempt]
            handle(event)

    def cancel(self, attempt: int) -> None:
        import ray

        ray.cancel(self._streams.pop(attempt), force=True)

    def _receive(self, attempt: int, stream: Any) -> Event:
        import ray

        try:
            event: Event = ray.get(next(stream))
        except StopIteration:
            return Crashed(attempt=attempt, reason="its worker ended without a result")
        except ray.exceptions.OutOfMemoryError:
            return Crashed(attempt=attempt, reason="Ray killed its worker because the node ran out of memory")
        except ray.exceptions.RayTaskError as error:
            # The work reports its own errors as events, so this is a worker that could not even begin.
            if isinstance(error.cause, ImportError) or any(sign in str(error) for sign in CANNOT_IMPORT):
                return Halted(attempt=attempt, error=_unlike("cannot import gapdata as the driver does"))
            if isinstance(error.cause, UsageError):
                return Halted(attempt=attempt, error=error.cause)
            return Failed(attempt=attempt, problem=_first_line(error.cause or error), trace=str(error))
        except ray.exceptions.RayError as error:
            return Crashed(attempt=attempt, reason=f"its worker died ({type(error).__name__})", trace=str(error))
        return event


def _serve(attempt: int, engine: int, work: Work, task: ShardTask) -> Iterator[Event]:
    if engine != ENGINE_VERSION:
        raise _unlike(f"have engine version {ENGINE_VERSION}, the driver has {engine}")
    yield from conduct(attempt, work, task)


def _unlike(problem: str) -> UsageError:
    return UsageError(
        f"the cluster's workers {problem}",
        cure="install the same gapmllm on every node, or use `ray job submit --working-dir .`",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
