"""Run jobs that need each other, several at a time; a job is finished for good once its result is written.

A job that was interrupted is begun again; its long parts (a training run, a tower, a build) go on from their own last
checkpoint. Workers are processes that live as long as the experiment, because importing torch and transformers takes as
long as a small job.
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
class Job:
    """A call of ``work(workspace, *arguments)``, in a worker, when all of ``needs`` are finished.

    ``work`` returns the result. It is a function of a module, so that a worker can import it.
    """

    name: str
    needs: tuple[str, ...]
    work: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...] = ()
    after: Callable[..., None] | None = None
    """Called with the same arguments when the result is written, to remove what only the task itself needed."""


class JobError(GapDataError):
    """A job's process was killed, or ended with an unexpected error."""


def run_jobs(workspace: Workspace, jobs: Sequence[Job], *, at_once: int, say: Callable[[str], None] = print) -> None:
    """Do all jobs that are not finished, in their order as far as their needs allow, ``at_once`` at a time.

    Raises:
        GapDataError: a job ended with an error; those that ran beside it have been stopped.
    """
    finished = {job.name for job in jobs if workspace.result(job.name) is not None}
    waiting = [job for job in jobs if job.name not in finished]
    if finished:
        say(f"finished already: {len(finished)} of {counted(len(jobs), 'job')}")
    workers: dict[Connection, Any] = {}
    busy: dict[Connection, Job] = {}
    try:
        for _ in range(min(at_once, len(waiting))):
            connection, process = _start_worker(workspace)
            workers[connection] = process
        while waiting or busy:
            for connection in [free for free in workers if free not in busy]:
                ready = next((job for job in waiting if finished.issuperset(job.needs)), None)
                if ready is not None:
                    waiting.remove(ready)
                    busy[connection] = ready
                    connection.send(ready)
            told = wait(list(busy))
            for connection in [each for each in busy if each in told]:
                job = busy.pop(connection)
                finished.add(_outcome(job, connection))
                result = workspace.result(job.name) or {}
                cost = f"{result['seconds']:.0f} s, {result['cpu_seconds']:.0f} s of CPU"
                say(f"[{len(finished)}/{len(jobs)}] {job.name}: {cost}")
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


def _outcome(job: Job, connection: Connection) -> str:
    try:
        error = connection.recv()
    except EOFError:
        raise JobError(
            f"{job.name}: its process ended before its work did",
            cure="see what it said above; the same command goes on from here",
        ) from None
    if error is not None:
        raise error
    return job.name


def _serve(connection: Connection, workspace: Workspace, parent: int, usual: str) -> None:
    """Do the jobs that are sent, one after another, until ``None`` is sent: the main function of a worker."""
    end_with(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Else loader processes would be started as this one was, and import everything again.
    multiprocessing.set_start_method(usual, force=True)
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    if workspace.recipe.threads:
        torch.set_num_threads(workspace.recipe.threads)
    while (job := connection.recv()) is not None:
        connection.send(_done(workspace, job))


def end_with(parent: int, how: int) -> None:
    """Let Linux end this process by the signal ``how`` when its parent process ends; at once if that has ended."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            signal.raise_signal(how)


def _done(workspace: Workspace, job: Job) -> GapDataError | None:
    """Return the error that a job ended with, None where its result is written; any other error ends the worker."""
    started, used = time.monotonic(), _cpu_seconds()
    try:
        result = job.work(workspace, *job.arguments)
        taken = {"seconds": time.monotonic() - started, "cpu_seconds": _cpu_seconds() - used}
        workspace.keep(job.name, {**taken, **result})
        if job.after is not None:
            job.after(workspace, *job.arguments)
    except GapDataError as error:
        return error
    return None


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
