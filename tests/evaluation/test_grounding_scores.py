"""Grounding scores on random rooms: the truth itself, both readings, and what an answer costs that cannot be read."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.overlap import pairwise_iou
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.tasks import grounding as task
from gapdata.tasks import grounding_box, grounding_frame
from gapdata.tasks.box_text import nine_numbers
from gapdata.tasks.targets import aligned_camera, camera_box, described
from gapmodel.evaluation import grounding
from gapmodel.evaluation.authors_overlap import authors_iou, corners_of
from tests.support.task_records import random_record


def rooms(count: int = 12) -> list[Record]:
    """Random rooms whose first object some frame shows."""
    found = []
    for seed in range(200):
        record = random_record(np.random.default_rng(seed))
        if max(record.objects[0].visible_pixels) > 0 and min(record.objects[0].size) > 0.3:
            found.append(record)
    return found[:count]


def test_the_exact_box_in_the_chosen_camera_is_right_in_both_readings() -> None:
    for record in rooms():
        expression = descriptions(record)[0]
        item = described(record, expression)
        assert item.aligned_box is not None
        for frame in range(len(record)):
            values = nine_numbers(camera_box(record, item, frame), "extrinsic_zxy")
            text = "```json\n\t" + json.dumps({"frame": frame, "bbox_3d": values}) + "\n```"
            for compat in ("none", "gap"):
                found = grounding.one_pass(record, expression, text, "extrinsic_zxy", compat=compat)
                # Turned into the aligned world the box has no angles left, so reading them otherwise does no harm.
                assert found.iou == pytest.approx(1.0, abs=1e-6 if compat == "none" else 1e-4)
                assert found.best_frame is (frame == item.best_frame())
                assert found.in_sight is (item.visible_pixels[frame] > 0)


def test_two_stages_agree_with_one_pass_where_the_same_frame_and_box_are_named() -> None:
    for record in rooms(4):
        expression = descriptions(record)[0]
        frame = described(record, expression).best_frame()
        values = nine_numbers(camera_box(record, described(record, expression), frame), "intrinsic_zxy")
        one = grounding.one_pass(record, expression, task.answer_text(frame, values), "intrinsic_zxy")
        two = grounding.two_stage(
            record,
            expression,
            grounding_frame.answer_text(frame),
            grounding_box.answer_text(values),
            "intrinsic_zxy",
        )
        assert one == two
        assert one.iou > 0.5


def test_the_authors_overlap_is_computed_as_their_scripts_do() -> None:
    """Read as extrinsic zxy, turn into the aligned world, write extrinsic zxy angles, read those as intrinsic ZXY."""
    rng = np.random.default_rng(2)
    for record in rooms(6):
        expression = descriptions(record)[0]
        item = described(record, expression)
        assert item.aligned_box is not None
        true = camera_box(record, item, 0)
        values = np.array(nine_numbers(true, "extrinsic_zxy")) + rng.normal(0, 0.2, 9)
        values[3:6] = np.abs(values[3:6]) + 0.1
        extrinsic = aligned_camera(record, 0)
        matrix = extrinsic[:3, :3] @ rotation_from_euler(values[6:], "extrinsic_zxy")
        # zxy extrinsic: matrix = Ry(c) Rx(b) Rz(a)
        b = math.asin(-matrix[1, 2])
        a, c = math.atan2(matrix[1, 0], matrix[1, 1]), math.atan2(matrix[0, 2], matrix[2, 2])
        moved = [*(extrinsic[:3, :3] @ values[:3] + extrinsic[:3, 3]), *values[3:6], a, b, c]
        expected = authors_iou(corners_of([moved]), corners_of([[*item.aligned_box, 0, 0, 0]]))[0]
        found = grounding.overlap(record, expression, 0, values.tolist(), "intrinsic_zxy", compat="gap")
        assert found == pytest.approx(expected, abs=1e-6)


def test_the_overlap_is_that_of_the_same_boxes_in_the_aligned_world() -> None:
    """Computed in the world that the truth is given in; half of the answers cannot be read, some boxes are flat."""
    rng = np.random.default_rng(4)
    results, ious = [], []
    for number, record in enumerate(rooms()):
        expression = descriptions(record)[0]
        item = described(record, expression)
        assert item.aligned_box is not None
        frame = number % len(record)
        values = np.array(nine_numbers(camera_box(record, item, frame), "intrinsic_zxy")) + rng.normal(0, 0.1, 9)
        values[3:6] = np.abs(values[3:6])
        to_aligned = aligned_camera(record, frame)
        guess = OrientedBox(
            center=to_aligned[:3, :3] @ values[:3] + to_aligned[:3, 3],
            size=values[3:6],
            rotation=to_aligned[:3, :3] @ rotation_from_euler(values[6:], "intrinsic_zxy"),
        )
        center, size = np.array(item.aligned_box[:3]), np.array(item.aligned_box[3:])
        ious.append(pairwise_iou([OrientedBox(center=center, size=size, rotation=np.eye(3))], [guess])[0, 0])
        first = grounding_frame.answer_text(frame)
        worthless = ["[NaN]", '{"bbox_3d": [NaN, 0, 3, 1, 1, 1, 0, 0, 0]}', '{"bbox_3d": [0, 0, 3, 0, 1, 1, 0, 0, 0]}']
        ious += [0.0] * len(worthless)
        for text in (json.dumps({"bbox_3d": values.tolist()}), *worthless):
            results.append(grounding.two_stage(record, expression, first, text, "intrinsic_zxy"))
            assert results[-1].iou == pytest.approx(ious[len(results) - 1], abs=1e-6)
    scores = grounding.summarise(results)
    assert scores.unparsable == len(results) // 2
    assert scores.mean_iou == pytest.approx(sum(ious) / len(ious), abs=1e-6)
    assert scores.accuracy["0.25"] == pytest.approx(sum(iou >= 0.25 for iou in ious) / len(ious))
    assert 0 < scores.accuracy["0.50"] <= scores.accuracy["0.25"] < 1


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ('{"frame": 0}', 0, 0),
        ("it is frame 0, {'frame': 0}", 0, 0),
        ("no idea", None, 0),
        ("", None, 0),
        ('{"frame": "Frame-0"}', 0, None),
        ('{"frame": 99}', None, None),
        ('{"frame": -1}', None, 3),
        ('{"frame": -4}', None, 0),
        ('{"frame": -5}', None, None),
        ('{"frame": true}', None, 1),
        ('{"frame": 2.0}', 2, None),
        ('{"frame": null}', None, None),
        ('[{"frame": 2}]', 2, 0),
        ('["frame"]', None, None),
        ('"no idea"', None, 0),
        ("3", None, None),
        ('{"frame": NaN}', None, None),
        ("[1]", None, 0),
        ("{}", None, 0),
    ],
)
def test_the_first_stage_is_read_by_both(text: str, ours: int | None, theirs: int | None) -> None:
    found = [grounding.chosen_frame(text, 4), grounding.chosen_frame(text, 4, compat="gap")]
    assert [frame if isinstance(frame, int) else None for frame in found] == [ours, theirs]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "{}",
        '{"frame": 0}',
        '{"frame": 0, "bbox_3d": [1, 2]}',
        '{"frame": 77, "bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0, 0]}',
        '{"frame": 0, "bbox_3d": [NaN, 0, 3, 1, 1, 1, 0, 0, 0]}',
        "__import__('os')  # bbox_3d",
    ],
)
def test_an_unreadable_answer_overlaps_nothing_and_says_why(text: str) -> None:
    record = rooms(1)[0]
    for compat in ("none", "gap"):
        found = grounding.one_pass(record, descriptions(record)[0], text, "extrinsic_zxy", compat=compat)
        assert found.iou == 0.0
        assert found.reason


def test_the_authors_take_a_size_without_its_sign_and_no_tuple() -> None:
    record = rooms(1)[0]
    expression = descriptions(record)[0]
    values = list(nine_numbers(camera_box(record, described(record, expression), 0), "extrinsic_zxy"))
    values[4] *= -1
    for text, iou in (
        (f'{{"frame": 0, "bbox_3d": {values}}}', 1.0),
        (f'{{"frame": 0, "bbox_3d": {tuple(values)}}}', 0.0),
    ):
        two = grounding.two_stage(record, expression, '{"frame": 0}', text, "extrinsic_zxy", compat="gap")
        assert two.iou == pytest.approx(iou, abs=1e-4)


def test_a_box_without_volume_overlaps_nothing() -> None:
    record = rooms(1)[0]
    for compat in ("none", "gap"):
        text = '{"frame": 0, "bbox_3d": [0, 0, 3, 0, 0, 0, 0, 0, 0]}'
        found = grounding.one_pass(record, descriptions(record)[0], text, "extrinsic_zxy", compat=compat)
        assert (found.iou, found.reason) == (0.0, None)


def result(iou: float, unique: bool | None, reason: str | None = None) -> grounding.GroundingResult:
    return grounding.GroundingResult(
        scene="a", iou=iou, unique=unique, best_frame=iou > 0.3, in_sight=True, reason=reason
    )


def test_shares_are_over_all_questions_and_over_each_kind() -> None:
    items = [result(0.25, True), result(0.5, True), result(0.1, False), result(0.0, False, "?"), result(0.9, None)]
    scores = grounding.summarise(items)
    assert scores.accuracy == {"0.25": 0.6, "0.50": 0.4}
    assert scores.unique == {"questions": 2, "0.25": 1.0, "0.50": 0.5}
    assert scores.multiple == {"questions": 2, "0.25": 0.0, "0.50": 0.0}
    assert scores.mean_iou == pytest.approx(0.35)
    assert scores.best_frame == pytest.approx(0.4)
    assert scores.reasons == {"?": 1}
    assert math.isnan(grounding.summarise([]).mean_iou)
