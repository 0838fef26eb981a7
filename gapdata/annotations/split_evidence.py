"""What the scenes of an annotation file are for: told by the scenes themselves, as far as they tell it.

The data set's split files say which split of ScanNet a scene is of. Most kinds of file keep that split. EmbodiedScan's,
and the conversations that were made from it, split ScanNet's ``train`` anew into ``train`` and ``val``: of such a scene
the content tells that it is one of both and not which. Then the file's name counts, or what the user says with
``--annotations val=FILE``; where neither says anything, nothing is guessed, because a guess would train on what is to
be evaluated. A name that the scenes contradict is an error, too.
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
"""ScanNet's split of a scene -> its splits in EmbodiedScan (README of OpenRobotLab/EmbodiedScan)."""
MADE_FROM_IT: Mapping[str, frozenset[str]] = {**EMBODIEDSCAN, "val": EVALUATION}
"""The same for detection and reconstruction in the forms of VG-LLM and GAP-MLLM; an export of ours also has scenes that
its own split files call ``val``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about the splits of one file's scenes, before anything is decided.

    ``possible`` has the splits that each scene can be of, as its content says.
    """

    path: Location
    stated: str | None  # by the user
    named: str | None  # by the file's name
    possible: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The split of each scene (``None`` where nobody says), who told it, and how the scenes contradict that."""

    splits: Mapping[str, str | None]
    told_by: str = "its name"
    contradiction: UsageError | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def split(self) -> str | None:
        """The split of all scenes, ``None`` where they differ."""
        found = set(self.splits.values())
        return found.pop() if len(found) == 1 else None


def possible_splits(data_set_split: str | None, resplit: Mapping[str, frozenset[str]] | None) -> frozenset[str]:
    """Return the splits that a scene of a file can be of.

    Args:
        data_set_split: its split in the data set; ``unknown`` or ``None`` where that has none.
        resplit: how such a file splits the data set anew; ``None`` where it keeps the splits.
    """
    if data_set_split not in EVERY:
        return EVERY
    return frozenset({data_set_split}) if resplit is None else resplit[data_set_split]


def decide(evidence: Evidence, *, must_know: bool) -> Decision:
    """Return the split of each scene.

    Args:
        evidence: what content, name and user say.
        must_know: whether a split that nobody tells is refused; proposals teach nothing and may do without.

    Raises:
        UsageError: nothing tells the split of a scene.
    """
    said = evidence.stated or evidence.named
    if said is not None and said != "unknown":
        odd = sorted(scene for scene, possible in evidence.possible.items() if not _agrees(evidence, said, possible))
        told_by = "its name" if evidence.stated is None else "the command line"
        notes = {"of another split by the data set": f"{counted(len(odd), 'scene')}, {odd[0]} for one"} if odd else {}
        problem = _contradiction(evidence, said, odd) if odd else None
        splits = dict.fromkeys(evidence.possible, said)
        return Decision(splits=splits, told_by=told_by, contradiction=problem, notes=notes)
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
    return Decision(splits=told, told_by="its scenes", notes=notes)


def _agrees(evidence: Evidence, said: str, possible: Collection[str]) -> bool:
    """A user may call one split that is evaluated by the other's name; a name may not."""
    return said in possible or (evidence.stated is not None and said in EVALUATION and set(possible) <= EVALUATION)


def _contradiction(evidence: Evidence, said: str, odd: list[str]) -> UsageError:
    possible = evidence.possible[odd[0]]
    true = " or ".join(sorted(possible))
    who = "by its name" if evidence.stated is None else "as the command line says"
    return UsageError(
        f"is of split {said} {who}, but {len(odd)} of its {counted(len(evidence.possible), 'scene')}, "
        f"{odd[0]} for one, {'is' if len(odd) == 1 else 'are'} of "
        f"{true} by the data set's split files",
        path=evidence.path,
        cure=f"say what it is: {_ways(evidence.path, possible)}; or set annotations.allow_overlap = true to take it so",
    )


def _undecided(evidence: Evidence, open_scenes: list[str]) -> UsageError:
    possible = evidence.possible[open_scenes[0]]
    return UsageError(
        f"does not say what it is for: {len(open_scenes)} of its scenes, {open_scenes[0]} for one, may be of "
        f"{' or '.join(sorted(possible))}, and its name says nothing",
        path=evidence.path,
        cure=f"say it: {_ways(evidence.path, possible)}",
    )


def _ways(path: Location, possible: Collection[str]) -> str:
    first, *others = sorted(possible, reverse=True)
    instead = f" (or {', '.join(f'{name}=' for name in others)})" if others else ""
    return f"--annotations {first}={path}{instead}"
