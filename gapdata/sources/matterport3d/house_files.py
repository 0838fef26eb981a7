"""Find the files of a house, kind by kind, in folders or in the zips of the download, which are read in place.

The download has a zip of each kind, ``v1/scans/<house>/matterport_color_images.zip``, with
``<house>/matterport_color_images/...`` inside.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gapdata.errors import GapDataError, SourceError, kind_of_failure
from gapdata.files.archive import Archive, open_archive
from gapdata.files.folders import file_names
from gapdata.files.storage import Location, file_in

DOWNLOAD = "python download_mp.py -o DIR --id {house} --type {kinds}"
"""With the script that Matterport3D sends to those who signed its terms."""


class HouseFiles:
    """The files of one house; archives stay open until :meth:`close`.

    Args:
        house: its id.
        directory: the folder with its kinds.
        scene_id: for messages.
    """

    def __init__(self, house: str, directory: Location, scene_id: str) -> None:
        self.house, self.directory, self.scene_id = house, directory, scene_id
        self._archives: dict[str, Archive] = {}
        self._names: dict[str, dict[str, str]] = {}  # kind -> name of a file -> its path in the folder or archive

    def close(self) -> None:
        """Close the archives; closing twice is harmless."""
        for archive in self._archives.values():
            archive.close()

    def place(self, kind: str) -> Location | None:
        """Return the folder or the zip of a kind; ``None`` where the house has neither."""
        return place_of(self.house, self.directory, kind)

    def names(self, kind: str) -> dict[str, str]:
        """Return the names of the files of a kind; empty where there are none.

        Raises:
            SourceError: they cannot be listed.
        """
        if kind not in self._names:
            place = self.place(kind)
            self._names[kind] = {} if place is None else self._listed(kind, place)
        return self._names[kind]

    def read(self, kind: str, name: str, limit: int, frame: int | None = None) -> bytes:
        """Return the bytes of a file that :meth:`names` lists.

        Raises:
            SourceError: it cannot be read, or has more bytes than ``limit``.
        """
        place = self.place(kind)
        assert place is not None
        with self.naming(place if kind in self._archives else place / name, frame):
            if kind in self._archives:
                return self._archives[kind].read(self.names(kind)[name], limit)
            with open(Path(str(place)) / name, "rb") as file:
                data = file.read(limit + 1)
            if len(data) > limit:
                raise ValueError(f"is larger than {limit} bytes")
            return data

    def digest_input(self, kind: str, names: list[str]) -> bytes:
        """Return bytes that change when some files of a kind do, whose content is not read."""
        place = self.place(kind)
        listed = self.names(kind)
        if place is None:
            return b"missing"
        if kind in self._archives:
            return self._archives[kind].digest_input()
        with self.naming(place, None):
            sizes = [f"{name} {os.stat(Path(str(place)) / name).st_size}" for name in sorted(names) if name in listed]
        return hashlib.sha256("\n".join(sizes).encode(errors="surrogateescape")).digest()

    @contextmanager
    def naming(self, path: Location, frame: int | None) -> Iterator[None]:
        """Add file, scene and frame to what goes wrong in the block.

        Raises:
            SourceError: it fails because of the file, the disk or the store.
        """
        try:
            yield
        except GapDataError as error:
            error.scene = error.scene or self.scene_id
            raise
        except ValueError as error:
            cure = f"download it again: {how_to_get(self.house)}"
            raise SourceError(str(error), path=path, scene=self.scene_id, frame=frame, cure=cure) from error
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise kind_of_failure(error)(problem, path=path, scene=self.scene_id, frame=frame) from error

    def _listed(self, kind: str, place: Location) -> dict[str, str]:
        with self.naming(place, None):
            if isinstance(place, Path) and place.is_dir():
                return {name: name for name in file_names(place)}
            archive = self._archives[kind] = open_archive(place)
            paths = [path for path in archive.sizes if kind in path.split("/")[:-1]]
            return {path.rpartition("/")[2]: path for path in paths}


def place_of(house: str, directory: Location, kind: str) -> Location | None:
    """Return the folder (on a disk only) or the zip of a kind of files of a house, or ``None``."""
    for parent in (directory, file_in(directory, house)):
        folder, archive = file_in(parent, kind), file_in(parent, f"{kind}.zip")
        if isinstance(folder, Path) and folder.is_dir():
            return folder
        if archive.is_file():
            return archive
    return None


def how_to_get(house: str, *kinds: str) -> str:
    """Return the command that downloads some kinds of files of a house."""
    return DOWNLOAD.format(house=house, kinds=" ".join(kinds) or "KIND")
