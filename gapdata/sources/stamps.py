"""Note size and time of the last change of a scene's files, which tell whether one was replaced during a build.

A scan's digest leaves out files that are too large to read twice (pixels, meshes), and it is taken at one moment. These
stamps fill both gaps within one build; across builds they are useless, because copying a download changes its times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from gapdata.errors import PASSING, StoreError
from gapdata.files.folders import entries, is_kind
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location

Stamps: TypeAlias = Mapping[str, tuple[int, float]]
"""By a file's place: its bytes, and when it was changed last (seconds or nanoseconds since 1970)."""


def stamps_of(
    folders: Iterable[Location], *, nested: int = 0, wanted: Callable[[str], bool] = lambda name: True
) -> Stamps:
    """Return the stamps of the files in some folders, by one listing of each; a folder that cannot be listed has none.

    Args:
        folders: where to look; a scan that is one file on disk has that file's stamp.
        nested: levels of sub-folders to look into, too (on disk only).
        wanted: tells which names count.

    Raises:
        StoreError: the store or the file system fails.
    """
    found: dict[str, tuple[int, float]] = {}
    for folder in folders:
        if isinstance(folder, ObjectPath):
            found |= {str(path): stamp for path, stamp in folder.stamps() if wanted(path.name)}
        else:
            found |= _on_disk(folder, nested, wanted)
    return found


def file_stamps(files: Iterable[Path]) -> Stamps:
    """Return the stamps of single files on disk; a file that cannot be examined has none.

    Raises:
        StoreError: the file system fails.
    """
    found: dict[str, tuple[int, float]] = {}
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            if error.errno in PASSING:
                raise StoreError(f"cannot be examined: {error.strerror}", path=file) from error
            continue
        found[str(file)] = (status.st_size, status.st_mtime_ns)
    return found


def listing_digest(directory: Path) -> str:
    """Return a SHA-256 over the names and sizes of all files that can be listed in a folder and two levels below it."""
    lines: list[str] = []
    folders = [(directory, 2)]
    for folder, levels in folders:
        try:
            for entry in entries(folder):
                if is_kind(entry, folder=False):
                    lines.append(f"{folder.name}/{entry.name} {entry.stat().st_size}")
                elif levels and is_kind(entry, folder=True):
                    folders.append((Path(entry.path), levels - 1))
        except OSError as error:
            lines.append(f"{folder.name}: {error.strerror}")
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def changed_file(before: Stamps, after: Stamps) -> str | None:
    """Return a file that was replaced, changed or removed; new files do not matter, because they were not read."""
    return next((place for place, stamp in before.items() if after.get(place) != stamp), None)


def _on_disk(folder: Path, nested: int, wanted: Callable[[str], bool]) -> dict[str, tuple[int, float]]:
    found: dict[str, tuple[int, float]] = {}
    try:
        if folder.is_file():
            status = folder.stat()
            return {str(folder): (status.st_size, status.st_mtime_ns)}
        for entry in entries(folder):
            if is_kind(entry, folder=True):
                found |= _on_disk(Path(entry.path), nested - 1, wanted) if nested > 0 else {}
            elif wanted(entry.name) and is_kind(entry, folder=False):
                status = entry.stat()
                found[entry.path] = (status.st_size, status.st_mtime_ns)
    except OSError as error:
        if error.errno in PASSING:
            raise StoreError(f"cannot be listed: {error.strerror}", path=folder) from error
    return found
