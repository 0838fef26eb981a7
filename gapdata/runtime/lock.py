"""Allow only one process at a time in a directory, also on file systems without locks.

An ``flock`` ends with its process. Lustre mounted without ``flock`` and NFS without its lock service refuse it; there a
file that only one process can create takes its place. The file outlives a killed process, so it names its owner: a dead
owner on the same machine is noticed, for one on another machine a person must delete the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError

LOCK_NAME = ".lock"
HELD_NAME = ".lock.held"
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
WAIT = "wait for it or choose another --out"


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Keep other processes out of a directory while a block runs.

    Raises:
        UsageError: another process is in it.
        OSError: the directory cannot be written to.
    """
    with open(directory / LOCK_NAME, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in BUSY:
                raise UsageError("is in use by another process", path=directory, cure=WAIT) from error
            with _lock_file(directory):
                yield
            return
        # Another machine, where flock is refused, may hold the directory by the file.
        if (directory / HELD_NAME).exists():
            with _lock_file(directory):
                yield
            return
        yield


@contextmanager
def _lock_file(directory: Path) -> Iterator[None]:
    """Keep other processes out by a file that names its owner and that only one process can create."""
    path = directory / HELD_NAME
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid()), "key": secrets.token_hex(8)}
    while not _created(path, mine):
        owner = _owner(path)
        if owner is None:
            continue  # the owner has just left
        if not _dead(owner):
            raise UsageError(
                f"is in use by process {owner['pid']} on {owner['host']}",
                path=directory,
                cure=f"wait for it or choose another --out; if it is dead, delete {path}",
            )
        _take_away(path, owner)
    try:
        yield
    finally:
        if _owner(path) == mine:
            path.unlink(missing_ok=True)


def _created(path: Path, owner: dict[str, Any]) -> bool:
    """Create the file, if it does not exist yet; it is linked when it is complete, so that readers see all of it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    temporary.write_text(json.dumps(owner))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with open(path, "x") as file:
                file.write(json.dumps(owner))
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _owner(path: Path) -> dict[str, Any] | None:
    """Return the process that holds the directory, or ``None``."""
    try:
        owner = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        owner = None
    known = isinstance(owner, dict) and isinstance(owner.get("pid"), int) and isinstance(owner.get("host"), str)
    return owner if known else {"pid": "unknown", "host": "an unknown machine"}


def _dead(owner: dict[str, Any]) -> bool:
    """Return whether the owner was a process of this machine that has ended; another process may have its number."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return bool(owner.get("began")) and owner["began"] != _began(owner["pid"])


def _began(process: int) -> str:
    """Return when a process began, by boot and in ticks since then; empty if that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return ""


def _take_away(path: Path, owner: dict[str, Any]) -> None:
    """Remove the file of a dead owner, unless another process has just replaced it by its own."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _owner(aside) != owner:
        os.rename(aside, path)
        return
    aside.unlink(missing_ok=True)
