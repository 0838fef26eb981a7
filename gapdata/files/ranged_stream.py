"""Read a file of ranged reads as a stream, which :mod:`zipfile` and :mod:`tarfile` need."""

from __future__ import annotations

import io
from typing import Any

from gapdata.files.storage import RangedFile


class RangedStream(io.RawIOBase):
    """A stream over a :class:`~gapdata.files.storage.RangedFile`, which it does not close."""

    def __init__(self, file: RangedFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def tell(self) -> int:
        """Return the position, bytes from the beginning of the file."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it.

        Raises:
            OSError: the position is before the beginning of the file.
        """
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError("the position is before the beginning of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return the number of bytes; 0 at the end of the file."""
        data = self._file.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
