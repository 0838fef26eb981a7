"""Read recordings of Record3D: an ``.r3d``, which is a zip and is read in place, or the folder that it unpacks to.

``metadata`` is JSON with the cameras and poses of all frames, ``rgbd/12.jpg``, ``12.depth`` and ``12.conf`` are the
images of frame 12; depth is float32 metres and confidence 0, 1 or 2, both packed by LZFSE. Poses have OpenGL axes.

Older versions write ``w h fps K poses`` only. Some versions give all poses in the camera of the first frame: then
nothing tells which way is up, as Record3D's author says, and the scan has no aligned world.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput
from gapdata.files.archive import open_archive
from gapdata.files.folders import file_names
from gapdata.files.image_tags import jpeg_without_metadata
from gapdata.files.lzfse import INSTALL, needs_library, unpack, unpacked_size
from gapdata.files.members import FolderMembers
from gapdata.sources.color_files import color_size, decode_color_file
from gapdata.sources.depth_files import MILLIMETRES, as_sixteen_bits
from gapdata.sources.extracted import MAX_IMAGE_BYTES
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.images import is_color_jpeg
from gapdata.sources.record3d_metadata import MAX_METADATA_BYTES, parse_metadata
from gapdata.sources.timed_scan import TimedScan

METADATA, IMAGES = "metadata", "rgbd"
NAMED = re.compile(r"(?:(.*)/)?rgbd/(\d{1,9})\.(jpg|depth|conf)")
HIGH = 2
FLOAT = 4  # bytes
AGAIN = "share it again from the app as .r3d"


def recognise(place: Path, names: Mapping[str, str]) -> bool:
    """Return whether a folder is an unpacked recording, or Record3D's export of EXR files, which is refused."""
    return {METADATA, IMAGES} <= names.keys() or _is_exr_export(place, names)


def open_capture(scene_id: str, place: Path, reading: FrameReading) -> Record3DScan:
    """Open a recording.

    Raises:
        SourceError: its frames are missing or damaged.
    """
    return Record3DScan(scene_id, place, reading)


