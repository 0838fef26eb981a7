"""Grounding: the published texts, the chosen frame, boxes in its camera, and the way back to the aligned world."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError, UsageError
from gapdata.geometry.boxes import EulerConvention, OrientedBox
from gapdata.prompts.instances import visible_pixels
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.tasks import grounding, grounding_box, grounding_frame
from gapdata.tasks.box_text import box_of, nine_numbers
from gapdata.tasks.grounding import GroundingAnswer
from gapdata.tasks.grounding_box import BoxAnswer
from gapdata.tasks.targets import TargetBox, aligned_camera, camera_box
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording, convention_of
from tests.support.task_records import RECORDS, describe, make_object, make_record, random_record

numbers = st.tuples(*[st.floats(-20, 20)] * 3, *[st.floats(0, 9)] * 3, *[st.floats(-3.2, 3.2)] * 3)
NUMBERED = "Frame-0: <image>Frame-1: <image>\n"
FRAME = (
    "Localize the first clear frame in the video showing the object described in the text.\n"
    "Text: The big chair. it is red.\n"
    'Output a JSON dictionary with the frame index in "frame".\n'
)
BOX = (
    "Localize the object described in the text.\n"
    "Text: The big chair. it is red.\n"
    'Output a JSON dictionary with the matched object\'s 3D bounding box in "bbox_3d" in the camera coordinate system '
    "of the first frame.\n"
    "The 3D bounding box format should be [x_center, y_center, z_center, x_size, y_size, z_size, {angles}].{end}"
)
BOTH = (
    "Localize the first clear frame in the video showing the object described in the text.\n"
    "Text: The big chair. it is red.\n"
    'Output a JSON dictionary with the frame index in "frame" and its 3D bounding box in "bbox_3d" in the frame\'s '
    "coordinates.\n"
)
SEEN = describe(3, "the big Chair. It is red.")


def seen_record(**changes: Any) -> Record:
    item = make_object(3, "chair", (5, 40), aligned_box=(1.0, 2.0, 3.0, 0.4, 0.5, 0.6))
    return make_record((item,), axis_alignment=np.eye(4), **changes)


@pytest.mark.parametrize("wording", ["gap", "vgllm_v1", "vgllm_v2"])
def test_the_published_wordings_are_reproduced(wording: Wording) -> None:
    record = seen_record()
    assert grounding_frame.render(record, SEEN, QuestionOptions(wording=wording)).text == NUMBERED + FRAME
    assert grounding.render(record, SEEN, QuestionOptions(wording=wording)).text == NUMBERED + BOTH
    angles = "yaw, roll, pitch" if wording == "vgllm_v2" else "yaw, pitch, roll"
    expected = "<image><image>" + BOX.format(angles=angles, end="\n")
    assert grounding_box.render(record, SEEN, QuestionOptions(wording=wording)).text == expected


def test_our_wording_says_what_the_answer_holds() -> None:
    record = seen_record()
    for render in (grounding_frame.render, grounding.render):
        assert (
            "Localize the frame in the video that shows the object described in the text best."
            in render(record, SEEN).text
        )
    assert "in the camera coordinate system of that frame" in grounding.render(record, SEEN).text
    assert (
        "[x_center, y_center, z_center, x_size, y_size, z_size, yaw, pitch, roll]"
        in grounding.render(record, SEEN).text
    )
    assert grounding_box.render(record, SEEN).text == "<image><image>" + BOX.format(angles="yaw, pitch, roll", end="")


def test_the_answers_have_the_published_bytes() -> None:
    record = seen_record()
    assert grounding_frame.render(record, SEEN).answer == '```json\n\t{"frame": 1}\n```'
    box = "[1.0, 2.0, 3.0, 0.4, 0.5, 0.6, 0.0, 0.0, 0.0]"
    assert grounding_box.render(record, SEEN).answer == f'```json\n\t{{"bbox_3d": {box}}}\n```'
    assert grounding.render(record, SEEN).answer == f'```json\n\t{{"frame": 1, "bbox_3d": {box}}}\n```'


def test_the_chosen_frame_is_the_one_whose_mask_shows_most_of_the_target() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        masks = (rng.integers(0, 4, (5, 3, 4)) * (rng.random((5, 3, 4)) < 0.4)).astype(np.uint16)
        for object_id, counts in visible_pixels(masks).items():
            if not sum(counts):
                continue
            areas = [np.count_nonzero(mask == object_id + 1) for mask in masks]
            chosen = make_object(object_id, "chair", counts).best_frame()
            assert areas[chosen] == max(areas)
            assert max(areas[:chosen], default=0) < areas[chosen]


def test_an_object_that_no_frame_shows_has_no_best_frame() -> None:
    with pytest.raises(ShardError, match="no frame of the view shows object 3"):
        make_object(3, "chair", (0, 0)).best_frame()


@cache
def described_views() -> list[Record]:
    rng = np.random.default_rng(8)
    return [random_record(rng) for _ in range(RECORDS)]


@pytest.mark.parametrize(("wording", "boxes"), [("gap", "aligned"), ("vgllm_v2", "oriented")])
def test_answers_give_back_frame_and_box_of_a_thousand_records_to_their_rounding(
    wording: Wording, boxes: TargetBox
) -> None:
    convention = convention_of(wording)
    for record in described_views():
        for item, expression in zip(record.objects, descriptions(record), strict=True):
            if not sum(item.visible_pixels):
                continue
            frame = item.best_frame()
            truth = [round(value, 2) for value in nine_numbers(camera_box(record, item, frame, boxes), convention)]
            question = grounding.render(record, expression, QuestionOptions(wording=wording, boxes=boxes))
            assert grounding.parse(question.answer, len(record)) == GroundingAnswer(frame=frame, values=tuple(truth))
            assert grounding_frame.parse(grounding_frame.render(record, expression).answer) == frame
            first = [round(value, 2) for value in nine_numbers(camera_box(record, item, 0, boxes), convention)]
            second = grounding_box.render(record, expression, QuestionOptions(wording=wording, boxes=boxes))
            assert grounding_box.parse(second.answer) == BoxAnswer(values=tuple(first))


@pytest.mark.parametrize("convention", ["extrinsic_zxy", "intrinsic_zxy"])
def test_a_box_goes_to_the_chosen_camera_and_back_to_the_aligned_world(convention: EulerConvention) -> None:
    for record in described_views()[:150]:
        assert record.axis_alignment is not None
        for item in record.objects:
            assert item.aligned_box is not None
            for frame in range(len(record)):
                values = nine_numbers(camera_box(record, item, frame, "aligned"), convention)
                back = box_of(values, convention).transformed(aligned_camera(record, frame))
                np.testing.assert_allclose([*back.center, *back.size], item.aligned_box, atol=1e-9)
                np.testing.assert_allclose(back.rotation, np.eye(3), atol=1e-7)
                own = nine_numbers(camera_box(record, item, frame, "oriented"), convention)
                corners = box_of(own, convention).transformed(aligned_camera(record, frame)).corners
                # The aligned box of a random record is the one around its oriented box.
                np.testing.assert_allclose(np.ptp(corners, axis=0), item.aligned_box[3:], atol=1e-7)


def test_the_oriented_box_in_the_first_camera_is_the_stored_one() -> None:
    for record in described_views()[:20]:
        for item in record.objects:
            box = camera_box(record, item, 0, "oriented")
            stored = OrientedBox(
                center=np.array(item.center), size=np.array(item.size), rotation=np.array(item.rotation)
            )
            np.testing.assert_allclose(box.corners, stored.corners, atol=1e-9)


@given(st.integers(0, 31), numbers)
def test_answers_survive_the_trip_through_text(frame: int, values: tuple[float, ...]) -> None:
    rounded = tuple(round(value, 2) for value in values)
    assert grounding.parse(grounding.answer_text(frame, values)) == GroundingAnswer(frame=frame, values=rounded)
    assert grounding_box.parse(grounding_box.answer_text(values)) == BoxAnswer(values=rounded)
    assert grounding_frame.parse(grounding_frame.answer_text(frame)) == frame


def test_the_first_complete_answer_counts() -> None:
    text = '{"frame": "Frame-7"} or rather {"frame": 2, "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}'
    assert grounding_frame.parse(text) == 7
    assert grounding.parse(text) == GroundingAnswer(frame=2, values=(1, 2, 3, 1, 1, 1, 0, 0, 0))


def test_what_cannot_be_asked_says_why() -> None:
    record = seen_record()
    with pytest.raises(ShardError, match="description 0 is about object 8, which the view does not list"):
        grounding.render(record, describe(8))
    with pytest.raises(ShardError, match="object 3 has no aligned box; build the shards again, or use boxes"):
        grounding.render(replace(record, objects=(make_object(3, "chair", (1, 1)),)), SEEN)
    with pytest.raises(ShardError, match="scan has no axis alignment, so it has no aligned world; use boxes"):
        grounding_box.render(replace(record, axis_alignment=None), SEEN)
    with pytest.raises(ShardError, match="there is no frame 2, the view has 2"):
        aligned_camera(record, 2)
    with pytest.raises(ShardError, match="there is no frame 9, the view has 2"):
        camera_box(record, record.objects[0], 9, "oriented")
    with pytest.raises(UsageError, match="boxes 'upright' is unknown; choose from aligned, oriented"):
        camera_box(record, record.objects[0], 0, "upright")  # type: ignore[arg-type]


def test_a_description_cannot_add_a_frame_to_its_question() -> None:
    question = grounding.render(seen_record(), describe(3, "the <image> <IMAGE> chair"))
    assert question.text.count("<image>") == 2
