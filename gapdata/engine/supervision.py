"""Attempt every shard a bounded number of times, wherever the work is done.

What can go wrong with an attempt, and what follows; each kind has a budget of its own:

damaged source      contained in :mod:`gapdata.engine.build_shard`: the shard is committed without it
unforeseen error    given up at once: the same input would raise it again
lost worker         crash, out of memory, I/O error or lost node: two more attempts
changed source      two more attempts, because a node's view of it may be old
failing store       two more attempts, then the shard is left undone; after the third such shard in a row, with none
                    built between, the build stops, because nothing can be read
missed deadline     killed and attempted once more: a hung disk may not hold up the build
full disk, no right the build stops, because every other shard would meet it

A shard that is given up does not get a commit record: the rest is built, the report names its scenes, and the same
command tries it again. Attempts may overlap, where a node that was lost comes back: a commit is idempotent, equal bytes
under the same name.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gapdata.engine.build_shard import ShardTask
from gapdata.engine.executors.attempts import (
    Advanced,
    Crashed,
    Event,
    Executor,
    Failed,
    Finished,
    Halted,
    Started,
    Unplaced,
)
from gapdata.errors import StoreError
from gapdata.runtime.counting import counted
from gapdata.runtime.stopping import HOW_TO_RESUME, StopSignals

CRASH_RETRIES = 2
UNREACHED_SHARDS = 3
DEADLINE_RELAUNCHES = 1
DEADLINE_BASE_SECONDS = 600.0
DEADLINE_SECONDS_PER_FRAME = 2.0
"""About a hundred times the cost of a view frame on one core: a deadline stops a shard that hangs, not a slow one."""
DRAIN_SECONDS = 10.0
POLL_SECONDS = 0.5
PAUSE_SECONDS = 5.0
"""A round of the loop that takes longer means that this process was stopped (Ctrl-Z, a suspended laptop). Deadlines
are put off by that time, because what the workers did meanwhile has not been heard yet."""
IDLE_SECONDS = (15.0, 60.0)
"""How long nothing may be under way before the user is told, and told again. A worker of Ray begins within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """What became of a shard: it was committed, or given up because of a problem."""

    task: ShardTask
    commit: dict[str, Any] | None = None  # None: given up
    problem: str = ""
    trace: str = ""
    cure: str = ""  # empty: the usual one
    store: bool = False  # a store failed: nothing is known about the shard's scenes


@dataclass(slots=True, kw_only=True)
class _Unit:
    """A shard that is neither committed nor given up: its failures so far, and the attempt under way."""

    task: ShardTask
    deadline: float  # seconds from the start of an attempt
    crashes: int = 0
    overruns: int = 0
    frames: int = 0  # of this attempt
    since: float = 0.0
    started: bool = False


