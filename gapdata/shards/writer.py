"""Writes records into a WebDataset tar, byte for byte reproducible.

The layout is webdataset's: the members ``<key>.<name>`` of a record lie together, ``<key>.json`` first. The standard
library's ``tarfile`` writes it, because importing webdataset pulls torch (where it is installed) into every data
worker: seconds of start-up and 200 MB. Headers are fixed (ustar, mode 0644, no owner, time 0), so equal records give
equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from types import TracebackType
from typing import Any

from gapdata.atomic import atomic_file
from gapdata.errors import ShardError
from gapdata.records.schema import Record
from gapdata.storage import Location

MAX_NAME = 100  # bytes of a ustar name without its prefix field


class ShardWriter:
    """A tar under construction; it appears under its name when the ``with`` block ends well.

    After the block, ``records`` lists what was written (with the offset and size of every member), ``size`` the bytes
    of the tar and ``sha256`` their digest.
    """

    def __init__(self, path: Location) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.size = 0
        self.sha256 = ""
        self._file_context = atomic_file(path)

    def __enter__(self) -> ShardWriter:
        self._stream = _HashedStream(self._file_context.__enter__())
        self._tar = tarfile.open(fileobj=self._stream, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._tar.close()
            self.size, self.sha256 = self._stream.position, self._stream.digest.hexdigest()
        self._file_context.__exit__(kind, error, trace)

    def write(self, record: Record) -> None:
        """Append one record."""
        if "." in record.key or "/" in record.key:
            raise ShardError(
                f"record key {record.key!r} must contain neither dot nor slash: webdataset splits names there"
            )
        members = {"json": record.to_json(), **dict(sorted(record.members.items()))}
        places = {name: self._add(f"{record.key}.{name}", data) for name, data in members.items()}
        self.records.append({**index_fields(record), "members": places})

    def _add(self, name: str, data: bytes) -> list[int]:
        if len(name.encode()) > MAX_NAME:
            raise ShardError(f"member name {name!r} is longer than {MAX_NAME} bytes")
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o644
        offset = self._stream.position + tarfile.BLOCKSIZE
        self._tar.addfile(info, io.BytesIO(data))
        return [offset, len(data)]


class _HashedStream:
    """The file that tarfile writes to: counts and hashes what passes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.position = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.digest.update(data)
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position


def index_fields(record: Record) -> dict[str, Any]:
    """What a commit record says of a record, apart from where its members lie."""
    return {
        "key": record.key,
        "scene_id": record.scene_id,
        "split": record.split,
        "view": record.view,
        "frame_ids": list(record.frame_ids),
        "prompts": len(record.prompts),
        "objects": len(record.objects),
        "quality": dict(record.quality),
    }
