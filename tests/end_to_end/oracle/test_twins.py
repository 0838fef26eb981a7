"""What must follow when a room is mirrored, moved, scaled, has a second of something, or is walked through backwards.

The key is asked about the twin of the room, and where an answer follows from that to the room itself, the two are
compared without the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from gapdata.records.schema import Record
from gapdata.tasks.spatial.kinds import KINDS
from tests.end_to_end.oracle.conftest import Rooms
from tests.end_to_end.oracle.exam import Asked, Exam, ask
from tests.end_to_end.oracle.key.grammar import LETTERS
from tests.end_to_end.oracle.key.lens import Lens
from tests.end_to_end.oracle.key.marking import mark_answer
from tests.end_to_end.oracle.key.true_room import TrueRoom
from tests.end_to_end.oracle.twins import (
    mirrored,
    mirrored_lens,
    mirrored_room,
    moved,
    reversed_clip,
    reversed_walk,
    scaled,
    scaled_room,
    turned,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("oracle")]
SEEDS = range(2)
OF_MARKS = {"pixel_depth", "depth_order", "correspondence"}
"""Kinds that mark other pixels of a twin, of which the key alone can tell."""
OF_TEXT = {name: kind for name, kind in KINDS.items() if name not in OF_MARKS}
SIDES = {"left": "right", "front left": "front right", "back left": "back right"}
SWAPPED = {**SIDES, **{right: left for left, right in SIDES.items()}}
LENGTHS = {"distance", "camera_distance", "size", "camera_motion"}


class About(NamedTuple):
    """What a question asks, whatever the order of its options."""

    record: str
    kind: str
    form: str
    names: tuple[str, ...]
    frames: tuple[int, ...]
    options: frozenset[str]


def answers(
    rooms: Rooms,
    records: list[Record],
    room_of: Callable[[str], TrueRoom],
    lens_of: Callable[[Lens], Lens] = lambda lens: lens,
    without: frozenset[str] = frozenset(),
) -> dict[About, str]:
    """Return the answers of all questions that the key agrees with, by what they ask; it has to agree with all."""
    exam = Exam()
    kinds = {name: kind for name, kind in KINDS.items() if name not in without}
    found = {
        about(item): answer(item)
        for item in ask(
            records, rooms.options, exam, seeds=SEEDS, per_kind=25, room_of=room_of, lens_of=lens_of, kinds=kinds
        )
        if item.question.kind in OF_TEXT
    }
    assert exam.faults == []
    return found


def about(item: Asked) -> About:
    """Return what a question asks."""
    asked = item.mark.asked
    options = frozenset() if asked.kind == "camera_direction" else frozenset(", ".join(asked.options).split(", "))
    return About(item.record.key, asked.kind, asked.form, asked.names, asked.frames, options)


def answer(item: Asked) -> str:
    """Return the number, or the text of the letter."""
    options = item.mark.asked.options
    return options[LETTERS.index(item.question.answer)] if options else item.question.answer


@pytest.fixture(scope="module")
def plainly(plain: Rooms) -> dict[About, str]:
    return answers(plain, plain.records, plain.truth)


def paired(one: dict[About, str], other: dict[About, str], least: int) -> list[tuple[tuple[str, str], str, str]]:
    """Return kind and form, and both answers, of the questions that are asked of both."""
    both = [((key.kind, key.form), one[key], other[key]) for key in one.keys() & other.keys()]
    assert len(both) >= least
    return both


def test_a_mirror_swaps_left_and_right_and_keeps_numbers(plain: Rooms, plainly: dict[About, str]) -> None:
    rooms = cache(lambda name: mirrored_room(plain.truth(name)))
    records = [mirrored(record) for record in plain.records]
    seen = answers(plain, records, rooms, mirrored_lens)
    swapped = 0
    for (kind, form), before, after in paired(plainly, seen, 200):
        if form in ("right", "turn right"):
            assert float(after) == -float(before)
        else:
            assert after == SWAPPED.get(before, before), (kind, form)
        swapped += before != after
    assert swapped > 50


def test_another_world_changes_nothing(plain: Rooms, plainly: dict[About, str]) -> None:
    c, s = np.cos(1.0), np.sin(1.0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    matrix[:3, 3] = [5.0, -7.0, 30.0]
    assert answers(plain, [moved(record, matrix) for record in plain.records], plain.truth) == plainly


def test_another_direction_of_the_aligned_axes_changes_nothing(plain: Rooms, plainly: dict[About, str]) -> None:
    matrix = np.eye(4)
    matrix[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    matrix[:3, 3] = [-3.0, 2.0, 0.5]
    seen = answers(plain, [turned(record, matrix) for record in plain.records], plain.truth)
    for _, before, after in paired(plainly, seen, 400):
        assert before == after


def test_a_room_twice_as_large_has_lengths_twice_and_the_same_letters(plain: Rooms, plainly: dict[About, str]) -> None:
    rooms = cache(lambda name: scaled_room(plain.truth(name), 2))
    seen = answers(plain, [scaled(record, 2) for record in plain.records], rooms, without=frozenset(("route",)))
    kinds = set()
    for (kind, form), before, after in paired(plainly, seen, 200):
        kinds.add(kind)
        if kind in LENGTHS and not form.startswith("turn "):
            rounding = 1.5 if kind == "size" else 0.015
            assert float(after) == pytest.approx(2 * float(before), abs=rounding + 1e-6)
        else:
            assert after == before, (kind, form)
    assert kinds >= {"distance", "size", "direction", "order", "relation", "camera_motion"}


def test_a_clip_played_backwards_reverses_motion_and_order(plain: Rooms, plainly: dict[About, str]) -> None:
    frames = plain.options.frames
    rooms = cache(lambda name: reversed_walk(plain.truth(name)))
    records = [reversed_clip(record, frames) for record in plain.records]
    seen = answers(plain, records, rooms)
    lengths = {record.key: len(record) for record in plain.records}
    turns = 0
    for key, before in plainly.items():
        if key.kind == "camera_motion" and key.form == "turn right":
            back = tuple(lengths[key.record] - 1 - position for position in reversed(key.frames))
            after = seen.get(key._replace(frames=back))
            if after is not None:
                assert float(after) * float(before) < 0
                turns += 1
    assert turns >= 3


def test_nothing_is_asked_about_something_that_there_are_two_of(plain: Rooms) -> None:
    for record in plain.records:
        asked = list(ask([record], plain.options, Exam(), room_of=plain.truth, per_kind=25, kinds=OF_TEXT))
        names = sorted({name for item in asked for name in _names(item)})
        for twin in names[:2]:
            doubled = tuple(
                replace(label, count=label.count + 1) if twin in label.labels.values() else label
                for label in record.scene_objects
            )
            others = list(
                ask(
                    [replace(record, scene_objects=doubled)],
                    plain.options,
                    Exam(),
                    room_of=plain.truth,
                    per_kind=25,
                    kinds=OF_TEXT,
                )
            )
            assert all(twin not in _names(item) for item in others if item.question.kind != "count")
            assert others
            room = plain.truth(record.scene_id)
            labels = tuple(twin if place == _last(room, twin) else label for place, label in enumerate(room.labels))
            for item in asked:
                if twin in _names(item) and item.question.kind != "count":
                    view = replace(item.view, room=replace(room, labels=labels))
                    assert mark_answer(item.question.text, item.question.answer, view).faults


def _names(item: Asked) -> set[str]:
    asked = item.mark.asked
    named = asked.names if asked.kind != "nearest" else (*asked.names, *asked.options)
    return set(named) if asked.kind != "order" else set(asked.options[0].split(", "))


def _last(room: TrueRoom, name: str) -> int:
    """Return the last object of the room that is called otherwise."""
    return max(place for place, label in enumerate(room.labels) if label != name)
