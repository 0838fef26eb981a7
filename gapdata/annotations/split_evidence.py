"""Decide the split of the scenes of an annotation file: from the scenes themselves, the file's name, and the user.

The data set's split files give ScanNet's split of each scene. Most kinds of files keep that split. EmbodiedScan's
files, and conversations that were made from them, split ScanNet's ``train`` anew into ``train`` and ``val``, so that a
scene of ScanNet's ``train`` may be in either. Then the file's name decides, or the user with
``--annotations val=FILE``. Where neither does, the file is refused: a guess could train on scenes that are evaluated
on. A name that the scenes contradict is an error, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gapdata.annotations.splits import EVALUATION
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted

EVERY = frozenset({"train", "val", "test"})
EMBODIEDSCAN: Mapping[str, frozenset[str]] = {
    "train": frozenset({"train", "val"}),
    "val": frozenset({"test"}),
    "test": frozenset({"test"}),
}
"""By ScanNet's split of a scene, its possible splits in EmbodiedScan (README of OpenRobotLab/EmbodiedScan)."""
SPLIT_ANEW: Mapping[str, frozenset[str]] = dict.fromkeys(("train", "val", "test"), frozenset({"train", "val", "test"}))
"""The same for its other data sets, of which it does not say how its splits follow from theirs."""
MADE_FROM_IT: Mapping[str, frozenset[str]] = {**EMBODIEDSCAN, "val": EVALUATION}
"""The same for detection and pre-training in the formats of VG-LLM and GAP-MLLM. Our own exports also have scenes
of ScanNet's ``val`` as ``val``."""

HELD_OUT: Mapping[str, frozenset[str]] = {"train": frozenset({"train"}), "val": EVALUATION, "test": EVALUATION}
"""The same for the ``test`` of benchmarks, most of which is of the data sets' validation scenes: VSI-Bench's, ScanQA's,
SQA3D's, Nr3D's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The statements about the splits of one file's scenes, before they are decided."""

    path: Location
    stated: str | None  # the user states this split
    named: str | None  # the file's name states this split
    possible: Mapping[str, frozenset[str]]  # by scene, the splits that it may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The split of each scene (``None``: not known), the source of it, and whether the scenes contradict it."""

    splits: Mapping[str, str | None]
    split_from: str = "its name"
    contradiction: UsageError | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def split(self) -> str | None:
        """The split of all scenes; ``None`` where they differ."""
        found = set(self.splits.values())
        return found.pop() if len(found) == 1 else None


def possible_splits(data_set_split: str | None, resplit: Mapping[str, frozenset[str]] | None) -> frozenset[str]:
    """Return the splits that a scene of a file may have.

    Args:
        data_set_split: its split in the data set; ``unknown`` or ``None`` where the data set does not have one.
        resplit: how files of this kind split the data set anew; ``None`` where they keep its splits.
    """
    if data_set_split not in EVERY:
        return EVERY
    return frozenset({data_set_split}) if resplit is None else resplit[data_set_split]


def decide(evidence: Evidence, *, must_know: bool) -> Decision:
    """Decide the split of each scene.

    Args:
        evidence: the statements of content, name and user.
        must_know: whether to refuse scenes with an unknown split; proposals, from which no model learns, may have some.

    Raises:
        UsageError: the split of a scene is unknown.
    """
    said = evidence.stated or evidence.named
    if said is not None and said != "unknown":
        odd = sorted(scene for scene, possible in evidence.possible.items() if not _agrees(evidence, said, possible))
        split_from = "its name" if evidence.stated is None else "the command line"
        notes = {"in another split of the data set": f"{counted(len(odd), 'scene')}, such as {odd[0]}"} if odd else {}
        problem = _contradiction(evidence, said, odd) if odd else None
        splits = dict.fromkeys(evidence.possible, said)
        return Decision(splits=splits, split_from=split_from, contradiction=problem, notes=notes)
    if said == "unknown":
        return Decision(splits=dict.fromkeys(evidence.possible))
    open_scenes = sorted(scene for scene, possible in evidence.possible.items() if len(possible) > 1)
    if open_scenes and must_know:
        raise _undecided(evidence, open_scenes)
    told = {scene: next(iter(p)) if len(p) == 1 else None for scene, p in evidence.possible.items()}
    mixed = Counter(split for split in told.values() if split is not None)
    notes = (
        {"splits": ", ".join(f"{counted(n, 'scene')} {split}" for split, n in sorted(mixed.items()))}
        if len(mixed) > 1
        else {}
    )
    return Decision(splits=told, split_from="its scenes", notes=notes)


def _agrees(evidence: Evidence, said: str, possible: Collection[str]) -> bool:
    """Return whether a split is possible; a user, but not a name, may also say ``test`` for ``val``."""
    return said in possible or (evidence.stated is not None and said in EVALUATION and set(possible) <= EVALUATION)


def _contradiction(evidence: Evidence, said: str, odd: list[str]) -> UsageError:
    possible = evidence.possible[odd[0]]
    true = " or ".join(sorted(possible))
    said_by = "its name says" if evidence.stated is None else "the command line says"
    return UsageError(
        f"{said_by} split {said}, but by the data set's split files {len(odd)} of its "
        f"{counted(len(evidence.possible), 'scene')} (such as {odd[0]}) "
        f"{'belongs' if len(odd) == 1 else 'belong'} to {true}",
        path=evidence.path,
        cure=f"state its split: {_options(evidence.path, possible)}; or set annotations.allow_overlap = true",
    )


def _undecided(evidence: Evidence, open_scenes: list[str]) -> UsageError:
    possible = evidence.possible[open_scenes[0]]
    return UsageError(
        f"has scenes of an unknown split: {len(open_scenes)} (such as {open_scenes[0]}) may belong to "
        f"{' or '.join(sorted(possible))}, and the file's name does not say which",
        path=evidence.path,
        cure=f"state it: {_options(evidence.path, possible)}",
    )


def _options(path: Location, possible: Collection[str]) -> str:
    """Return the options that state a split, for a cure: ``--annotations val=FILE (or train=)``."""
    first, *others = sorted(possible, reverse=True)
    instead = f" (or {', '.join(f'{name}=' for name in others)})" if others else ""
    return f"--annotations {first}={path}{instead}"
