"""Build shards as Ray Core tasks. Paths go in and events come out; no pixel enters Ray's object store.

A task is a generator. Each event reaches the driver as it is yielded, frames that are done and at last the commit
record, so that there is no further actor or queue that could die. Ray retries nothing (``max_retries=0``, which turns
off its separate budget for memory, too), because the driver counts the attempts.

When a node is cut off from the network, the generator of a task on it never ends for the driver, though Ray declares
the node dead. So each task says first where it runs, and the driver looks at the nodes itself. A task that is started
anew must not go to the lost node: Ray hands tasks of equal resources to the workers that it knows already, those on the
lost node among them. So after each loss a task asks for a little less memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from gapdata.engine.build_shard import ShardTask, build_shard
from gapdata.engine.executors.attempts import Advanced, Crashed, Event, Failed, Halted, Started, Unplaced, Work
from gapdata.engine.executors.worker import conduct
from gapdata.engine.plan import ENGINE_VERSION
from gapdata.errors import GapDataError, UsageError
from gapdata.runtime.ray_cluster import ClusterWatch, HeadWatch
from gapdata.runtime.ray_session import RaySession
from gapdata.runtime.stopping import HOW_TO_RESUME

TASK_BYTES = 600 * 2**20
"""Peak memory of a worker that renders masks from a mesh. Ray admits tasks by it and does not enforce it."""
TASKS_PER_WORKER = 16
"""A worker is replaced after this many shards, because native libraries may leak memory."""
AHEAD = 1
"""Tasks in flight beyond the cluster's cores: the next one is ready, and an autoscaler sees that more is wanted."""
CANNOT_IMPORT = ("No module named", "failed to import")
"""Ray's words where a task's function or its arguments need a module that the worker lacks."""


