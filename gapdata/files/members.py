"""Name and read the files of one recording, which lie in a folder or in an archive."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from gapdata.files.folders import file_names, in_any_case
from gapdata.files.storage import LocalFile


class Members(Protocol):
    """The files of a recording; :class:`gapdata.files.archive.Archive` is one of them."""

    @property
    def names(self) -> Collection[str]:
        """Return the names of the files, with ``/`` between folder and name."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a file, which must be at most ``limit``.

        Raises:
            ValueError: it is missing, larger or damaged; the message has its name.
            OSError: the disk or the store refuses.
            StoreError: the store fails.
        """
        ...

    def digest_input(self) -> bytes:
        """Return what changes when the name or the size of a file does."""
        ...

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        ...


class FolderMembers:
    """The files in a folder on disk and in some of its sub-folders.

    Args:
        root: the folder.
        folders: the sub-folders, in any case; those that are missing have no files. The empty name is the folder.

    Raises:
        OSError: a folder cannot be listed.
    """

    def __init__(self, root: Path, folders: Iterable[str]) -> None:
        self._paths: dict[str, str] = {}
        for folder in folders:
            place = in_any_case(root, folder) if folder else root
            if place.is_dir():
                below = f"{folder}/" if folder else ""
                self._paths |= {below + name: f"{place}{os.sep}{name}" for name in file_names(place)}

    @property
    def names(self) -> Collection[str]:
        """Return the names of the files, each with the folder that it was asked for in."""
        return self._paths.keys()

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a file, which must be at most ``limit``."""
        if name not in self._paths:
            raise ValueError(f"has no file {name}")
        file = LocalFile(Path(self._paths[name]))
        try:
            if file.size > limit:
                raise ValueError(f"has {name} of {file.size} bytes, expected at most {limit}")
            return file.read_at(0, file.size)
        finally:
            file.close()

    def digest_input(self) -> bytes:
        """Return the names and sizes of all files; it costs one ``stat`` a file."""
        lines = (f"{name} {os.stat(path).st_size}\n" for name, path in sorted(self._paths.items()))
        return "".join(lines).encode(errors="surrogateescape")

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""