class Record3DScan(TimedScan):
    """A recording of Record3D."""

    path: Path

    def __init__(self, scene_id: str, place: Path, reading: FrameReading) -> None:
        super().__init__(scene_id, place, reading)
        with self._naming():
            if place.is_dir() and METADATA not in file_names(place):
                raise ValueError(f"is an export of EXR files, which lack what an .r3d has: {AGAIN}")
            self.members = FolderMembers(place, ("", IMAGES)) if place.is_dir() else open_archive(place)
        try:
            self._set_all()
        except BaseException:
            self.members.close()
            raise

    def _set_all(self) -> None:
        with self._naming():
            self._files = self._find_files()
            data = self.members.read(self._below + METADATA, MAX_METADATA_BYTES)
        self._texts.update(data)
        with self._naming():
            recording = parse_metadata(data)
        for name, count in recording.notes.items():
            self.note(name, count)
        self._vertical_known = recording.vertical_known
        usable = self._complete(len(recording.rows.seconds))
        first = next((row for row, complete in enumerate(usable) if complete), None)
        if first is None:
            raise self._damage("has no frame with colour and depth", cure=AGAIN)
        with self._naming():
            size = color_size(self.members.read(self._files["jpg"][first], MAX_IMAGE_BYTES))
            rows = recording.rows_for(size)
            packed = self.members.read(self._files["depth"][first], MAX_IMAGE_BYTES)
            depth_size = recording.depth_size_for(size, unpacked_size(packed) // FLOAT)
            self._check_library(packed)
        if recording.size not in (None, size):
            self.note("intrinsics_of_another_size", len(rows.seconds))
        self._set_rows(rows, usable, size, depth_size)
        self.depth_units_per_metre = MILLIMETRES

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix to a world with z up, (4, 4); ``None`` where poses begin with the first camera's."""
        return super().axis_alignment if self._vertical_known else None

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB."""
        name = self._files["jpg"][self._row(frame)]
        with self._naming(frame):
            data = self.members.read(name, MAX_IMAGE_BYTES)
            found = color_size(data)
            if found != self._color_size:
                size, first = (f"{width}x{height}" for width, height in (found, self._color_size))
                raise ValueError(f"has {name} of {size}, but the first frame is {first}")
            image = decode_color_file(data, reduction)
            if image is None:
                raise ValueError(f"has {name}, which cannot be decoded")
            return image

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file of a colour image without its tags."""
        with self._naming(frame):
            data = self.members.read(self._files["jpg"][self._row(frame)], MAX_IMAGE_BYTES)
        return jpeg_without_metadata(data) if is_color_jpeg(data) else None

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16 millimetres."""
        data = self._unpacked("depth", self._row(frame), FLOAT, frame)
        return as_sixteen_bits(np.frombuffer(data, dtype="<f4").reshape(self._depth_size[::-1]), MILLIMETRES)

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return how sure the sensor is, (H, W) uint8 0 to 2; ``None`` for a frame without such an image."""
        row = self._row(frame)
        if row not in self._files["conf"]:
            return None
        data = self._unpacked("conf", row, 1, frame)
        image = np.frombuffer(data, dtype=np.uint8).reshape(self._depth_size[::-1])
        if image.max(initial=0) > HIGH:
            name = self._files["conf"][row]
            raise self._damage(f"has {name} with {image.max()}, expected confidence from 0 to {HIGH}", frame)
        return image

    def _find_files(self) -> dict[str, dict[int, str]]:
        """Return the members by kind and number, and set the folder within the archive that they lie in.

        Raises:
            ValueError: there is no metadata, or there are several.
        """
        places = [name for name in self.members.names if name.rpartition("/")[2] == METADATA]
        if len(places) != 1:
            raise ValueError(f"is not a recording of Record3D: it has {len(places)} members {METADATA}, expected one")
        self._below = places[0].removesuffix(METADATA)
        found: dict[str, dict[int, str]] = {"jpg": {}, "depth": {}, "conf": {}}
        for name in self.members.names:
            named = NAMED.fullmatch(name)
            if named is not None and f"{named[1]}/" == (self._below or "None/"):
                found[named[3]][int(named[2])] = name
        return found

    def _complete(self, rows: int) -> NDArray[np.bool_]:
        """Return which rows (n,) have colour and depth, and note what is missing."""
        color, depth, confidence = (self._files[kind].keys() for kind in ("jpg", "depth", "conf"))
        known = range(rows)
        self.note("frame_without_color", sum(row not in color for row in known))
        self.note("frame_without_depth", sum(row not in depth for row in known))
        self.note("image_of_no_frame", sum(number >= rows for number in color | depth))
        if confidence:
            self.note("frame_without_confidence", sum(row not in confidence for row in known))
        else:
            self.note("scan_without_confidence")
        return np.array([row in color and row in depth for row in known], dtype=bool)

    def _check_library(self, packed: bytes) -> None:
        """Find out now whether depth can be unpacked.

        Raises:
            MissingInput: it needs a library that is not installed.
        """
        if not needs_library(packed):
            return
        try:
            import liblzfse  # noqa: F401 only whether it is there
        except ImportError as error:
            problem = "has depth packed by LZFSE, for which Python needs the library pyliblzfse"
            raise MissingInput(problem, path=self.path, scene=self.scene_id, cure=INSTALL) from error

    def _unpacked(self, kind: str, row: int, width: int, frame: int) -> bytes:
        """Return the unpacked bytes of an image whose pixels have ``width`` bytes."""
        name = self._files[kind][row]
        with self._naming(frame):
            packed = self.members.read(name, MAX_IMAGE_BYTES)
            try:
                return unpack(packed, self._depth_size[0] * self._depth_size[1] * width)
            except ImportError as error:
                raise ValueError(f"has {name} packed by LZFSE: {INSTALL}") from error
            except ValueError as error:
                raise ValueError(f"has {name}, which {error}") from error


def _is_exr_export(place: Path, names: Mapping[str, str]) -> bool:
    if not {"metadata.json", "rgb", "depth"} <= names.keys():
        return False
    return any(name.lower().endswith(".exr") for name in file_names(place / names["depth"]))