class RayExecutor:
    """An executor of Ray Core tasks of one core each, at most ``workers`` of them at once."""

    def __init__(self, workers: int | None = None, work: Work = build_shard) -> None:
        self._workers = workers
        self._work = work
        self._session = RaySession(workers)
        self._streams: dict[int, Any] = {}
        self._task: Any = None
        self._memory = 0
        self._node_failures = 0  # times that nodes were lost
        self._places: dict[int, str] = {}  # attempt -> id of the node that it runs on

    def __enter__(self) -> RayExecutor:
        self._session.__enter__()
        import ray

        largest = max((node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]), default=0)
        self._memory = int(min(TASK_BYTES, largest))
        self._task = ray.remote(
            num_cpus=1,
            max_retries=0,
            max_calls=TASKS_PER_WORKER,
            num_returns="streaming",
        )(_serve)
        self._head, self._cluster = HeadWatch(ray.get_runtime_context().gcs_address), ClusterWatch()
        self._nodes = self._cluster.state.nodes
        self._head.start()
        self._cluster.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._head.stop()
        self._cluster.stop()
        if self._head.is_lost:
            self._session.abandon()
            return
        for attempt in list(self._streams):
            self.cancel(attempt)
        self._session.__exit__()

    @property
    def description(self) -> str:
        """Where Ray runs."""
        return self._session.description

    @property
    def capacity(self) -> int:
        """One task for each worker that was asked for, or for each core of the cluster and some more."""
        if self._workers is not None:
            return self._workers
        return self._cluster.state.cpus + AHEAD

    @property
    def shortage(self) -> str:
        """What the cluster has at present."""
        if not self._head.answers:
            return f"the head of the Ray cluster at {self._head.address} does not answer"
        return f"the Ray cluster has {self._cluster.state}"

    def start(self, attempt: int, task: ShardTask) -> None:
        """Submit a task for the attempt."""
        self._streams[attempt] = self._task.options(memory=max(0, self._memory - self._node_failures)).remote(
            attempt, ENGINE_VERSION, self._work, task
        )

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Handle what the tasks have yielded, and the loss of nodes.

        Raises:
            GapDataError: the head of the cluster cannot be reached any more.
        """
        self._look_at_nodes(handle)
        attempts = {id(stream): attempt for attempt, stream in self._streams.items()}
        streams = list(self._streams.values())
        if not streams:
            time.sleep(seconds)  # no node has a core at present
            return
        for stream in _ready(streams, seconds):
            attempt = attempts[id(stream)]
            if attempt not in self._streams:
                continue  # cancelled by an event before this one
            event = self._receive(attempt, stream)
            if event is None:
                continue
            if not isinstance(event, Started | Advanced):
                self._forget(attempt)
            handle(event)

    def cancel(self, attempt: int) -> None:
        """Kill the task of an attempt."""
        import ray

        ray.cancel(self._forget(attempt), force=True)

    def _forget(self, attempt: int) -> Any:
        self._places.pop(attempt, None)
        return self._streams.pop(attempt)

    def _look_at_nodes(self, handle: Callable[[Event], None]) -> None:
        """Report attempts on nodes that are gone, and those that may have been on their way there."""
        if self._head.is_lost:
            raise GapDataError(self._head.problem, cure=HOW_TO_RESUME)
        before, self._nodes = self._nodes, self._cluster.state.nodes
        gone = before - self._nodes
        self._node_failures += bool(gone)
        for attempt in list(self._streams):
            place = self._places.get(attempt)
            if place is not None and place not in self._nodes:
                self._forget(attempt)
                handle(Crashed(attempt=attempt, reason="its node was lost"))
            elif place is None and gone:
                self.cancel(attempt)
                handle(Unplaced(attempt=attempt))

    def _receive(self, attempt: int, stream: Any) -> Event | None:
        """Return the next event of a stream that is ready; ``None`` where it only says on which node it runs."""
        import ray

        try:
            event: Event | str = ray.get(next(stream))
        except StopIteration:
            return Crashed(attempt=attempt, reason="its worker ended without a result")
        except ray.exceptions.OutOfMemoryError:
            return Crashed(attempt=attempt, reason="Ray killed its worker because the node ran out of memory")
        except ray.exceptions.RayTaskError as error:
            # The work reports its own errors as events, so this worker could not even begin.
            if isinstance(error.cause, ImportError) or any(sign in str(error) for sign in CANNOT_IMPORT):
                return Halted(attempt=attempt, error=_unlike("cannot import gapdata as the driver does"))
            if isinstance(error.cause, UsageError):
                return Halted(attempt=attempt, error=error.cause)
            return Failed(attempt=attempt, problem=_first_line(error.cause or error), trace=str(error))
        except ray.exceptions.RayError as error:
            return Crashed(attempt=attempt, reason=f"its worker died ({type(error).__name__})", trace=str(error))
        if isinstance(event, str):
            self._places[attempt] = event
            return None
        return event


def _serve(attempt: int, engine: int, work: Work, task: ShardTask) -> Iterator[Event | str]:
    """Yield the id of this node, and then the events of the attempt."""
    import ray

    if engine != ENGINE_VERSION:
        raise _unlike(f"have engine version {ENGINE_VERSION}, the driver has {engine}")
    yield ray.get_runtime_context().get_node_id()
    yield from conduct(attempt, work, task)


def _ready(streams: list[Any], seconds: float) -> list[Any]:
    """Return the streams that have a value; wait for the first one for ``seconds`` at most."""
    import ray

    try:
        ready, _ = ray.wait(streams, num_returns=1, timeout=seconds, fetch_local=False)
        if ready:
            ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
    except ray.exceptions.RayError as error:
        raise GapDataError(f"the connection to Ray is lost: {_first_line(error)}", cure=HOW_TO_RESUME) from error
    return list(ready)


def _unlike(problem: str) -> UsageError:
    return UsageError(
        f"the cluster's workers {problem}",
        cure="install the same gapmllm on every node, or use `ray job submit --working-dir .`",
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
