"""Detection: the published bytes, the objects that count, and the trip through text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.geometry.boxes import box_corners, euler_from_rotation, rotation_from_euler
from gapdata.tasks import detection, detection_compat
from gapdata.tasks.box_text import box_of
from gapdata.tasks.detection import DetectionAnswer, TextBox
from gapdata.tasks.labels import BACKGROUND
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import WORDINGS, Wording, convention_of
from tests.support.task_records import RECORDS, golden_sample, make_object, make_record, random_record

labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
metres = st.floats(-20, 20)
sizes = st.floats(0, 10)
boxes = st.builds(
    lambda label, center, size, angles: TextBox(label=label, values=(*center, *size, *angles)),
    labels,
    st.tuples(metres, metres, metres),
    st.tuples(sizes, sizes, sizes),
    st.tuples(*[st.floats(-math.pi, math.pi)] * 3),
)
ASK = (
    "Detect the 3D bounding boxes in the camera coordinate system of the first frame.\n"
    'Output a json list where each entry contains the object name in "label" and its 3D bounding box in "{key}".\n'
    "The 3D bounding box format should be [x_center, y_center, z_center, x_size, y_size, z_size, {angles}]."
)
TEXTS = {
    "consistent": "<image><image>" + ASK.format(key="bbox_3d", angles="yaw, pitch, roll"),
    "gap": "<image><image>" + ASK.format(key="box_3d", angles="yaw, pitch, roll"),
    "vgllm_v1": "<image><image>" + ASK.format(key="box_3d", angles="yaw, pitch, roll"),
    "vgllm_v2": "<image>\n<image>\n" + ASK.format(key="bbox_3d", angles="yaw, roll, pitch"),
}


def test_the_golden_answer_of_gap_mllm_is_reproduced_byte_for_byte(samples: Path) -> None:
    sample = golden_sample(samples)
    written = [TextBox(label=box["label"], values=tuple(box["bbox_3d"])) for box in sample["boxes"]]
    assert detection.answer_text(written) == sample["answer_text"]
    for read in (detection.parse, detection_compat.parse_lines):
        answer = read(sample["answer_text"])
        assert isinstance(answer, DetectionAnswer)
        assert [box.label for box in answer.boxes] == [box["label"] for box in sample["boxes"]]
        assert answer.rejected == 0


def test_the_golden_boxes_read_as_extrinsic_angles_stand_upright(samples: Path) -> None:
    sample = golden_sample(samples)
    to_aligned = np.array(sample["axis_align_matrix"]) @ np.array(sample["cam2global"][0])
    for item in sample["boxes"]:
        box = TextBox(label=item["label"], values=tuple(item["bbox_3d"]))
        up = to_aligned[:3, :3] @ box.rotation("extrinsic_zxy")[:, 2]
        np.testing.assert_allclose(up, [0, 0, 1], atol=1e-3)
        again = euler_from_rotation(box.rotation("extrinsic_zxy"), "extrinsic_zxy")
        np.testing.assert_allclose(
            rotation_from_euler(again, "extrinsic_zxy"), box.rotation("extrinsic_zxy"), atol=1e-9
        )


@pytest.mark.parametrize("wording", WORDINGS)
def test_each_wording_gives_its_published_question(wording: Wording) -> None:
    assert detection.render(make_record(), QuestionOptions(wording=wording)).text == TEXTS[wording]


def test_an_unknown_wording_is_refused() -> None:
    with pytest.raises(UsageError, match=r"wording 'vgllm' is unknown; did you mean vgllm_v2\? choose from consistent"):
        detection.render(make_record(), QuestionOptions(wording="vgllm"))  # type: ignore[arg-type]


@pytest.mark.parametrize("wording", ["gap", "vgllm_v2"])
def test_an_answer_gives_back_the_boxes_of_a_thousand_records_to_its_rounding(wording: Wording) -> None:
    rng = np.random.default_rng(5)
    convention = convention_of(wording)
    for _ in range(RECORDS):
        record = random_record(rng)
        answer = detection.parse(detection.render(record, QuestionOptions(wording=wording)).answer)
        assert isinstance(answer, DetectionAnswer)
        found = detection.targets(record)
        assert answer.rejected == 0
        for box, item in zip(answer.boxes, found, strict=True):
            truth = detection.text_box(item, QuestionOptions(convention=convention))
            assert box.label == item.label
            assert list(box.values) == [round(value, 2) for value in truth.values]
            read = box_of(box.values, convention)
            # Half a centimetre each way for centre and size, and each angle's 0.005 rad at the corner's distance.
            reach = 0.005 * (np.sqrt(3) * 1.5 + 3 * np.linalg.norm(item.size) / 2) + 1e-9
            moved = np.linalg.norm(read.corners - box_corners(item.center, item.size, item.rotation), axis=1)
            assert moved.max() < reach


def test_a_thousand_records_list_no_background_and_nothing_out_of_sight() -> None:
    rng = np.random.default_rng(6)
    for _ in range(RECORDS):
        record = random_record(rng)
        for taxonomy in (None, "nyu40"):
            answer = detection.parse(detection.render(record, QuestionOptions(taxonomy=taxonomy)).answer)
            assert isinstance(answer, DetectionAnswer)
            assert not {box.label.lower() for box in answer.boxes} & BACKGROUND
            kept = detection.targets(record, QuestionOptions(taxonomy=taxonomy))
            assert len(kept) == len(answer.boxes)
            assert all(sum(item.visible_pixels) > 0 for item in kept)


@given(st.lists(boxes, max_size=6))
def test_detection_answers_survive_the_trip_through_text(written: list[TextBox]) -> None:
    answer = detection.parse(detection.answer_text(written))
    assert isinstance(answer, DetectionAnswer)
    assert [box.label for box in answer.boxes] == [box.label for box in written]
    for read, box in zip(answer.boxes, written, strict=True):
        assert list(read.values) == [round(value, 2) for value in box.values]


@given(st.lists(boxes, min_size=1, max_size=5), st.data())
def test_an_answer_that_is_cut_off_keeps_its_complete_entries(written: list[TextBox], data: st.DataObject) -> None:
    text = detection.answer_text(written)
    cut = text[: data.draw(st.integers(0, len(text)))]
    answer = detection.parse(cut)
    complete = sum(cut.startswith(detection.answer_text(written[: n + 1])[:-5]) for n in range(len(written)))
    kept = answer.boxes if isinstance(answer, DetectionAnswer) else ()
    assert len(kept) == complete
    assert [box.label for box in kept] == [box.label for box in written[:complete]]


def test_detection_lists_visible_objects_in_the_order_in_which_they_come_into_sight() -> None:
    objects = (
        make_object(0, "chair", (0, 90)),
        make_object(1, "Wall ", (900, 900)),
        make_object(2, "bed", (40, 0)),
        make_object(3, "lamp", (5, 5)),
        make_object(4, "door", (0, 0)),
        make_object(5, "objects", (50, 50)),
    )
    record = make_record(objects)
    assert [item.label for item in detection.targets(record, QuestionOptions(min_visible_pixels=10))] == [
        "bed",
        "chair",
    ]
    assert [item.label for item in detection.targets(record)] == ["bed", "lamp", "chair"]
    assert [item.label for item in detection.targets(record, QuestionOptions(min_visible_pixels=0))] == [
        "bed",
        "lamp",
        "chair",
    ]
    assert [item.label for item in detection.targets(record, QuestionOptions(max_objects=1))] == ["chair"]


def test_the_taxonomy_decides_names_and_background_and_what_it_lacks_follows_the_rule() -> None:
    record = make_record(
        (
            make_object(0, "closet wall", (9, 9), labels={"raw": "closet wall", "nyu40": "wall"}),
            make_object(1, "office chair", (9, 9), labels={"raw": "office chair", "nyu40": "chair"}),
            make_object(2, "rice cooker", (9, 9), labels={"raw": "rice cooker"}),
        )
    )

    def listed(**options: Any) -> list[str]:
        answer = detection.parse(detection.render(record, QuestionOptions(**options)).answer)
        assert isinstance(answer, DetectionAnswer)
        return [box.label for box in answer.boxes]

    assert listed() == ["closet wall", "office chair", "rice cooker"]
    assert listed(taxonomy="nyu40") == ["chair", "rice cooker"]
    assert listed(taxonomy="nyu40", missing_label="drop") == ["chair"]
    with pytest.raises(UsageError, match="missing_label 'keep' is unknown; choose from label, drop"):
        listed(taxonomy="nyu40", missing_label="keep")


def test_a_view_without_targets_is_answered_with_an_empty_list() -> None:
    question = detection.render(make_record())
    assert question.answer == "```json\n[\n\t\n]```"
    assert detection.parse(question.answer) == DetectionAnswer(boxes=())
