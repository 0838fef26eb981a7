"""Check one shard: its tar is the file that its commit record describes, and every record in it is sound.

A shard is checked by a pure function, so that several are checked in parallel.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from gapdata.audit.defects import Defect
from gapdata.audit.record_checks import DECODING_ERRORS, check_record
from gapdata.engine.recipe import Recipe
from gapdata.errors import ShardError
from gapdata.files.atomic import naming_full_disk
from gapdata.files.storage import Location, open_ranged
from gapdata.records.reading import record_from_json
from gapdata.records.schema import Record
from gapdata.runtime.counting import counted
from gapdata.shards.writer import index_fields

CHUNK = 1 << 20
ENTRY_FIELDS = ("key", "scene_id", "split", "view", "frame_ids", "prompts", "objects", "quality")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCheck:
    """One shard to check."""

    build: Location
    recipe: Recipe
    commit: Mapping[str, Any]
    keys: frozenset[str] | None = None  # records to read; None: all of them, and the checksum


def check_shard(check: ShardCheck, progress: Callable[[int], None] = lambda records: None) -> list[Defect]:
    """Return every defect of a shard; ``progress`` is called with the number of records checked."""
    commit = check.commit
    name = f"{commit['shard']}.tar"
    path = check.build / name
    if not commit["records"]:
        return [Defect(file=name, problem="exists, though no record is committed")] if path.exists() else []
    try:
        with _opened(path) as file:
            defects = [Defect(file=name, problem=text) for text in _tar_problems(file, commit, check.keys)]
            for entry in commit["records"]:
                if check.keys is None or entry["key"] in check.keys:
                    problems = _record_problems(file, entry, check)
                    defects += [Defect(file=name, record=entry["key"], problem=text) for text in problems]
                    progress(1)
            return defects
    except OSError as error:
        return [Defect(file=name, problem=f"cannot be read: {error.strerror or error}")]


@contextmanager
def _opened(path: Location) -> Iterator[BinaryIO]:
    """Open the tar as a local file; an object of a store is copied to an unnamed one, because all of it is read."""
    if isinstance(path, Path):
        with open(path, "rb") as file:
            yield file
        return
    remote = open_ranged(path)
    try:
        with naming_full_disk(tempfile.gettempdir()), tempfile.TemporaryFile() as copy:
            for offset in range(0, remote.size, CHUNK):
                copy.write(remote.read_at(offset, min(CHUNK, remote.size - offset)))
            copy.seek(0)
            yield cast(BinaryIO, copy)
    finally:
        remote.close()


def _tar_problems(file: BinaryIO, commit: Mapping[str, Any], keys: frozenset[str] | None) -> Iterator[str]:
    size = os.fstat(file.fileno()).st_size
    if size != commit["tar_bytes"]:
        yield f"has {size} bytes, {commit['tar_bytes']} were committed"
    if keys is None:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
        if digest.hexdigest() != commit["sha256"]:
            yield "its SHA-256 differs from the committed one"
        file.seek(0)
    expected = [
        (f"{entry['key']}.{name}", *place) for entry in commit["records"] for name, place in entry["members"].items()
    ]
    yield from _layout_problems(file, expected)


def _layout_problems(file: BinaryIO, expected: list[tuple[str, int, int]]) -> Iterator[str]:
    """Yield the first place where the tar's members differ from the committed ones; all that follow differ, too."""
    position = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                found = (member.name, member.offset_data, member.size)
                if position >= len(expected):
                    yield f"holds member {member.name}, which was not committed"
                    return
                if found != expected[position] or not member.isreg():
                    yield f"holds {_named(*found)} where {_named(*expected[position])} was committed"
                    return
                position += 1
    except (tarfile.TarError, OSError, ValueError, EOFError, LookupError, OverflowError, MemoryError) as error:
        yield f"is damaged or truncated after {counted(position, 'member')}: {error}"
        return
    if position < len(expected):
        yield f"ends after {position} of {len(expected)} members"


def _named(name: str, offset: int, size: int) -> str:
    return f"{name} ({size} bytes at {offset})"


def _record_problems(file: BinaryIO, entry: Mapping[str, Any], check: ShardCheck) -> Iterator[str]:
    import cv2

    try:
        record = _read(file, entry)
        yield from _entry_problems(entry, record)
        notes = [scene["notes"] for scene in check.commit["scenes"] if scene["scene_id"] == record.scene_id]
        yield from check_record(
            record, check.recipe, boxless_objects=any(note.get("object_without_box") for note in notes)
        )
    except ShardError as error:
        yield error.problem.removeprefix(f"record {entry['key']}: ")
    except (*DECODING_ERRORS, cv2.error) as error:
        yield f"cannot be checked: {type(error).__name__}: {error}"


def _read(file: BinaryIO, entry: Mapping[str, Any]) -> Record:
    """Read each member from its committed place.

    Raises:
        ShardError: it lies beyond the end of the file, or the record cannot be decoded.
    """
    members = {}
    end = os.fstat(file.fileno()).st_size
    for name, (offset, size) in entry["members"].items():
        if not 0 <= offset <= offset + size <= end:
            raise ShardError(f"member {name} lies beyond the end of the tar")
        members[name] = os.pread(file.fileno(), size, offset)
    if "json" not in members:
        raise ShardError("member json is missing")
    return record_from_json(members.pop("json"), members)


def _entry_problems(entry: Mapping[str, Any], record: Record) -> Iterator[str]:
    actual = index_fields(record)
    for name in ENTRY_FIELDS:
        if actual[name] != entry[name]:
            yield f"its {name} is {actual[name]!r}, its commit record has {entry[name]!r}"
