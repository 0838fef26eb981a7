"""gapdata: raw RGB-D scans in; frame sequences, first-frame metric pointmaps, visual prompts and shards out.

Importing this imports nothing else; each function imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from gapdata.errors import GapDataError
    from gapdata.geometry.boxes import OrientedBox
    from gapdata.records.schema import Prompt, Record, ViewObject
    from gapdata.shards.reader import ShardReader
    from gapdata.shards.records import RecordList, Records
    from gapdata.sources.base import Dataset

    Place = str | os.PathLike[str]

__version__ = "0.2.0"
__all__ = [
    "GapDataError",
    "OrientedBox",
    "Prompt",
    "Record",
    "RecordList",
    "Records",
    "ShardReader",
    "ViewObject",
    "build",
    "open",
    "open_dataset",
]
_CLASSES = {
    "GapDataError": "gapdata.errors",
    "OrientedBox": "gapdata.geometry.boxes",
    "Prompt": "gapdata.records.schema",
    "Record": "gapdata.records.schema",
    "RecordList": "gapdata.shards.records",
    "Records": "gapdata.shards.records",
    "ShardReader": "gapdata.shards.reader",
    "ViewObject": "gapdata.records.schema",
}


def open(build: Place, *, verify: bool = False) -> ShardReader:
    """Open a finished build for reading.

    Args:
        build: a folder, or an ``s3://`` or ``gs://`` URI.
        verify: compare every file that is read with the digests that the build was finished with.

    Returns:
        The records: ``len``, iteration, ``build[0]``, ``build["scene0000_00-clip-00000"]``,
        ``build.select(split=, view=)`` and loaders for training (:class:`gapdata.shards.reader.ShardReader`).

    Raises:
        UsageError: there is no finished build, or with ``verify`` it has no digests.
        ShardError: the build is damaged.
    """
    from gapdata.shards.reader import ShardReader

    return ShardReader(build, verify=verify)


def build(
    *,
    out: Place,
    recipe: Place | None = None,
    set: Mapping[str, Any] | None = None,
    annotations: Place | Sequence[Place] = (),
    split: str | None = None,
    scenes: str | Sequence[str] = (),
    limit: int | None = None,
    executor: str = "ray",
    workers: int | None = None,
    deadline: float | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    announce: Callable[[str], None] | None = None,
    **scans: Any,
) -> dict[str, Any]:
    """Build shards as ``gapdata build-shards`` does, and return the report.

    Args:
        out: where the build goes: a folder, or an ``s3://`` or ``gs://`` URI.
        recipe: a recipe file, or the name of one that comes along, such as ``scannet-pretrain``.
        set: recipe fields that differ, such as ``{"clips.step": 10}``.
        annotations: other people's files about the scenes; ``"val=FILE"`` says what a file is for.
        split: build only scenes of this split.
        scenes: build only these scenes.
        limit: build only the first so many of them.
        executor: where shards are built: ``ray``, ``local`` (processes of this machine) or ``inline`` (this process).
        workers: shards built at once; by default one for each core.
        deadline: seconds that one attempt at a shard may take; by default it depends on the shard's frames.
        overwrite: remove the build in ``out`` first.
        retry_failed: build shards again that quarantined something.
        dry_run: return the plan's figures instead and write nothing.
        announce: called with each line of advice; by default lines go to standard error.
        scans: ``scannet=`` or ``rgbd=`` with the place of the scans, and their options, as in :func:`open_dataset`.

    Raises:
        UsageError: the request cannot be met, or ``out`` holds something else.
        GapDataError: of other kinds, for damage, stores out of reach, and signals; what is done stays.
    """
    import json

    from gapdata.annotations.annotation_file import stated_file
    from gapdata.engine.build_dataset import build_dataset
    from gapdata.engine.recipe import read_recipe
    from gapdata.errors import UsageError
    from gapdata.files.storage import local_path, location
    from gapdata.runtime.terminal import say
    from gapdata.sources.registry import with_annotations

    for name, number in {"limit": limit, "workers": workers}.items():
        if number is not None and not (hasattr(number, "__index__") and number >= 1):
            raise UsageError(f"{name} is {number!r}, expected at least 1, as a whole number")
    if deadline is not None and not (isinstance(deadline, int | float) and deadline > 0):
        raise UsageError(f"deadline is {deadline!r}, expected a number of seconds above 0")
    if not isinstance(set, Mapping | None):
        raise UsageError(f"set is {set!r}", cure='give fields by name, as in {"clips.step": 10}')
    files = [stated_file(path) for path in _several(annotations)]
    return build_dataset(
        dataset=open_dataset(**with_annotations(scans, files)),
        out=location(out),
        recipe=read_recipe(
            None if recipe is None else local_path(recipe),
            [f"{name}={json.dumps(value, default=_plain)}" for name, value in (set or {}).items()],
        ),
        annotations=files,
        split=split,
        scenes=_several(scenes),
        limit=limit,
        executor=executor,
        workers=workers,
        deadline=deadline,
        overwrite=overwrite,
        retry_failed=retry_failed,
        dry_run=dry_run,
        announce=announce or (lambda line: say(f"gapdata: {line}", error=True)),
    )


def open_dataset(**scans: Any) -> Dataset:
    """Open scans without building: their frames, poses, meshes and objects.

    Args:
        scans: ``scannet=`` or ``rgbd=`` with the place of the scans, and options that they take, such as
            ``depth_scale=5000`` (:data:`gapdata.sources.registry.SOURCES`).

    Raises:
        UsageError: no source or several are named, an option is not theirs, or the place does not hold such scans.
    """
    from gapdata.sources.registry import open_dataset

    return open_dataset(**scans)


def _several(given: Any) -> list[str]:
    """Return a list of one or several names, or of none: a text is one name, not a sequence of letters."""
    import os

    several = [given] if isinstance(given, str | os.PathLike) else given
    return [] if several is None else [str(name) for name in several]


def _plain(value: Any) -> Any:
    """Return the list or the number for an array or a number of NumPy, and the text for a path."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _CLASSES:
        raise AttributeError(f"module 'gapdata' has no attribute {name!r}")
    return getattr(importlib.import_module(_CLASSES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
