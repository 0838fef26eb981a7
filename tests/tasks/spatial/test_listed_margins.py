"""Types that read what records list: both sides of each margin of counts, sizes, rooms and distances from cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gapdata.geometry.box_distance import distance_to_box
from gapdata.records.room_floor import RoomFloor
from gapdata.records.schema import ViewObject
from gapdata.tasks.spatial.view_facts import ROUND, ViewFacts
from tests.support.seen_views import LEVEL, asked, facts_of_view, flat, thing

SIZE = "the object is too small or too large"
ROOM = "the room is too small or too large"
FAR = "the camera is too near or too far"
Size = tuple[float, float, float]


def kinds_of(counts: dict[str, int], *, fewest: int = 200, unseen: int = 0) -> ViewFacts:
    """A view of the whole scan with so many objects of each name, the first of which shows ``fewest`` pixels."""
    names = [name for name, count in counts.items() for _ in range(count)]
    objects = [thing(number, name, (fewest if number == 0 else 200,)) for number, name in enumerate(names)]
    return facts_of_view(objects, scene={names[0]: unseen}, view="scene")


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"chair": 1}, "there are too few or too many of the kind"),
        ({"chair": 11}, "there are too few or too many of the kind"),
        ({"shoes": 3}, "an object of the kind may be several things"),
        ({"towel": 3}, "the kind is not annotated reliably"),
        ({"bath towel": 3}, "the kind is not annotated reliably"),
        ({"chair": 3, "office chair": 1}, "another kind has a name that contains it, or is contained in it"),
    ],
)
def test_kinds_that_people_could_count_otherwise_are_not_counted(counts: dict[str, int], reason: str) -> None:
    found, reasons = asked(kinds_of(counts), "count")
    assert found == []
    assert reason in reasons


@pytest.mark.parametrize("count", [3, 10])
def test_a_kind_is_counted_by_the_scan(count: int) -> None:
    found, reasons = asked(kinds_of({"chair": count}), "count")
    assert {(item.answer, item.value, item.names) for item in found} == {(str(count), float(count), ("chair",))}
    assert all(item.object_ids == tuple(range(count)) for item in found)
    assert reasons == set()


def test_two_of_a_kind_are_asked_about_half_of_the_time() -> None:
    found, reasons = asked(kinds_of({"chair": 2}), "count", 200)
    assert 70 < len(found) < 130
    assert reasons == {"two of a kind are asked about half of the time"}


@pytest.mark.parametrize(("fewest", "unseen", "wanted"), [(100, 0, True), (99, 0, False), (200, 1, False)])
def test_a_kind_is_counted_where_the_view_shows_each_of_it_well(fewest: int, unseen: int, wanted: bool) -> None:
    found, reasons = asked(kinds_of({"chair": 3}, fewest=fewest, unseen=unseen), "count")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {"some object of the kind is not seen well"})


@pytest.mark.parametrize(("side", "wanted"), [(0.195, False), (0.205, True), (3.95, True), (4.05, False)])
def test_sizes_from_twenty_centimetres_to_four_metres_are_asked(side: float, wanted: bool) -> None:
    found, reasons = asked(facts_of_view([thing(0, "table", center=(0, 0, 9), size=(0.1, 0.15, side))]), "size")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {SIZE})
    for item in found:
        assert item.value == pytest.approx(100 * side)
        assert item.answer == f"{100 * side:.0f}"


@pytest.mark.parametrize(("slack", "wanted"), [(0.0149, True), (0.0151, False)])
def test_a_size_is_told_where_one_box_is_the_smallest(slack: float, wanted: bool) -> None:
    table = thing(0, "table", center=(0, 0, 4), size=(1.0, 1.0, 0.5), box_slack=(0.1, slack))
    found, reasons = asked(facts_of_view([table]), "size")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {ROUND})


@pytest.mark.parametrize(("x", "wanted"), [(1.0, True), (1.2, False)])
def test_a_size_is_asked_where_frames_show_all_of_the_object(x: float, wanted: bool) -> None:
    found, reasons = asked(facts_of_view([thing(0, "table", center=(x, 0, 2.2), size=(0.4, 0.4, 0.4))]), "size")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {"a part of the object is outside of all frames"})


@pytest.mark.parametrize(("x", "wanted"), [(0.8, True), (1.0, False)])
def test_the_size_of_something_round_is_asked_where_frames_show_all_boxes_around_it(x: float, wanted: bool) -> None:
    table = thing(0, "table", center=(x, 0, 2.2), size=(0.4, 0.4, 0.4), box_slack=(0.08, 0.0))
    found, reasons = asked(facts_of_view([table]), "size")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {"a part of the object is outside of all frames"})


def floor(area: float, walled: float) -> RoomFloor:
    return RoomFloor(
        outline=np.array([[0, 0], [1, 0], [1, area], [0, area]]),
        area=area,
        walled=walled,
        height=0.0,
        free_origin=(0.0, 0.0),
        free=np.zeros((2, 2), dtype=bool),
    )


@pytest.mark.parametrize(
    ("area", "walled", "reason"),
    [
        (20.04, 0.81, None),
        (20.04, 0.79, "walls do not close the room"),
        (3.99, 1.0, ROOM),
        (4.01, 1.0, None),
        (59.9, 1.0, None),
        (60.1, 1.0, ROOM),
    ],
)
def test_rooms_that_walls_close_are_asked_about(area: float, walled: float, reason: str | None) -> None:
    found, reasons = asked(facts_of_view(view="scene", axis_alignment=LEVEL, room=floor(area, walled)), "room")
    assert {(item.value, item.answer) for item in found} == (set() if reason else {(area, f"{area:.1f}")})
    assert reasons == ({reason} if reason else set())


def test_a_room_needs_a_floor_and_an_upright_world() -> None:
    lost = facts_of_view(view="scene", room=floor(20, 1))
    assert asked(lost, "room") == ([], {"the scan does not tell what is up"})
    bare = facts_of_view(view="scene", axis_alignment=LEVEL)
    assert asked(bare, "room") == ([], {"the scan has no labelled floor"})


def filled_by(item: ViewObject, *depths: float, **changes: Any) -> ViewFacts:
    """A view whose frames show nothing but one object, each at one depth."""
    depth = flat(*depths)
    return facts_of_view([item], depth, np.full(depth.shape, item.object_id + 1, dtype=np.uint16), **changes)


@pytest.mark.parametrize(("nearest", "wanted"), [(0.29, False), (0.31, True), (7.95, True), (8.05, False)])
def test_a_camera_is_thirty_centimetres_to_eight_metres_away(nearest: float, wanted: bool) -> None:
    lamp = thing(0, "lamp", center=(0, 0, nearest + 0.05), size=(0.1, 0.1, 0.1))
    found, reasons = asked(filled_by(lamp, nearest), "camera_distance")
    assert {item.answer for item in found} == ({f"{nearest:.2f}"} if wanted else set())
    assert reasons == (set() if wanted else {FAR})


@pytest.mark.parametrize(
    ("nearest", "beyond", "wanted"),
    [(0.5, 0.04, True), (0.5, 0.06, False), (2.0, 0.09, True), (2.0, 0.11, False), (2.0, -0.5, True)],
)
def test_the_frame_shows_a_point_about_as_near_as_the_box(nearest: float, beyond: float, wanted: bool) -> None:
    lamp = thing(0, "lamp", center=(0, 0, nearest + 0.05), size=(0.1, 0.1, 0.1))
    found, reasons = asked(filled_by(lamp, nearest + beyond), "camera_distance")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {"no point that is seen of the object is as near as its box"})


def test_a_camera_s_distance_is_that_of_its_frame() -> None:
    table = thing(0, "table", (200, 200, 99), center=(0.2, 0.1, 3), size=(0.4, 0.8, 0.6))
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, :3, 3] = [0.4, -0.2, 1.0]
    found, _ = asked(filled_by(table, 2.7, 1.7, 2.7, poses=poses), "camera_distance")
    assert {item.frames for item in found} == {(0,), (1,)}  # the third shows too little of the table
    for item in found:
        assert item.value == pytest.approx(float(distance_to_box(poses[item.frames[0], :3, 3], table.box)))


@pytest.mark.parametrize(("middle", "wanted"), [(0.75, True), (0.65, False)])
def test_nothing_that_reaches_behind_the_camera_is_asked_about(middle: float, wanted: bool) -> None:
    # A camera with a very wide view; the nearest edge of the table, half a diagonal before its middle, is beside it.
    edge_on = tuple(tuple(row) for row in np.array([[1, 0, 1], [0, 2**0.5, 0], [-1, 0, 1]]) / 2**0.5)
    table = thing(0, "table", center=(1.5, 0, middle), size=(1.0, 0.4, 1.0), rotation=edge_on)
    found, reasons = asked(filled_by(table, 0.05, intrinsics=np.array([[0.5, 0.5, 31.5, 23.5]])), "camera_distance")
    assert bool(found) == wanted
    assert reasons == (set() if wanted else {"a part of the object is behind the camera"})
