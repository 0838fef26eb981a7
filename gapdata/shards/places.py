"""Keep the place of every record of a build in flat arrays: a million records have too many members for objects.

The index is read in pieces of a few thousand rows, and each piece is reduced at once: names become small numbers,
offsets count from their record's beginning. The pieces are never joined, which would take both at once. A million
records of 18 members take 1.7 CPU seconds and 190 MB (the process 445 MB at its peak); as one table of Arrow and lists
of Python they took 6 to 9 seconds and 2.8 GB (``tests/benchmarks/test_index_speed.py``).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.splits import SPLITS
from gapdata.errors import ShardError
from gapdata.files.storage import Location
from gapdata.records.schema import VIEW_KINDS
from gapdata.runtime.choices import check_choice
from gapdata.shards.index import COUNTS, INDEX_NAME, index_batches

BLOCK = 512
"""Bytes of the header before each member of a tar."""
SHARD_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""A shard's name is part of a path, so it has neither dots nor slashes."""
MAX_OFFSET = 1 << 60
MAX_RECORD_BYTES = 2**32 - 1
COLUMNS = ("key", "shard", "split", "view", *COUNTS, "members")
CODED = ("shard", "split", "view", "members.list.element.name")


class Names:
    """A few different texts in the order in which they appeared, each with a number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}
        self._last: Any = None  # the dictionary that came last, and its codes: pieces of one column share it
        self._last_codes = np.empty(0, dtype=np.uint8)

    def codes(self, column: Any) -> NDArray[Any]:
        """Return the numbers of the texts of a dictionary array without nulls, (n,) of the smallest unsigned dtype.

        Raises:
            ValueError: the array is damaged.
        """
        if self._last is None or not column.dictionary.equals(self._last):
            self._last, self._last_codes = column.dictionary, self._numbered(column.dictionary.to_pylist())
        indices = column.indices.to_numpy()
        # A negative number is a huge one without its sign.
        if len(indices) and indices.view(np.uint32).max() >= len(self._last_codes):
            raise ValueError("a text column refers to a text that it does not have")
        return np.asarray(self._last_codes[indices])

    def _numbered(self, texts: list[str]) -> NDArray[Any]:
        for text in texts:
            if text not in self._codes:
                self._codes[text] = len(self.texts)
                self.texts.append(text)
        return np.array([self._codes[text] for text in texts], dtype=np.min_scalar_type(len(self.texts)))

    def code(self, text: str) -> int:
        """Return the number of a text, -1 for a text that did not appear."""
        return self._codes.get(text, -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Piece:
    """Some thousand records with all their members."""

    keys: Any  # pyarrow array
    first: NDArray[np.int32]  # (n + 1,) position of each record's members among those of the piece
    start: NDArray[np.int64]  # (n,) of each record's first header
    name: NDArray[Any]  # (m,) number of each member's name
    offset: NDArray[np.uint32]  # (m,) of each member's content, from its record's start
    size: NDArray[np.uint32]  # (m,)


class RecordPlaces:
    """Keys, shards, splits, views and members of all records of a build, in the order of its index.

    Attributes:
        shard_names: the shards; ``shard`` (N,) holds each record's number in them.
        counts: by name of :data:`gapdata.shards.index.COUNTS`, the count of each record, (N,) int32.

    Raises:
        UsageError: the place holds no finished build.
        ShardError: its index is damaged, or places a member at an impossible offset.
    """

    def __init__(self, build: Location) -> None:
        import pyarrow as pa

        self.path = build / INDEX_NAME
        columns = {name: Names() for name in ("shard", "split", "view")}
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
        numbers: dict[str, list[NDArray[np.int32]]] = {name: [np.empty(0, np.int32)] for name in COUNTS}
        self._members = Names()
        self._pieces: list[_Piece] = []
        for batch in index_batches(build, COLUMNS, CODED):
            if any(batch.column(name).null_count for name in COLUMNS):
                raise self._wrong("lacks the key, shard, split, view, counts or members of a record")
            try:
                batch.column("key").validate(full=True)
                self._pieces.append(self._piece(batch.column("key"), batch.column("members")))
                for name, names in columns.items():
                    parts[name].append(names.codes(batch.column(name)))
                for name, found in numbers.items():
                    found.append(batch.column(name).to_numpy())
            except ValueError as error:
                raise self._wrong(f"is damaged: {error}") from error
        pa.default_memory_pool().release_unused()
        self._ends = list(accumulate(len(piece.start) for piece in self._pieces))
        codes = {name: np.concatenate(found) if found else np.empty(0, np.uint8) for name, found in parts.items()}
        self.shard_names, self.shard = columns["shard"].texts, codes["shard"]
        self.counts = {name: np.concatenate(found) for name, found in numbers.items()}
        for counts in self.counts.values():
            counts.flags.writeable = False
        self._filters = {name: (columns[name], codes[name]) for name in ("split", "view")}
        wrong = next((name for name in self.shard_names if not SHARD_NAME.fullmatch(name)), None)
        if wrong is not None:
            raise self._wrong(f"has a shard with the impossible name {wrong[:100]!r}")

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def keys(self) -> Iterator[str]:
        """Yield the keys of all records."""
        for piece in self._pieces:
            yield from piece.keys.to_pylist()

    def key(self, index: int) -> str:
        """Return the key of a record."""
        piece, row = self._at(index)
        return str(piece.keys[row].as_py())

    def position(self, key: str) -> int | None:
        """Return the position of the record with this key, or ``None``."""
        import pyarrow.compute as pc

        for piece, end in zip(self._pieces, self._ends, strict=True):
            row = pc.index(piece.keys, key).as_py()
            if row >= 0:
                return int(end - len(piece.start) + row)
        return None

    def selected(self, *, split: str | None, view: str | None) -> NDArray[np.int64]:
        """Return positions of the records of a split and a kind of view, ascending.

        Raises:
            UsageError: no build has such a split or view.
        """
        wanted = np.ones(len(self), dtype=bool)
        for column, text, known in (("split", split, SPLITS), ("view", view, VIEW_KINDS)):
            names, codes = self._filters[column]
            if text is not None:
                check_choice(column, text, tuple(dict.fromkeys((*known, *names.texts))), path=self.path.parent)
                wanted &= codes == names.code(text)
        return np.flatnonzero(wanted)

    def members(self, index: int) -> list[tuple[str, int, int]]:
        """Return (name, offset, size) of a record's members."""
        piece, row = self._at(index)
        part = slice(piece.first.item(row), piece.first.item(row + 1))
        start, names = piece.start.item(row), self._members.texts
        found = zip(piece.name[part].tolist(), piece.offset[part].tolist(), piece.size[part].tolist(), strict=True)
        return [(names[name], start + offset, size) for name, offset, size in found]

    def span(self, index: int) -> tuple[int, int]:
        """Return offset and size of the bytes from the first member's header to the last member's end."""
        piece, row = self._at(index)
        part = slice(piece.first.item(row), piece.first.item(row + 1))
        ends = zip(piece.offset[part].tolist(), piece.size[part].tolist(), strict=True)
        return piece.start.item(row), max(offset + size for offset, size in ends)

    def _at(self, index: int) -> tuple[_Piece, int]:
        number = bisect_right(self._ends, index)
        piece = self._pieces[number]
        return piece, index - self._ends[number] + len(piece.start)

    def _piece(self, keys: Any, members: Any) -> _Piece:
        places = members.flatten()
        name, offset, size = (places.field(part) for part in ("name", "offset", "size"))
        if places.null_count or name.null_count or offset.null_count or size.null_count:
            raise self._wrong("lacks the place of a member")
        first = members.offsets.to_numpy() - members.offsets[0].as_py()
        count = np.diff(first)
        if not (count > 0).all():
            raise self._wrong("lists a record without members")
        at, bytes_of = offset.to_numpy(), size.to_numpy()
        lowest = at[first[:-1]]
        if (at < np.repeat(lowest, count)).any():  # not in builds of this package: a record's JSON comes first
            lowest = np.minimum.reduceat(at, first[:-1])
        if lowest.min() < BLOCK or lowest.max() > MAX_OFFSET:
            raise self._wrong("places a member at an impossible offset")
        start = lowest - BLOCK
        relative = at - np.repeat(start, count)
        # A negative size is a huge one without its sign.
        if relative.max() > MAX_RECORD_BYTES or bytes_of.view(np.uint64).max() > MAX_RECORD_BYTES:
            raise self._wrong("has a record of more than 4 GB, or a member of a negative size")
        return _Piece(
            keys=keys,
            first=first.astype(np.int32),
            start=start,
            name=self._members.codes(name),
            offset=relative.astype(np.uint32),
            size=bytes_of.astype(np.uint32),
        )

    def _wrong(self, problem: str) -> ShardError:
        return ShardError(problem, path=self.path, cure="run build-shards again")
