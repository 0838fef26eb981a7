"""Which object of a room a name means, and which names could mean another one."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import gapdata.synthetic.categories as categories
from tests.end_to_end.oracle.key.true_room import TrueRoom

COLUMNS = ("raw_category", "category", "nyu40class")
"""Columns of the scans' own table of labels in which an object may be called something else."""
UNRELIABLE = ("towel", "pillow", "cushion", "book", "window", "door", "picture", "box")
BACKGROUND = ("wall", "floor", "ceiling")


class WrongName(Exception):
    """A name that does not mean one object, or one kind of objects."""


@cache
def other_names(label: str) -> frozenset[str]:
    """Return all names of a label."""
    with Path(categories.__file__).with_suffix(".tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            if row["raw_category"] == label:
                return frozenset(row[column] for column in COLUMNS if not row[column].startswith("other"))
    raise WrongName(f"the table of labels does not have {label!r}")


def the(room: TrueRoom, name: str) -> int:
    """Return the only object that a name means.

    Raises:
        WrongName: there is none, or another object could be meant.
    """
    meant = [number for number, label in enumerate(room.labels) if label == name]
    if len(meant) != 1:
        raise WrongName(f"{len(meant)} objects are called {name!r}")
    if name in BACKGROUND:
        raise WrongName(f"{name!r} is a part of the room")
    for number, label in enumerate(room.labels):
        if number != meant[0] and any(overlap(name, other) for other in other_names(label)):
            raise WrongName(f"{name!r} could mean the {label!r}")
    return meant[0]


def all_of(room: TrueRoom, name: str) -> list[int]:
    """Return the objects of a kind.

    Raises:
        WrongName: objects of another kind could be meant, or the kind is not one that is counted.
    """
    if name in BACKGROUND or any(word in UNRELIABLE for word in name.split()):
        raise WrongName(f"{name!r} is not a kind that is counted")
    for label in set(room.labels) - {name}:
        if any(overlap(name, other) for other in other_names(label)):
            raise WrongName(f"{name!r} could mean a {label!r}")
    return [number for number, label in enumerate(room.labels) if label == name]


def overlap(one: str, other: str) -> bool:
    """Return whether the words of one name are among those of the other, side by side."""
    few, many = sorted((one.split(), other.split()), key=len)
    return any(many[place : place + len(few)] == few for place in range(len(many) - len(few) + 1))
