"""Find scenes that a mix of annotation files would both train and evaluate on.

EmbodiedScan splits ScanNet anew: its ``train`` and ``val`` are both parts of ScanNet's ``train``, and its ``test`` is
ScanNet's ``val``. So the ``val`` files for detection of VG-LLM and GAP-MLLM, which were made from EmbodiedScan, consist
of scenes that ScanRefer's ``train`` trains on. The split of a scene comes from the data set's own split files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gapdata.errors import UsageError
from gapdata.runtime.counting import counted

SPLITS = ("train", "val", "test", "unknown")
"""The splits that a scene can have."""
EVALUATION = frozenset({"val", "test"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSplits:
    """The splits of one file's scenes."""

    source: str  # the file's name
    splits: Mapping[str, str | None]  # by scene; None where it is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A scene that one source trains on and another evaluates on."""

    scene_id: str
    trained_by: tuple[str, ...]
    evaluated_by: tuple[str, ...]


def overlaps(
    files: Iterable[FileSplits], scene_splits: Mapping[str, str], *, use_data_set_splits: bool = True
) -> tuple[Overlap, ...]:
    """Return the scenes that are both trained and evaluated on when these files are used together.

    Args:
        files: the splits of each file's scenes.
        scene_splits: the data set's split of each scene (``train``, ``val``, ``test``, ``unknown``); scenes that are
            not in it do not count.
        use_data_set_splits: whether the data set's own splits count, too, as they do when records of every scene are
            built besides those that the files name.
    """
    trained: dict[str, list[str]] = {}
    evaluated: dict[str, list[str]] = {}
    for scene_id, split in scene_splits.items() if use_data_set_splits else ():
        _enter(trained, evaluated, scene_id, split, f"the data set ({split})")
    for file in files:
        for scene_id in file.splits.keys() & scene_splits.keys():
            split_in_file = file.splits[scene_id]
            _enter(trained, evaluated, scene_id, split_in_file, f"{file.source} ({split_in_file})")
    return tuple(
        Overlap(scene_id=scene_id, trained_by=tuple(trained[scene_id]), evaluated_by=tuple(evaluated[scene_id]))
        for scene_id in sorted(trained.keys() & evaluated.keys())
    )


def refuse_overlap(found: tuple[Overlap, ...], *, allow_overlap: bool) -> None:
    """Refuse a mix that trains on scenes that it also evaluates on.

    Raises:
        UsageError: there is an overlap, and it is not allowed.
    """
    if not found or allow_overlap:
        return
    first = found[0]
    raise UsageError(
        f"{counted(len(found), 'scene')} {'is' if len(found) == 1 else 'are'} both trained and evaluated "
        f"on: {first.scene_id} is trained on by "
        f"{', '.join(first.trained_by)} and evaluated on by {', '.join(first.evaluated_by)}",
        cure="leave one of these out, or set annotations.allow_overlap = true",
    )


def _enter(
    trained: dict[str, list[str]], evaluated: dict[str, list[str]], scene_id: str, split: str | None, source: str
) -> None:
    if split == "train":
        trained.setdefault(scene_id, []).append(source)
    elif split in EVALUATION:
        evaluated.setdefault(scene_id, []).append(source)
