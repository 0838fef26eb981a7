"""One door to all tasks: every task asks what it can about a record, says what it left out, and follows its seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gapdata.errors import ShardError, UsageError
from gapdata.records.expressions import Conversation
from gapdata.tasks import conversation, detection, pointmap
from gapdata.tasks.chat import IMAGE, Mark
from gapdata.tasks.questions import TASKS, left_out, questions
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import describe, make_object, make_prompt, make_record, random_record

DEFAULT = QuestionOptions()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def theirs(**changes: Any) -> Conversation:
    fields: dict[str, Any] = {
        "task": "det",
        "question": "<image>\n<image>\nDetect.",
        "answer": "[]",
        "mark": None,
        "source": "scannet_det_val_4frames.json",
        "index": 12,
    }
    return Conversation(**{**fields, **changes})


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if task.about != "space"])
def test_every_task_asks_about_every_frame_and_draws_only_by_its_seed(task: str) -> None:
    draw = rng(11)
    for _ in range(20):
        record = random_record(draw)
        words = theirs(question=IMAGE * len(record) + "?").to_fields()
        record = replace(record, expressions=(*record.expressions, words))
        asked = questions(record, task, replace(DEFAULT, marks=3), rng(1))
        assert asked == questions(record, task, replace(DEFAULT, marks=3), rng(1))
        assert all(question.text.count(IMAGE) == len(record) for question in asked)
        told = len(record.expressions) - 1
        expected = {"pointmap": -(-len(record.prompts) // 3), "detection": 1, "conversation": 1}
        assert len(asked) == expected.get(task, told - sum(left_out(record, task, DEFAULT).values()))


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    for ask in (
        lambda: questions(make_record(), "sing", DEFAULT, rng()),
        lambda: left_out(make_record(), "sing", DEFAULT),
    ):
        with pytest.raises(UsageError, match="task 'sing' is unknown; choose from pointmap, detection"):
            ask()


def test_single_marks_keep_the_order_of_the_prompts_and_several_share_them_out() -> None:
    prompts = tuple(make_prompt("chair", index, pixel=(index, index)) for index in range(1, 8))
    record = make_record(prompts=prompts)
    assert questions(record, "pointmap", DEFAULT, rng()) == [pointmap.render(record, prompt) for prompt in prompts]
    groups = questions(record, "pointmap", replace(DEFAULT, marks=3), rng())
    assert [len(question.marks) for question in groups] == [3, 3, 1]
    assert sorted(mark.pixel for question in groups for mark in question.marks) == [prompt.pixel for prompt in prompts]
    assert groups[2].marks[0].number == 0


def test_options_reach_detection() -> None:
    record = make_record((make_object(1, "chair", (3, 0)), make_object(2, "bed", (0, 9))))
    options = QuestionOptions(wording="vgllm_v2", min_visible_pixels=5)
    assert questions(record, "detection", options, rng()) == [
        detection.render(record, QuestionOptions(wording="vgllm_v2", min_visible_pixels=5))
    ]


def test_what_is_left_out_is_counted_by_reason() -> None:
    objects = (
        make_object(0, "chair", (0, 9), aligned_box=(0.0, 0.0, 1.0, 1.0, 1.0, 1.0)),
        make_object(1, "bed", (9, 9)),
        make_object(2, "lamp", (0, 0)),
    )
    told = tuple(describe(object_id).to_fields() for object_id in (0, 1, 2, 7))
    record = make_record(objects, expressions=told, axis_alignment=np.eye(4))
    unseen = {"no frame shows enough of the object": 1, "the view does not list the object": 1}
    unboxed = {**unseen, "the object has no aligned box": 1}
    assert left_out(record, "grounding_frame", DEFAULT) == unseen
    assert left_out(record, "grounding", DEFAULT) == unboxed
    assert left_out(record, "grounding", replace(DEFAULT, boxes="oriented")) == unseen
    assert left_out(record, "captioning", DEFAULT) == unboxed
    assert left_out(record, "captioning", replace(DEFAULT, caption_point="proposal")) == {
        **unseen,
        "the object has no proposal": 2,
    }
    assert left_out(record, "grounding_box", DEFAULT) == {
        "the first frame shows too little of the object": 2,
        "the object has no aligned box": 1,
        "the view does not list the object": 1,
    }
    assert left_out(record, "detection", DEFAULT) == {}


def test_somebodys_conversation_is_asked_verbatim_with_its_mark() -> None:
    record = make_record(expressions=(theirs(mark=(1, 10.4, 20.0)).to_fields(),))
    (question,) = questions(record, "conversation", DEFAULT, rng())
    assert (question.text, question.answer) == ("<image>\n<image>\nDetect.", "[]")
    assert question.marks == (Mark(frame=1, pixel=(10, 20)),)
    assert conversation.parse("det", question.answer) == detection.parse("[]")


def test_a_conversation_that_contradicts_its_view_is_refused() -> None:
    with pytest.raises(
        ShardError, match=r"conversation 12 of scannet_det_val_4frames.json has 1 image placeholder for 2"
    ):
        conversation.render(make_record(), theirs(question="<image>Detect."))
    for mark in ((2, 1.0, 1.0), (0, 64.0, 1.0), (0, 1.0, -1.0)):
        with pytest.raises(ShardError, match=f"of frame {mark[0]}, which the view does not have"):
            conversation.render(make_record(), theirs(mark=mark))


def test_a_question_becomes_chat_messages_with_one_image_per_frame() -> None:
    record = make_record(expressions=(theirs(question="A: <image>B: <image>\nWhat?", answer="This.").to_fields(),))
    (question,) = questions(record, "conversation", DEFAULT, rng())
    assert question.messages() == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "A: "},
                {"type": "image"},
                {"type": "text", "text": "B: "},
                {"type": "image"},
                {"type": "text", "text": "\nWhat?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "This."}]},
    ]
