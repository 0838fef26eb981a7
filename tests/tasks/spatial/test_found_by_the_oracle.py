"""Questions that the answer key of tests/end_to_end/oracle found to be asked wrongly, each as a small record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdata.records.codec import encode_png
from gapdata.records.schema import Record, SceneLabel
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import make_object, make_record

HEIGHT, WIDTH = 48, 64


def asked(record: Record, kind: str) -> list[SpatialQuestion]:
    found = []
    for seed in range(5):
        for _, questions, _ in spatial_questions(record, QuestionOptions(per_kind=50), seed, {kind: KINDS[kind]}):
            found += questions
    return found


def members_of(depth: NDArray[np.float64], mask: NDArray[np.int64], frame: int = 0) -> dict[str, bytes]:
    return {
        f"{frame:02d}.depth.png": encode_png(np.round(depth * 1000).astype(np.uint16)),
        f"{frame:02d}.instance.png": encode_png(mask.astype(np.uint16)),
    }


def record_of(depth: NDArray[np.float64], mask: NDArray[np.int64]) -> Record:
    """One frame, with depth (H, W) in metres, and a table (id 1) and a lamp (id 2) where the mask says so."""
    objects = tuple(
        make_object(
            number, name, (int((mask == number + 1).sum()),), labels={"raw": name}, center=(x, 0.0, z), size=size
        )
        for number, name, x, z, size in (
            (1, "table", -0.6, 2.75, (1.2, 1.0, 1.5)),
            (2, "lamp", 0.6, 3.8, (0.6, 1.0, 0.2)),
        )
    )
    return make_record(
        objects=objects,
        frame_ids=(0,),
        intrinsics=np.array([[50.0, 50.0, 31.5, 23.5]]),
        camera_to_world=np.eye(4)[None],
        camera_to_first=np.eye(4)[None],
        scene_objects=tuple(SceneLabel(labels={"raw": name}, count=1) for name in ("table", "lamp")),
        members=members_of(depth, mask),
    )


def table_and_lamp() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A table from 2 m to 3.5 m, before a lamp at 3.75 m."""
    depth, mask = np.full((HEIGHT, WIDTH), 5.0), np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    mask[18:30, 14:28] = 2
    depth[18:30, 14:28] = np.linspace(3.4, 2.1, 12)[:, None]
    mask[18:30, 36:46] = 3
    depth[18:30, 36:46] = 3.75
    return depth, mask


def in_depth(record: Record) -> set[str]:
    texts = {item.text.split("\n")[0]: item.options["AB".index(item.answer)] for item in asked(record, "relation")}
    return {answer for text, answer in texts.items() if "nearer or farther" in text}


def test_what_a_sensor_left_out_of_an_object_may_be_its_end() -> None:
    depth, mask = table_and_lamp()
    assert in_depth(record_of(depth, mask)) == {"nearer", "farther"}
    depth[18:24, 14:28] = 0  # the far half of the table, which reaches to 3.5 m by its box
    assert in_depth(record_of(depth, mask)) == {"nearer", "farther"}
    depth, mask = table_and_lamp()
    depth[18:30, 36:46] = 3.6
    assert in_depth(record_of(depth, mask)) == {"nearer", "farther"}
    depth[18:24, 14:28] = 0
    assert in_depth(record_of(depth, mask)) == set()


def test_a_mark_does_not_stand_on_the_rim_of_something_flat() -> None:
    depth, mask = np.full((HEIGHT, WIDTH), 4.0), np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    depth[:, 32:] = 3.95  # a picture of five centimetres on a wall
    columns = {item.marks[0].pixel[0] for item in asked(record_of(depth, mask), "pixel_depth")}
    assert len(columns) > 20
    assert not columns & set(range(30, 34))


def test_no_length_is_told_by_the_box_of_something_round() -> None:
    names = ("table", "lamp", "bed")
    depth, mask = np.full((HEIGHT, WIDTH), 2.9), np.ones((HEIGHT, WIDTH), dtype=np.int64)
    mask[:, 24:40], mask[:, 40:] = 2, 3
    for slack, kinds in ((None, {"distance", "camera_distance", "size"}), ((0.1, 0.0), {"size"}), ((0.1, 0.1), set())):
        objects = tuple(
            make_object(
                number,
                name,
                (400, 400),
                labels={"raw": name},
                center=(x, 0.0, 3.0),
                size=(0.4, 0.4, 0.4),
                box_slack=slack if name == "lamp" else None,
            )
            for number, (name, x) in enumerate(zip(names, (-1.0, 0.0, 1.0), strict=True))
        )
        scene = tuple(SceneLabel(labels={"raw": name}, count=1) for name in names)
        members = members_of(depth, mask) | members_of(depth, mask, frame=1)
        record = make_record(objects=objects, scene_objects=scene, members=members)
        asked_about = {
            kind
            for kind in ("distance", "camera_distance", "size")
            if any("lamp" in item.text for item in asked(record, kind))
        }
        assert asked_about == kinds


def test_a_box_that_is_nearer_than_all_that_is_seen_of_its_object_tells_no_distance_to_the_camera() -> None:
    depth, mask = table_and_lamp()
    for nearest, count in ((2.01, True), (2.7, False)):  # the box of the table begins at 2 m
        depth[18:30, 14:28] = np.linspace(3.4, nearest, 12)[:, None]
        found = asked(record_of(depth, mask), "camera_distance")
        assert any("lamp" in item.text for item in found)
        assert any("table" in item.text for item in found) == count


def test_the_nearest_mark_is_nearest_in_a_straight_line_too() -> None:
    depth, mask = np.full((HEIGHT, WIDTH), 3.0), np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    depth[:, 48:] = 2.7  # by its edge, the straight line to it is longer than to the middle
    record = record_of(depth, mask)
    length = depth * np.linalg.norm(record.camera(0).rays(), axis=-1)
    found = asked(record, "depth_order")
    assert len(found) > 5
    for item in found:
        near = sorted(item.marks, key=lambda mark: length[mark.pixel[1], mark.pixel[0]])
        assert "ABCD"[near[0].number - 1] == item.answer
        one, other = (length[mark.pixel[1], mark.pixel[0]] for mark in near[:2])
        assert other - one > 0.1


def test_no_mark_is_on_the_tip_of_a_leaf_that_only_the_mask_shows() -> None:
    depth, mask = np.full((HEIGHT, WIDTH), 2.5), np.zeros((HEIGHT, WIDTH), dtype=np.int64)
    mask[24, 20:40] = 2
    rows = {
        item.marks[0].pixel[1]
        for item in asked(record_of(depth, mask), "pixel_depth")
        if 20 <= item.marks[0].pixel[0] < 40
    }
    assert len(rows) > 10
    assert not rows & set(range(22, 27))
