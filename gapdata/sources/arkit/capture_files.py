"""Read the files of a capture from a disk or a store, with errors that name the scene, and hash what was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gapdata.errors import SourceError, StoreError, kind_of_failure
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, file_sizes, open_ranged

REQUESTS = 24
"""Small files that are fetched from a store at once; Arrow's S3 client keeps up to 25 connections."""
TOO_LARGE = "check that it is the right file"


class CaptureFiles:
    """The files of one scene.

    Args:
        scene_id: for messages.
    """

    def __init__(self, scene_id: str) -> None:
        self.scene_id = scene_id
        self._digest = hashlib.sha256(b"arkitscenes 1 ")

    @property
    def digest(self) -> str:
        """Return a SHA-256 over all listings and texts that were read so far, in the order in which they were."""
        return self._digest.hexdigest()

    def listed(self, folder: Location) -> dict[str, int]:
        """Return the bytes of the files in a folder by name; names and sizes enter the digest.

        Raises:
            SourceError: it cannot be listed.
            StoreError: the store fails.
        """
        try:
            sizes = file_sizes(folder)
        except OSError as error:
            raise self.failure(error, "listed", folder) from error
        lines = "".join(f"{name} {size}\n" for name, size in sizes.items())
        self._digest.update(f"{folder.name} {len(lines)} {lines}".encode(errors="surrogateescape"))
        return sizes

    def text(self, path: Location, limit: int) -> bytes:
        """Return the bytes of a small file; they enter the digest.

        Raises:
            SourceError: it is missing, too large or cannot be read.
            StoreError: the store fails.
        """
        data = self.read(path, limit)
        self._enter(path.name, data)
        return data

    def texts(self, folder: Location, names: Sequence[str], limit: int) -> list[bytes]:
        """Return the bytes of small files of one folder, from a store many at once; they enter the digest.

        Raises:
            SourceError: one is too large or cannot be read.
            StoreError: the store fails.
        """
        if isinstance(folder, ObjectPath):
            with ThreadPoolExecutor(REQUESTS, "small-files") as threads:
                found = list(threads.map(lambda name: self.read(folder / name, limit), names))
        else:
            found = [self._small_text(folder, name, limit) for name in names]
        for name, data in zip(names, found, strict=True):
            self._enter(name, data)
        return found

    def note_size(self, path: Location) -> None:
        """Let the size of a file enter the digest.

        Raises:
            SourceError: it cannot be looked at.
            StoreError: the store fails.
        """
        try:
            self._enter(path.name, str(path.stat().st_size).encode())
        except OSError as error:
            raise self.failure(error, "examined", path) from error

    def read(self, path: Location, limit: int, frame: int | None = None) -> bytes:
        """Return the bytes of a file, whose size is looked at first.

        Raises:
            SourceError: it is missing, larger than ``limit``, or cannot be read.
            StoreError: the store fails.
        """
        try:
            file = open_ranged(path)
            try:
                if file.size > limit:
                    raise self.damage(f"is larger than {limit} bytes", path, frame, TOO_LARGE)
                data = file.read_at(0, file.size)
                if len(data) != file.size:
                    raise self.damage(f"has {file.size} bytes, of which {len(data)} could be read", path, frame)
                return data
            finally:
                file.close()
        except OSError as error:
            raise self.failure(error, "read", path, frame) from error

    def damage(self, problem: str, path: Location, frame: int | None = None, cure: str | None = None) -> SourceError:
        """Return an error about a file of the scene."""
        return SourceError(problem, path=path, scene=self.scene_id, frame=frame, cure=cure)

    def failure(self, error: OSError, what: str, path: Location, frame: int | None = None) -> SourceError | StoreError:
        """Return the error to raise for a refusal of the system.

        Args:
            error: the refusal.
            what: cannot be done: ``read``, ``listed``, ``examined``.
            path: the file or folder.
            frame: that it belongs to.
        """
        problem = f"cannot be {what}: {error.strerror or error}"
        return kind_of_failure(error)(problem, path=path, scene=self.scene_id, frame=frame)

    def _small_text(self, folder: Path, name: str, limit: int) -> bytes:
        """Read a small file on a disk in one go: planning reads hundreds of them in each capture.

        Raises:
            SourceError: it is missing, larger than ``limit``, or cannot be read.
        """
        try:
            # Without O_NONBLOCK, opening a named pipe in place of a file would wait without end.
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK)
            try:
                data = os.read(descriptor, limit + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self.failure(error, "read", folder / name) from error
        if len(data) > limit:
            raise self.damage(f"is larger than {limit} bytes", folder / name, cure=TOO_LARGE)
        return data

    def _enter(self, name: str, data: bytes) -> None:
        self._digest.update(f"{name} {len(data)} ".encode(errors="surrogateescape") + data)