class Supervisor:
    """Keeps an executor busy until every shard is committed or given up.

    Args:
        executor: entered by the caller.
        tasks: the shards.
        stop: becomes ``requested`` when the user wants the build to end.
        deadline: seconds of an attempt; by default they depend on the frames of each shard.
        progress: called with view frames as they are done, and with a negative number when an attempt is lost.
        note: called with a line for the user.
    """

    def __init__(
        self,
        executor: Executor,
        tasks: Sequence[ShardTask],
        stop: StopSignals,
        *,
        deadline: float | None = None,
        progress: Callable[[int], None] = lambda frames: None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._executor, self._stop, self._progress, self._note = executor, stop, progress, note
        self._waiting = deque(_Unit(task=task, deadline=deadline or default_deadline(task)) for task in tasks)
        self._running: dict[int, _Unit] = {}
        self._numbers = itertools.count()
        self._results: list[ShardResult] = []
        self._total = len(tasks)
        self._settled = 0
        self._unreached = 0  # shards in a row
        self._drain_until: float | None = None
        self._idle_until = time.monotonic() + IDLE_SECONDS[0]

    def run(self) -> Iterator[ShardResult]:
        """Yield shards as they are settled, in any order.

        Raises:
            Interrupted, Terminated: the user stopped the build; commits that were under way had time to finish.
            GapDataError, OSError, ImportError: no shard can be built.
        """
        self._round_began = time.monotonic()
        while self._waiting or self._running:
            self._drain()
            while self._waiting and len(self._running) < self._executor.capacity:
                self._start(self._waiting.popleft())
            self._executor.wait(POLL_SECONDS, self._handle)
            self._forgive_pause()
            self._relaunch_overdue()
            self._say_waiting()
            yield from self._results
            self._results.clear()
        self._drain()

    def _start(self, unit: _Unit) -> None:
        attempt = next(self._numbers)
        unit.since, unit.frames, unit.started = time.monotonic(), 0, False
        self._running[attempt] = unit
        self._executor.start(attempt, unit.task)

    def _handle(self, event: Event) -> None:
        unit = self._running[event.attempt]
        if isinstance(event, Started):
            unit.started, unit.since = True, time.monotonic()
        elif isinstance(event, Advanced):
            unit.frames += event.frames
            self._progress(event.frames)
            self._drain()
        elif isinstance(event, Finished):
            del self._running[event.attempt]
            self._progress(planned_frames(unit.task) - unit.frames)
            self._unreached = 0
            self._settle(ShardResult(task=unit.task, commit=event.commit))
        elif isinstance(event, Unplaced):
            self._lose(event.attempt)
            self._waiting.append(unit)
        elif isinstance(event, Halted):
            raise event.error
        elif isinstance(event, Failed):
            self._lose(event.attempt)
            self._give_up(unit, event.problem, event)
        elif isinstance(event, Crashed):
            self._lose(event.attempt)
            unit.crashes += 1
            if unit.crashes > CRASH_RETRIES:
                self._give_up(unit, f"{event.reason}, {counted(unit.crashes, 'time')}", event)
            else:
                self._again(unit, f"{event.reason}; trying again ({unit.crashes} of {CRASH_RETRIES})")

    def _forgive_pause(self) -> None:
        before, self._round_began = self._round_began, time.monotonic()
        pause = self._round_began - before
        if pause > PAUSE_SECONDS:
            for unit in self._running.values():
                unit.since += pause

    def _say_waiting(self) -> None:
        now = time.monotonic()
        if self._results or any(unit.started for unit in self._running.values()):
            self._idle_until = now + IDLE_SECONDS[0]
        elif now > self._idle_until:
            self._idle_until = now + IDLE_SECONDS[1]
            self._note(f"waiting for a worker: {self._executor.shortage}")

    def _relaunch_overdue(self) -> None:
        now = time.monotonic()
        for attempt, unit in list(self._running.items()):
            if now - unit.since <= unit.deadline:
                continue
            self._executor.cancel(attempt)
            self._lose(attempt)
            if not unit.started:
                # It waited for a free worker all the time, or its worker is out of reach: neither counts against it.
                self._waiting.append(unit)
                continue
            unit.overruns += 1
            if unit.overruns > DEADLINE_RELAUNCHES:
                self._give_up(unit, f"was not done within {unit.deadline:.0f} s, {counted(unit.overruns, 'time')}")
            else:
                self._again(unit, f"not done within {unit.deadline:.0f} s; trying once more")

    def _lose(self, attempt: int) -> None:
        self._progress(-self._running.pop(attempt).frames)

    def _again(self, unit: _Unit, reason: str) -> None:
        if not self._stop.requested:
            self._note(f"{unit.task.shard.name}: {reason}")
            self._waiting.append(unit)

    def _give_up(self, unit: _Unit, problem: str, event: Failed | Crashed | None = None) -> None:
        self._note(f"{unit.task.shard.name}: {problem}; given up")
        result = ShardResult(task=unit.task, problem=problem)
        if event is not None:
            result = replace(result, trace=event.trace)
        if isinstance(event, Crashed):
            result = replace(result, cure=event.cure, store=event.store)
        self._settle(result)
        self._unreached = self._unreached + 1 if result.store else 0
        if self._unreached == UNREACHED_SHARDS:
            raise StoreError(f"{problem}; the same happened to {UNREACHED_SHARDS} shards in a row", cure=HOW_TO_RESUME)

    def _settle(self, result: ShardResult) -> None:
        self._settled += 1
        self._results.append(result)

    def _drain(self) -> None:
        """Start nothing more once a stop is requested, give running shards some seconds, then raise."""
        if not self._stop.requested:
            return
        if self._drain_until is None:
            self._drain_until = time.monotonic() + DRAIN_SECONDS
            self._waiting.clear()
            for attempt in [attempt for attempt, unit in self._running.items() if not unit.started]:
                self._executor.cancel(attempt)
                self._lose(attempt)
            if self._running:
                self._note(
                    f"stopping: {DRAIN_SECONDS:.0f} s for {counted(len(self._running), 'shard')} under way to finish"
                    " (Ctrl-C again stops at once)"
                )
        if not self._running or time.monotonic() > self._drain_until:
            raise self._stop.error(
                f"stopped; done: {self._settled} of {counted(self._total, 'shard')} that "
                f"{'was' if self._total == 1 else 'were'} missing"
            )


def planned_frames(task: ShardTask) -> int:
    """Return the view frames that the plan expects of the task."""
    return sum(scene.view_frames for scene in task.shard.scenes)


def default_deadline(task: ShardTask) -> float:
    """Return the seconds after which an attempt counts as hung."""
    return DEADLINE_BASE_SECONDS + DEADLINE_SECONDS_PER_FRAME * planned_frames(task)
