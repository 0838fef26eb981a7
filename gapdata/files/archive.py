"""Read the members of a zip or a tar in place, by range, from a disk or a store; nothing is unpacked.

Names and sizes come from the zip's directory or the tar's headers. Names that lead out of a folder and names that occur
twice make the archive unusable, and a member is read only if its stated size is within what its reader expects, so that
a bomb costs nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import Self

from gapdata.files.folders import is_litter
from gapdata.files.ranged_stream import RangedStream
from gapdata.files.storage import Location, RangedFile, open_ranged

ZIP_MAGIC, ZIP_END, ZIP64_END = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"  # APPNOTE 4.3.7, 4.3.16, 4.3.14
LONGEST_END = 22 + 0xFFFF + 20 + 56  # bytes: the end record with its comment, after zip64's locator and record
TAR_MAGIC_AT, TAR_MAGIC = 257, b"ustar"
PACKED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd", b"7z": "7-Zip", b"Ra": "RAR"}
ENCRYPTED = 0x1  # bit of a member's flags (APPNOTE 4.4.4)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_MEMBERS = 1 << 20
MAX_DIRECTORY = 128 << 20
"""Bytes of the largest directory of a zip that is read; a member has some 100 there."""
READ_AHEAD = 1 << 16
UNSAFE = re.compile(r"^$|^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)|[\x00-\x1f]")
CUT = "it is cut off or damaged"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, struct.error, OverflowError)
"""Errors that zipfile raises for damaged files; its NotImplementedError (a later format) is a RuntimeError."""


class Archive(ABC):
    """The members of an archive that is open for reading, until its ``with`` block ends.

    Attributes:
        place: the file.
        sizes: the unpacked size of each file in it, bytes, by its name, in the order of the archive. Folders, links
            and files that systems leave behind are not among them.
    """

    def __init__(self, place: Location, file: RangedFile) -> None:
        self.place = place
        self.sizes: dict[str, int] = {}
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    @property
    def names(self) -> Collection[str]:
        """Return the names of :attr:`sizes`."""
        return self.sizes.keys()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member, which must be at most ``limit``.

        Raises:
            ValueError: it is missing, larger, damaged, encrypted or packed in an unknown way; the message has its name.
            OSError: the disk or the store refuses.
            StoreError: the store fails.
        """
        if name not in self.sizes:
            raise ValueError(f"has no member {name}")
        size = self.sizes[name]
        if size > limit:
            raise ValueError(f"has {name} of {size} bytes unpacked, expected at most {limit}")
        data = self._member(name, size)
        if len(data) != size:
            raise ValueError(f"has {len(data)} of the {size} bytes of {name}: {CUT}")
        return data

    @abstractmethod
    def digest_input(self) -> bytes:
        """Return what changes when a member does: the names, sizes and, in a zip, checksums of all."""

    @abstractmethod
    def _member(self, name: str, size: int) -> bytes:
        """Return the bytes of a member whose size was checked."""

    def _enter(self, name: str, size: int) -> bool:
        """Add a file to :attr:`sizes`, and return whether it is data.

        Raises:
            ValueError: its name is unsafe or known already.
        """
        if UNSAFE.search(name) is not None:
            raise ValueError(f"has a member with the unsafe name {name[:200]!r}")
        if any(map(is_litter, name.split("/"))):
            return False
        if name in self.sizes:
            raise ValueError(f"has {name} twice, and nothing tells which of the two counts")
        if len(self.sizes) == MAX_MEMBERS:
            raise ValueError(f"has more than {MAX_MEMBERS} members")
        self.sizes[name] = size
        return True


class _Zip(Archive):
    def __init__(self, place: Location, file: RangedFile) -> None:
        super().__init__(place, file)
        self._directory_at = _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(_Reader(file))
        except (*_DAMAGE, zipfile.LargeZipFile) as error:
            raise ValueError(f"is a zip whose directory cannot be read ({error}): {CUT}") from error
        self._members = {
            info.filename: info
            for info in self._zip.infolist()
            if not info.filename.endswith("/") and self._enter(info.filename, info.file_size)
        }

    def close(self) -> None:
        if hasattr(self, "_zip"):
            self._zip.close()
        super().close()

    def digest_input(self) -> bytes:
        end = hashlib.sha256(self._file.read_at(self._directory_at, self._file.size - self._directory_at))
        return f"zip {self._file.size} {end.hexdigest()}".encode()

    def _member(self, name: str, size: int) -> bytes:
        info = self._members[name]
        if info.flag_bits & ENCRYPTED:
            raise ValueError(f"has {name} encrypted")
        if info.compress_type not in METHODS:
            raise ValueError(f"has {name} compressed by method {info.compress_type}, which is not read")
        try:
            with self._zip.open(info) as member:
                return member.read(size)
        except _DAMAGE as error:
            raise ValueError(f"has {name}, which cannot be read ({error or 'it ends early'}): {CUT}") from error


