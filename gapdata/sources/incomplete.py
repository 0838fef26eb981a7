"""Say why a folder does not have a complete frame: what was looked for, what was found, and why it does not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gapdata.runtime.choices import near_names
from gapdata.sources.frame_numbering import Numbering
from gapdata.sources.layouts import Naming

SHOWN = 3
COMPARED = 300  # names among which a similar one is sought


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """The files of one kind in the listing of a folder."""

    naming: Naming
    files: Mapping[str, list[str]]  # the part of the name that names the frame -> paths relative to the scene
    misnamed: list[str]  # with the right ending, in a folder for this kind, but without a frame of any kind in the name
    listed: list[str]

    @classmethod
    def among(cls, names: list[str], naming: Naming, others: Iterable[Naming] = ()) -> Sought:
        """Sort the names of a folder's files; ``others`` are the other kinds that the folder holds."""
        others = tuple(others)
        files: dict[str, list[str]] = {}
        misnamed = []
        for name in names:
            part = naming.frame_name(name)
            if part is not None:
                files.setdefault(part, []).append(f"{naming.folder}/{name}" if naming.folder else name)
            elif any(other.frame_name(name) is not None for other in others):
                continue
            elif naming.folder and name.rpartition(".")[2].lower() in naming.endings:
                misnamed.append(name)
        return cls(naming=naming, files=files, misnamed=misnamed, listed=names)

    @property
    def place(self) -> str:
        """Return the folder, for people."""
        return f"{self.naming.folder}/" if self.naming.folder else "it"


def why_incomplete(sought: Mapping[str, Sought], numbering: Numbering) -> tuple[str, str]:
    """Return what is wrong, and what was looked for."""
    reasons = [reason for kind, found in sought.items() if (reason := _nothing_found(kind, found))]
    if not reasons:
        reasons = [_held(sought), *_unpaired(sought, numbering)]
    wanted = ", ".join(found.naming.said for found in sought.values())
    return "; ".join(reasons), f"looked for {wanted}, with the same name or number"


def _nothing_found(kind: str, found: Sought) -> str | None:
    """Return why a kind lacks files; ``None`` where it has some."""
    if found.files:
        return None
    wanted = found.naming.said.rpartition("/")[2]
    if not found.listed:
        return f"{found.place} holds no file"
    if found.misnamed:
        return f"{found.place} holds {_kinds(found.misnamed)}, but nothing named {wanted}"
    lossy = " (JPEG keeps no depth)" if kind == "depth" and all(_is_jpeg(name) for name in found.listed) else ""
    return f"{found.place} holds {_kinds(found.listed)}{lossy}, but no {kind} such as {wanted}"


def _held(sought: Mapping[str, Sought]) -> str:
    counts = (f"{sum(map(len, found.files.values()))} {kind}" for kind, found in sought.items())
    return f"none of its files ({', '.join(counts)}) belong to the same frame"


def _unpaired(sought: Mapping[str, Sought], numbering: Numbering) -> Iterable[str]:
    """Yield the first files and their nearest ones for each kind without a frame in common with colour."""
    first, *others = sought
    color = sought[first].files
    for kind in others:
        frames = set(numbering.frames[kind].values()) & set(numbering.frames[first].values())
        if frames:
            continue
        pairs = numbering.pairs.get(kind)
        if pairs is not None and pairs.nearest:
            told = [
                f"the {kind} nearest to {color[name][0]} is {sought[kind].files[near][0]}, {pairs.said(away)} away"
                for name, (near, away) in pairs.nearest.items()
            ]
            yield f"{', '.join(told[:SHOWN])}; files of one frame are at most {pairs.said(pairs.limit)} apart"
            continue
        told = [
            f"{color[name][0]} has no {kind}{_similar(name, sought[kind])}"
            for name in sorted(color, key=lambda name: numbering.frames[first].get(name, 0))[:SHOWN]
        ]
        yield ", ".join(told)


def _similar(name: str, found: Sought) -> str:
    candidates = list(found.files)[:COMPARED]
    near = near_names(name, candidates, 1, alike=0.0)
    return f" (the most similar name is {found.files[near[0]][0]})" if near else ""


def _kinds(names: Iterable[str]) -> str:
    """Return the number of names by ending, with one of each: ``13 .xyz (00000.xyz)``."""
    names = sorted(names)
    endings = [_ending(name) for name in names]
    examples = dict(zip(reversed(endings), reversed(names), strict=True))
    counted = [f"{count} {ending} ({examples[ending]})" for ending, count in Counter(endings).most_common(SHOWN)]
    return ", ".join(counted)


def _ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f".{ending}" if dot and stem else "without an ending"


def _is_jpeg(name: str) -> bool:
    return name.lower().endswith((".jpg", ".jpeg"))
