"""The experiment as tasks that need each other, several at a time, each finished for good once its result is written.

A task that was interrupted is begun again; what is long in it (a training run, a tower, a build) goes on from its own
last checkpoint. Workers are processes that live as long as the experiment, because importing torch and transformers
takes as long as a small task.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from gapdata.errors import GapDataError
from gapdata.runtime.counting import counted
from gapmodel.experiments.miniature.workspace import Workspace

PR_SET_PDEATHSIG = 1
"""Linux's ``prctl(2)``: the signal that a process gets when the one that started it ends, however it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``work(workspace, *arguments)`` is called in a worker when all of ``needs`` are finished; it returns the result.

    ``work`` is a function of a module, so that a worker can import it.
    """

    name: str
    needs: tuple[str, ...]
    work: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...] = ()
    after: Callable[..., None] | None = None
    """Called with the same arguments when the result is written, to remove what only the task itself needed."""


class TaskError(GapDataError):
    """A task's process ended with an error that nobody foresaw, or was killed."""


def run_tasks(workspace: Workspace, tasks: Sequence[Task], *, jobs: int, say: Callable[[str], None] = print) -> None:
    """Do all tasks that are not finished, in their order as far as their needs allow, ``jobs`` at a time.

    Raises:
        GapDataError: a task ended with an error; those that ran beside it have been stopped.
    """
    finished = {task.name for task in tasks if workspace.result(task.name) is not None}
    waiting = [task for task in tasks if task.name not in finished]
    if finished:
        say(f"finished already: {len(finished)} of {counted(len(tasks), 'task')}")
    workers: dict[Connection, Any] = {}
    busy: dict[Connection, Task] = {}
    try:
        for _ in range(min(jobs, len(waiting))):
            connection, process = _start_worker(workspace)
            workers[connection] = process
        while waiting or busy:
            for connection in [free for free in workers if free not in busy]:
                ready = next((task for task in waiting if finished.issuperset(task.needs)), None)
                if ready is not None:
                    waiting.remove(ready)
                    busy[connection] = ready
                    connection.send(ready)
            told = wait(list(busy))
            for connection in [each for each in busy if each in told]:
                task = busy.pop(connection)
                finished.add(_outcome(task, connection))
                result = workspace.result(task.name) or {}
                cost = f"{result['seconds']:.0f} s, {result['cpu_seconds']:.0f} s of CPU"
                say(f"[{len(finished)}/{len(tasks)}] {task.name}: {cost}")
        for connection in workers:
            connection.send(None)
    except BaseException:
        for process in workers.values():
            process.terminate()
        raise
    finally:
        for process in workers.values():
            process.join()


def _start_worker(workspace: Workspace) -> tuple[Connection, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # Set before the worker starts, because libraries read it when they are loaded.
    if workspace.recipe.threads:
        os.environ["OMP_NUM_THREADS"] = str(workspace.recipe.threads)
    usual = multiprocessing.get_start_method()
    process = context.Process(target=_serve, args=(theirs, workspace, os.getpid(), usual))
    process.start()
    theirs.close()
    return ours, process


def _outcome(task: Task, connection: Connection) -> str:
    try:
        error = connection.recv()
    except EOFError:
        raise TaskError(
            f"{task.name}: its process ended before its work did",
            cure="see what it said above; the same command goes on from here",
        ) from None
    if error is not None:
        raise error
    return task.name


def _serve(connection: Connection, workspace: Workspace, parent: int, usual: str) -> None:
    """A worker: does the tasks that it is sent, one after another, until it is sent ``None``."""
    end_with(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Else loader processes would be started as this one was, and import everything again.
    multiprocessing.set_start_method(usual, force=True)
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    if workspace.recipe.threads:
        torch.set_num_threads(workspace.recipe.threads)
    while (task := connection.recv()) is not None:
        connection.send(_done(workspace, task))


def end_with(parent: int, how: int) -> None:
    """Have Linux end this process by the signal ``how`` when the one that started it ends; at once if it has ended."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            signal.raise_signal(how)


def _done(workspace: Workspace, task: Task) -> GapDataError | None:
    """The error that a task ended with, ``None`` where its result is written; any other error ends the worker."""
    started, used = time.monotonic(), _cpu_seconds()
    try:
        result = task.work(workspace, *task.arguments)
        taken = {"seconds": time.monotonic() - started, "cpu_seconds": _cpu_seconds() - used}
        workspace.keep(task.name, {**taken, **result})
        if task.after is not None:
            task.after(workspace, *task.arguments)
    except GapDataError as error:
        return error
    return None


def _cpu_seconds() -> float:
    """Of this process and of those that it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
