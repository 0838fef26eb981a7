"""Run one attempt in a worker, and tell what happens as a stream of events."""

from __future__ import annotations

import errno
import os
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

from gapdata.engine.build_shard import ShardTask
from gapdata.engine.executors.attempts import Advanced, Crashed, Event, Failed, Finished, Halted, Started, Work
from gapdata.errors import GapDataError, SourceChanged, StoreError, UsageError

REPORT_SECONDS = 1.0
EVERYWHERE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of the operating system that every other shard would meet, too."""
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
"""Each worker uses one core: threads within a shard would get in the way of the other shards."""


def conduct(attempt: int, work: Work, task: ShardTask) -> Iterator[Event]:
    """Do the work in a thread and yield what happens; frames are told at most every :data:`REPORT_SECONDS`.

    With a thread of its own for the work the caller is free to pass events on, and an error arrives as a value.
    """
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)
    yield Started(attempt=attempt)
    counted, lock = [0], threading.Lock()

    def count(frames: int) -> None:
        with lock:
            counted[0] += frames

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work, task, count)
        done = False
        while not done:
            done = bool(wait_for([future], REPORT_SECONDS).done)
            with lock:
                frames, counted[0] = counted[0], 0
            if frames:
                yield Advanced(attempt=attempt, frames=frames)
        yield _outcome(attempt, future)


def _outcome(attempt: int, future: Future[dict[str, object]]) -> Event:
    error = future.exception()
    if error is None:
        return Finished(attempt=attempt, commit=future.result())
    trace = "".join(traceback.format_exception(error))
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        if error.errno in EVERYWHERE:
            return Halted(attempt=attempt, error=OSError(error.errno, error.strerror, error.filename))
        return Crashed(attempt=attempt, reason=text, trace=trace)
    if isinstance(error, StoreError):
        return Crashed(attempt=attempt, reason=_told(error), trace=trace, store=True)
    if isinstance(error, SourceChanged):
        return Crashed(attempt=attempt, reason=_told(error), trace=trace, cure=error.cure or "")
    if isinstance(error, MemoryError):
        return Crashed(attempt=attempt, reason="it ran out of memory", trace=trace)
    if isinstance(error, ImportError):
        return Halted(attempt=attempt, error=ImportError(str(error)))
    if isinstance(error, UsageError):
        return Halted(attempt=attempt, error=error)
    return Failed(attempt=attempt, problem=text, trace=trace)


def _told(error: GapDataError) -> str:
    """Return where and what is wrong, without a cure: the driver says what to do."""
    return str(type(error)(error.problem, path=error.path, scene=error.scene, frame=error.frame))
