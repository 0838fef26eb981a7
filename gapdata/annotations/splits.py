"""Where the splits of annotation files come from, and which scenes a mix would both train and evaluate on.

EmbodiedScan split ScanNet anew: its ``train`` and ``val`` are both carved from ScanNet's ``train``, and its ``test`` is
ScanNet's ``val``. So VG-LLM's and GAP-MLLM's detection ``val`` files, made from it, consist of scenes that ScanRefer's
``train`` trains on. No list of scenes is kept here: the data set's own split files say what a scene is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gapdata.errors import UsageError

EVALUATION = frozenset({"val", "test"})
RESPLIT: Mapping[str, Mapping[str, str]] = {"EmbodiedScan": {"train": "train", "val": "train", "test": "val"}}
"""By kind of file: its split -> the ScanNet split that its scenes are from. Other files keep ScanNet's splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitClaim:
    """What one file, or the data set, says its scenes are for."""

    source: str  # a file's name, or the data set's
    kind: str
    split: str | None  # None where it says nothing
    scene_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A scene that one source trains on and another evaluates on."""

    scene_id: str
    trained_by: tuple[str, ...]
    evaluated_by: tuple[str, ...]


def scannet_split(kind: str, split: str | None) -> str | None:
    """The ScanNet split that the scenes of a file's split are from, as far as the kind of file says it."""
    if split is None:
        return None
    return RESPLIT.get(kind, {}).get(split, split)


def overlaps(
    claims: Iterable[SplitClaim], scene_splits: Mapping[str, str], *, use_data_set_splits: bool = True
) -> tuple[Overlap, ...]:
    """Scenes that are both trained and evaluated on when these files are used together.

    Args:
        claims: what each file says.
        scene_splits: the data set's split of each scene (``train``, ``val``, ``test``, ``unknown``); scenes that are
            not in it are not looked at.
        use_data_set_splits: whether the data set's own split counts as one more claim, as it does when records of every
            scene are built besides those that the files name.
    """
    trained: dict[str, list[str]] = {}
    evaluated: dict[str, list[str]] = {}
    for scene_id, split in scene_splits.items() if use_data_set_splits else ():
        _enter(trained, evaluated, scene_id, split, f"the data set ({split})")
    for claim in claims:
        for scene_id in claim.scene_ids & scene_splits.keys():
            _enter(trained, evaluated, scene_id, claim.split, f"{claim.source} ({claim.split})")
    return tuple(
        Overlap(scene_id=scene_id, trained_by=tuple(trained[scene_id]), evaluated_by=tuple(evaluated[scene_id]))
        for scene_id in sorted(trained.keys() & evaluated.keys())
    )


def misplaced(claim: SplitClaim, scene_splits: Mapping[str, str]) -> tuple[str, ...]:
    """Scenes whose split in the data set is not the one that such a file is made from: the file was renamed, filtered,
    or made for another split."""
    expected = scannet_split(claim.kind, claim.split)
    if expected is None:
        return ()
    known = (scene_id for scene_id in claim.scene_ids if scene_splits.get(scene_id, "unknown") != "unknown")
    return tuple(sorted(scene_id for scene_id in known if scene_splits[scene_id] != expected))


def refuse_overlap(found: tuple[Overlap, ...], *, allow_overlap: bool) -> None:
    """Stop a mix that trains on what it evaluates.

    Raises:
        UsageError: there is an overlap, and it is not allowed.
    """
    if not found or allow_overlap:
        return
    first = found[0]
    raise UsageError(
        f"{len(found)} scenes are both trained and evaluated on: {first.scene_id} is trained on by "
        f"{', '.join(first.trained_by)} and evaluated on by {', '.join(first.evaluated_by)}",
        cure="leave one of them out, or set allow_overlap = true",
    )


def _enter(
    trained: dict[str, list[str]], evaluated: dict[str, list[str]], scene_id: str, split: str | None, source: str
) -> None:
    if split == "train":
        trained.setdefault(scene_id, []).append(source)
    elif split in EVALUATION:
        evaluated.setdefault(scene_id, []).append(source)
