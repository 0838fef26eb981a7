"""Find by file names which colour, depth and pose files belong together, and as which frame.

Exporters name files ``00350``, ``frame350``, ``cam0_350``, ``color_350`` beside ``depth_350``, or by time stamps that
are all different. A name is split into texts and numbers. In each kind, the names with the commonest texts are frames,
and the numbers in which they differ identify them. Time stamps that differ between kinds are paired by
:mod:`gapdata.sources.time_pairs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from gapdata.annotations.frame_names import MAX_FRAME_ID
from gapdata.files.natural_order import natural_key, split_name
from gapdata.sources.time_pairs import TimePairs, pair_by_time

MAX_COUNTER = 10_000
"""A number that all names share may be a camera or a sequence below this; a larger one is a date or a time."""
SHAPES_TRIED = 8

Name: TypeAlias = tuple[str, tuple[str, ...], tuple[str, ...]]  # the name, its texts, its numbers
Identity: TypeAlias = tuple[Decimal, ...]  # the numbers by which a name differs from the others of its kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """The frame of each file name (without ending), by kind."""

    frames: Mapping[str, Mapping[str, int]]  # kind -> name -> frame id
    pairs: Mapping[str, TimePairs] = field(default_factory=dict)  # kind -> how it was paired by time, where it was

    def left_out(self, kind: str, names: Iterable[str]) -> list[str]:
        """Return the names of a kind that do not belong to a frame, in natural order."""
        return sorted((name for name in names if name not in self.frames[kind]), key=natural_key)


def number_frames(kinds: Mapping[str, Sequence[str]]) -> Numbering:
    """Assign the files of all kinds to frames; each file of the first kind (colour) is a frame.

    A frame gets its raw index where one number of at most ``MAX_FRAME_ID`` names it, else its place in the natural
    order of the first kind's names.

    Args:
        kinds: names without endings by kind, each name once.

    Raises:
        ValueError: a kind has two sets of names that could be the frames.
    """
    taken = {kind: [_taken_apart(name) for name in names] for kind, names in kinds.items()}
    first, *others = taken
    frames = _of_one_number(taken[first]) or _of_main_shape(taken[first])
    if not frames:
        return _by_words(kinds)
    places = _differing(frames, [_of_main_shape(taken[kind]) for kind in others])
    known = {name: _identity(numbers, places) for name, _, numbers in frames}
    raw = _are_raw_indices(frames, places)
    frame_of = {identity: place for place, identity in enumerate(sorted(set(known.values())))}
    if raw:
        frame_of = {identity: int(identity[0]) for identity in known.values()}
    numbered = {first: {name: frame_of[identity] for name, identity in known.items()}}
    pairs: dict[str, TimePairs] = {}
    for kind in others:
        found, at = _fitting(taken[kind], frame_of.keys(), frames[0], places)
        identities = {name: _identity(numbers, at) for name, _, numbers in found}
        numbered[kind] = {name: frame_of[identity] for name, identity in identities.items() if identity in frame_of}
        if raw:
            whole = {name: str(found[0]) for name, found in identities.items() if len(found) == 1}
            numbered[kind] = {name: int(number) for name, number in whole.items() if _is_raw_index(number)}
            continue
        paired = pair_by_time(_stamps(frames, places), _stamps(found, at))
        if paired is not None and len(numbered[kind]) < len(found):
            pairs[kind] = paired
            numbered[kind] |= {name: numbered[first][partner] for name, partner in paired.partners.items()}
    return Numbering(frames=numbered, pairs=pairs)


def _taken_apart(name: str) -> Name:
    texts, numbers = split_name(name)
    return name, tuple(texts), tuple(numbers)


def _of_one_number(names: Sequence[Name]) -> list[Name]:
    """Return all names if each holds exactly one number and no two the same, else an empty list."""
    told = {Decimal(numbers[0]) for _, _, numbers in names if len(numbers) == 1}
    return list(names) if len(told) == len(names) else []


def _of_main_shape(names: Sequence[Name]) -> list[Name]:
    """Return the names with the commonest texts if they are more than half and hold a number, else an empty list."""
    shapes = Counter(texts for _, texts, _ in names)
    shape, count = shapes.most_common(1)[0] if shapes else ((), 0)
    return [name for name in names if name[1] == shape] if 2 * count > len(names) and len(shape) > 1 else []


def _differing(frames: Sequence[Name], others: Sequence[Sequence[Name]]) -> tuple[int, ...]:
    """Return the places of the numbers in which names differ, or the last place if they do not differ.

    Kinds with equally many numbers count as well: the minutes of a clock may change in one kind only.
    """
    count = len(frames[0][2])
    differing: set[int] = set()
    for names in (frames, *others):
        if names and len(names[0][2]) == count:
            values = [{Decimal(numbers[place]) for _, _, numbers in names} for place in range(count)]
            differing |= {place for place in range(count) if len(values[place]) > 1}
    return tuple(sorted(differing)) or (count - 1,)


def _identity(numbers: tuple[str, ...], places: tuple[int, ...]) -> Identity:
    return tuple(Decimal(numbers[place]) for place in places)


def _stamps(names: Sequence[Name], places: tuple[int, ...]) -> dict[str, list[str]]:
    return {name: [numbers[place] for place in places] for name, _, numbers in names}


def _is_raw_index(number: str) -> bool:
    return number.isdigit() and len(number) < 20 and int(number) <= MAX_FRAME_ID


def _are_raw_indices(frames: Sequence[Name], places: tuple[int, ...]) -> bool:
    """Return whether one number tells the frames apart and is a raw index in all of them."""
    shared = [place for place in range(len(frames[0][2])) if place not in places]
    counters = all(Decimal(frames[0][2][place]) < MAX_COUNTER for place in shared)
    return len(places) == 1 and counters and all(_is_raw_index(numbers[places[0]]) for _, _, numbers in frames)


def _fitting(
    names: Sequence[Name], known: AbstractSet[Identity], first: Name, places: tuple[int, ...]
) -> tuple[list[Name], tuple[int, ...]]:
    """Return the names of another kind that are frames, and the places of the numbers that identify them.

    These are all names if each holds one number, else the set with shared texts that matches most of the known frames;
    of two such sets, the one with the texts of the first kind.

    Raises:
        ValueError: two sets match equally many frames.
    """
    shapes = Counter(texts for _, texts, numbers in names if numbers).most_common(SHAPES_TRIED)
    candidates = [[name for name in names if name[1] == shape] for shape, _ in shapes]
    if same := _of_one_number(names):
        candidates = [same]
    scored = []
    for found in candidates:
        at = places if len(found[0][2]) == len(first[2]) else _differing(found, [])
        met = len({_identity(numbers, at) for _, _, numbers in found} & known)
        scored.append(((met, found[0][1] == first[1]), found, at))
    if not scored:
        return [], places
    scored.sort(key=lambda item: item[0], reverse=True)
    score, found, at = scored[0]
    if score[0] and len(scored) > 1 and scored[1][0] == score:
        raise ValueError(f"{found[0][0]} and {scored[1][1][0][0]} could both belong to one frame")
    return found, at


def _by_words(kinds: Mapping[str, Sequence[str]]) -> Numbering:
    """Give frames without a usable number in their names their place in order; equal names belong together."""
    first = next(iter(kinds))
    frame_of = {name: place for place, name in enumerate(sorted(kinds[first], key=natural_key))}
    frames = {kind: {name: frame_of[name] for name in names if name in frame_of} for kind, names in kinds.items()}
    return Numbering(frames=frames)
