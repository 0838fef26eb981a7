"""Build shards in processes on this machine, one new process for each.

A shared pool dies as a whole when one of its processes is killed. Here a process that dies, for whatever reason, only
ends its own pipe and costs only its own shard. Starting one costs about a second; a scan takes much longer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import SpawnProcess
from types import ModuleType

from gapdata.engine.build_shard import ShardTask, build_shard
from gapdata.engine.executors.attempts import Advanced, Crashed, Event, Started, Work
from gapdata.engine.executors.worker import SINGLE_THREADED, conduct
from gapdata.runtime.counting import counted

LEAVE_SECONDS = 5.0  # for a process to end after its work


@dataclass(slots=True, kw_only=True)
class _Worker:
    process: SpawnProcess
    events: Connection


class LocalExecutor:
    """An executor of up to ``workers`` processes, spawned because Open3D's threads do not survive a fork."""

    def __init__(self, workers: int, work: Work = build_shard) -> None:
        self.capacity = workers
        self.description = f"in up to {counted(workers, 'process', 'processes')} on this machine"
        self.shortage = "this machine is slow to start a process"
        self._work = work
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[int, _Worker] = {}
        self._leaving: list[SpawnProcess] = []

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        for attempt in list(self._running):
            self.cancel(attempt)
        for process in self._leaving:
            process.join(LEAVE_SECONDS)
            process.kill()
            process.join()
        self._leaving.clear()

    def start(self, attempt: int, task: ShardTask) -> None:
        """Start a process for the attempt."""
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_serve, args=(sender, attempt, self._work, task), name=task.shard.name, daemon=True
        )
        with _signals_blocked(), _environment(SINGLE_THREADED), _main_module_hidden():
            process.start()
        sender.close()
        self._running[attempt] = _Worker(process=process, events=receiver)

    def wait(self, seconds: float, handle: Callable[[Event], None]) -> None:
        """Handle what the processes have sent, and the end of those that died."""
        self._leaving = [process for process in self._leaving if process.is_alive()]
        attempts = {worker.events: attempt for attempt, worker in self._running.items()}
        for pipe in wait_for_any(list(attempts), seconds):
            attempt = attempts[pipe]  # type: ignore[index]
            if attempt not in self._running:
                continue  # cancelled by an event before this one
            event = self._receive(attempt)
            if not isinstance(event, Started | Advanced):
                self._leaving.append(self._forget(attempt))
            handle(event)

    def cancel(self, attempt: int) -> None:
        """Kill the process of an attempt."""
        process = self._forget(attempt)
        process.kill()
        process.join()

    def _receive(self, attempt: int) -> Event:
        worker = self._running[attempt]
        try:
            event: Event = worker.events.recv()
        except (EOFError, OSError):
            # Only the worker holds the other end, so the worker has ended. A message cut short reads as an OSError.
            worker.process.join(LEAVE_SECONDS)
            return Crashed(attempt=attempt, reason=_describe_exit(worker.process.exitcode))
        return event

    def _forget(self, attempt: int) -> SpawnProcess:
        worker = self._running.pop(attempt)
        worker.events.close()
        return worker.process


def _serve(events: Connection, attempt: int, work: Work, task: ShardTask) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for event in conduct(attempt, work, task):
        events.send(event)
    events.close()


def _end_with_parent() -> None:
    """End this process as soon as the driver is gone, because nobody waits for the commit then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with status {code}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM, also for a process that is started meanwhile.

    A terminal and a batch system send them to the whole group of processes, but the driver lets commits finish.
    SIGKILL ends such a process.
    """
    resource_tracker.ensure_running()  # starting it later would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep a process that is started meanwhile from running the user's script again.

    The work needs nothing of it, and a script without ``if __name__ == "__main__"``, or one that Python was given on
    standard input, would start the build anew or fail.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables that a new process must find when it loads its first library, unless the user has set them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
