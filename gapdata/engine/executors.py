"""Where shards are built. An executor takes tasks and yields commit records as they are done; it never sees a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gapdata.engine.build import ShardTask, build_shard
from gapdata.errors import UsageError


class Executor(Protocol):
    """Runs :func:`gapdata.engine.build.build_shard` on every task."""

    def run(self, tasks: Sequence[ShardTask], progress: Callable[[int], None]) -> Iterator[dict[str, Any]]:
        """Yield the commit records, in any order; ``progress`` is told of finished view frames."""
        ...


class InlineExecutor:
    """One shard after the other in this process: no start-up cost, and a debugger sees everything."""

    def run(self, tasks: Sequence[ShardTask], progress: Callable[[int], None]) -> Iterator[dict[str, Any]]:
        for task in tasks:
            yield build_shard(task, progress)


EXECUTORS: dict[str, Callable[[], Executor]] = {"inline": InlineExecutor}


def make_executor(name: str) -> Executor:
    """The executor of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in EXECUTORS:
        raise UsageError(f"executor {name!r} is unknown", cure=f"choose from {', '.join(EXECUTORS)}")
    return EXECUTORS[name]()
