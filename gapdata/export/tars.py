"""Take a build's own tars to the folder of an export: linked where the disk allows it, else copied, and checked."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gapdata.annotations.splits import SPLITS
from gapdata.errors import ShardError, UsageError
from gapdata.files.atomic import atomic_file
from gapdata.files.storage import Location, open_ranged
from gapdata.shards.index import INDEX_NAME, index_batches, read_commit

CHUNK = 1 << 22
SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTars:
    """The tars that hold the exported records, and what is in them."""

    by_split: dict[str, list[str]]
    """Names of tars, splits and tars in order."""
    records: dict[str, int]
    """How many records each tar holds, tars in order."""
    members: frozenset[str]
    """Names of all members, without the key."""
    views: Counter[str]
    """How many records there are of each kind of view."""


def chosen_tars(build: Location, keys: Collection[str]) -> ChosenTars:
    """Return the tars that hold records.

    Args:
        build: the folder.
        keys: of the records: all of a tar or none.

    Raises:
        UsageError: a tar holds other records as well, or those of several splits.
        ShardError: the name of a tar could lead out of the folder, or a split is unknown.
    """
    splits: dict[str, str] = {}  # of each tar
    left: set[str] = set()
    names: set[str] = set()
    counts, views = Counter[str](), Counter[str]()
    for batch in index_batches(build, ["key", "shard", "split", "view", "members"], []):
        for row in batch.to_pylist():
            tar = f"{row['shard']}.tar"
            if row["key"] not in keys:
                left.add(tar)
                continue
            if SHARD.fullmatch(row["shard"]) is None or row["split"] not in SPLITS:
                problem = f"names the shard {row['shard']!r} of the split {row['split']!r}"
                raise ShardError(problem, path=build / INDEX_NAME, cure="run build-shards again")
            if splits.setdefault(tar, row["split"]) != row["split"]:
                raise UsageError(f"{tar} holds records of several splits", path=build, cure="build the shards again")
            counts[tar] += 1
            views[row["view"]] += 1
            names.update(member["name"] for member in row["members"])
    mixed = sorted(left & splits.keys())
    if mixed:
        raise UsageError(f"{mixed[0]} holds records of several splits", path=build, cure="export without --split")
    tars: dict[str, list[str]] = {}
    for tar, split in sorted(splits.items()):
        tars.setdefault(split, []).append(tar)
    return ChosenTars(
        by_split=dict(sorted(tars.items())),
        records=dict(sorted(counts.items())),
        members=frozenset(names),
        views=views,
    )


def place_tar(build: Location, tar: str, target: Path) -> tuple[int, str]:
    """Link or copy a tar, and return its size and SHA-256.

    Raises:
        ShardError: it differs from its commit record, or the file exists and holds something else.
    """
    source, there = build / tar, target.exists()
    try:
        if not there:
            _link_or_copy(source, target)
        with open(target, "rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), target.stat().st_size
        wanted = _committed(build, tar) or (_digest(source) if there else digest)
    except OSError as error:
        raise ShardError(f"cannot be read: {error.strerror}", path=source, cure="run build-shards again") from error
    if digest != wanted:
        if there:
            raise ShardError("differs from what this build holds", path=target, cure="export to an empty folder")
        target.unlink()
        raise ShardError("differs from its commit record", path=source, cure="run `gapdata verify` on the build")
    return size, digest


def _committed(build: Location, tar: str) -> str | None:
    """Return the digest that a tar was finished with; ``None`` where that is not known."""
    place = build / f"{tar.removesuffix('.tar')}.json"
    return str(read_commit(place)["sha256"]) if place.is_file() else None


def _digest(source: Location) -> str:
    digest, file = hashlib.sha256(), open_ranged(source)
    for offset in range(0, file.size, CHUNK):
        digest.update(file.read_at(offset, CHUNK))
    file.close()
    return digest.hexdigest()


def _link_or_copy(source: Location, target: Path) -> None:
    if isinstance(source, Path):
        try:
            os.link(source.resolve(), target)
        except OSError:  # another disk, or one without links: what is wrong with the tar itself shows below
            pass
        else:
            return
    file = open_ranged(source)
    try:
        with atomic_file(target) as copy:
            for offset in range(0, file.size, CHUNK):
                copy.write(file.read_at(offset, CHUNK))
    finally:
        file.close()
