"""Attempts at shards: the work, the events that tell what becomes of an attempt, and the protocol of an executor.

Paths go in and small events come out. An executor does not know about retries, deadlines or interruptions: those belong
to :mod:`gapdata.engine.supervision`, so that they are the same wherever the work is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gapdata.engine.build_shard import ShardTask
from gapdata.errors import UsageError

Work: TypeAlias = Callable[[ShardTask, Callable[[int], None]], dict[str, Any]]
"""Builds a task, reports view frames as they are done, returns the commit record. Except in tests it is
:func:`gapdata.engine.build_shard.build_shard`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker has begun the attempt."""

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
    """The worker is gone, or it lacked something that another attempt may have: memory, a mounted disk."""

    attempt: int
    reason: str
    trace: str = ""
    cure: str = ""  # empty: the usual one
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
    """A context manager in which attempts run; leaving it stops those that still do."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def description(self) -> str:
        """Where the work is done, as text for the user; valid inside the context."""
        ...

    @property
    def capacity(self) -> int:
        """The number of attempts to keep in flight."""
        ...

    @property
    def shortage(self) -> str:
        """The likely reason why attempts do not begin, as text for the user."""
        ...

    def start(self, attempt: int, task: ShardTask) -> None:
        """Begin an attempt, under a number that the caller chooses."""
        ...

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Handle the events that have come; return after ``seconds`` at the latest if there are none."""
        ...

    def cancel(self, attempt: int) -> None:
        """Kill an attempt; it does not give any further event."""
        ...
