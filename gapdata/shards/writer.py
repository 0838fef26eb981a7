"""Write records into a WebDataset tar, byte for byte reproducible.

The layout is webdataset's: the members ``<key>.<name>`` of a record lie together, ``<key>.json`` first. The standard
library's ``tarfile`` writes it, because importing webdataset pulls torch (where it is installed) into every data
worker: seconds of start-up and 200 MB. Headers are fixed (ustar, mode 0644, no owner, time 0), so equal records give
equal bytes.
"""

from __future__ import annotations

import hashlib
import tarfile
from types import TracebackType
from typing import Any

from gapdata.errors import ShardError
from gapdata.files.atomic import atomic_file
from gapdata.files.storage import Location
from gapdata.records.schema import Record

MAX_NAME = 100  # bytes of a ustar name without its prefix field


class ShardWriter:
    """A tar that is being written; it appears under its name when the ``with`` block ends without an error.

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
        self._file = self._file_context.__enter__()
        self._digest = hashlib.sha256()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            # Two empty blocks end a tar, and its size is a multiple of twenty.
            self._append(bytes(2 * tarfile.BLOCKSIZE))
            self._append(bytes(-self.size % tarfile.RECORDSIZE))
            self.sha256 = self._digest.hexdigest()
        self._file_context.__exit__(kind, error, trace)

    def write(self, record: Record) -> None:
        """Append one record."""
        if "." in record.key or "/" in record.key:
            raise ShardError(f"record key {record.key!r} has a dot or a slash, at which webdataset splits names")
        members = {"json": record.to_json(), **dict(sorted(record.members.items()))}
        places, parts, position = {}, [], self.size
        for name, data in members.items():
            places[name] = [position + tarfile.BLOCKSIZE, len(data)]
            parts += [_header(f"{record.key}.{name}", len(data)), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
            position += sum(map(len, parts[-3:]))
        # One piece: tarfile's own way, 16 kB at a time, costs as much again as hashing and writing.
        self._append(b"".join(parts))
        self.records.append({**index_fields(record), "members": places})

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)


def _header(name: str, size: int) -> bytes:
    if len(name.encode()) > MAX_NAME:
        raise ShardError(f"member name {name!r} is longer than {MAX_NAME} bytes")
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def index_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a commit record about a record, without the places of its members."""
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
