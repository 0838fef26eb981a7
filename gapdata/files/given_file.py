"""Open files that a user names: their size is known before they are read, and any failure is a :class:`FileError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gapdata.errors import FileError, GapDataError
from gapdata.files.storage import Location, RangedFile, open_ranged
from gapdata.files.text import decode_text

BLOCK = 64 << 20  # bytes of one read: systems allow less than 2 GiB at once


@contextmanager
def open_given(path: Location) -> Iterator[RangedFile]:
    """Open a file to read at any offset.

    Raises:
        FileError: it is missing, not a regular file, or cannot be read.
    """
    try:
        if not path.is_file():
            problem = (
                "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a regular file"
            )
            raise FileError(problem, path=path, cure="check the name")
        file = open_ranged(path)
        try:
            yield file
        finally:
            file.close()
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror or error}", path=path) from error


def read_text(path: Location, error: type[GapDataError] = FileError) -> str:
    """Read a text file in any encoding that :func:`~gapdata.files.text.decode_text` knows.

    Args:
        path: the file.
        error: the class of the error to raise.

    Raises:
        GapDataError: it cannot be read or is not text.
    """
    try:
        return decode_text(path.read_bytes())
    except OSError as failure:
        raise error(f"cannot be read: {failure.strerror or failure}", path=path) from failure
    except ValueError as failure:
        raise error(str(failure), path=path) from failure


def read_whole(path: Location, limit: int) -> bytes:
    """Read all bytes of a file.

    Raises:
        FileError: it cannot be read, or has more than ``limit`` bytes.
    """
    with open_given(path) as file:
        if file.size > limit:
            raise FileError(
                f"is too large: it has {file.size} bytes, at most {limit} are read", path=path, cure="check the name"
            )
        blocks = [file.read_at(offset, min(BLOCK, file.size - offset)) for offset in range(0, file.size, BLOCK)]
    data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    if len(data) != file.size:
        problem = f"has {file.size} bytes, but only {len(data)} could be read"
        raise FileError(problem, path=path, cure="check the disk or the store, and run the command again")
    return data
