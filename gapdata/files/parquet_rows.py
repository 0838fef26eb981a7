"""Read a Parquet file that a user names row by row, only the columns that are asked for, whatever the file claims."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from gapdata.errors import FileError
from gapdata.files.given_file import open_given
from gapdata.files.ranged_stream import RangedStream
from gapdata.files.storage import Location

MAGIC = b"PAR1"
"""The first and the last bytes of every Parquet file."""
BATCH_ROWS = 256
MAX_ROWS = 50_000_000
MAX_FOOTER = 64 << 20  # bytes
READ_BUFFER = 1 << 20  # bytes; without it a group's part of a column is read as a whole, however small batches are
MAX_GROUP_BYTES = 16 << 30
"""Most bytes that a row group may have unpacked; SPAR-Bench's, which hold images, have some hundred megabytes."""
MAX_BATCH_BYTES = 64 << 20
"""Most bytes of the columns that are read of :data:`BATCH_ROWS` rows; those of a benchmark have some 100,000."""


def parquet_names(path: Location) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Raises:
        FileError: the file cannot be read, or is damaged.
    """
    with _opened(path) as file:
        return tuple(file.schema_arrow.names)


def parquet_rows(path: Location, columns: Collection[str], without: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as dictionaries of Python values; a column that the file lacks is absent.

    Args:
        path: the file.
        columns: the names of the columns to read.
        without: names of parts of nested columns that are not read, such as the ``bytes`` of images.

    Raises:
        FileError: the file cannot be read or is damaged, or a row group states an impossible size.
    """
    with _opened(path) as file:
        leaves = _leaves(file, columns, without)
        _check_size(file.metadata, path)
        for batch in file.iter_batches(BATCH_ROWS, columns=leaves, use_threads=False):
            if batch.nbytes > MAX_BATCH_BYTES:
                raise FileError(f"has {BATCH_ROWS} rows of {batch.nbytes} bytes", path=path, cure="check the name")
            # Arrow does not check the texts of a file unless it is asked to.
            batch.validate(full=True)
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Location) -> Iterator[Any]:
    """Open a file as a ``pyarrow.parquet.ParquetFile``; anything that is wrong with it is a :class:`FileError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_given(path) as ranged:
        try:
            with pq.ParquetFile(
                pa.PythonFile(RangedStream(ranged), mode="r"),
                buffer_size=READ_BUFFER,
                thrift_string_size_limit=MAX_FOOTER,
                thrift_container_size_limit=MAX_FOOTER,
            ) as file:
                yield file
        except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not Arrow's
            problem = f"is not a sound Parquet file: {' '.join(str(error).split())[:200]}"
            raise FileError(problem, path=path, cure="download it again") from error


def _leaves(file: Any, columns: Collection[str], without: Collection[str]) -> list[str]:
    """Return the paths of the columns of plain values that belong to the columns named."""
    paths = [file.schema.column(place).path for place in range(len(file.schema))]
    parts = [path.split(".") for path in paths]
    return [
        path
        for path, names in zip(paths, parts, strict=True)
        if names[0] in columns and not (len(names) > 1 and names[-1] in without)
    ]


def _check_size(metadata: Any, path: Location) -> None:
    """Refuse a file with more than can be meant.

    The facts about a group as a whole are asked for and none about its columns: Arrow ends the process where those of a
    damaged file contradict each other.
    """
    claims = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    if not 0 <= metadata.num_rows <= MAX_ROWS or not all(0 <= claim <= MAX_GROUP_BYTES for claim in claims):
        problem = f"states {metadata.num_rows} rows, and up to {max(claims, default=0)} bytes in a group of them"
        raise FileError(problem, path=path, cure="check the name, or download it again")
