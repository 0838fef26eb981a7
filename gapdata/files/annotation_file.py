"""Opening annotation files: how large they are is known before they are read, and what a disk refuses is one error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gapdata.errors import AnnotationError
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, RangedFile, open_ranged

BLOCK = 64 << 20  # bytes of one read: systems cap a single one below 2 GiB
SPLIT_IN_NAME = re.compile(r"(?:^|[^a-z])(train|val|test|unknown)(?:ing|id|idation)?(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    """A file, or a folder of masks, that a user names, and the split that they say it is of (``None``: nothing)."""

    path: Location
    split: str | None = None


@contextmanager
def open_annotation(path: Location) -> Iterator[RangedFile]:
    """A file to read at any offset.

    Raises:
        AnnotationError: it is missing, no regular file, or cannot be read.
    """
    try:
        if not path.is_file():
            problem = (
                "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is no regular file"
            )
            raise AnnotationError(problem, path=path, cure="give an annotation file")
        file = open_ranged(path)
        try:
            yield file
        finally:
            file.close()
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror or error}", path=path) from error


def read_whole(path: Location, limit: int) -> bytes:
    """All bytes of a file.

    Raises:
        AnnotationError: it cannot be read, or has more than ``limit`` bytes.
    """
    with open_annotation(path) as file:
        if file.size > limit:
            raise AnnotationError(f"has {file.size} bytes, at most {limit} are read", path=path)
        blocks = [file.read_at(offset, min(BLOCK, file.size - offset)) for offset in range(0, file.size, BLOCK)]
    data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    if len(data) != file.size:
        raise AnnotationError(f"has {file.size} bytes, {len(data)} could be read", path=path)
    return data


def named_split(path: Location) -> str | None:
    """Return the split that a file's name says (``embodiedscan_infos_val.pkl``), or ``None`` where it says none or
    several. :mod:`gapdata.annotations.split_evidence` compares it with the content: a name alone decides nothing.
    """
    found = set(SPLIT_IN_NAME.findall(path.name.lower()))
    return found.pop() if len(found) == 1 else None


def absolute_text(path: Location) -> str:
    """The place of a file as text that means the same in every process."""
    return str(path) if isinstance(path, ObjectPath) else os.path.abspath(path)
