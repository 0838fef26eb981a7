"""The run that ``--overwrite`` replaces. It stays whole until the new one is known to start.

Its ``run.json`` tells it from the new run, which begins with one of its own: a rank that dies and is started again
with the same settings goes on with the new run instead of removing it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from gapdata.errors import UsageError
from gapmodel.model_directory import RUN_FILE


def stamp_of(out: Path) -> str | None:
    """Return what distinguishes the run in ``out`` from the next one there; ``None`` where there is no run."""
    try:
        found = (out / RUN_FILE).stat()
    except OSError:
        return None
    return f"{found.st_mtime_ns}-{found.st_size}"


def run_to_replace(out: Path, init: Path | None, builds: Mapping[str, str]) -> str | None:
    """Return the stamp of the run in ``out`` that a new one replaces; ``None`` where there is none.

    Args:
        out: the directory of both runs.
        init: what the new run starts from.
        builds: the places of its builds, by name.

    Raises:
        UsageError: ``out`` does not hold a run, or holds something that the new run needs.
    """
    stamp = stamp_of(out)
    if stamp is None:
        if out.is_dir() and any(out.iterdir()):
            raise UsageError("does not hold a training run, so it is not removed", path=out, cure="change --out")
        return None
    for option, place in (("--init", str(init or "")), *(("--shards", place) for place in builds.values())):
        if place and "://" not in place and Path(place).resolve().is_relative_to(out.resolve()):
            raise UsageError(f"{option} lies in the run that --overwrite removes", path=place, cure="change --out")
    return stamp


def remove_run(out: Path, *, beside: frozenset[str]) -> None:
    """Remove all that a run's directory holds, except what lies ``beside`` the run and ``run.json``.

    The new run replaces ``run.json``; as long as the old one is there, a removal that was cut short goes on.
    """
    for entry in out.iterdir():
        if entry.name in beside | {RUN_FILE}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
