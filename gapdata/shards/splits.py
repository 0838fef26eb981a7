"""Write and read ``splits.json``: which tars hold which split, for tools that do not know this package.

It looks like this::

    {"train": ["shard-000000.tar", "shard-000001.tar"], "val": ["shard-000002.tar"]}

A shard holds scenes of one split only, so a list of names is all that a loader needs. A shard that kept no record has
no tar and is not listed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gapdata.errors import ShardError
from gapdata.files.atomic import write_atomically
from gapdata.files.json_shape import read_shaped
from gapdata.files.storage import Location

SPLITS_NAME = "splits.json"
MAX_BYTES = 64 << 20
"""Three times the size for a million shards."""


def tars_by_split(commits: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the tars of each split, in the order of the commit records; splits by name."""
    found: dict[str, list[str]] = {}
    for commit in commits:
        if commit["records"]:
            found.setdefault(commit["split"], []).append(f"{commit['shard']}.tar")
    return dict(sorted(found.items()))


def write_splits(build: Location, commits: Sequence[Mapping[str, Any]]) -> None:
    """Write ``splits.json``."""
    write_atomically(build / SPLITS_NAME, (json.dumps(tars_by_split(commits), indent=1) + "\n").encode())


def read_splits(build: Location) -> dict[str, list[str]] | None:
    """Return the names of the tars of each split; ``None`` where the file is missing.

    Builds before engine version 9 do not have it.

    Raises:
        ShardError: the file is damaged.
    """
    path, cure = build / SPLITS_NAME, "run build-shards again"
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise ShardError(f"has more than {MAX_BYTES} bytes", path=path, cure=cure)
    return dict(read_shaped(path, {str: [str]}, cure))


def format_tars(names: Sequence[str]) -> str:
    """Return the number of tars, and the first and the last: the tars of a split have consecutive numbers."""
    if len(names) < 2:
        return names[0] if names else "no tar"
    return f"{len(names)} tars, {names[0]} to {names[-1]}"
