"""``index.parquet``: one row per record with the place of each of its members, compiled from the committed shards
only."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from gapdata.atomic import write_atomically
from gapdata.errors import ShardError, UsageError
from gapdata.object_store import ObjectPath
from gapdata.storage import Location

INDEX_NAME = "index.parquet"
BLOCK_SIZE = 1 << 20
"""Bytes of JSON that are parsed at once; a row must fit."""


def read_commit(path: Location) -> dict[str, Any]:
    """The commit record of a shard (``shard-000012.json``).

    Raises:
        ShardError: the file is no commit record.
    """
    try:
        commit = json.loads(path.read_bytes())
        if isinstance(commit["records"], list) and isinstance(commit["sha256"], str):
            return dict(commit)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ShardError("is no shard commit record", path=path, cure="delete it and run build-shards again")


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = build / INDEX_NAME
    if not path.is_file():
        raise UsageError(
            "holds no finished build (no index.parquet)", path=build, cure="run `gapdata build-shards` first"
        )
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()) if isinstance(path, ObjectPath) else path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ShardError(f"cannot be read: {error}", path=path, cure="run build-shards again") from error
    missing = set(_schema().names) - set(table.column_names)
    if missing:
        raise ShardError(f"lacks the columns {', '.join(sorted(missing))}", path=path, cure="run build-shards again")
    return table


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
