"""Routes go straight over free floor and turn clearly, and objects appear clearly one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gapdata.records.room_floor import CELL, RoomFloor
from gapdata.records.schema import Record
from gapdata.tasks.spatial.boxes_alone import facts_of_boxes
from gapdata.tasks.spatial.kind import ask
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from tests.tasks.spatial.test_boxes_in_plan import box, box_at, said

SIDE = 200  # cells of a hall of ten metres
NAMES = ("table", "bed", "piano")


def hall(free: np.ndarray) -> RoomFloor:
    """A hall around the origin."""
    half = SIDE * CELL / 2
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    return RoomFloor(outline=corners, area=100.0, walled=1.0, height=0.0, free_origin=(-half, -half), free=free)


def route(degrees: float, *, blocked: bool = False) -> set[str]:
    """The answers for somebody who walks from the table north to the bed, and on to the piano by some degrees left."""
    angle, free = np.radians(degrees), np.ones((SIDE, SIDE), dtype=bool)
    piano = (-2.5 * np.sin(angle), 2.5 * np.cos(angle))
    if blocked:
        free[SIDE // 2 - 30 : SIDE // 2 - 25] = False  # a shelf across the hall, south of the bed
    others = zip(("lamp", "plant", "guitar", "stove"), (85, 100, -85, -100), strict=True)  # for turns of every kind
    around = [(name, box_at(angle, 3.5)) for name, angle in others]
    objects = [("table", box(0, -2.5)), ("bed", box(0, 0)), ("piano", box(*piano))]
    room = facts_of_boxes("hall", [*objects, *around])
    facts = ViewFacts(replace(room.record, room=hall(free)), QuestionOptions())
    found = [item for seed in range(20) for item in ask(KINDS["route"], facts, 50, np.random.default_rng(seed))[0]]
    return {said(item) for item in found if item.names == NAMES}


@pytest.mark.parametrize(
    ("degrees", "answer"),
    [
        (0, "straight on"),
        (28, "straight on"),
        (90, "left"),
        (-90, "right"),
        (-64, "right"),
        (118, "left"),
        (160, "back"),
        (-160, "back"),
    ],
)
def test_a_route_turns_as_the_plan_says(degrees: float, answer: str) -> None:
    assert route(degrees) == {answer}
    assert route(degrees, blocked=True) == set()


@pytest.mark.parametrize("degrees", [32, 45, 58, -32, -58, 122, 135, 148, -122, -148])
def test_a_turn_near_a_limit_is_not_asked_about(degrees: float) -> None:
    assert route(degrees) == set()


def walk(pixels: dict[str, tuple[int, ...]], frames: tuple[int, ...] = ()) -> list[SpatialQuestion]:
    """Questions about the order in which objects appear, of which each frame shows so many pixels."""
    room = facts_of_boxes("walk", [(name, box(0, number)) for number, name in enumerate(pixels)])
    count = len(next(iter(pixels.values())))
    record: Record = replace(
        room.record,
        frame_ids=frames or tuple(range(count)),
        intrinsics=np.tile(room.record.intrinsics, (count, 1)),
        camera_to_world=np.tile(room.record.camera_to_world, (count, 1, 1)),
        camera_to_first=np.tile(np.eye(4), (count, 1, 1)),
        objects=tuple(
            replace(item, visible_pixels=pixels[item.label]) for item in room.record.objects if item.label in pixels
        ),
    )
    facts = ViewFacts(record, QuestionOptions())
    return ask(KINDS["order"], facts, 9, np.random.default_rng(0))[0]


MANY = 9999
CLEAR: dict[str, tuple[int, ...]] = {
    "table": (MANY,) * 8,
    "bed": (0, 0, MANY, 0, 0, 0, 0, MANY),
    "piano": (0, 0, 0, 9, 20, MANY, 0, 0),
}


def test_objects_are_put_in_the_order_of_their_first_frames() -> None:
    found = walk(CLEAR)
    assert found
    for item in found:
        assert item.options[LETTERS.index(item.answer)] == "table, bed, piano"
        assert item.margin > 0


@pytest.mark.parametrize(
    "piano",
    [
        (0, 0, 0, MANY, 0, 0, 0, 0),  # one frame after the bed
        (0, 0, 0, 20, MANY, 0, 0, 0),  # a glimpse one frame after the bed
        (0, 0, MANY, 0, 0, 0, 0, 0),  # with the bed
    ],
)
def test_objects_that_appear_at_nearly_one_time_are_not_asked_about(piano: tuple[int, ...]) -> None:
    assert not walk({**CLEAR, "piano": piano})


def test_frames_that_are_few_or_not_in_the_order_of_time_are_not_asked_about() -> None:
    assert not walk(CLEAR, frames=(0, 1, 2, 3, 5, 4, 6, 7))
    assert not walk({name: pixels[:7] for name, pixels in CLEAR.items()})
