"""The directory of a build: what may be in it, its lock, temporary files of workers, and the intention of a command.

``--overwrite`` and ``--retry-failed`` remove something before they build. That must happen once, because whoever gives
the same command again after a stop wants to go on. So the intention is written down before anything is removed, and
again when everything is; it is removed when the build is finished.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from typing import Literal, TypeAlias

from gapdata.engine.outcome import FAILED_FOLDER
from gapdata.engine.report import REPORT_NAME
from gapdata.engine.scene_annotation_files import ANNOTATIONS_FOLDER
from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.object_store import ObjectPath
from gapdata.files.storage import Location, remove_folder
from gapdata.runtime.lock import HELD_NAME, LOCK_NAME, exclusive
from gapdata.shards.checksums import CHECKSUMS_NAME
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.shards.index import INDEX_NAME
from gapdata.shards.splits import SPLITS_NAME

INTENTION_NAME = ".intention"
BUILD_FILES = (
    *(LOCK_NAME, HELD_NAME, INTENTION_NAME, "shard-*.json", "shard-*.tar", ".*.tmp"),
    *(REPORT_NAME, SPLITS_NAME, INDEX_NAME, FAILED_FOLDER, ANNOTATIONS_FOLDER),
)
"""The files and folders of a build, beside its plan."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")
Kind: TypeAlias = Literal["overwrite", "retry-failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intention:
    """What a command was asked to remove before it builds."""

    kind: Kind
    fingerprint: str  # of the build that follows
    done: bool  # whether it has been removed


def read_intention(build: Location) -> Intention | None:
    """Return the intention of an unfinished build; ``None`` where there is none or it cannot be read."""
    try:
        fields = json.loads((build / INTENTION_NAME).read_bytes())
        return Intention(kind=fields["kind"], fingerprint=fields["fingerprint"], done=fields["done"] is True)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_intention(build: Location, intention: Intention) -> None:
    """Write the intention so that it survives a loss of power."""
    write_atomically(build / INTENTION_NAME, json.dumps(asdict(intention)).encode())


def forget_intention(build: Location) -> None:
    """Remove the intention: the build is finished, and the same command begins anew."""
    (build / INTENTION_NAME).unlink(missing_ok=True)


def refuse_without_plan(build: Location) -> None:
    """Refuse a directory without a plan, unless it holds only what a build leaves before it has one.

    Raises:
        UsageError: it holds something else, or a build that was being overwritten when the command was stopped.
    """
    own = (LOCK_NAME, HELD_NAME, INTENTION_NAME)
    if all(entry.name in own or TEMPORARY.fullmatch(entry.name) for entry in build.iterdir()):
        return
    if read_intention(build) is not None:
        cure = "give the same command with --overwrite again"
        raise UsageError("holds a build that was being overwritten", path=build, cure=cure)
    raise UsageError("is not empty and holds no build", path=build, cure="choose another --out directory")


def refuse_other_content(build: Location, *, overwrite: bool) -> None:
    """Refuse a folder of other things, such as the scans themselves, before anything is written into it.

    Raises:
        UsageError: it holds something else than a build; ``--overwrite`` is for builds only, whole or not.
    """
    if not build.exists() or (build / PLAN_NAME).exists():
        return
    if not overwrite:
        refuse_without_plan(build)
    elif any(not any(fnmatch(entry.name, own) for own in BUILD_FILES) for entry in build.iterdir()):
        raise UsageError("is not empty and holds no build", path=build, cure="choose another --out directory")


@contextmanager
def taken_back_if_refused(build: Location) -> Iterator[None]:
    """Make the folder of a build for a block; if the block refuses the build, remove what was made.

    Nothing is removed once a shard was built.
    """
    if isinstance(build, ObjectPath):
        build.mkdir(parents=True, exist_ok=True)
        yield
        return
    made = [folder for folder in (build, *build.parents) if not folder.exists()]
    build.mkdir(parents=True, exist_ok=True)
    before = {entry.name for entry in build.iterdir()}
    try:
        yield
    except UsageError:
        if not any(build.glob("shard-*")) and PLAN_NAME not in before:
            clear(build)
        for name in {LOCK_NAME, HELD_NAME, INTENTION_NAME} - before:
            (build / name).unlink(missing_ok=True)
        with suppress(OSError):  # a folder that is not empty stays
            for folder in made:
                folder.rmdir()
        raise


def locked(build: Location) -> AbstractContextManager[None]:
    """Let one build at a time into a directory.

    An object store does not have locks. Two builds into one place there do the same work twice and harm nothing: they
    write equal bytes under equal names, and a commit record always follows its tar.

    Raises:
        UsageError: another process builds into it.
    """
    return _free() if isinstance(build, ObjectPath) else exclusive(build)


@contextmanager
def _free() -> Iterator[None]:
    yield


@contextmanager
def swept(build: Location) -> Iterator[None]:
    """Remove temporary files of dead workers before and after a block, however it ends.

    On a full disk they would keep it full.
    """
    sweep(build)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error matters, not this one
            sweep(build)
        raise
    sweep(build)


def sweep(build: Location) -> None:
    """Remove temporary files that killed workers left behind; in an object store there are none.

    Under the lock this build does not use any of them. An orphan (a worker of a lost node or of a killed driver) that
    still writes one fails when it renames the file, and nobody waits for it.
    """
    if isinstance(build, ObjectPath):
        return
    for folder in (build, build / FAILED_FOLDER, build / ANNOTATIONS_FOLDER):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def clear(build: Location) -> None:
    """Remove a build, and nothing else."""
    for name in (CHECKSUMS_NAME, REPORT_NAME, SPLITS_NAME, INDEX_NAME, PLAN_NAME):
        (build / name).unlink(missing_ok=True)
    for pattern in ("shard-*.json", "shard-*.tar"):
        for path in build.glob(pattern):
            path.unlink(missing_ok=True)
    remove_folder(build / FAILED_FOLDER)
    remove_folder(build / ANNOTATIONS_FOLDER)
    os.sync()
