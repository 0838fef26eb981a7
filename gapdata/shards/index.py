"""``index.parquet``: one row per record with the place of each of its members, compiled from the committed shards
only."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gapdata.atomic import write_atomically
from gapdata.errors import ShardError, UsageError
from gapdata.json_shape import misfit
from gapdata.object_store import ObjectPath
from gapdata.storage import Location

BATCH_ROWS = 1 << 12
READ_BUFFER = 1 << 20  # bytes
ROOM = 1 << 20
ROW_BYTES = 1 << 16
"""What an index may take unpacked, besides :data:`ROOM`: a row of ours with 32 frames has some thousand bytes, and at
least one byte of the file, because no two keys are equal."""

COMMIT: dict[str, Any] = {
    "shard": str,
    "split": str,
    "tar_bytes": int,
    "sha256": str,
    "scenes": [{"scene_id": str, "quarantined": [{}]}],
    "records": [
        {
            **{"key": str, "scene_id": str, "split": str, "view": str},
            **{"frame_ids": [int], "prompts": int, "objects": int, "quality": {}},
            "members": {str: [int]},
        }
    ],
}
"""The shape of a commit record, as far as shards go; what a scene's outcome holds is the engine's."""

INDEX_NAME = "index.parquet"
BLOCK_SIZE = 1 << 20
"""Bytes of JSON that are parsed at once; a row must fit."""


def read_commit(path: Location) -> dict[str, Any]:
    """The commit record of a shard (``shard-000012.json``).

    Raises:
        ShardError: the file is no commit record.
    """
    cure = "delete it and run build-shards again"
    try:
        commit = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ShardError("is no shard commit record", path=path, cure=cure) from error
    problem = misfit(commit, COMMIT)
    if problem is None and any(len(place) != 2 for entry in commit["records"] for place in entry["members"].values()):
        problem = "the place of a member is no offset and size"
    if problem is None and commit["shard"] != path.name.removesuffix(".json"):
        # The tar is opened by this name.
        problem = f"it commits {commit['shard'][:100]!r}"
    if problem is not None:
        raise ShardError(f"is malformed: {problem}", path=path, cure=cure)
    return dict(commit)


def write_index(build: Location, commits: Sequence[dict[str, Any]]) -> None:
    """Write ``index.parquet``, rows in the order of shards and of records within them."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(_table(commits), buffer, compression="zstd")
    write_atomically(build / INDEX_NAME, buffer.getvalue())


def index_rows(commits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the index of these commit records holds, one plain row per record.

    Raises:
        KeyError, TypeError, ValueError: a commit record is malformed.
    """
    return list(_table(commits).to_pylist())


def _table(commits: Sequence[dict[str, Any]]) -> Any:
    # Not Table.from_pylist: where pandas is installed that imports it, half a second for each process of a build.
    import pyarrow.json as arrow_json

    rows = [_row(commit["shard"], record) for commit in commits for record in commit["records"]]
    if not rows:
        return _schema().empty_table()
    lines = [json.dumps(row, allow_nan=False).encode() for row in rows]
    return arrow_json.read_json(
        io.BytesIO(b"\n".join(lines)),
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=max(BLOCK_SIZE, 2 * max(map(len, lines)))),
        parse_options=arrow_json.ParseOptions(explicit_schema=_schema(), unexpected_field_behavior="error"),
    )


def read_index(build: Location) -> Any:
    """The index as a ``pyarrow.Table``.

    Raises:
        UsageError: the directory holds no finished build.
        ShardError: the index is damaged.
    """
    with _parquet(build, None) as file:
        table = file.read()
        # Arrow believes what the file says about texts and dictionaries until it is asked to look.
        table.validate(full=True)
        return table


def index_batches(build: Location, columns: Sequence[str], coded: Sequence[str]) -> Iterator[Any]:
    """Some columns of the index in pieces, as ``pyarrow`` record batches: a long index never lies in memory as a whole.

    Args:
        build: where the index is.
        columns: which.
        coded: paths of the text columns that come as dictionary arrays; their texts and numbers are as the file has
            them, unchecked.

    Raises:
        UsageError: the directory holds no finished build.
        ShardError: the index is damaged.
    """
    with _parquet(build, list(coded)) as file:
        yield from file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)


@contextmanager
def _parquet(build: Location, coded: list[str] | None) -> Iterator[Any]:
    """The index as an open ``pyarrow.parquet.ParquetFile`` whose columns have the right types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = build / INDEX_NAME
    if not path.is_file():
        raise UsageError(
            "holds no finished build (no index.parquet)", path=build, cure="run `gapdata build-shards` first"
        )
    try:
        source = pa.BufferReader(path.read_bytes()) if isinstance(path, ObjectPath) else path
        with pq.ParquetFile(source) as file:
            _check_columns(file.schema_arrow, path)
            _check_size(file.metadata, path)
        # Without a buffer a piece of a column is read as a whole, however small the batches are.
        with pq.ParquetFile(source, read_dictionary=coded, buffer_size=READ_BUFFER) as file:
            yield file
    except (pa.ArrowException, KeyError, OSError, ValueError, MemoryError) as error:
        raise ShardError(f"cannot be read: {error}", path=path, cure="run build-shards again") from error


def _check_size(metadata: Any, path: Location) -> None:
    """Columns are unpacked as a whole, so what they claim is compared before: some kilobytes can hold gigabytes."""
    size = path.stat().st_size
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    claimed = sum(group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns))
    if not 0 <= metadata.num_rows <= size or not 0 <= claimed <= ROOM + ROW_BYTES * metadata.num_rows:
        problem = (
            f"claims {metadata.num_rows} rows and {claimed} bytes unpacked in {size} bytes: it is not an index of ours"
        )
        raise ShardError(problem, path=path, cure="run build-shards again")


def _check_columns(found: Any, path: Location) -> None:
    wanted = _schema()
    missing = set(wanted.names) - set(found.names)
    if missing:
        raise ShardError(f"lacks the columns {', '.join(sorted(missing))}", path=path, cure="run build-shards again")
    for field in wanted:
        kind = found.field(field.name).type
        if kind != field.type:
            problem = f"has {kind} in the column {field.name}, expected {field.type}"
            raise ShardError(problem, path=path, cure="run build-shards again")


def _schema() -> Any:
    import pyarrow as pa

    place = pa.struct([("name", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])
    return pa.schema(
        [
            ("key", pa.string()),
            ("shard", pa.string()),
            ("scene_id", pa.string()),
            ("split", pa.string()),
            ("view", pa.string()),
            ("frame_ids", pa.list_(pa.int32())),
            ("prompts", pa.int32()),
            ("objects", pa.int32()),
            ("valid_depth", pa.float32()),
            ("sharpness", pa.float32()),
            ("reprojection_error", pa.float32()),
            ("misalignment", pa.float32()),
            ("free_space", pa.float32()),
            ("members", pa.list_(place)),
        ]
    )


def _row(shard: str, record: dict[str, Any]) -> dict[str, Any]:
    quality = record["quality"]
    return {
        **{name: record[name] for name in ("key", "scene_id", "split", "view", "frame_ids", "prompts", "objects")},
        "shard": shard,
        **{name: _mean(quality.get(name)) for name in ("valid_depth", "sharpness")},
        **{name: quality.get(name) for name in ("reprojection_error", "misalignment", "free_space")},
        "members": [{"name": name, "offset": at, "size": size} for name, (at, size) in record["members"].items()],
    }


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None
