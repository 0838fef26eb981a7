"""Where data lies: a local path, or a place in an object store.

A :data:`Location` is either; both have the names of :class:`pathlib.Path`, so most code does not care which it holds.
This module has the rest: reading a user's text, random access, and what ``pathlib`` offers only for disks. Nothing here
imports pyarrow for a local path.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Protocol, TypeAlias

from gapdata.errors import UsageError
from gapdata.files.folders import in_any_case, is_kind
from gapdata.files.object_store import SCHEMES, ObjectFile, ObjectPath

Location: TypeAlias = Path | ObjectPath


def location(place: str | os.PathLike[str] | ObjectPath) -> Location:
    """A local path, or the place that an ``s3://`` or ``gs://`` URI names; ``file://`` URIs are local paths.

    Raises:
        UsageError: another scheme, or a URI that names no place.
    """
    if isinstance(place, (Path, ObjectPath)):
        return place
    text = os.fspath(place)
    scheme, separator, rest = text.partition("://")
    if not separator or "/" in scheme:
        return Path(text)
    if scheme == "file":
        return Path(rest)
    if scheme not in SCHEMES:
        raise UsageError(f"has the scheme {scheme!r}", path=text, cure="give a local path, s3://... or gs://...")
    return ObjectPath.parse(text)


class RangedFile(Protocol):
    """A file that is open for reading anywhere."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on, fewer where the file ends before.

        Raises:
            OSError: the disk or the store fails.
        """
        ...

    def close(self) -> None: ...


class LocalFile:
    """Random access to a file on disk.

    Args:
        path: the file.
        scattered: reads will be small and far apart, so that the system's read-ahead would only waste bandwidth.
    """

    def __init__(self, path: Path, *, scattered: bool = False) -> None:
        # Without O_NONBLOCK, a named pipe in the place of a file would be waited for without end.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
                raise OSError(kind, "Is a directory" if kind == errno.EISDIR else "Is no regular file", str(path))
            self.size = status.st_size
            if scattered and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        except BaseException:
            os.close(self._descriptor)
            raise

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on, fewer where the file ends before."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_ranged(path: Location, *, scattered: bool = False) -> RangedFile:
    """Open a file for random access.

    Raises:
        OSError: it is missing or may not be read.
    """
    return ObjectFile(path) if isinstance(path, ObjectPath) else LocalFile(path, scattered=scattered)


def absolute(path: Location) -> Location:
    """The same place whatever the current directory."""
    return path if isinstance(path, ObjectPath) else path.absolute()


def absolute_text(path: Location) -> str:
    """Return the place of a file as text that means the same in every process."""
    return str(path) if isinstance(path, ObjectPath) else os.path.abspath(path)


def file_in(folder: Location, name: str) -> Location:
    """Return the place of a file in a folder; on a disk in any case, for copies that came through systems that know
    none.
    """
    return folder / name if isinstance(folder, ObjectPath) else in_any_case(folder, name)


def subfolders(path: Location) -> list[Location]:
    """The folders directly inside a folder, sorted by name, without a further look at each entry."""
    if isinstance(path, ObjectPath):
        return [entry for entry, is_folder in path.entries() if is_folder]
    with os.scandir(path) as entries:
        return sorted(path / entry.name for entry in entries if is_kind(entry, folder=True))


def remove_folder(path: Location) -> None:
    """Remove a folder with all that it holds; nothing happens where there is none."""
    if isinstance(path, ObjectPath):
        path.remove_folder()
    else:
        shutil.rmtree(path, ignore_errors=True)
