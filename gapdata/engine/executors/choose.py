"""Where shards are built. An executor starts attempts and reports what becomes of them; it never sees a pixel.

Paths go in and small events come out. An executor knows nothing of retries, deadlines or interruptions: those belong
to :mod:`gapdata.engine.supervision`, so that they are the same wherever the work is done.

inline   in this process, one shard after the other. A debugger sees everything; a crash, a hang or an error that
         nobody foresaw is not contained.
local    one new process per shard on this machine; none can take another down.
ray      Ray Core tasks, on this machine or on a cluster.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gapdata.engine.build import ShardTask, build_shard
from gapdata.errors import UsageError
from gapdata.runtime.choices import unknown_choice
from gapdata.runtime.cores import available_cores

Work: TypeAlias = Callable[[ShardTask, Callable[[int], None]], dict[str, Any]]
"""What :func:`gapdata.engine.build.build_shard` is: builds a task, reports frames, returns the commit record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker has taken the attempt up."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The attempt has finished ``frames`` more view frames."""

    attempt: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The shard is committed."""

    attempt: int
    commit: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The work raised an error that another attempt would raise again."""

    attempt: int
    problem: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """The worker is gone, or it was short of something that another attempt may have: memory, a mounted disk."""

    attempt: int
    reason: str
    trace: str = ""
    cure: str = ""  # where it is not the usual one
    store: bool = False  # a store or a file system failed: nothing is known about the source


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """The attempt has not begun, and a node that it may have been sent to is gone."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """The work raised an error that every other shard would meet too, such as a full disk."""

    attempt: int
    error: UsageError | OSError | ImportError


Event: TypeAlias = Started | Advanced | Finished | Failed | Crashed | Unplaced | Halted


class Executor(Protocol):
    """A context manager; leaving it stops whatever still runs."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def description(self) -> str:
        """Where the work is done, for the user; valid inside the context."""
        ...

    @property
    def capacity(self) -> int:
        """How many attempts to keep in flight."""
        ...

    @property
    def shortage(self) -> str:
        """What attempts that do not begin may be waiting for, for the user."""
        ...

    def start(self, attempt: int, task: ShardTask) -> None:
        """Begin an attempt, under a number of the caller's choice."""
        ...

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Hand over the events that have come; return after ``seconds`` at the latest if there are none."""
        ...

    def cancel(self, attempt: int) -> None:
        """Kill an attempt; no event of it follows."""
        ...


class InlineExecutor:
    """One shard after the other in this process."""

    capacity = 1
    description = "in this process"
    shortage = "this process is busy"

    def __init__(self, work: Work = build_shard) -> None:
        self._work = work
        self._next: tuple[int, ShardTask] | None = None

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self._next = None

    def start(self, attempt: int, task: ShardTask) -> None:
        self._next = attempt, task

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Build the shard, whatever the time that takes; its frames are reported as they are done."""
        if self._next is None:
            return
        (attempt, task), self._next = self._next, None
        handle(Started(attempt=attempt))
        commit = self._work(task, lambda frames: handle(Advanced(attempt=attempt, frames=frames)))
        handle(Finished(attempt=attempt, commit=commit))

    def cancel(self, attempt: int) -> None:
        if self._next is not None and self._next[0] == attempt:
            self._next = None


EXECUTORS = ("inline", "local", "ray")


def make_executor(name: str, workers: int | None = None) -> Executor:
    """The executor of that name.

    Args:
        name: one of :data:`EXECUTORS`.
        workers: shards built at once; by default as many as there are cores, on this machine or in the cluster.

    Raises:
        UsageError: there is none of that name, it cannot have that many workers, or Ray is not installed.
    """
    if name == "inline":
        if workers is not None and workers > 1:
            raise UsageError(f"executor inline has one worker, not {workers}", cure="use --executor local or ray")
        return InlineExecutor()
    if name == "local":
        from gapdata.engine.executors.local import LocalExecutor

        return LocalExecutor(workers or available_cores())
    if name == "ray":
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "executor ray needs Ray, which is not installed",
                cure="run `pip install ray`, or choose --executor local (processes on this machine)",
            )
        from gapdata.engine.executors.ray import RayExecutor

        return RayExecutor(workers)
    raise unknown_choice("executor", name, EXECUTORS)
