"""The tasks' text: what is asked, what is answered, and reading what models write back."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.geometry.boxes import euler_from_rotation, rotation_from_euler
from gapdata.records.schema import Prompt, Record, ViewObject
from gapdata.tasks import detection, pointmap
from gapdata.tasks.chat import Unparsable, read_json
from gapdata.tasks.detection import DetectionAnswer, TextBox
from gapdata.tasks.pointmap import PointmapAnswer

SAMPLES = Path(os.environ.get("GAPDATA_SAMPLES", Path(__file__).parents[2] / "shared" / "data"))
GOLDEN = SAMPLES / "gap-detection-sample.json"

labels = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
metres = st.floats(-20, 20)
sizes = st.floats(0.01, 10)
boxes = st.builds(
    lambda label, center, size, angles: TextBox(label=label, values=(*center, *size, *angles)),
    labels,
    st.tuples(metres, metres, metres),
    st.tuples(sizes, sizes, sizes),
    st.tuples(*[st.floats(-math.pi, math.pi)] * 3),
)


def make_record(objects: tuple[ViewObject, ...] = (), prompts: tuple[Prompt, ...] = ()) -> Record:
    return Record(
        key="room-clip-00000",
        scene_id="room",
        source="analytic",
        split="train",
        view="clip",
        frame_ids=(0, 30),
        image_size=(64, 48),
        intrinsics=np.tile([50.0, 50.0, 31.5, 23.5], (2, 1)),
        camera_to_world=np.tile(np.eye(4), (2, 1, 1)),
        camera_to_first=np.tile(np.eye(4), (2, 1, 1)),
        axis_alignment=None,
        objects=objects,
        prompts=prompts,
    )


def make_object(object_id: int, label: str, visible: tuple[int, int]) -> ViewObject:
    return ViewObject(
        object_id=object_id,
        label=label,
        labels={},
        center=(0.0, 0.0, 2.0 + object_id),
        size=(0.5, 0.6, 0.7),
        rotation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        visible_pixels=visible,
    )


def make_prompt(label: str | None) -> Prompt:
    return Prompt(index=1, frame=1, pixel=(10, 20), point=(1.256, -0.004, 3.0), object_id=4, label=label)


def test_the_golden_answer_of_gap_mllm_is_reproduced_byte_for_byte() -> None:
    if not GOLDEN.is_file():
        pytest.skip(f"no sample data at {SAMPLES}; set GAPDATA_SAMPLES")
    sample = json.loads(GOLDEN.read_text(encoding="utf-8"))
    written = [TextBox(label=box["label"], values=tuple(box["bbox_3d"])) for box in sample["boxes"]]
    assert detection.answer_text(written) == sample["answer_text"]
    answer = detection.parse(sample["answer_text"])
    assert isinstance(answer, DetectionAnswer)
    assert [box.label for box in answer.boxes] == [box["label"] for box in sample["boxes"]]
    assert answer.rejected == 0


def test_the_golden_boxes_read_as_extrinsic_angles_stand_upright() -> None:
    if not GOLDEN.is_file():
        pytest.skip(f"no sample data at {SAMPLES}; set GAPDATA_SAMPLES")
    sample = json.loads(GOLDEN.read_text(encoding="utf-8"))
    to_aligned = np.array(sample["axis_align_matrix"]) @ np.array(sample["cam2global"][0])
    for item in sample["boxes"]:
        box = TextBox(label=item["label"], values=tuple(item["bbox_3d"]))
        up = to_aligned[:3, :3] @ box.rotation("extrinsic_zxy")[:, 2]
        np.testing.assert_allclose(up, [0, 0, 1], atol=1e-3)
        again = euler_from_rotation(box.rotation("extrinsic_zxy"), "extrinsic_zxy")
        np.testing.assert_allclose(
            rotation_from_euler(again, "extrinsic_zxy"), box.rotation("extrinsic_zxy"), atol=1e-9
        )


def test_a_pointmap_question_marks_the_pixel_and_rounds_to_centimetres() -> None:
    question = pointmap.render(make_record(), make_prompt("chair"))
    assert question.text.startswith("<image><image>What")
    assert question.mark is not None
    assert (question.mark.frame, question.mark.pixel) == (1, (10, 20))
    assert question.answer == '```json\n{"label": "chair", "pointmap": [1.26, -0.0, 3.0]}\n```'


def test_a_prompt_without_label_asks_for_the_point_alone() -> None:
    question = pointmap.render(make_record(), make_prompt(None))
    assert '"label"' not in question.text
    assert question.answer == '```json\n{"pointmap": [1.26, -0.0, 3.0]}\n```'
    assert pointmap.parse(question.answer) == PointmapAnswer(point=(1.26, -0.0, 3.0), label=None)


@given(label=st.none() | labels, point=st.tuples(metres, metres, metres))
def test_a_pointmap_answer_survives_the_trip_through_text(label: str | None, point: tuple[float, float, float]) -> None:
    read = pointmap.parse(pointmap.answer_text(PointmapAnswer(point=point, label=label)))
    assert isinstance(read, PointmapAnswer)
    assert read.label == label
    np.testing.assert_allclose(read.point, point, atol=0.0051)


@given(st.lists(boxes, max_size=6))
def test_detection_answers_survive_the_trip_through_text(written: list[TextBox]) -> None:
    answer = detection.parse(detection.answer_text(written))
    assert isinstance(answer, DetectionAnswer)
    assert [box.label for box in answer.boxes] == [box.label for box in written]
    for read, box in zip(answer.boxes, written, strict=True):
        np.testing.assert_allclose(read.values, box.values, atol=0.0051)


@given(st.lists(boxes, min_size=1, max_size=5), st.data())
def test_an_answer_that_is_cut_off_keeps_its_complete_entries(written: list[TextBox], data: st.DataObject) -> None:
    text = detection.answer_text(written)
    cut = text[: data.draw(st.integers(0, len(text)))]
    answer = detection.parse(cut)
    complete = sum(cut.startswith(detection.answer_text(written[: n + 1])[:-5]) for n in range(len(written)))
    kept = answer.boxes if isinstance(answer, DetectionAnswer) else ()
    assert len(kept) == complete
    assert [box.label for box in kept] == [box.label for box in written[:complete]]


BENT = {
    "single quotes": "[{'label': 'chair', 'bbox_3d': [1, 2, 3, 1, 1, 1, 0, 0, 0]}]",
    "trailing commas": '[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0,],},]',
    "the paper's key": '[{"label": "chair", "box_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]',
    "no list": '{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
    "prose and a fence": 'Here:\n```json\n[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]\n```\nDone.',
    "pretty printing": json.dumps([{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}], indent=4),
    "signs and exponents": '[{"label": "chair", "bbox_3d": [+1.0, 2e0, .3e1, 1, 1, 1, 0, 0, 0]}]',
    "no closing brackets": '[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
}


@pytest.mark.parametrize("text", BENT.values(), ids=BENT.keys())
def test_bent_json_is_read_as_what_it_means(text: str) -> None:
    answer = detection.parse(text)
    assert answer == DetectionAnswer(boxes=(TextBox(label="chair", values=(1, 2, 3, 1, 1, 1, 0, 0, 0)),))


UNUSABLE = {
    "eight numbers": "[1, 2, 3, 1, 1, 1, 0, 0]",
    "not a number": "[1, 2, 3, 1, 1, 1, 0, 0, NaN]",
    "infinite": "[1, 2, 3, 1, 1, 1, 0, 0, 1e999]",
    "a boolean": "[1, 2, 3, 1, 1, 1, 0, 0, true]",
    "no volume": "[1, 2, 3, 0, 1, 1, 0, 0, 0]",
    "text": '"1 2 3 1 1 1 0 0 0"',
}


@pytest.mark.parametrize("numbers", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_entry_without_nine_usable_numbers_is_left_out_and_counted(numbers: str) -> None:
    good = '{"label": "bed", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}'
    answer = detection.parse(f'[{{"label": "chair", "bbox_3d": {numbers}}}, {good}]')
    assert isinstance(answer, DetectionAnswer)
    assert [box.label for box in answer.boxes] == ["bed"]
    assert answer.rejected == 1


def test_text_without_an_answer_says_why() -> None:
    assert detection.parse("I see nothing.") == Unparsable("no JSON list")
    assert detection.parse("[]") == DetectionAnswer(boxes=())
    assert pointmap.parse("somewhere") == Unparsable("no JSON object with the key pointmap")
    assert pointmap.parse('{"pointmap": [1, 2]}') == Unparsable("pointmap is not three finite numbers")


@settings(max_examples=300)
@given(st.text(alphabet="[]{}\"'\\:,.-+0123456789eENant u\n`lbox_3dpm", max_size=400) | st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    detection.parse(text)
    pointmap.parse(text)


@pytest.mark.parametrize("unit", ["[", "{", '{"a":', "[[", "'", '{"a', "\\", "9", "[1,", '{"":[', "\u0660"])
def test_hostile_repetition_is_read_with_bounded_nesting(unit: str) -> None:
    limit = sys.getrecursionlimit()
    assert isinstance(read_json(unit * 100_000), list)
    assert sys.getrecursionlimit() == limit


def test_detection_lists_visible_objects_in_the_order_in_which_they_come_into_sight() -> None:
    objects = (
        make_object(0, "chair", (0, 90)),
        make_object(1, "wall", (900, 900)),
        make_object(2, "bed", (40, 0)),
        make_object(3, "lamp", (5, 5)),
    )
    record = make_record(objects)
    assert [item.label for item in detection.targets(record, min_visible_pixels=10)] == ["bed", "chair"]
    assert [item.label for item in detection.targets(record)] == ["bed", "lamp", "chair"]
    assert [item.label for item in detection.targets(record, max_objects=1)] == ["chair"]


def test_a_view_without_targets_is_answered_with_an_empty_list() -> None:
    question = detection.render(make_record())
    assert question.answer == "```json\n[\n\t\n]```"
    assert detection.parse(question.answer) == DetectionAnswer(boxes=())


def test_the_wording_follows_gap_mllm_on_request() -> None:
    ours, theirs = detection.render(make_record()), detection.render(make_record(), wording="gap")
    assert '"bbox_3d"' in ours.text
    assert '"box_3d"' in theirs.text
    assert theirs.text.replace("box_3d", "bbox_3d") == ours.text
    assert ours.text.startswith("<image><image>Detect the 3D bounding boxes in the camera coordinate system")
