"""Access objects of ``s3://`` and ``gs://`` stores under the names that :class:`pathlib.Path` has for files.

:class:`ObjectPath` offers the part of ``Path`` that this package uses, so that code which joins names, asks for sizes
and reads bytes is written once. A refusal of the store is the ``OSError`` that a disk would raise, with one line and
the URI as its ``filename``; a request that fails is repeated, and in the end a :class:`~gapdata.errors.StoreError`
(:mod:`gapdata.files.store_failures`). Three things differ from a disk, and callers may rely on them:

- An object appears whole or not at all, so an upload needs no temporary name (:func:`upload`).
- A folder exists while it holds an object; making one only checks that the bucket exists.
- There is no lock. Two builds into one place write equal bytes under equal names, so the last one wins harmlessly.

Stores are reached through ``pyarrow.fs``. Credentials come from where the clouds' own tools find them;
``AWS_ENDPOINT_URL`` names an S3-compatible server such as MinIO, ``STORAGE_EMULATOR_HOST`` a stand-in for Google's.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, BinaryIO

from gapdata.errors import UsageError
from gapdata.files.store_failures import ShortAnswer, repeated

SCHEMES = ("s3", "gs")
UPLOAD_BLOCK = 64 << 20  # bytes of an upload that are in memory at once
CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 30.0  # without a byte
ATTEMPTS = 3
"""Attempts that Arrow makes, which can repeat a single part of an upload; after them the request is repeated here."""
ROOM_FOR_AN_ERROR = 1024
"""Bytes of the XML with which a store reports an error."""
UNREADABLE_ANSWER = "flush response stream"
"""Arrow's message for an answer that does not fit into its buffer."""
RETRY_TIME = timedelta(seconds=30)  # Google's client tries for a quarter of an hour unless told otherwise
ENVIRONMENT = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "STORAGE_EMULATOR_HOST",
)
"""Variables that decide which store is reached and as whom; a change opens a new connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """The result of :meth:`ObjectPath.stat`, with names as in ``os.stat_result``."""

    st_size: int
    st_mtime: float


@dataclass(frozen=True, slots=True, order=True)
class ObjectPath:
    """The place of an object, or of all objects below it; ``key`` is ``bucket/folder/name``."""

    scheme: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> ObjectPath:
        """Read ``s3://bucket/folder/name``; doubled and trailing slashes are dropped, as file systems do.

        Raises:
            UsageError: the URI lacks a bucket, or has ``..`` or credentials, which would end in logs and plans.
        """
        scheme, _, rest = uri.partition("://")
        parts = [part for part in rest.split("/") if part not in ("", ".")]
        if scheme not in SCHEMES or not parts or rest.startswith("/"):
            raise UsageError("does not name a bucket", path=uri, cure="write s3://bucket/folder or gs://bucket/folder")
        if "@" in parts[0]:
            bucket = parts[0].rpartition("@")[2]
            cure = "set them in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            raise UsageError("contains credentials", path=f"{scheme}://...@{bucket}", cure=cure)
        if ".." in parts:
            raise UsageError("must not contain '..'", path=uri, cure="write the path without '..'")
        return cls(scheme, "/".join(parts))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath.parse(f"{self}/{name}")

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The part of the name from its last dot on; empty for a name without a dot."""
        stem, dot, end = self.name.rpartition(".")
        return dot + end if stem and end else ""

    @property
    def parent(self) -> ObjectPath:
        """The folder; a bucket is its own parent, as the root of a disk is."""
        return ObjectPath(self.scheme, self.key.rpartition("/")[0] or self.key)

    def with_name(self, name: str) -> ObjectPath:
        """Return the place with another name in the same folder."""
        return self.parent / name

    def exists(self) -> bool:
        """Return whether this is an object, or a folder that holds one."""
        return self._kind() != "NotFound"

    def is_file(self) -> bool:
        """Return whether this is an object."""
        return self._kind() == "File"

    def is_dir(self) -> bool:
        """Return whether objects exist below this place, or this is a bucket."""
        return self._kind() == "Directory"

    def stat(self) -> ObjectStat:
        """Return size and time of the last change of an object, in one request."""
        info = self._info()
        if info.type.name != "File":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return ObjectStat(st_size=info.size, st_mtime=(info.mtime_ns or 0) / 1e9)

    def iterdir(self) -> Iterator[ObjectPath]:
        """Return the entries of this folder, sorted."""
        return (path for path, _ in self.entries())

    def stamps(self) -> list[tuple[ObjectPath, tuple[int, float]]]:
        """Return the objects directly in this folder with their size and the time of their last change.

        The list is empty if the folder does not exist.
        """
        from pyarrow import fs

        selector = fs.FileSelector(self.key, allow_not_found=True)
        infos = self._asked(lambda store: store.get_file_info(selector))
        files = (info for info in infos if info.type.name == "File")
        return sorted((ObjectPath(self.scheme, info.path), (info.size, info.mtime_ns or 0)) for info in files)

    def entries(self) -> list[tuple[ObjectPath, bool]]:
        """Return the entries of this folder and whether each is a folder, with one request per thousand entries."""
        from pyarrow import fs

        infos = self._asked(lambda store: store.get_file_info(fs.FileSelector(self.key)))
        return sorted((ObjectPath(self.scheme, info.path), info.type.name == "Directory") for info in infos)

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Yield the entries of this folder (or of the one before the pattern's last slash) with a matching name."""
        folder, _, last = pattern.rpartition("/")
        with suppress(FileNotFoundError):
            yield from (path for path in (self / folder).iterdir() if fnmatch.fnmatchcase(path.name, last))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Check that the bucket exists, so that a mistyped name is found early; folders need not be made."""
        bucket = ObjectPath(self.scheme, self.key.partition("/")[0])
        if parents and not bucket.exists():
            raise FileNotFoundError(errno.ENOENT, "the bucket does not exist", str(bucket))

    def read_bytes(self) -> bytes:
        """Read the whole object."""
        with ObjectFile(self) as file:
            return file.read_at(0, file.size)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Read the whole object as text, with every line end as a newline, as ``Path.read_text`` does."""
        return self.read_bytes().decode(encoding, errors).replace("\r\n", "\n").replace("\r", "\n")

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            self._asked(lambda store: store.delete_file(self.key))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_folder(self) -> None:
        """Delete all objects below this place, if there are any."""
        with suppress(FileNotFoundError):
            self._asked(lambda store: store.delete_dir(self.key))

    def filesystem(self) -> Any:
        """Return the ``pyarrow.fs`` connection of this bucket; each process opens its own."""
        settings = tuple(os.environ.get(name) for name in ENVIRONMENT)
        return _connect(self.scheme, self.key.partition("/")[0], settings, os.getpid())

    def _info(self) -> Any:
        return self._asked(lambda store: store.get_file_info(self.key))

    def _asked(self, request: Callable[[Any], Any]) -> Any:
        return repeated(lambda: request(self.filesystem()), str(self))

    def _kind(self) -> str:
        return str(self._info().type.name)


class ObjectFile:
    """Random access to an object: each :meth:`read_at` is one ranged request, also from several threads at once."""

    def __init__(self, path: ObjectPath) -> None:
        self.path = path
        self._open()
        self.size: int = repeated(self._file.size, str(path))

    def _open(self) -> None:
        self._file = repeated(lambda: self.path.filesystem().open_input_file(self.path.key), str(self.path))
        self._process = os.getpid()

    def __enter__(self) -> ObjectFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes from ``offset`` on, fewer if the object ends before."""
        if self._process != os.getpid():
            self._open()
        there = max(0, min(size, self.size - offset))
        # Arrow reads the answer of a failing store into the buffer for the object's bytes. If the answer does not fit,
        # Arrow can neither report it nor repeat the request.
        start = max(0, min(offset, self.size - ROOM_FOR_AN_ERROR)) if there < ROOM_FOR_AN_ERROR else offset
        length = min(max(there, ROOM_FOR_AN_ERROR), self.size - start)
        return self._read(start, length)[offset - start :][:there] if there else b""

    def _read(self, start: int, length: int) -> bytes:
        def request() -> bytes:
            try:
                data = bytes(self._file.read_at(length, start))
            except OSError as error:
                if UNREADABLE_ANSWER in str(error):
                    self.path.filesystem().get_file_info(self.path.key)  # raises the reason if it is permanent
                raise
            if len(data) != length:
                raise ShortAnswer(f"an answer ended after {len(data)} of {length} bytes")
            return data

        return repeated(request, str(self.path))

    def close(self) -> None:
        """Close the connection."""
        if self._process == os.getpid():
            self._file.close()


def upload(file: BinaryIO, path: ObjectPath) -> None:
    """Store a local file, from its beginning, as the object ``path``, which appears whole or not at all.

    Arrow completes an upload whenever its stream is closed, even by an exception, which would publish a part of the
    file. So the stream is on a separate thread, which signals do not interrupt; after a failed part, closing the
    stream fails (with ``background_writes``, Arrow's default; without it, a truncated object appeared); and after any
    other failure the object is deleted. A killed process leaves parts that readers do not see and that a bucket's rule
    on incomplete uploads removes.

    Raises:
        OSError: the store refuses, or cannot be reached.
    """
    ended = threading.Event()
    with ThreadPoolExecutor(1, "upload") as thread:
        try:
            thread.submit(lambda: repeated(lambda: _send(file, path), str(path), ended)).result()
        finally:
            ended.set()


def _send(file: BinaryIO, path: ObjectPath) -> None:
    file.seek(0)
    size = 0
    stream = path.filesystem().open_output_stream(path.key)
    try:
        while block := file.read(UPLOAD_BLOCK):
            stream.write(block)
            # Wait for the parts that are being sent: they are copies, and the whole file would pile up in memory.
            stream.flush()
            size += len(block)
        stream.close()
    except BaseException:
        with suppress(OSError):
            stream.close()
            path.filesystem().delete_file(path.key)
        raise
    stored = path.filesystem().get_file_info(path.key).size
    if stored != size:
        raise ShortAnswer(f"the store holds {stored} of the {size} bytes that were sent")


@lru_cache(maxsize=64)
def _connect(scheme: str, bucket: str, settings: tuple[str | None, ...], process: int) -> Any:
    values = dict(zip(ENVIRONMENT, settings, strict=True))
    try:
        from pyarrow import fs
        from pyarrow.fs import GcsFileSystem, S3FileSystem, resolve_s3_region
    except ImportError as error:
        cure = "install the wheel from PyPI: pip install pyarrow"
        raise UsageError(
            f"the installed pyarrow cannot reach this store: {error}", path=f"{scheme}://{bucket}", cure=cure
        ) from error
    if scheme == "gs":
        emulator = values["STORAGE_EMULATOR_HOST"]
        if not emulator:
            return GcsFileSystem(retry_time_limit=RETRY_TIME)
        protocol, _, host = emulator.rpartition("://")
        return GcsFileSystem(
            anonymous=True, scheme=protocol or "http", endpoint_override=host, retry_time_limit=RETRY_TIME
        )
    endpoint = values["AWS_ENDPOINT_URL_S3"] or values["AWS_ENDPOINT_URL"]
    region = values["AWS_REGION"] or values["AWS_DEFAULT_REGION"]
    if not endpoint:
        # A bucket answers only in its own region, which may differ from the user's default.
        with suppress(OSError):
            region = resolve_s3_region(bucket)
    return S3FileSystem(
        endpoint_override=endpoint or None,
        region=region or ("us-east-1" if endpoint else None),
        connect_timeout=CONNECT_SECONDS,
        allow_delayed_open=True,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
