"""Read ScanNet's 2D projections of instances from ``<scene>_2d-instance-filt.zip``, which has an 8-bit PNG a frame.

A member is ``instance-filt/<raw index>.png`` (``instance/<raw index>.png`` in the unfiltered archive) of the colour
image's size; a pixel is object id + 1, or 0 without an object. Nothing is extracted, and a member is inflated only if
its size can be that of a mask. From an object store, the end of the archive and each frame are ranged requests.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import SourceError, kind_of_failure
from gapdata.files.image_tags import PNG_SIGNATURE
from gapdata.files.ranged_stream import RangedStream
from gapdata.files.storage import Location, file_in, open_ranged
from gapdata.runtime.counting import counted
from gapdata.sources.images import encoded_image_size

ARCHIVE_SUFFIXES = ("_2d-instance-filt.zip", "_2d-instance.zip")
"""The filtered projections first: their borders follow colour and depth."""
MEMBER = re.compile(r"instance(?:-filt)?/(\d{1,9})\.png")
ENCRYPTED = 0x1  # bit of a member's flags (APPNOTE 4.4.4)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
READ_AHEAD = 1 << 16
PNG_OVERHEAD = 1 << 16
"""Bytes of an 8-bit PNG besides two for each pixel."""
CURE = "download it again"
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError, struct.error)
"""Errors that zipfile raises for damaged files; its NotImplementedError (a later format) is a RuntimeError."""


class MaskArchive:
    """One scene's archive of instance masks, open for reading.

    Args:
        path: the zip.
        scene_id: the scene, for messages.

    Raises:
        SourceError: it is not a readable zip, or a member's name is unsafe.
    """

    def __init__(self, path: Location, scene_id: str) -> None:
        self.path = path
        self.scene_id = scene_id
        try:
            self._file = open_ranged(path)
        except OSError as error:
            raise kind_of_failure(error)(
                f"cannot be read: {error.strerror or error}",
                path=path,
                scene=scene_id,
                cure="check the disk or the store",
            ) from error
        try:
            self._zip = zipfile.ZipFile(io.BufferedReader(RangedStream(self._file), READ_AHEAD))
            self._members = self._index()
        except (*DAMAGE, zipfile.LargeZipFile) as error:
            self._file.close()
            raise self._damage(f"is not a readable zip: {error}") from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._zip.close()
        self._file.close()

    def __contains__(self, frame: int) -> bool:
        return frame in self._members

    def digest_input(self) -> bytes:
        """Return the archive's size and a hash of its central directory, which has every member's checksum."""
        start = self._zip.start_dir
        directory = self._file.read_at(start, self._file.size - start)
        return f"{self._file.size} {hashlib.sha256(directory).hexdigest()}".encode()

    def mask(self, frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the mask of a frame, (H, W) uint8 object id + 1, 0 without an object.

        Args:
            frame: raw index.
            size: (width, height) of the scan's colour images, which must be the mask's.

        Raises:
            SourceError: the frame is missing, encrypted, damaged, or has another size.
        """
        info = self._members.get(frame)
        if info is None:
            raise self._damage(f"has no {frame}.png among its {counted(len(self._members), 'mask')}", frame)
        if info.flag_bits & ENCRYPTED:
            raise self._damage(f"{info.filename} is encrypted", frame, cure="use the archive that ScanNet publishes")
        if info.compress_type not in METHODS:
            raise self._damage(
                f"{info.filename} is compressed by method {info.compress_type}, which is not read", frame
            )
        limit = 2 * size[0] * size[1] + PNG_OVERHEAD
        if info.file_size > limit:
            most = f"a mask of {size[0]}x{size[1]} has at most {limit}"
            raise self._damage(f"{info.filename} has {info.file_size} bytes unpacked, but {most}", frame)
        try:
            with self._zip.open(info) as member:
                data = member.read(limit)
        except DAMAGE as error:
            kind = kind_of_failure(error) if isinstance(error, OSError) else SourceError
            problem = f"{info.filename} cannot be read: {error or 'it is cut off'}"
            raise kind(problem, path=self.path, scene=self.scene_id, frame=frame, cure=CURE) from error
        return self._decode(data, info.filename, frame, size)

    def _decode(self, data: bytes, name: str, frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        import cv2

        found = encoded_image_size(data) if data.startswith(PNG_SIGNATURE) else None
        if found is None:
            raise self._damage(f"{name} is not a complete PNG", frame)
        if found != size:
            sizes = f"{found[0]}x{found[1]}, but the scan's colour images are {size[0]}x{size[1]}"
            raise self._damage(f"{name} is {sizes}", frame, cure="use the archive of this scan")
        bits, color_type = data[24], data[25]
        if (bits, color_type) != (8, 0):
            raise self._damage(f"{name} has {bits} bits and colour type {color_type}, expected 8-bit greyscale", frame)
        try:
            image: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise self._damage(f"{name} cannot be decoded", frame) from error
        if image is None or image.dtype != np.uint8 or image.shape != (size[1], size[0]):
            raise self._damage(f"{name} cannot be decoded", frame)
        return image

    def _index(self) -> dict[int, zipfile.ZipInfo]:
        """Return members by raw index, without others such as folders.

        Raises:
            SourceError: a name would lead out of the folder, or two members are of one frame.
        """
        members: dict[int, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.orig_filename
            if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                raise self._damage(f"has a member of the unsafe name {name!r}", cure="use the archive of ScanNet")
            match = MEMBER.fullmatch(name)
            if match is None:
                continue
            if int(match[1]) in members:
                raise self._damage("has two masks of one frame", int(match[1]))
            members[int(match[1])] = info
        return members

    def _damage(self, problem: str, frame: int | None = None, cure: str = CURE) -> SourceError:
        return SourceError(problem, path=self.path, scene=self.scene_id, frame=frame, cure=cure)


def find_mask_archive(directory: Location, scene_id: str) -> Location | None:
    """Return the scene's archive of instance masks, or ``None``."""
    paths = (file_in(directory, f"{scene_id}{suffix}") for suffix in ARCHIVE_SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
