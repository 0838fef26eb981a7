"""Dense captioning: the published text, whose centre is asked about, references and the metric's form of a text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError, UsageError
from gapdata.records.expressions import descriptions
from gapdata.tasks import captioning
from gapdata.tasks.captioning import CaptionAnswer
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import RECORDS, describe, make_object, make_record, random_record


def test_the_published_question_and_answer_are_reproduced() -> None:
    record = make_record((make_object(3, "chair", (5, 40), center=(-1.266, 0.004, 2.5)),))
    question = captioning.render(
        record, describe(3, "the Chair is RED. it swivels."), QuestionOptions(boxes="oriented")
    )
    assert question.text == (
        "<image><image>\nCarefully watch the video and describe the object located at [-1.27, 0.0, 2.5] in detail."
    )
    assert question.answer == "The chair is red. it swivels."


def test_the_point_is_the_centre_of_the_true_box_or_of_the_proposal() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        record = random_record(rng)
        for item, expression in zip(record.objects, descriptions(record), strict=True):
            truth, oriented, proposal = (
                captioning.render(record, expression, QuestionOptions(caption_point="truth", boxes="aligned")).text,
                captioning.render(record, expression, QuestionOptions(caption_point="truth", boxes="oriented")).text,
                captioning.render(record, expression, QuestionOptions(caption_point="proposal", boxes="aligned")).text,
            )
            assert item.proposal is not None
            assert item.aligned_box is not None
            assert f"located at {[round(value, 2) for value in item.center]} in" in oriented
            assert f"located at {[round(value, 2) for value in item.proposal['center']]} in" in proposal
            assert record.axis_alignment is not None
            world = record.axis_alignment @ record.camera_to_world[0]
            center = np.linalg.inv(world) @ [*item.aligned_box[:3], 1]
            assert f"located at {[round(float(value), 2) for value in center[:3]]} in" in truth


def test_an_answer_gives_back_the_descriptions_of_a_thousand_records() -> None:
    rng = np.random.default_rng(4)
    for _ in range(RECORDS):
        record = random_record(rng)
        for expression in descriptions(record):
            answer = captioning.parse(captioning.render(record, expression).answer)
            assert answer == CaptionAnswer(text=expression.text.capitalize())


@given(st.text(max_size=60))
def test_a_caption_is_read_as_it_stands_but_for_space_and_fences(text: str) -> None:
    expected = text.strip()
    answer = captioning.parse(f" \n{text}\t")
    if "```" not in text:
        assert answer == (CaptionAnswer(text=expected) if expected else Unparsable("empty caption"))
    assert captioning.parse(f"```text\n{text}\n```") == answer or "```" in text


def test_all_descriptions_of_an_object_are_its_references() -> None:
    expressions = [
        describe(3, "a", "0"),
        describe(4, "b", "0", "bed"),
        describe(3, "c", "1"),
        describe(3, "d", "2", "seat"),
    ]
    assert captioning.references(expressions) == {(3, "chair"): ("a", "c"), (4, "bed"): ("b",), (3, "seat"): ("d",)}


def test_the_metric_compares_lower_case_with_stops_and_commas_apart() -> None:
    assert captioning.metric_text("A red chair, by the Door.") == "sos a red chair ,  by the door .  eos"
    assert captioning.metric_text("") == "sos  eos"


def test_what_cannot_be_asked_says_why() -> None:
    record = replace(make_record((make_object(3, "chair", (5, 40)),)), axis_alignment=np.eye(4))
    with pytest.raises(ShardError, match="object 3 has no proposal"):
        captioning.render(record, describe(3), QuestionOptions(caption_point="proposal"))
    with pytest.raises(ShardError, match="object 3 has no aligned box"):
        captioning.render(record, describe(3))
    with pytest.raises(UsageError, match="caption point 'middle' is unknown; choose from truth, proposal"):
        captioning.render(record, describe(3), QuestionOptions(caption_point="middle"))  # type: ignore[arg-type]
