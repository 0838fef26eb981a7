"""Build shards in this process, one after the other.

A debugger sees everything. A crash, a hang or an unforeseen error is not contained.
"""

from __future__ import annotations

from collections.abc import Callable

from gapdata.engine.build_shard import ShardTask, build_shard
from gapdata.engine.executors.attempts import Advanced, Event, Finished, Started, Work


class InlineExecutor:
    """An executor that builds one shard after the other in this process."""

    capacity = 1
    description = "in this process"
    shortage = "this process builds another shard"

    def __init__(self, work: Work = build_shard) -> None:
        self._work = work
        self._next: tuple[int, ShardTask] | None = None

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self._next = None

    def start(self, attempt: int, task: ShardTask) -> None:
        """Take the task up at the next wait."""
        self._next = attempt, task

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Build the shard, however long that takes; its frames are reported as they are done."""
        if self._next is None:
            return
        (attempt, task), self._next = self._next, None
        handle(Started(attempt=attempt))
        commit = self._work(task, lambda frames: handle(Advanced(attempt=attempt, frames=frames)))
        handle(Finished(attempt=attempt, commit=commit))

    def cancel(self, attempt: int) -> None:
        """Drop the task if it has not been built yet."""
        if self._next is not None and self._next[0] == attempt:
            self._next = None
