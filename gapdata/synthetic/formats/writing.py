"""Write walks through rooms in one of the formats."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gapdata.errors import UsageError
from gapdata.runtime.choices import check_choice
from gapdata.sources.terms import TERMS_NAME
from gapdata.synthetic.dataset import SYNTHETIC_TERMS
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions

STAGING = ".synth"
"""Where files are written first, below the folder that they are for."""


def write_format(
    out: Path,
    name: str,
    scenes: int,
    options: WalkOptions,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Write the first rooms of a seed in a format, and return the names of their scenes.

    Equal options give equal bytes.

    Args:
        out: a folder.
        name: one of :data:`FORMATS`.
        scenes: how many rooms.
        options: what is common to their walks.
        overwrite: replace files and folders of ``out`` that are written again; others stay.
        progress: called with numbers of finished frames.

    Raises:
        UsageError: the format is not known, or ``out`` has content and ``overwrite`` is off.
    """
    import cv2

    check_choice("format", name, list(FORMATS))
    staging = out / STAGING
    if not overwrite and out.exists() and any(entry.name != STAGING for entry in out.iterdir()):
        cure = "choose another folder, or replace what is written again with --overwrite"
        raise UsageError("is not empty", path=out, cure=cure)
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was stopped
    staging.mkdir(parents=True)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        names = FORMATS[name].load().write(staging, _walks(scenes, options, progress))
        (staging / TERMS_NAME).write_text(SYNTHETIC_TERMS)
    finally:
        cv2.setNumThreads(threads)
    for entry in sorted(staging.iterdir()):
        _replace(entry, out / entry.name)
    staging.rmdir()
    return names


def _walks(scenes: int, options: WalkOptions, progress: Callable[[int], None] | None) -> Iterator[Walk]:
    for index in range(scenes):
        yield Walk(index, options)
        if progress is not None:
            progress(options.frames)


def _replace(entry: Path, place: Path) -> None:
    """Move a file or folder to a place, instead of what lies there."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    os.replace(entry, place)
