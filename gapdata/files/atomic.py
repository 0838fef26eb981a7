"""Write files that appear whole under their final name, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from gapdata.files.object_store import ObjectPath, upload
from gapdata.files.storage import Location

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors for a disk that is full, or a quota that is used up."""


@contextmanager
def atomic_file(path: Location, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file for writing, which takes the name ``path`` if the block ends well and is deleted otherwise.

    On a disk the file is written in the same directory, because a rename across file systems would be a copy. Until the
    rename its name begins with a dot and ends with ``.tmp``, so that leftovers of a killed process do not look like
    results, and has a random part, because two machines that write the same file may have the same process id. An
    object is written to an unnamed local file first and uploaded at the end.

    Args:
        path: the final name.
        durable: flush the file to disk before the rename; not needed for data that can be made again and is not used
            after a crash of the machine.
    """
    if isinstance(path, ObjectPath):
        with naming_full_disk(tempfile.gettempdir()), tempfile.TemporaryFile() as local:
            yield cast(BinaryIO, local)
            upload(cast(BinaryIO, local), path)
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with naming_full_disk(path), open(temporary, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming_full_disk(place: str | os.PathLike[str]) -> Iterator[None]:
    """Add to the error of a full disk, in a block that writes to ``place``, which disk it is and its free space."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, f"{error.strerror} ({room_left(place)})", os.fspath(place)) from error


def room_left(place: str | os.PathLike[str]) -> str:
    """Return in words how much space is free on the disk of a file."""
    where = os.path.abspath(place)
    disk = os.statvfs(where if os.path.isdir(where) else os.path.dirname(where))
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    files = ", no further file" if disk.f_files and not disk.f_favail else ""
    return f"{free} of {total} bytes are free there{files}"


def write_atomically(path: Location, data: bytes) -> None:
    """Write a whole file."""
    with atomic_file(path) as file:
        file.write(data)
