"""The rows of an annotation file that may be JSON, JSON lines or Parquet, as plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from gapdata.files.given_file import open_given
from gapdata.files.json_items import json_items
from gapdata.files.parquet_rows import MAGIC, parquet_rows
from gapdata.files.storage import Location

IMAGE_BYTES = ("bytes",)
"""The part of a column of images that is never read: the Hub's files hold whole images."""


def annotation_rows(path: Location, columns: Collection[str]) -> Iterator[Any]:
    """Yield the rows of a file; of Parquet only the columns named.

    Raises:
        FileError: the file cannot be read, or is damaged.
    """
    if is_parquet(path):
        yield from parquet_rows(path, columns, IMAGE_BYTES)
    else:
        yield from json_items(path)


def is_parquet(path: Location) -> bool:
    """Return whether a file begins as Parquet does.

    Raises:
        FileError: it cannot be read.
    """
    with open_given(path) as file:
        return file.read_at(0, len(MAGIC)) == MAGIC
