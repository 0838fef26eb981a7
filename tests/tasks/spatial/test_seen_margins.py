"""Types that look at pixels: drawn frames on both sides of each margin, and the reasons why nobody is asked."""

from __future__ import annotations

import numpy as np
import pytest

from gapdata.tasks.spatial.marked_pixels import usable_pixels
from tests.support.seen_views import (
    FOCAL,
    HEIGHT,
    LEVEL,
    WIDTH,
    Patch,
    asked,
    facts_of_patches,
    facts_of_view,
    flat,
    said,
    shifted,
    thing,
)

NOT_APART = "the objects are not clearly apart on this axis"
NOT_SO = "in the picture or in the room, the objects lie the other way round or hardly apart"
NOT_STRAIGHT = "along the viewing direction and in a straight line, another one of the two is nearer"
ROUGH = "the frame has no smooth surface with depth"
ALIKE = "the frame has too few surfaces at different depths"
HIDDEN = "the other frame does not show the point"
CROWDED = "the other frame has too few places for wrong marks"
STILL = "the camera moves too little"
SIDES = slice(0, WIDTH // 2), slice(WIDTH // 2, WIDTH)


@pytest.mark.parametrize(("z", "wanted"), [(1.87, False), (1.88, True)])  # 4 pixels are 14.96 cm, or 15.04 cm
@pytest.mark.parametrize(("form", "lower"), [("side", "left"), ("height", "above")])
def test_things_beside_or_above_each_other_are_fifteen_centimetres_apart(
    form: str, lower: str, z: float, wanted: bool
) -> None:
    one = Patch(name="table", rows=(8, 20), columns=(8, 20), z=z)
    rows, columns = ((8, 20), (23, 35)) if form == "side" else ((23, 35), (8, 20))
    facts = facts_of_patches(one, Patch(name="lamp", rows=rows, columns=columns, z=z))
    found, reasons = asked(facts, "relation")
    assert {item.form for item in found} == ({form} if wanted else set())
    assert NOT_APART in reasons
    for item in found:
        assert (said(item) == lower) == (item.names[0] == "table")
        assert item.value == item.margin == pytest.approx(4 * z / FOCAL, abs=1e-5)
        assert item.frames == (0,)


@pytest.mark.parametrize(("apart", "wanted"), [(0.14, False), (0.16, True)])
def test_one_thing_is_fifteen_centimetres_nearer_than_another(apart: float, wanted: bool) -> None:
    one = Patch(name="table", rows=(8, 20), columns=(26, 38), z=2.0)
    found, reasons = asked(
        facts_of_patches(one, Patch(name="lamp", rows=(21, 33), columns=(26, 38), z=2.0 + apart)), "relation"
    )
    assert ("depth" in {item.form for item in found}) == wanted
    assert NOT_APART in reasons
    for item in found:
        assert item.form != "depth" or (said(item) == "nearer") == (item.names[0] == "table")


@pytest.mark.parametrize(("column", "wanted"), [(26, True), (48, False)])
def test_what_is_nearer_is_nearer_in_a_straight_line(column: int, wanted: bool) -> None:
    one = Patch(name="table", rows=(8, 20), columns=(column, column + 12), z=2.0)
    facts = facts_of_patches(one, Patch(name="lamp", rows=(22, 34), columns=(26, 38), z=2.16))
    found, reasons = asked(facts, "relation")
    assert ("depth" in {item.form for item in found}) == wanted
    assert (NOT_STRAIGHT in reasons) != wanted


@pytest.mark.parametrize(("shift", "wanted"), [(2, True), (1, False), (-1, False), (-4, False)])
def test_what_is_left_is_left_in_the_picture(shift: int, wanted: bool) -> None:
    # Four metres away, the lamp lies far to the right of the table whether or not it looks so.
    table = Patch(name="table", rows=(8, 20), columns=(44, 54), z=1.0)
    lamp = Patch(name="lamp", rows=(24, 36), columns=(44 + shift, 54 + shift), z=4.0)
    found, reasons = asked(facts_of_patches(table, lamp), "relation")
    sides = {said(item) for item in found if item.form == "side" and item.names[0] == "table"}
    assert sides == ({"left"} if wanted else set())
    assert (NOT_SO in reasons) != wanted


@pytest.mark.parametrize("held", ["level", "upside down", "unknown"])
def test_what_is_above_is_above_in_the_room(held: str) -> None:
    turn = np.diag([-1.0, -1, 1, 1]) if held == "upside down" else np.eye(4)
    facts = facts_of_patches(
        Patch(name="table", rows=(8, 20), columns=(20, 32), z=2.0),
        Patch(name="lamp", rows=(26, 38), columns=(20, 32), z=2.0),
        axis_alignment=None if held == "unknown" else LEVEL @ turn,
    )
    found, reasons = asked(facts, "relation")
    assert {item.form for item in found} == (set() if held == "upside down" else {"height"})
    assert (NOT_SO in reasons) == (held == "upside down")


def test_a_relation_needs_two_things_with_depth_in_one_frame() -> None:
    one = Patch(name="table", rows=(8, 20), columns=(8, 20), z=2.0)
    dark = facts_of_patches(one, Patch(name="lamp", rows=(8, 20), columns=(30, 42), z=0.0))
    assert asked(dark, "relation") == ([], {"an object has no depth in the frame"})
    seen = [thing(0, "table", (200, 0)), thing(1, "lamp", (0, 200))]
    masks = np.ones((2, HEIGHT, WIDTH), dtype=np.uint16)
    apart = facts_of_view(seen, flat(2, 2), masks, shifted(0, 0.1))
    assert asked(apart, "relation") == ([], {"no frame shows two objects that can be named"})
    alone = facts_of_view(seen[:1], flat(2, 2), masks, shifted(0, 0.1))
    assert asked(alone, "relation") == ([], {"the view shows too few objects that can be named"})


@pytest.mark.parametrize(("z", "step", "smooth"), [(0.5, 0.009, True), (0.5, 0.011, False)])
@pytest.mark.parametrize("kind", ["pixel_depth", "depth_order"])
def test_a_mark_stands_where_depth_varies_by_two_percent_at_most(
    z: float, step: float, smooth: bool, kind: str
) -> None:
    depth = flat(z)
    depth[0, :, SIDES[1]] += step
    facts = facts_of_view(depth=depth)
    usable = usable_pixels(facts, 0, 0.02 if kind == "pixel_depth" else np.inf)
    edge = usable[:, WIDTH // 2 - 2 : WIDTH // 2 + 2]
    assert edge.any() == smooth
    assert usable.any()


@pytest.mark.parametrize(("step", "smooth"), [(0.019, True), (0.021, False)])
def test_a_depth_is_told_where_it_varies_by_two_centimetres_at_most(step: float, smooth: bool) -> None:
    depth = flat(4.0)
    depth[0, :, SIDES[1]] += step
    facts = facts_of_view(depth=depth)
    found, _ = asked(facts, "pixel_depth", 40)
    columns = {item.marks[0].pixel[0] for item in found}
    assert bool(columns & set(range(WIDTH // 2 - 2, WIDTH // 2 + 2))) == smooth


def test_a_depth_is_that_of_the_mark_and_a_distance_the_length_of_its_ray() -> None:
    depth = flat(0)
    depth[0] = np.linspace(2, 2.3, WIDTH)  # half a centimetre a pixel
    depth[0, 20, 30] = 0  # the sensor knows nothing here
    found, reasons = asked(facts_of_view(depth=depth), "pixel_depth")
    assert {item.form for item in found} == {"depth", "distance"}
    assert reasons == set()
    for item in found:
        (u, v) = item.marks[0].pixel
        ray = np.array([(u - (WIDTH - 1) / 2) / FOCAL, (v - (HEIGHT - 1) / 2) / FOCAL, 1])
        longer = float(np.linalg.norm(ray)) if item.form == "distance" else 1.0
        assert item.value == pytest.approx(float(depth[0, v, u]) * longer)
        assert item.answer == f"{item.value:.2f}"
        assert max(abs(v - 20), abs(u - 30)) > 2
        assert min(u, v, WIDTH - 1 - u, HEIGHT - 1 - v) >= 5
    assert asked(facts_of_view(depth=flat(0)), "pixel_depth") == (
        [],
        {ROUGH},
    )


@pytest.mark.parametrize(
    ("near", "far", "wanted"), [(1.0, 1.09, False), (1.0, 1.11, True), (4.0, 4.33, False), (4.0, 4.36, True)]
)
def test_the_nearest_mark_is_ten_centimetres_and_eight_percent_nearer(near: float, far: float, wanted: bool) -> None:
    depth = flat(far)
    depth[0, :, SIDES[0]] = near
    found, reasons = asked(facts_of_view(depth=depth), "depth_order")
    assert bool(found) == wanted
    assert reasons == {ALIKE}  # there is no third surface for a third mark
    for item in found:
        right = next(mark for mark in item.marks if said(item) == f"cross {mark.number}")
        assert right.pixel[0] < WIDTH // 2
        assert len(item.options) == 2
        assert item.value == item.margin == pytest.approx(far - near, abs=1e-5)


def test_of_four_surfaces_the_nearest_mark_is_on_the_nearest() -> None:
    depth = flat(1)
    for place in range(4):
        depth[0, :, 16 * place : 16 * (place + 1)] = (3.0, 1.0, 2.0, 4.0)[place]
    found, _ = asked(facts_of_view(depth=depth), "depth_order")
    assert {len(item.options) for item in found} == {2, 3, 4}
    for item in found:
        depths = {f"cross {mark.number}": depth[0, mark.pixel[1], mark.pixel[0]] for mark in item.marks}
        assert said(item) == min(depths, key=lambda name: float(depths[name]))
        pixels = [np.array(mark.pixel) for mark in item.marks]
        assert all(np.hypot(*(a - b)) > 0.08 * WIDTH for k, a in enumerate(pixels) for b in pixels[:k])


@pytest.mark.parametrize(("step", "wanted"), [(0.14, False), (0.16, True)])
def test_a_point_is_looked_for_again_once_the_camera_has_moved(step: float, wanted: bool) -> None:
    found, reasons = asked(facts_of_view(depth=flat(2, 2), poses=shifted(0, step)), "correspondence")
    assert bool(found) == wanted
    assert (STILL in reasons) != wanted
    for item in found:
        first, marks = item.marks[0], item.marks[1:]
        right = next(mark for mark in marks if said(item) == f"cross {mark.number}")
        moved = -4 if item.frames == (0, 1) else 4  # pixels of 16 centimetres at two metres
        assert np.subtract(right.pixel, first.pixel).tolist() == [moved, 0]
        assert {mark.frame for mark in marks} == {item.frames[1]}
        assert item.margin > 0.04 * WIDTH


@pytest.mark.parametrize(("farther", "wanted"), [(1.015, True), (1.03, False), (0.5, False)])
def test_a_point_has_the_depth_of_the_first_frame_in_the_second(farther: float, wanted: bool) -> None:
    found, reasons = asked(facts_of_view(depth=flat(2, 2 * farther), poses=shifted(0, 0.16)), "correspondence")
    assert bool(found) == wanted
    assert HIDDEN in reasons or wanted


@pytest.mark.parametrize(("far", "both"), [(3.9, True), (4.1, False)])
def test_wrong_marks_are_at_similar_depths(far: float, both: bool) -> None:
    depth = flat(2, 2)
    depth[:, :, SIDES[1]] = far
    found, _ = asked(facts_of_view(depth=depth, poses=shifted(0, 0.16)), "correspondence")
    sides = {
        (mark.pixel[0] < WIDTH // 2) for item in found if item.marks[0].pixel[0] < WIDTH // 2 for mark in item.marks[1:]
    }
    assert sides == ({True, False} if both else {True})


def test_wrong_marks_are_on_things_of_a_like_name() -> None:
    masks = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint16)
    masks[:, :24, SIDES[0]], masks[:, 24:, SIDES[0]], masks[:, :, SIDES[1]] = 1, 2, 3
    objects = [thing(number, name, (200, 200)) for number, name in enumerate(("chair", "office chair", "table"))]
    facts = facts_of_view(objects, flat(2, 2), masks, shifted(0, 0.16))
    found, _ = asked(facts, "correspondence")
    kinds = {frozenset(masks[mark.frame, mark.pixel[1], mark.pixel[0]] for mark in item.marks[1:]) for item in found}
    assert frozenset((1, 2)) in kinds
    assert all(kind <= {1, 2} or kind == {3} for kind in kinds)


def test_a_frame_without_room_for_wrong_marks_is_not_asked_about() -> None:
    depth = flat(2, 0)
    depth[1, 18:28, 24:34] = 2
    found, reasons = asked(facts_of_view(depth=depth, poses=shifted(0, 0.16)), "correspondence", 20)
    assert {item.frames for item in found} == {(1, 0)}
    assert CROWDED in reasons
