"""Where two readings of a question differ, it is not asked: the picture, the room and the answer agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gapdata.geometry.camera import transform
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions


def asked(build: Path, kind: str, form: str = "") -> Iterator[tuple[Record, SpatialQuestion]]:
    count = 0
    for record in ShardReader(build):
        for _, items, _ in spatial_questions(record, QuestionOptions(per_kind=12), 5, {kind: KINDS[kind]}):
            for item in items:
                if form in ("", item.form):
                    count += 1
                    yield record, item
    assert count > 2


def answer_text(item: SpatialQuestion) -> str:
    return item.options[LETTERS.index(item.answer)]


def test_sides_and_heights_are_those_in_the_picture(spatial_build: Path) -> None:
    for axis, form, lower in ((1, "side", "left"), (0, "height", "above")):
        for record, item in asked(spatial_build, "relation", form):
            mask = record.instances(item.frames[0])
            first, second = (np.median(np.nonzero(mask == number + 1)[axis]) for number in item.object_ids)
            assert (first < second) == (answer_text(item) == lower)


def test_what_is_nearer_in_an_imagined_view_is_nearer_in_a_straight_line(spatial_build: Path) -> None:
    for record, item in asked(spatial_build, "imagined_view", "depth"):
        assert record.axis_alignment is not None
        to_room = record.axis_alignment @ record.camera_to_world[0]
        boxes = {other.object_id: transform(to_room, other.box.center)[:2] for other in record.objects}
        at, _, one, other = (boxes[number] for number in item.object_ids)
        nearer = np.linalg.norm(one - at) < np.linalg.norm(other - at)
        assert nearer == (answer_text(item) == "nearer")


def test_things_of_an_imagined_view_are_ahead(spatial_build: Path) -> None:
    for record, item in asked(spatial_build, "imagined_view"):
        assert record.axis_alignment is not None
        to_room = record.axis_alignment @ record.camera_to_world[0]
        boxes = {other.object_id: transform(to_room, other.box.center)[:2] for other in record.objects}
        at, to, one, other = (boxes[number] for number in item.object_ids)
        assert min((one - at) @ (to - at), (other - at) @ (to - at)) > 0


def test_no_mark_is_on_a_window_or_a_mirror(spatial_build: Path) -> None:
    for kind in ("pixel_depth", "depth_order", "correspondence"):
        for record, item in asked(spatial_build, kind):
            labels = {other.object_id: other.label for other in record.objects}
            for mark in item.marks:
                shown = int(record.instances(mark.frame)[mark.pixel[1], mark.pixel[0]]) - 1
                assert not {"window", "mirror"} & set(labels.get(shown, "").split())


def test_what_is_above_in_the_picture_is_clearly_higher_in_the_room(spatial_build: Path) -> None:
    for record, item in asked(spatial_build, "relation", "height"):
        assert record.axis_alignment is not None
        facts, frame = ViewFacts(record, QuestionOptions()), item.frames[0]
        to_room = record.axis_alignment @ record.camera_to_world[frame]
        named = {other.item.object_id: other for other in facts.nameable}
        one, other = (
            np.median(transform(to_room, facts.visible_points(named[number], frame))[:, 2])
            for number in item.object_ids
        )
        assert (one - other if answer_text(item) == "above" else other - one) > 0.14


def test_no_question_is_asked_twice_of_a_view(spatial_build: Path) -> None:
    options = QuestionOptions(per_kind=50)
    for record in itertools.islice(ShardReader(spatial_build), 6):
        for _, items, _ in spatial_questions(record, options, 1):
            texts = [(item.text.split("\n")[0], item.marks, frozenset(item.object_ids)) for item in items]
            assert len(texts) == len(set(texts))
