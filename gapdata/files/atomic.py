"""Files that appear whole under their final name, or not at all."""

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
"""What the system says of a disk, or of a share of it, that is full."""


@contextmanager
def atomic_file(path: Location, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A binary file to write to; it takes the name ``path`` when the block ends well and vanishes otherwise.

    On a disk the temporary file lies in the same directory (a rename across file systems is a copy), is flushed to disk
    before the rename, and starts with a dot and ends with ``.tmp``, so that leftovers of a killed process can be told
    from results. Its name is drawn at random: two machines that write the same file may well have the same process id.
    With ``durable=False`` it is not flushed: for what can be made again, and is not trusted once the machine went down.
    An object is written to an unnamed local file first and uploaded at the end.
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
    """Say of a block that writes to ``place`` which disk is full: the system does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, f"{error.strerror} ({room_left(place)})", os.fspath(place)) from error


def room_left(place: str | os.PathLike[str]) -> str:
    """Return in words what is free where a file lies, or would lie."""
    where = os.path.abspath(place)
    disk = os.statvfs(where if os.path.isdir(where) else os.path.dirname(where))
    free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    files = ", no further file" if disk.f_files and not disk.f_favail else ""
    return f"{free} of {total} bytes are free there{files}"


def write_atomically(path: Location, data: bytes) -> None:
    """Write a whole file."""
    with atomic_file(path) as file:
        file.write(data)
