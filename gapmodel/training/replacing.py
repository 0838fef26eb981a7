"""The run that ``--overwrite`` replaces. It stays whole until the new one is known to start.

Its ``run.json`` tells it from the new run, which begins with one of its own: a rank that dies and is started again
with the same settings goes on with the new run instead of removing it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from gapmodel.model_directory import RUN_FILE


def stamp_of(out: Path) -> str | None:
    """Return what tells the run in ``out`` from the next one there; ``None`` where there is none."""
    try:
        found = (out / RUN_FILE).stat()
    except OSError:
        return None
    return f"{found.st_mtime_ns}-{found.st_size}"


def remove_run(out: Path, *, beside: frozenset[str]) -> None:
    """Remove all that a run's directory holds but what lies ``beside`` it, and its ``run.json``: the new run replaces
    that, and a removal that is cut short goes on.
    """
    for entry in out.iterdir():
        if entry.name in beside | {RUN_FILE}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
