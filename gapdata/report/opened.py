"""Records of a build, read member by member; a record that cannot be read is named on the page."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypeVar

from gapdata.errors import ShardError
from gapdata.records.reading import record_from_json
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader

Result = TypeVar("Result")


class OpenedRecords:
    """Records by their position in the index. ``damaged`` collects what could not be read: key to problem."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader
        self.damaged: dict[str, str] = {}

    def read(self, index: int, work: Callable[[Record], Result], names: Collection[str] = ()) -> Result | None:
        """Return ``work(record)`` of a record with the members ``names``.

        If the record, or a member that ``work`` reads, is damaged, note that and return ``None``.
        """
        try:
            return work(self._record(index, names))
        except ShardError as error:
            self.damaged.setdefault(self._reader.keys[index], error.problem)
            return None

    def with_members(self, index: int, record: Record, names: Collection[str]) -> Record:
        """Return the record with further members.

        Raises:
            ShardError: the tar is damaged.
        """
        found = {name: bytes(data) for name, data in self._reader.members(index, names).items()}
        return replace(record, members={**record.members, **found})

    def _record(self, index: int, names: Collection[str]) -> Record:
        members = {name: bytes(data) for name, data in self._reader.members(index, {"json", *names}).items()}
        key = self._reader.keys[index]
        if "json" not in members:
            raise ShardError(f"record {key}: member json is missing")
        record = record_from_json(members.pop("json"), members)
        if record.key != key:
            raise ShardError(f"its place holds record {record.key}, the index says {key}")
        return record
