"""Read a scan of 3RScan: the frames in ``sequence.zip``, in place, or unpacked in ``sequence/``.

Frame 350 is ``frame-000350.color.jpg`` (960x540), ``.depth.pgm`` (224x172, millimetres) and ``.pose.txt``; the number
counts the frames of the scan, without their times. Depth has colour's field of view, squeezed to another shape, so its
own intrinsics in ``_info.txt`` count, whose focal lengths differ. All images lie on their side, as the phone was held;
poses are camera to world, with the z axis of the world up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gapdata.errors import StoreError, kind_of_failure
from gapdata.files.archive import Archive, open_archive
from gapdata.files.storage import Location
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_files import FrameFiles, file_names_in, list_frames
from gapdata.sources.layouts import SEVEN_SCENES
from gapdata.sources.threerscan.labelled_mesh import LabelFiles
from gapdata.sources.threerscan.scan_list import Rescan

FOLDER, ARCHIVE = "sequence", "sequence.zip"
INFO = "_info.txt"
AGAIN = f"download {ARCHIVE} again"


class ThreeRScan(ExtractedScan):
    """One scan.

    Args:
        scene_id: its id.
        frames: the folder or the archive of its frames.
        labels: the files about its objects.
        rescan: of which scan it is a later one, if it is one.

    Raises:
        SourceError: the archive is damaged, no frame is complete, or cameras, poses or image headers cannot be used.
    """

    def __init__(self, scene_id: str, frames: Location, labels: LabelFiles, rescan: Rescan | None = None) -> None:
        self.rescan = rescan
        self.scene_id, self.path = scene_id, frames  # type: ignore[assignment]  # paths in stores have the same names
        self._archive = self._open(frames) if frames.is_file() else None
        names = [] if self._archive is None else list(self._archive.sizes)
        found = next((name for name in names if PurePosixPath(name).name == INFO), INFO)
        self._inside = found.removesuffix(INFO)  # the folder in the archive, which the published ones do not have
        try:
            place = frames / INFO if self._archive is not None else None
            super().__init__(scene_id, self.path, SEVEN_SCENES, beside=labels, shared_intrinsics=place)  # type: ignore[arg-type]
        except BaseException:
            self.close_archive()
            raise

    def close(self) -> None:
        """Close the archive."""
        self.close_archive()
        super().close()

    def close_archive(self) -> None:
        """Close the archive, if there is one."""
        if self._archive is not None:
            self._archive.close()

    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 over the texts that were read, and the names, sizes and checksums of all members.

        Of a folder it is over names and sizes (:meth:`gapdata.sources.extracted.ExtractedScan.digest`).
        """
        if self._archive is None:
            return super().digest(masks=masks)
        digest = self._texts.copy()
        with self._naming_failures(None):
            digest.update(self._archive.digest_input())
        digest.update(b"" if self._beside is None else self._beside.digest_input(masks=masks))
        return hashlib.sha256(digest.digest()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the facts about the scan, with what it is a rescan of and the matrix to that scan's world."""
        facts = super().describe()
        if self.rescan is not None:
            matrix = self.rescan.to_reference
            facts["rescan_of"] = self.rescan.reference
            facts["world_to_reference"] = None if matrix is None else np.round(matrix, 6).tolist()
        return facts

    def _find_files(self) -> FrameFiles:
        def listed(folder: Path, scene_id: str) -> list[str]:
            if self._archive is None:
                return file_names_in(folder, scene_id)
            inside = (name.removeprefix(self._inside) for name in self._archive.sizes if name.startswith(self._inside))
            return [name for name in inside if "/" not in name]

        return list_frames(self.path, self.layout, self.scene_id, listed)

    def _read(self, path: Path, limit: int, frame: int | None = None) -> bytes:
        if self._archive is None:
            return super()._read(path, limit, frame)
        with self._naming_failures(frame):
            return self._archive.read(f"{self._inside}{path.name}", limit)

    def _open(self, place: Location) -> Archive:
        with self._naming_failures(None):
            return open_archive(place)

    @contextmanager
    def _naming_failures(self, frame: int | None) -> Iterator[None]:
        """Add file, scene and frame to what an archive says is wrong.

        Raises:
            SourceError: the block fails because of the archive, the disk or the store.
        """
        try:
            yield
        except ValueError as error:
            raise self._damage(str(error), self.path, frame, AGAIN) from error
        except StoreError:
            raise
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise kind_of_failure(error)(problem, path=self.path, scene=self.scene_id, frame=frame) from error
