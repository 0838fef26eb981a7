"""Show a record: a sheet of pictures, a point cloud file, or an interactive window."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from gapdata.errors import UsageError
from gapdata.records.schema import Record

SUFFIXES = (".png", ".ply")


def save(record: Record, path: str | PathLike[str]) -> None:
    """Write a record as the file that the suffix names: ``.png`` a sheet, ``.ply`` the fused coloured cloud.

    Raises:
        UsageError: another suffix, a directory that does not exist, or a renderer that does not work here.
        ShardError: a member of the record is missing or damaged.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"cannot save a view as {suffix or 'a file without suffix'}", path=target, cure="name a .png or .ply file"
        )
    if not target.parent.is_dir():
        raise UsageError("its directory does not exist", path=target, cure="create it first")
    try:
        if suffix == ".png":
            from gapdata.view.sheet import save_png

            save_png(record, target)
        else:
            from gapdata.view.ply import save_ply

            save_ply(record, target)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", path=target) from error


def show(record: Record) -> None:
    """Open an interactive window on a record and return when it is closed.

    Raises:
        UsageError: there is no display.
        ShardError: a member of the record is missing or damaged.
    """
    from gapdata.view.window import show as open_window

    open_window(record)
