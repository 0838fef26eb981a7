"""Reads records back: any record by position or key, each in one ranged read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from gapdata.errors import ShardError, UsageError
from gapdata.object_store import ObjectPath
from gapdata.records.schema import Record, record_from_json
from gapdata.shards.index import read_index
from gapdata.storage import Location, RangedFile, location, open_ranged

BLOCK = 512
MAX_OPEN_SHARDS = 64


class ShardReader:
    """Random access to the records of a finished build.

    ``build`` is a directory or an ``s3://`` or ``gs://`` URI. Where a record lies comes from the build's index, so a
    truncated tar cannot pass for a short one. Pickling (for loader workers) carries the place only; each process opens
    the tars that it reads.
    """

    def __init__(self, build: str | os.PathLike[str] | ObjectPath) -> None:
        self.build = location(build)
        table = read_index(self.build)
        self.keys: tuple[str, ...] = tuple(table.column("key").to_pylist())
        self._shards: list[str] = table.column("shard").to_pylist()
        self._splits: list[str] = table.column("split").to_pylist()
        self._views: list[str] = table.column("view").to_pylist()
        self._members = table.column("members")
        self._position = {key: index for index, key in enumerate(self.keys)}
        self._files: dict[str, RangedFile] = {}

    def __reduce__(self) -> tuple[type[ShardReader], tuple[Location]]:
        return ShardReader, (self.build,)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close all tars; they are opened again when needed."""
        for file in getattr(self, "_files", {}).values():
            file.close()
        self._files = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def select(self, *, split: str | None = None, view: str | None = None) -> list[int]:
        """Positions of the records of a split (``train``, ``val``, ...) and of a kind of view (``clip``, ``scene``,
        ...)."""
        pairs = enumerate(zip(self._splits, self._views, strict=True))
        return [index for index, (a, b) in pairs if split in (None, a) and view in (None, b)]

    def record(self, key: str) -> Record:
        """The record with this key.

        Raises:
            UsageError: there is none.
        """
        if key not in self._position:
            near = [known for known in self.keys if known.startswith(key[:12])][:3] or list(self.keys[:3])
            raise UsageError(f"has no record {key!r}", path=self.build, cure=f"keys look like {', '.join(near)}")
        return self[self._position[key]]

    def __getitem__(self, index: int) -> Record:
        """The record at a position of the index.

        Raises:
            ShardError: the tar is missing, shorter than its index says, or holds something else at that place.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        index %= len(self)
        key, shard = self.keys[index], self._shards[index]
        places: list[dict[str, Any]] = self._members[index].as_py()
        start = min(place["offset"] for place in places) - BLOCK
        end = max(place["offset"] + place["size"] for place in places)
        data = self._read(shard, start, end - start)
        members = {}
        for place in places:
            at = place["offset"] - start
            name = f"{key}.{place['name']}".encode()
            if data[at - BLOCK : at - BLOCK + len(name) + 1] != name + b"\0":
                raise self._disagreement(shard, f"has no member {name.decode()} at byte {place['offset']}")
            members[place["name"]] = data[at : at + place["size"]]
        record = record_from_json(members.pop("json"), members)
        if record.key != key:
            raise self._disagreement(shard, f"holds record {record.key} where the index says {key}")
        return record

    def _read(self, shard: str, offset: int, size: int) -> bytes:
        if shard not in self._files:
            if len(self._files) >= MAX_OPEN_SHARDS:
                self._files.pop(next(iter(self._files))).close()
            try:
                self._files[shard] = open_ranged(self.build / f"{shard}.tar")
            except OSError as error:
                raise self._disagreement(shard, f"cannot be opened: {error.strerror}") from error
        data = self._files[shard].read_at(offset, size)
        if len(data) != size:
            raise self._disagreement(shard, f"is truncated: {len(data)} of {size} bytes at {offset}")
        return data

    def _disagreement(self, shard: str, problem: str) -> ShardError:
        return ShardError(
            problem, path=self.build / f"{shard}.tar", cure="delete the shard's .json and run build-shards again"
        )