class _Tar(Archive):
    def __init__(self, place: Location, file: RangedFile) -> None:
        super().__init__(place, file)
        self._offsets: dict[str, int] = {}
        self._listing = hashlib.sha256()
        for info in _tar_members(file):
            self._list(info)

    def _list(self, info: tarfile.TarInfo) -> None:
        if not info.isreg() or info.issparse() or not self._enter(info.name.removeprefix("./"), info.size):
            return
        name = info.name.removeprefix("./")
        self._offsets[name] = info.offset_data
        if info.size < 0 or info.offset_data + info.size > self._file.size:
            raise ValueError(f"ends before {name} does: {CUT}")
        self._listing.update(f"{name} {info.size} {info.mtime}\n".encode("utf-8", "surrogateescape"))

    def digest_input(self) -> bytes:
        return f"tar {self._file.size} {self._listing.hexdigest()}".encode()

    def _member(self, name: str, size: int) -> bytes:
        return self._file.read_at(self._offsets[name], size)


def open_archive(place: Location) -> Archive:
    """Open a zip or an uncompressed tar, told apart by their content.

    Raises:
        ValueError: it is neither, is damaged, or holds unsafe or doubled names; the message says why, without the
            place.
        OSError: it is missing or may not be read.
        StoreError: the store fails.
    """
    file = open_ranged(place)
    try:
        start = file.read_at(0, TAR_MAGIC_AT + len(TAR_MAGIC))
        if start.startswith((ZIP_MAGIC, ZIP_END)):
            return _Zip(place, file)
        if start.endswith(TAR_MAGIC) and len(start) == TAR_MAGIC_AT + len(TAR_MAGIC):
            return _Tar(place, file)
        if start[:2] in PACKED:
            raise ValueError(f"is packed by {PACKED[start[:2]]}, in which no member can be found: unpack it")
        raise ValueError("is empty" if not start else "is neither a zip nor a tar")
    except BaseException:
        file.close()
        raise


class _Reader(io.BufferedReader):
    """A stream that does not prepare memory for more bytes than there are: a header may ask for any number."""

    def __init__(self, file: RangedFile) -> None:
        super().__init__(RangedStream(file), READ_AHEAD)
        self._size = file.size

    def read(self, size: int | None = -1, /) -> bytes:
        there = max(0, self._size - self.tell())
        return super().read(there if size is None or size < 0 else min(size, there))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:  # of the position: nothing is read here
            raise EOFError("a member begins before the file") from error


def _tar_members(file: RangedFile) -> Iterator[tarfile.TarInfo]:
    """Yield the headers of a tar.

    Raises:
        ValueError: one of them is damaged.
    """
    try:
        with tarfile.open(fileobj=_Reader(file), mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
                yield info
    except (tarfile.TarError, *_DAMAGE) as error:
        raise ValueError(f"is a tar that cannot be read ({error}): {CUT}") from error


def _check_directory(file: RangedFile) -> int:
    """Return where the directory of a zip begins, if it is small enough to be read.

    Raises:
        ValueError: there is none, or it is too large.
    """
    tail = file.read_at(max(0, file.size - LONGEST_END), LONGEST_END)
    at = tail.rfind(ZIP_END)
    if at < 0 or at + 22 > len(tail):
        raise ValueError(f"is a zip without the directory at its end: {CUT}")
    (size,) = struct.unpack_from("<I", tail, at + 12)
    large = tail.rfind(ZIP64_END, 0, at)
    if large >= 0 and large + 48 <= len(tail):
        size, end = struct.unpack_from("<Q", tail, large + 40)[0], large
    else:
        end = at
    begin = file.size - len(tail) + end - size
    if begin < 0 or size > MAX_DIRECTORY:
        raise ValueError(f"is a zip that states a directory of {size} bytes: {CUT}")
    return int(begin)
