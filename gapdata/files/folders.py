"""List the folders of users, without the files that systems and tools leave there, and with names in any case.

macOS writes ``._name`` beside every file on foreign disks, Windows ``Thumbs.db``, a NAS ``@eaDir`` and ``#recycle``;
disks have ``lost+found``, archives unpack to ``__MACOSX``, editors and interrupted copies leave ``name~`` and
``name.tmp``. These are not data, and are passed over in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LITTER = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"),
        *("lost+found", "$recycle.bin", "system volume information", "@eadir", "#recycle", "#snapshot"),
    )
)
ENDINGS = ("~", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".swp", ".bak", ".orig")


def is_litter(name: str) -> bool:
    """Return whether a file with this name is a hidden, system or backup file, or half a download."""
    folded = name.lower()
    return name.startswith((".", "~$")) or folded in LITTER or folded.endswith(ENDINGS)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name, without litter.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if not is_litter(entry.name)), key=lambda entry: entry.name)


def file_names(folder: Path) -> list[str]:
    """Return the names of a folder's files and links to files, without litter and broken links.

    Raises:
        OSError: it cannot be listed.
    """
    return [entry.name for entry in entries(folder) if is_kind(entry, folder=False)]


def is_kind(entry: os.DirEntry[str], *, folder: bool) -> bool:
    """Return whether an entry is a folder, or a file; a link that cannot be followed is neither."""
    try:
        return entry.is_dir() if folder else entry.is_file()
    except OSError:
        return False


def in_any_case(folder: Path, relative: str) -> Path:
    """Return the path of ``relative`` below a folder, with the case that its names have on disk.

    A name that does not exist in any case stays as it is.
    """
    place = folder
    for part in relative.split("/"):
        if not os.path.lexists(place / part):
            with suppress(OSError):
                part = next((entry.name for entry in entries(place) if entry.name.lower() == part.lower()), part)
        place /= part
    return place


def by_lower_case(names: Iterable[str]) -> dict[str, str]:
    """Return names by their lower-case form.

    Of names that differ only in case, the one in lower case counts, or else the first.
    """
    found: dict[str, str] = {}
    for name in names:
        if name.lower() not in found or name == name.lower():
            found[name.lower()] = name
    return found
