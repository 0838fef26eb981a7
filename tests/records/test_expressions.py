"""Expressions and the optional fields of objects ride in a record's JSON and come back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError
from gapdata.records.expressions import Conversation, Expression, conversations, descriptions
from gapdata.records.reading import record_from_json
from tests.support.task_records import describe, make_object, make_record, random_record

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
name = st.none() | text.filter(bool)
told = st.builds(
    Expression,
    object_id=st.integers(0, 500),
    ann_id=text,
    object_name=text,
    text=text,
    unique=st.none() | st.booleans(),
)
talked = st.builds(
    Conversation,
    task=text,
    question=text,
    answer=text,
    mark=st.none() | st.tuples(st.integers(0, 31), st.floats(0, 511), st.floats(0, 383)),
    source=text,
    index=st.integers(0, 10**6),
    benchmark=name,
    question_type=name,
    answers=st.lists(text, max_size=3).map(tuple),
    options=st.lists(text, max_size=3).map(tuple),
    id=name,
    object_ids=st.lists(st.integers(0, 500), max_size=3).map(tuple),
    marks=st.lists(
        st.tuples(
            st.integers(0, 31),
            st.sampled_from(["red", "green", "blue", "yellow"]),
            st.tuples(st.floats(0, 511), st.floats(0, 383))
            | st.tuples(st.floats(0, 511), st.floats(0, 383), st.floats(0, 511), st.floats(0, 383)),
        ),
        max_size=3,
    ).map(tuple),
)


@given(st.lists(told | talked, max_size=5))
def test_expressions_survive_the_trip_through_a_records_json(items: list[Expression | Conversation]) -> None:
    record = make_record(expressions=tuple(item.to_fields() for item in items))
    read = record_from_json(record.to_json())
    assert descriptions(read) == tuple(item for item in items if isinstance(item, Expression))
    assert conversations(read) == tuple(item for item in items if isinstance(item, Conversation))
    assert read.to_json() == record.to_json()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "song"}, "ValueError kind 'song' is not one of description, conversation"),
        ({"text": "a chair"}, "ValueError kind None is not one of"),
        ({"kind": "description", "object_id": 1}, "KeyError 'ann_id'"),
        (
            {
                **Conversation(task="det", question="", answer="", mark=None, source="", index=0).to_fields(),
                "mark": [1],
            },
            "ValueError not enough values",
        ),
        (
            {
                **Conversation(task="det", question="", answer="", mark=None, source="", index=0).to_fields(),
                "answers": "2",
            },
            "TypeError str instead of a list",
        ),
        (["kind"], "AttributeError"),
    ],
)
def test_a_malformed_expression_is_named_with_its_record_and_position(fields: object, problem: str) -> None:
    record = make_record(expressions=(describe(1).to_fields(), fields))
    with pytest.raises(ShardError, match=f"record room-clip-00000: expression 1 is malformed: {problem}"):
        descriptions(record)


def test_a_conversation_without_a_benchmark_is_stored_as_it_always_was() -> None:
    old = {"kind": "conversation", "task": "det", "question": "?", "answer": "", "mark": None, "source": "", "index": 0}
    (read,) = conversations(make_record(expressions=(old,)))
    assert (read.benchmark, read.question_type, read.answers, read.options, read.id) == (None, None, (), (), None)
    assert (read.object_ids, read.marks) == ((), ())
    assert read.to_fields() == old


def test_optional_fields_of_an_object_are_written_only_where_present() -> None:
    plain = make_object(1, "chair", (1, 2))
    written = json.loads(make_record((plain,)).to_json())["objects"][0]
    assert list(written) == ["object_id", "label", "labels", "center", "size", "rotation", "visible_pixels"]


def test_aligned_boxes_and_proposals_survive_the_trip_through_json() -> None:
    record = random_record(np.random.default_rng(0))
    read = record_from_json(record.to_json())
    assert read.objects == record.objects
    assert read.to_json() == record.to_json()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"aligned_box": (1.0, 2.0)}, "an object's aligned_box is not six numbers"),
        (
            {"proposal": {"center": [0, 0, 0], "size": [1, 1, 1], "rotation": [[1, 0, 0]], "iou": 1}},
            "proposal is not 3x3",
        ),
        ({"proposal": {"center": [0, 0, 0]}}, "does not follow schema 1: KeyError 'size'"),
    ],
)
def test_a_malformed_optional_field_is_refused(change: dict[str, Any], problem: str) -> None:
    record = make_record((replace(make_object(1, "chair", (1, 2)), **change),))
    with pytest.raises(ShardError, match=problem):
        record_from_json(record.to_json())
