"""What lies in a user's folder, without what systems and tools leave there, and by names in any case.

macOS writes ``._name`` beside every file on disks that are not its own, Windows ``Thumbs.db``, a NAS ``@eaDir`` and
``#recycle``, a disk has ``lost+found``; archives unpack to ``__MACOSX``; editors and copies that stopped leave
``name~`` and ``name.tmp``. None of these is data, and none is worth a word.
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
    """Return whether a file or folder of this name is not data: hidden, a system's own, a backup, or half a
    download.
    """
    folded = name.lower()
    return name.startswith((".", "~$")) or folded in LITTER or folded.endswith(ENDINGS)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, by name, without litter.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(folder) as found:
        return sorted((entry for entry in found if not is_litter(entry.name)), key=lambda entry: entry.name)


def file_names(folder: Path) -> list[str]:
    """Return the names of a folder's files, links to files among them, without litter and links that lead nowhere.

    Raises:
        OSError: it cannot be listed.
    """
    return [entry.name for entry in entries(folder) if is_kind(entry, folder=False)]


def is_kind(entry: os.DirEntry[str], *, folder: bool) -> bool:
    """Return whether an entry is a folder, or a file; what cannot be looked at (a link in a circle) is neither."""
    try:
        return entry.is_dir() if folder else entry.is_file()
    except OSError:
        return False


def in_any_case(folder: Path, relative: str) -> Path:
    """Return the place of ``relative`` below a folder, whatever the case of its names on disk; the place as written
    where there is none.
    """
    place = folder
    for part in relative.split("/"):
        if not os.path.lexists(place / part):
            with suppress(OSError):
                part = next((entry.name for entry in entries(place) if entry.name.lower() == part.lower()), part)
        place /= part
    return place


def by_lower_case(names: Iterable[str]) -> dict[str, str]:
    """Return names by their lower-case form; where several differ only in case, the one in lower case or else the
    first.
    """
    found: dict[str, str] = {}
    for name in names:
        if name.lower() not in found or name == name.lower():
            found[name.lower()] = name
    return found
