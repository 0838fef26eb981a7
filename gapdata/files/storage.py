"""Locations of data: local paths, and places in an object store.

A :data:`Location` is either; both have the names of :class:`pathlib.Path`, so that most code works with both. This
module has the rest: parsing a user's text, random access, and functions that ``pathlib`` has only for disks. pyarrow is
not imported for a local path.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Protocol, TypeAlias

from gapdata.errors import UsageError
from gapdata.files.folders import in_any_case, is_kind, is_litter
from gapdata.files.object_store import SCHEMES, ObjectFile, ObjectPath

Location: TypeAlias = Path | ObjectPath


def location(place: str | os.PathLike[str] | ObjectPath) -> Location:
    """Return the location that a path or a ``file://``, ``s3://`` or ``gs://`` URI names; ``~`` is the home folder.

    Raises:
        UsageError: the URI has another scheme, or does not name a place.
    """
    if isinstance(place, ObjectPath):
        return place
    text = os.fspath(place)
    scheme, separator, rest = text.partition("://")
    if not separator or "/" in scheme:
        if text.startswith(tuple(f"{store}:/" for store in SCHEMES)):  # what Path("s3://bucket") makes of it
            raise UsageError("has lost a slash", path=text, cure="give a URI as a text, not as a pathlib.Path")
        return local_path(text)
    if scheme == "file":
        return Path(rest)
    if scheme not in SCHEMES:
        raise UsageError(
            f"has the unknown scheme {scheme!r}", path=text, cure="give a local path, s3://... or gs://..."
        )
    return ObjectPath.parse(text)


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a path on a disk; a first ``~`` is the home folder.

    A shell does the same, but not in ``--out=~/shards``, and Python does not: they would make a folder of that name.
    """
    found = Path(path)
    return found.expanduser() if found.parts[:1] == ("~",) else found


class RangedFile(Protocol):
    """A file that is open for reading anywhere."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes from ``offset`` on, fewer if the file ends before.

        Raises:
            OSError: the disk or the store fails.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class LocalFile:
    """Random access to a file on disk.

    Args:
        path: the file.
        scattered: whether reads will be small and far apart, so that the system's read-ahead would waste bandwidth.
    """

    def __init__(self, path: Path, *, scattered: bool = False) -> None:
        # Without O_NONBLOCK, opening a named pipe in place of a file would wait without end.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
                raise OSError(kind, "Is a directory" if kind == errno.EISDIR else "Is not a regular file", str(path))
            self.size = status.st_size
            if scattered and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes from ``offset`` on, fewer if the file ends before."""
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
    """Return the same place independently of the current directory."""
    return path if isinstance(path, ObjectPath) else path.absolute()


def absolute_text(path: Location) -> str:
    """Return the place of a file as text that means the same in every process."""
    return str(path) if isinstance(path, ObjectPath) else os.path.abspath(path)


def file_in(folder: Location, name: str) -> Location:
    """Return the path of a file in a folder.

    On a disk its name may be in any case, because some systems change the case of names in copies.
    """
    return folder / name if isinstance(folder, ObjectPath) else in_any_case(folder, name)


def subfolders(path: Location) -> list[Location]:
    """Return the folders directly inside a folder, sorted by name."""
    if isinstance(path, ObjectPath):
        return [entry for entry, is_folder in path.entries() if is_folder]
    with os.scandir(path) as entries:
        return sorted(path / entry.name for entry in entries if is_kind(entry, folder=True))


def file_sizes(path: Location) -> dict[str, int]:
    """Return the bytes of the files directly in a folder by their names, sorted; on a disk without litter.

    Raises:
        OSError: it cannot be listed, or does not exist on a disk.
        StoreError: the store fails.
    """
    if isinstance(path, ObjectPath):
        return {place.name: size for place, (size, _) in path.stamps()}
    with os.scandir(path) as found:
        sizes = {
            entry.name: entry.stat().st_size
            for entry in found
            if not is_litter(entry.name) and is_kind(entry, folder=False)
        }
    return dict(sorted(sizes.items()))


def remove_folder(path: Location) -> None:
    """Remove a folder with its content, if it exists."""
    if isinstance(path, ObjectPath):
        path.remove_folder()
    else:
        shutil.rmtree(path, ignore_errors=True)
