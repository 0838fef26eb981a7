"""Write and read ``index.parquet``: one row per record with the place of each of its members.

It is compiled from the committed shards only.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import read_shaped
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location
from gapdata.records.schema import FRAME_FIGURES

BATCH_ROWS = 1 << 12
READ_BUFFER = 1 << 20  # bytes
ROOM = 1 << 20
ROW_BYTES = 1 << 16
"""Bytes that a row may take unpacked, besides :data:`ROOM` for the index: a row of this package with 32 frames has
some thousand, and each takes at least one byte of the file, because no two keys are equal."""

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
"""The fields of a commit record that this package reads; the engine writes and reads the rest of a scene's outcome."""

INDEX_NAME = "index.parquet"
COUNTS = ("prompts", "objects")
PAIR_FIGURES = ("reprojection_error", "misalignment", "free_space")
LATER_FIGURES = (
    "neighbour_misalignment",
    "neighbour_residual",
    "neighbour_free_space",
    "distant_misalignment",
    "distant_residual",
    "overlap",
)
"""Quality figures that are missing in builds of earlier versions, and are read as unknown there."""
FIGURES = (*FRAME_FIGURES, *PAIR_FIGURES, *LATER_FIGURES)
BLOCK_SIZE = 1 << 20
"""Bytes of JSON that are parsed at once; a row must fit."""


def read_commit(path: Location) -> dict[str, Any]:
    """Read the commit record of a shard (``shard-000012.json``).

    Raises:
        ShardError: the file is not a commit record, or damaged.
    """
    cure = "delete it and run build-shards again"
    commit = read_shaped(path, COMMIT, cure)
    problem = None
    if any(len(place) != 2 for entry in commit["records"] for place in entry["members"].values()):
        problem = "the place of a member is not an offset and a size"
    if problem is None and commit["shard"] != path.name.removesuffix(".json"):
        # The tar is opened by this name.
        problem = f"it belongs to the shard {commit['shard'][:100]!r}"
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
    """Return the index of these commit records as one plain row per record.

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
    """Read the index as a ``pyarrow.Table``.

    Raises:
        UsageError: the directory holds no finished build.
        ShardError: the index is damaged.
    """
    with _parquet(build, None) as file:
        table = file.read()
        # Arrow does not check texts and dictionaries of a file unless it is asked to.
        table.validate(full=True)
        for name in LATER_FIGURES:
            if name not in table.column_names:
                table = table.append_column(_schema().field(name), _unknown(table.num_rows))
        return table


def index_batches(build: Location, columns: Sequence[str], coded: Sequence[str]) -> Iterator[Any]:
    """Yield some columns of the index in pieces, as ``pyarrow`` record batches.

    So a long index is never in memory as a whole.

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


def figure_values(build: Location, name: str) -> NDArray[np.float32]:
    """Return a quality figure of every record, (records,), NaN where it was not measured.

    Raises:
        UsageError: the directory holds no finished build, or its index has no such figure.
        ShardError: the index is damaged.
    """
    if name not in FIGURES:
        raise UsageError(f"has no quality figure {name!r}", path=build, cure=f"it has {', '.join(FIGURES)}")
    with _parquet(build, []) as file:
        if name not in file.schema_arrow.names:
            return np.full(file.metadata.num_rows, np.nan, dtype=np.float32)
        column = file.read(columns=[name], use_threads=False).column(name)
        column.validate(full=True)
        return np.asarray(column.to_numpy(), dtype=np.float32)


@contextmanager
def _parquet(build: Location, coded: list[str] | None) -> Iterator[Any]:
    """Open the index as a ``pyarrow.parquet.ParquetFile`` with columns of the right types."""
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
    """Refuse an index that states more than its file can hold: some kilobytes can unpack to gigabytes.

    Columns are unpacked as a whole, so this is checked before. Groups are asked as a whole, because Arrow ends the
    process where what a damaged file says about one of its columns contradicts itself.
    """
    size = path.stat().st_size
    claimed = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if not 0 <= metadata.num_rows <= size or not 0 <= claimed <= ROOM + ROW_BYTES * metadata.num_rows:
        problem = f"states {metadata.num_rows} rows and {claimed} bytes unpacked in {size} bytes, which is impossible"
        raise ShardError(problem, path=path, cure="run build-shards again")


def _check_columns(found: Any, path: Location) -> None:
    wanted = _schema()
    missing = set(wanted.names) - set(found.names) - set(LATER_FIGURES)
    if missing:
        raise ShardError(f"lacks the columns {', '.join(sorted(missing))}", path=path, cure="run build-shards again")
    for field in wanted:
        if field.name not in found.names:
            continue
        kind = found.field(field.name).type
        if kind != field.type:
            problem = f"has a column {field.name} of type {kind}, expected {field.type}"
            raise ShardError(problem, path=path, cure="run build-shards again")


def _unknown(count: int) -> Any:
    import pyarrow as pa

    return pa.nulls(count, pa.float32())


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
            *((name, pa.float32()) for name in FIGURES),
            ("members", pa.list_(place)),
        ]
    )


def _row(shard: str, record: dict[str, Any]) -> dict[str, Any]:
    quality = record["quality"]
    return {
        **{name: record[name] for name in ("key", "scene_id", "split", "view", "frame_ids", "prompts", "objects")},
        "shard": shard,
        **{name: figure_of(quality, name) for name in FIGURES},
        "members": [{"name": name, "offset": at, "size": size} for name, (at, size) in record["members"].items()],
    }


def figure_of(quality: Mapping[str, Any], name: str) -> float | None:
    """Return a figure of a record's quality as the index has it; ``None`` where it was not measured."""
    value = quality.get(name)
    if name not in FRAME_FIGURES:
        return value
    return sum(value) / len(value) if value else None
