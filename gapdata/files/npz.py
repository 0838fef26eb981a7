"""Read the members of an ``.npz`` without pickle; sizes in headers are checked before memory is allocated."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import FileError
from gapdata.files.npy import read_header

BLOCK = 16 << 20

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""Errors that zipfile raises for damaged files; RuntimeError is an encrypted entry."""
KINDS = {"b": "booleans", "i": "integers", "u": "unsigned integers", "f": "floats", "S": "text"}
"""Kinds of dtypes, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The header of a member."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # bytes before the values

    @property
    def count(self) -> int:
        """The number of values."""
        return math.prod(self.shape)


class Npz:
    """An ``.npz`` in memory.

    Args:
        data: the file.
        path: named in errors.
    """

    def __init__(self, data: bytes, path: object) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as error:
            raise self._damaged(f"is not an .npz: {error}") from error
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in self._archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def header(self, name: str) -> Member:
        """Read dtype and shape of a member.

        Raises:
            FileError: it is missing or damaged, or has fewer bytes than its header states.
        """
        if name not in self:
            raise self._damaged(f"has no member {name}")
        entry = self._entries[name]
        try:
            with self._archive.open(entry) as file:
                dtype, shape, start = read_header(file)
        except _DAMAGE as error:
            raise self._damaged(f"member {name} is damaged: {error}") from error
        member = Member(name=name, dtype=dtype, shape=shape, start=start)
        if start + member.count * dtype.itemsize != entry.file_size:
            problem = f"member {name} states {member.count} values of {dtype}, but has {entry.file_size} bytes"
            raise self._damaged(problem)
        return member

    def values(self, member: Member, *, kinds: str, limit: int, first: int | None = None) -> NDArray[Any]:
        """Read the values of a one-dimensional member, or only its first few.

        Raises:
            FileError: they are more than ``limit``, of another kind of dtype than ``kinds``, or damaged.
        """
        count = member.count if first is None else min(first, member.count)
        if count > limit or member.dtype.kind not in kinds or len(member.shape) > 1:
            wanted = " or ".join(KINDS[kind] for kind in kinds)
            raise self._damaged(
                f"member {member.name} holds {count} values of {member.dtype} in shape {member.shape}, expected at most"
                f" {limit} {wanted} in one dimension"
            )
        size = count * member.dtype.itemsize
        content = bytearray()
        try:
            with self._archive.open(self._entries[member.name]) as file:
                file.read(member.start)
                while len(content) < size and (block := file.read(min(BLOCK, size - len(content)))):
                    content += block
        except _DAMAGE as error:
            raise self._damaged(f"member {member.name} is damaged: {error}") from error
        if len(content) != size:
            raise self._damaged(f"member {member.name} ends early")
        return np.frombuffer(content, dtype=member.dtype) if size else np.empty(0, dtype=member.dtype)

    def _damaged(self, problem: str) -> FileError:
        return FileError(problem, path=self.path, cure="download the file again")
