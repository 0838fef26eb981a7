"""The files of a checkpoint as untrusted bytes: a checksum for each, and an index that is read without being run.

:mod:`torch.distributed.checkpoint` unpickles its index, ``.metadata``, without restriction, and does not notice most
flipped bits in the other files. A run must neither execute code that somebody put into its directory nor go on from
weights that it never had.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

INDEX = ".metadata"
PARTS = "__*.distcp"
MAX_INDEX_BYTES = 1 << 28
"""The index of a checkpoint has about 500 bytes for each tensor."""
KNOWN: Mapping[str, frozenset[str]] = {
    "torch.distributed.checkpoint.metadata": frozenset(
        {
            "Metadata",
            "TensorStorageMetadata",
            "BytesStorageMetadata",
            "TensorProperties",
            "ChunkStorageMetadata",
            "MetadataIndex",
            "StorageMeta",
            "_MEM_FORMAT_ENCODING",
        }
    ),
    "torch.distributed.checkpoint.filesystem": frozenset({"_StorageInfo"}),
    "torch.serialization": frozenset({"_get_layout"}),
    "torch": frozenset({"Size"}),
    "pathlib": frozenset({"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"}),
    "pathlib._local": frozenset({"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"}),
}
"""What torch's writer puts into an index, by module; types of numbers are allowed, too."""


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each of these files of a folder, as hexadecimal digits."""
    found = {}
    for name in names:
        with open(folder / name, "rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def first_damage(folder: Path, digests: Mapping[str, str], names: Iterable[str]) -> str | None:
    """Return what is wrong with the first damaged one of these files; ``None`` where all are as they were written."""
    for name in names:
        try:
            if digests_of(folder, [name])[name] != digests[name]:
                return f"{name} is not what was written: its checksum differs"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


class RestrictedReader(FileSystemReader):
    """Torch's reader of checkpoints, for an index that may name only what torch's writer does.

    Args:
        path: the checkpoint's folder.
        parts: names of the files that the index may send the reader to.
    """

    def __init__(self, path: Path, parts: Iterable[str]) -> None:
        super().__init__(path)
        self._parts = frozenset(parts)

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Read the index.

        Raises:
            ValueError: it names what no checkpoint needs, or a file that is not a part of it, or it is damaged.
        """
        path = Path(self.path) / INDEX
        if path.stat().st_size > MAX_INDEX_BYTES:
            raise ValueError(f"{INDEX} is larger than {MAX_INDEX_BYTES} bytes")
        try:
            with open(path, "rb") as file:
                metadata = _IndexReader(file).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, KeyError) as error:
            raise ValueError(f"{INDEX} cannot be read: {error}") from error
        if not isinstance(metadata, Metadata) or not isinstance(metadata.storage_data, Mapping):
            raise ValueError(f"{INDEX} is not the index of a checkpoint")
        strangers = {place.relative_path for place in metadata.storage_data.values()} - self._parts
        if strangers:
            raise ValueError(f"{INDEX} names {min(map(str, strangers))!r}, which is not a part of the checkpoint")
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _IndexReader(pickle.Unpickler):
    """Makes the objects of an index and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in KNOWN.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")
