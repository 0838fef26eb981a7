"""Errors that say what is wrong, where, and what to do about it.

Every error that a user can meet is a :class:`GapDataError`. Its text is one line
``<file>: <scene>, frame <n>: <what is wrong>; <what to do>``. The subclass decides what the engine does: a scene with
damaged files is quarantined and the other scenes go on, a mistake in the request stops at once.
"""

from __future__ import annotations

import errno
import re
from typing import ClassVar

MAX_PROBLEM = 1000
"""Characters of a problem that are kept: it may repeat a value out of a hostile file."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class GapDataError(Exception):
    """The base of all errors that this package raises on purpose.

    Args:
        problem: what is wrong, without a trailing full stop.
        path: the file, directory or URI concerned; kept as text.
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
        """Keep every field on the way from a worker process to the driver."""
        return _restore, (type(self), self.problem, self.path, self.scene, self.frame, self.cure)


def _one_line(text: str) -> str:
    """Return a problem as one line that can be printed.

    Values and messages of other libraries bring line breaks, terminal codes, lone surrogates and megabytes.
    """
    line = _UNPRINTABLE.sub(" ", text if len(text) <= MAX_PROBLEM else f"{text[:MAX_PROBLEM]}...")
    return line.strip() if line != text else text


def _restore(
    kind: type[GapDataError], problem: str, path: str | None, scene: str | None, frame: int | None, cure: str | None
) -> GapDataError:
    return kind(problem, path=path, scene=scene, frame=frame, cure=cure)


class UsageError(GapDataError):
    """The request is wrong: a missing directory, an unknown value of an option, an unknown recipe field."""

    exit_status = 2


class SourceError(GapDataError):
    """A source file is damaged, truncated or of a kind that cannot be read; the engine quarantines its scene."""

    exit_status = 3


class SourceChanged(GapDataError):
    """A source changed after the build was planned; what was begun from it is not committed."""

    exit_status = 2


class StoreError(GapDataError):
    """A store, a file system or the operating system failed several times.

    Nothing is known about the data, so that it does not count as damaged: the work is tried again, and stays undone if
    that fails, too.
    """

    exit_status = 1


class MissingInput(SourceError):
    """The recipe needs a file of a scene that was not given, such as one more download.

    Nothing is damaged, but the scene is quarantined, because its records would be incomplete.
    """


class FileError(SourceError):
    """A file that the request names is damaged, hostile or of an unknown kind, so that the request stops.

    Damaged items of a sound file are not errors: they are left out, and counted and named in the file's report.
    """

    exit_status = 2


class ShardError(GapDataError):
    """A shard, its index and its commit record disagree, or a record does not follow the schema."""

    exit_status = 4


class Interrupted(GapDataError):
    """SIGINT (Ctrl-C) ended the program, with its work in a defined state."""

    exit_status = 130


class Terminated(GapDataError):
    """SIGTERM ended the program, with its work in a defined state."""

    exit_status = 143


PASSING = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENODEV),
        *(errno.ETIMEDOUT, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
    }
)
"""Errors of a file system that say nothing about the file: a server cannot be reached, or resources ran out."""


def kind_of_failure(error: OSError) -> type[SourceError | StoreError]:
    """Return the error to raise for a source that cannot be read: the file is damaged, or the system failed."""
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
"""What to do about an error of the operating system."""


def describe_refusal(error: OSError) -> str:
    """Return an error of the operating system, with its place and what to do about it, as one line."""
    where = f"{error.filename}: " if error.filename else ""
    cure = f"; {REFUSALS[error.errno]}" if error.errno in REFUSALS else ""
    return f"{where}{error.strerror or error}{cure}"


UNMAPPED = ("failed to map segment", "cannot allocate memory", "memory allocation failed")
"""Messages of the dynamic loader when a library does not fit into the address space."""


def describe_shortage(error: ImportError | MemoryError) -> str | None:
    """Return a message for memory that ran out, also while a library was loaded; ``None`` for other import errors."""
    if isinstance(error, MemoryError):
        return "out of memory; allow this process more (ulimit -v, the batch system's limit), or use fewer workers"
    text = str(error)
    if not any(sign in text.lower() for sign in UNMAPPED):
        return None
    library = text.partition(": ")[0].rpartition("(")[2].rpartition("/")[2]
    return f"{library} cannot be loaded: too little memory is allowed to this process; raise `ulimit -v`"
