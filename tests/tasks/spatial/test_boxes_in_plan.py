"""Types that need boxes alone: margins hold on both sides, mirrored rooms mirror answers, and meshes have to agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from gapdata.geometry.boxes import OrientedBox
from gapdata.records.mesh_distances import MeshDistances
from gapdata.tasks.spatial.boxes_alone import TYPES, facts_of_boxes
from gapdata.tasks.spatial.kind import ask
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions

Placed = tuple[str, OrientedBox]
NAMES = ("table", "bed", "piano", "lamp", "plant", "guitar", "printer", "mirror", "stove", "clock")
OTHER_SIDE = {"left": "right", "right": "left", "front left": "front right", "back left": "back right"}
OTHER_SIDE |= {two: one for one, two in OTHER_SIDE.items()}


def box(x: float, y: float, z: float = 0.5, size: float = 0.2, turn: float = 0.0) -> OrientedBox:
    """A cube of 20 cm, turned about the vertical by radians."""
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return OrientedBox(center=np.array([x, y, z]), size=np.full(3, size), rotation=rotation)


def asked(facts: ViewFacts, kind: str, seed: int = 0) -> list[SpatialQuestion]:
    return ask(KINDS[kind], facts, 200, np.random.default_rng(seed))[0]


def facts(*boxes: Placed) -> ViewFacts:
    return facts_of_boxes("room", boxes)


def said(item: SpatialQuestion) -> str:
    return item.options[LETTERS.index(item.answer)]


def random_room(seed: int) -> list[Placed]:
    rng = np.random.default_rng(seed)
    return [
        (name, box(x, y, z=rng.uniform(0, 2), size=rng.uniform(0.1, 0.6), turn=rng.uniform(0, 3)))
        for name, (x, y) in zip(NAMES, rng.uniform(-2, 2, (len(NAMES), 2)).tolist(), strict=True)
    ]


def mirrored(boxes: Sequence[Placed]) -> list[Placed]:
    flip = np.diag([-1.0, 1, 1])
    return [
        (name, replace(item, center=flip @ item.center, rotation=flip @ item.rotation @ flip)) for name, item in boxes
    ]


@pytest.mark.parametrize("kind", ["direction", "imagined_view"])
def test_a_mirrored_room_swaps_left_and_right_and_nothing_else(kind: str) -> None:
    compared = 0
    for seed in range(8):
        one, other = facts(*random_room(seed)), facts(*mirrored(random_room(seed)))
        first = {(item.form, item.names): said(item) for item in asked(one, kind)}
        second = {(item.form, item.names): said(item) for item in asked(other, kind, seed=9)}
        for key in first.keys() & second.keys():
            assert second[key] == OTHER_SIDE.get(first[key], first[key])
            compared += 1
    assert compared > 20


def box_at(degrees: float, away: float) -> OrientedBox:
    """A box so far from the origin, by degrees to the left of north."""
    angle = np.radians(degrees)
    return box(-away * float(np.sin(angle)), away * float(np.cos(angle)))


@pytest.mark.parametrize("limit", [0, 90, 135, 180, 225, 270])
@pytest.mark.parametrize("beside", [-13.0, -8.0, 8.0, 13.0])
def test_nobody_is_asked_about_a_direction_near_a_limit_on_either_side(limit: int, beside: float) -> None:
    others = zip(NAMES[3:], (45, 120, 180, 240, 315), strict=False)  # so that a question has all answers to offer
    around = [(name, box_at(angle, 3.5)) for name, angle in others]
    room = facts(("table", box(0, 0)), ("bed", box(0, 2)), ("piano", box_at(limit + beside, 3)), *around)
    found = [item for seed in range(20) for item in asked(room, "direction", seed)]
    forms = {item.form for item in found if item.names == ("table", "bed", "piano")}
    near = {"left-right": (0, 135, 225), "thirds": (0, 135, 225), "quarters": (0, 90, 180, 270)}
    behind = abs(limit + beside - 180) < 45
    for form, limits in near.items():
        if limit in limits and abs(beside) < 10:
            assert form not in forms
        elif limit in limits and not (form == "left-right" and behind):
            assert form in forms


def test_nobody_faces_what_hangs_above() -> None:
    room = facts(("table", box(0, 0)), ("lamp", box(0.05, 0, z=2.0)), ("bed", box(2, 2)), ("piano", box(-2, 2)))
    for kind in ("direction", "imagined_view"):
        for item in asked(room, kind):
            assert item.names[:2] not in {("table", "lamp"), ("lamp", "table")}


def test_what_is_imagined_left_of_another_thing_has_that_to_its_right() -> None:
    for seed in range(4):
        found = {(item.form, item.names): said(item) for item in asked(facts(*random_room(seed)), "imagined_view")}
        for (form, (at, to, one, other)), answer in found.items():
            back = found.get((form, (at, to, other, one)))
            assert back is None or back != answer


@pytest.mark.parametrize(("farther", "wanted"), [(1.14, False), (1.18, True)])
def test_the_nearest_is_nearer_by_more_than_its_margin(farther: float, wanted: bool) -> None:
    # Each of both is the nearest of some target: one of the first target, the other of the second.
    room = facts(
        ("table", box(0, 0)),
        ("bed", box(1.2, 0)),
        ("piano", box(-farther - 0.2, 0)),
        ("lamp", box(-farther - 1.4, 0)),
    )
    answers = {said(item) for item in asked(room, "nearest") if item.names[0] == "table" and "piano" in item.names}
    assert ("bed" in answers) == wanted
    assert "piano" not in answers


def with_mesh(room: ViewFacts, off: dict[tuple[int, int], float]) -> ViewFacts:
    """The same room, of which the meshes are as far apart as the boxes but for some pairs."""
    metres = room.gaps.copy()
    np.fill_diagonal(metres, np.nan)
    for (one, other), value in off.items():
        metres[one, other] = metres[other, one] = value
    ids = tuple(item.item.object_id for item in room.nameable)
    record = replace(room.record, mesh_distances=MeshDistances(object_ids=ids, metres=metres))
    return ViewFacts(record, QuestionOptions())


@pytest.mark.parametrize(
    ("mesh", "wanted"), [(0.3, True), (0.34, True), (0.26, True), (0.36, False), (0.24, False), (np.nan, False)]
)
def test_a_distance_is_told_only_where_the_meshes_agree(mesh: float, wanted: bool) -> None:
    room = facts(("table", box(0, 0)), ("bed", box(0.5, 0)))
    assert [item.mesh_value for item in asked(room, "distance")] == [None]
    found = asked(with_mesh(room, {(0, 1): mesh}), "distance")
    assert bool(found) == wanted
    for item in found:
        assert item.value == pytest.approx(0.3)
        assert item.mesh_value == mesh


def test_the_nearest_by_boxes_has_to_be_the_nearest_by_meshes() -> None:
    room = facts(("table", box(0, 0)), ("bed", box(1.2, 0)), ("piano", box(-1.6, 0)), ("lamp", box(-2.8, 0)))

    def answers(of: ViewFacts) -> set[str]:
        return {said(item) for item in asked(of, "nearest") if item.names[0] == "table" and "piano" in item.names}

    assert "bed" in answers(with_mesh(room, {}))
    assert "bed" not in answers(with_mesh(room, {(0, 1): 1.3}))


def test_boxes_alone_give_their_types_and_refuse_others_with_a_reason() -> None:
    room = facts(*random_room(1), ("chair", box(3, 3)), ("chair", box(3, 1)))
    for name, kind in KINDS.items():
        found, refused = ask(kind, room, 5, np.random.default_rng(0))
        if name in TYPES or name == "camera_distance":
            assert found or refused
        elif room.record.view in kind.views:
            assert not found
            assert refused
    assert {name for name in TYPES if asked(room, name)} == set(TYPES) - set(() if asked(room, "count") else ("count",))


def test_a_scene_that_does_not_tell_what_is_up_is_not_asked_about_it() -> None:
    room = facts(*random_room(1))
    blind = ViewFacts(replace(room.record, axis_alignment=None), QuestionOptions())
    for name, kind in KINDS.items():
        if kind.needs_up:
            assert ask(kind, blind, 5, np.random.default_rng(0)) == ([], {"the scan does not tell what is up": 1})
        elif name in ("distance", "nearest", "size"):
            assert asked(blind, name)
