"""What went wrong, where, and what to do about it.

Every error that a user can meet is a :class:`GapDataError`; its text is one line
``<file>: <scene>, frame <n>: <what is wrong>; <what to do>``. The subclass decides what the engine does with it:
damage in a source is quarantined and the rest goes on, a mistake in the request stops at once.
"""

from __future__ import annotations

import errno
import re
from typing import ClassVar

MAX_PROBLEM = 1000
"""Characters of a problem that are kept: what is wrong may be a value out of a hostile file."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class GapDataError(Exception):
    """Base of all errors that this package raises on purpose.

    Args:
        problem: what is wrong, without a trailing full stop.
        path: the file, directory or URI concerned; its text counts.
        scene: the scene id concerned.
        frame: the raw frame index concerned.
        cure: what the user can do, without a trailing full stop.
    """

    exit_status: ClassVar[int] = 1

    def __init__(
        self,
        problem: str,
        *,
        path: object = None,
        scene: str | None = None,
        frame: int | None = None,
        cure: str | None = None,
    ) -> None:
        self.problem = _one_line(problem)
        self.path = None if path is None else str(path)
        self.scene = scene
        self.frame = frame
        self.cure = cure
        super().__init__(str(self))

    def __str__(self) -> str:
        where = [] if self.scene is None else [f"scene {self.scene}"]
        if self.frame is not None:
            where.append(f"frame {self.frame}")
        parts = [part for part in (self.path, ", ".join(where)) if part]
        text = ": ".join([*parts, self.problem])
        return f"{text}; {self.cure}" if self.cure else text

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip from a worker process to the driver with every field."""
        return _restore, (type(self), self.problem, self.path, self.scene, self.frame, self.cure)


def _one_line(text: str) -> str:
    """A problem that can be printed: values and other libraries' messages bring line breaks, terminal codes, lone
    surrogates and megabytes.
    """
    line = _UNPRINTABLE.sub(" ", text if len(text) <= MAX_PROBLEM else f"{text[:MAX_PROBLEM]}...")
    return line.strip() if line != text else text


def _restore(
    kind: type[GapDataError], problem: str, path: str | None, scene: str | None, frame: int | None, cure: str | None
) -> GapDataError:
    return kind(problem, path=path, scene=scene, frame=frame, cure=cure)


class UsageError(GapDataError):
    """The request itself is wrong: a missing directory, an unknown option value, a recipe field that does not exist."""

    exit_status = 2


class SourceError(GapDataError):
    """A source file is damaged, truncated or of a kind that cannot be read. Quarantined by the engine."""

    exit_status = 3


class SourceChanged(GapDataError):
    """A source is not what the build was planned with. What was begun from it is not committed."""

    exit_status = 2


class StoreError(GapDataError):
    """A store, a file system or the system itself failed, several times: nothing is known about what it holds. Never
    taken for damage; what it concerns is tried again and stays undone if need be.
    """

    exit_status = 1


class MissingInput(SourceError):
    """The recipe asks something of a scene that was not given: a file of other people, or one more download. Nothing is
    damaged; the scene is quarantined all the same, because its records would lack it.
    """


class FileError(SourceError):
    """An annotation file is damaged, hostile, or of a kind that is not known. Damaged items of a sound file are no
    errors: they are left out, counted and named in the file's report. The request named it, so the request stops.
    """

    exit_status = 2


class ShardError(GapDataError):
    """A shard, its index or its commit record disagree, or a record does not follow the schema."""

    exit_status = 4


class Interrupted(GapDataError):
    """SIGINT (Ctrl-C) ended the program in order."""

    exit_status = 130


class Terminated(GapDataError):
    """SIGTERM ended the program in order."""

    exit_status = 143


PASSING = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENODEV),
        *(errno.ETIMEDOUT, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
    }
)
"""What a file system reports that says nothing about the file: a server that is away, resources that ran out."""


def kind_of_failure(error: OSError) -> type[SourceError | StoreError]:
    """Return what to raise where a source cannot be read: is something wrong with it, or with the way to it?"""
    return StoreError if error.errno in PASSING else SourceError


OTHER_PLACE = "name a place where you may read and write"
REFUSALS = {
    errno.ENOSPC: "free some space and run the same command again, which goes on where it stopped",
    errno.EDQUOT: "free some space and run the same command again, which goes on where it stopped",
    errno.EACCES: OTHER_PLACE,
    errno.EPERM: OTHER_PLACE,
    errno.EROFS: OTHER_PLACE,
    errno.ENOENT: "check the name, and that the folder above it exists",
    errno.ENOTDIR: "a file is where a folder should be: name another place",
    errno.EEXIST: "a file is where a folder should be: name another place",
    errno.EMFILE: "allow more open files with `ulimit -n`, or use fewer workers",
}
"""What to do about what the system refuses."""


def describe_refusal(error: OSError) -> str:
    """What the system refused, where, and what to do about it, in one line."""
    where = f"{error.filename}: " if error.filename else ""
    cure = f"; {REFUSALS[error.errno]}" if error.errno in REFUSALS else ""
    return f"{where}{error.strerror or error}{cure}"


UNMAPPED = ("failed to map segment", "cannot allocate memory", "memory allocation failed")
"""How the dynamic loader words it that a library finds no room in the address space."""


def describe_shortage(error: ImportError | MemoryError) -> str | None:
    """Return what to say where memory ran out, also while a library was loaded; ``None`` for other import errors."""
    if isinstance(error, MemoryError):
        return "out of memory; allow this process more (ulimit -v, the batch system's limit), or use fewer workers"
    text = str(error)
    if not any(sign in text.lower() for sign in UNMAPPED):
        return None
    library = text.partition(": ")[0].rpartition("(")[2].rpartition("/")[2]
    return f"{library} cannot be loaded: too little memory is allowed to this process; raise `ulimit -v`"
