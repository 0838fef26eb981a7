"""What becomes of attempts at shards, and what an executor is.

Paths go in and small events come out. An executor knows nothing of retries, deadlines or interruptions: those belong
to :mod:`gapdata.engine.supervision`, so that they are the same wherever the work is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gapdata.engine.build_shard import ShardTask
from gapdata.errors import UsageError

Work: TypeAlias = Callable[[ShardTask, Callable[[int], None]], dict[str, Any]]
"""What :func:`gapdata.engine.build_shard.build_shard` is: builds a task, reports frames, returns the commit record."""


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
