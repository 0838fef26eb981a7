"""Reads records back: any record by position or key, each in one ranged read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError, UsageError
from gapdata.object_store import ObjectPath
from gapdata.records.schema import Record, record_from_json
from gapdata.shards.index import INDEX_NAME, read_index
from gapdata.shards.order import RecordOrder, order_of
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
        self._places = _Places(table.column("members").combine_chunks(), self.build / INDEX_NAME)
        self._counts = {name: table.column(name).to_numpy() for name in ("prompts", "objects")}
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

    def counts(self, name: str) -> NDArray[np.int32]:
        """How many ``prompts`` or ``objects`` each record has, (records,), as the index tells."""
        return self._counts[name]

    def order(
        self, *, seed: int, split: str | None = None, view: str | None = None, shards_per_group: int = 8
    ) -> RecordOrder:
        """The order in which training visits the records of a split and view: see :mod:`gapdata.shards.order`."""
        chosen = self.select(split=split, view=view)
        return order_of(chosen, self._shards, seed=seed, shards_per_group=shards_per_group)

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
        members = {name: bytes(data) for name, data in self.members(index).items()}
        record = record_from_json(members.pop("json"), members)
        if record.key != self.keys[index]:
            problem = f"holds record {record.key} where the index says {self.keys[index]}"
            raise self._disagreement(self._shards[index], problem)
        return record

    def members(self, index: int, names: Collection[str] | None = None) -> dict[str, memoryview]:
        """The raw members of a record by their name after the key, views of one read; or of ``names`` those that the
        record has, a read each.

        Raises:
            ShardError: the tar is missing, shorter than its index says, or holds something else at that place.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        key, shard = self.keys[index], self._shards[index]
        members: dict[str, memoryview] = {}
        if names is None:
            start, size = self.span(index)
            data = self._read(shard, start, size)
            view = memoryview(data)
            for name, offset, length in self._places.of(index % len(self)):
                at = offset - start
                if not data.startswith(f"{key}.{name}\0".encode(), at - BLOCK):
                    raise self._disagreement(shard, f"has no member {key}.{name} at byte {offset}")
                members[name] = view[at : at + length]
            return members
        for name, offset, length in self._places.of(index % len(self)):
            if name in names:
                data = self._read(shard, offset - BLOCK, BLOCK + length)
                if not data.startswith(f"{key}.{name}\0".encode()):
                    raise self._disagreement(shard, f"has no member {key}.{name} at byte {offset}")
                members[name] = memoryview(data)[BLOCK:]
        return members

    def span(self, index: int) -> tuple[int, int]:
        """Offset and size of the part of the tar that holds a record, its headers included."""
        return self._places.span(index % len(self))

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


class _Places:
    """Where the members of all records lie, as flat arrays: a million records have too many for Python objects.

    What a read needs is laid out so that it is found in two microseconds, beside the 40 of the read itself.
    """

    def __init__(self, column: Any, path: Location) -> None:
        places = column.values
        self._first = column.offsets.to_numpy()
        if not (np.diff(self._first) > 0).all():
            raise ShardError("lists a record without members", path=path, cure="run build-shards again")
        names = places.field("name").dictionary_encode()
        self._names: list[str] = names.dictionary.to_pylist()
        columns = (names.indices, places.field("offset"), places.field("size"))
        self._members = np.stack([part.to_numpy().astype(np.int64) for part in columns], axis=1)  # (M, 3)
        offset, size = self._members[:, 1], self._members[:, 2]
        starts = self._first[:-1]
        self._start = np.minimum.reduceat(offset, starts) - BLOCK if len(starts) else offset
        self._end = np.maximum.reduceat(offset + size, starts) if len(starts) else offset

    def of(self, index: int) -> list[tuple[str, int, int]]:
        """(name, offset, size) of a record's members."""
        part = self._members[self._first.item(index) : self._first.item(index + 1)].tolist()
        return [(self._names[name], offset, size) for name, offset, size in part]

    def span(self, index: int) -> tuple[int, int]:
        """Offset and size of the bytes from the first member's header to the last member's end."""
        start = self._start.item(index)
        return start, self._end.item(index) - start
