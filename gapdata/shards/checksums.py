"""Write and compare ``build.sha256``: digests of a finished build's small files, so that any flipped bit is found.

The digest of a tar is in its commit record; this file holds those of everything else (``sha256sum --check
build.sha256`` reads it). Its last line, a comment, is the digest of the lines above.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from gapdata.errors import ShardError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location

CHECKSUMS_NAME = "build.sha256"
SMALL_FILES = ("plan.json", "shard-*.json", "index.parquet", "splits.json", "report.json")
FOLDERS = ("annotations", "failed")
LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_./-]+)")


def write_checksums(build: Location) -> None:
    """Write the digests of all small files as they are now."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(_digests(build))]
    text = "".join(lines)
    write_atomically(build / CHECKSUMS_NAME, f"{text}# {hashlib.sha256(text.encode()).hexdigest()}\n".encode())


def checksum_problems(build: Location) -> Iterator[tuple[str, str]]:
    """Yield (file, problem) for each file that is not as it was written.

    A build without digests, of an earlier version or unfinished, yields nothing.
    """
    path = build / CHECKSUMS_NAME
    if not path.is_file():
        return
    text, _, own = path.read_bytes().decode("utf-8", "replace").rpartition("# ")
    matches = [LINE.fullmatch(line) for line in text.splitlines()]
    stated = {found[2]: found[1] for found in matches if found is not None}
    if own != f"{hashlib.sha256(text.encode()).hexdigest()}\n" or len(stated) != text.count("\n"):
        yield CHECKSUMS_NAME, "is damaged: its last line is not the digest of the lines above; run build-shards again"
        return
    actual = dict(_digests(build))
    for name in sorted(stated.keys() | actual.keys()):
        if name not in actual:
            yield name, "is missing, though build.sha256 lists it"
        elif name not in stated:
            yield name, "was added after the build was finished"
        elif actual[name] != stated[name]:
            yield name, "its SHA-256 differs from the one in build.sha256"


def refuse_damage(build: Location) -> None:
    """Refuse a build with a small file that was changed, lost or added after the build was finished.

    Raises:
        UsageError: the build has no digests.
        ShardError: a file is damaged.
    """
    if not (build / CHECKSUMS_NAME).is_file():
        cure = "build it again with this version, or read it without verify=True"
        raise UsageError(f"has no {CHECKSUMS_NAME} to verify it by", path=build, cure=cure)
    for name, problem in checksum_problems(build):
        raise ShardError(problem, path=build / name, cure="run `gapdata verify` on the build")


def _digests(build: Location) -> Iterator[tuple[str, str]]:
    for pattern in SMALL_FILES:
        for path in build.glob(pattern):
            yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()
    for folder in FOLDERS:
        for path in (build / folder).glob("*.json"):
            yield f"{folder}/{path.name}", hashlib.sha256(path.read_bytes()).hexdigest()
