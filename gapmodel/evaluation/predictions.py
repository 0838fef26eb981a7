"""Write predictions so that an evaluation can be interrupted (:mod:`gapdata.tasks.predictions` defines the files).

Every worker appends to a file of its own, each batch in one write that is on disk before the next one begins. A line
that a kill cut off is removed by the worker that goes on; a question is asked again only where no file has its line.
The number of workers may change in between.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.tasks.predictions import ASKED_FILE, part_file, part_files, read_texts


class PredictionFile:
    """A worker's own file, open for appending; a context manager.

    Args:
        folder: the evaluation's.
        rank: the worker's number.
        build: fingerprint of the build, which goes into every line, so that a file that was copied elsewhere still says
            what it is about.

    Raises:
        UsageError: another process is writing this worker's file.
    """

    def __init__(self, folder: Path, rank: int = 0, *, build: str | None = None) -> None:
        self._build = {} if build is None else {"build": build}
        self.path = part_file(folder, rank)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(self.path, "ab+")  # noqa: SIM115 - closed by the context manager
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UsageError(
                "another evaluation is writing here", path=self.path, cure="wait for it, or use another --out"
            ) from error
        self._remove_torn_line()

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, lines: Iterable[Mapping[str, str]]) -> None:
        """Write predictions; they are on disk when this returns."""
        data = "".join(json.dumps({**line, **self._build}) + "\n" for line in lines)
        self._file.write(data.encode("ascii"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _remove_torn_line(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        self._file.truncate(data.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)


def read_answers(folder: Path) -> dict[str, str]:
    """Read the text of every answered question of an evaluation, by the question's id.

    Raises:
        UsageError: a line is damaged; the message names it.
    """
    return read_texts(part_files(folder), ended=True).by_id


def settle(folder: Path, asked: Mapping[str, Any]) -> None:
    """Write into ``folder`` what its predictions belong to, or check that it already says the same.

    Tasks that it does not know yet are added to ``asking``.

    Raises:
        UsageError: see :func:`refuse_other_evaluation`.
    """
    before = refuse_other_evaluation(folder, asked)
    now = {**asked, **({"asking": {**before.get("asking", {}), **asked["asking"]}} if "asking" in asked else {})}
    if before != json.loads(_written(now)):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ASKED_FILE, _written(now).encode())


def refuse_other_evaluation(folder: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``folder`` says that its predictions belong to; empty where it does not say it. Writes nothing.

    Raises:
        UsageError: they belong to something else than ``asked``; the message names the difference.
    """
    path = folder / ASKED_FILE
    if not path.is_file():
        return {}
    try:
        before = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        cure = "use another --out, or delete this file"
        raise UsageError(f"cannot be read: {error}", path=path, cure=cure) from error
    if not isinstance(before, dict):
        raise UsageError("does not hold a JSON object", path=path, cure="use another --out, or delete this file")
    now = json.loads(_written(asked))
    differences = [name for name in sorted({*before, *now}) if _differ(before.get(name), now.get(name), name)]
    if differences:
        changes = ", ".join(f"{name} was {before.get(name)} and is {now.get(name)}" for name in differences)
        raise UsageError(
            f"belongs to another evaluation: {changes}", path=path, cure="use another --out, or delete its folder"
        )
    return before


def _differ(before: Any, now: Any, name: str) -> bool:
    """Return whether two values contradict each other; of ``asking`` only tasks that both have are compared."""
    if name != "asking" or not isinstance(before, dict) or not isinstance(now, dict):
        return bool(before != now)
    return any(before[task] != now[task] for task in {*before} & {*now})


def _written(asked: Mapping[str, Any]) -> str:
    return json.dumps(asked, indent=2, sort_keys=True) + "\n"


def fingerprint_of_files(directory: Path, patterns: tuple[str, ...]) -> str:
    """Return the SHA-256 of the names and bytes of a directory's matching files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted({found for pattern in patterns for found in directory.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
