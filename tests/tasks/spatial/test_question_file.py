"""A question file holds questions exactly, and a damaged one is refused with the line and the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion, with_letters
from gapdata.tasks.spatial.question_file import AskedQuestion, question_of_line, read_questions

NAMES = st.text(max_size=20)
GIVEN = st.text(min_size=1, max_size=20)
INTEGERS = st.integers(0, 2**31 - 1)
MARKS = st.builds(Mark, frame=INTEGERS, pixel=st.tuples(INTEGERS, INTEGERS), number=st.integers(0, 9))


@st.composite
def asked(draw: st.DrawFn) -> AskedQuestion:
    options = tuple(draw(st.one_of(st.just([]), st.lists(NAMES, min_size=2, max_size=len(LETTERS), unique=True))))
    return AskedQuestion(
        id=draw(GIVEN),
        key=draw(GIVEN),
        scene_id=draw(GIVEN),
        split=draw(NAMES),
        place=draw(NAMES),
        question=SpatialQuestion(
            kind=draw(GIVEN),
            form=draw(NAMES),
            text=with_letters(draw(GIVEN), options),
            answer=draw(st.sampled_from(LETTERS[: len(options)])) if options else str(draw(st.integers(-99, 99)) / 4),
            value=draw(st.floats(-1e6, 1e6)),
            margin=draw(st.floats(0, 1e6)),
            options=options,
            object_ids=tuple(draw(st.lists(INTEGERS, max_size=4))),
            names=tuple(draw(st.lists(NAMES, max_size=4))),
            frames=tuple(draw(st.lists(INTEGERS, max_size=2))),
            marks=tuple(draw(st.lists(MARKS, max_size=5))),
            mesh_value=draw(st.none() | st.floats(0, 10)),
        ),
    )


@given(asked())
def test_a_question_is_read_back_as_it_was_written(item: AskedQuestion) -> None:
    assert question_of_line(item.to_line().encode()) == item


WELL: dict[str, Any] = {
    "id": "nearest/k/0",
    "key": "k",
    "scene_id": "s",
    "kind": "nearest",
    "text": "Which?",
    "answer": "B",
    "value": 1.0,
    "margin": 0.5,
    "options": ["bed", "sofa"],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "C"}, "not the letter of an option"),
        ({"answer": "AB"}, "not the letter of an option"),
        ({"options": []}, "not a bare number"),
        ({"options": [], "answer": "about 3 m"}, "not a bare number"),
        ({"options": [], "answer": "9" * 400}, "not a bare number"),
        ({"options": [], "answer": "3"}, "the type nearest is answered with a letter"),
        ({"kind": "size"}, "the type size is answered with a number"),
        ({"options": ["bed", "bed"]}, "two of its options are the same"),
        ({"options": ["bed"]}, "has 1 options"),
        ({"value": float("nan")}, "value is out of range"),
        ({"margin": "0.5"}, "margin is text, expected a number"),
        ({"text": None}, "text is null, expected text"),
        ({"frames": [-1]}, "out of range"),
        ({"marks": [{"frame": 0, "pixel": [1], "number": 1}]}, "not two numbers"),
        ({"object_ids": 3}, "expected a list"),
        ({"text": "x" * 100_000}, "more than 100000 bytes"),
    ],
)
def test_what_is_not_a_question_is_refused_with_its_line(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(WELL) + "\n" + json.dumps({**WELL, "id": "other", **change}) + "\n")
    with pytest.raises(UsageError, match=rf"questions.jsonl: line 2 is not a question: .*{reason}"):
        read_questions(path)


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"\xff", b"[" * 90_000])
def test_other_lines_are_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match="line 1 is not a question"):
        read_questions(path)


def test_an_id_is_used_once_and_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(2 * (json.dumps(WELL) + "\n"))
    with pytest.raises(UsageError, match="line 2 repeats the id nearest/k/0"):
        read_questions(path)
    with pytest.raises(UsageError, match=r"none.jsonl: cannot be read"):
        read_questions(tmp_path / "none.jsonl")


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert question_of_line(json.dumps({**WELL, "mood": "good"}).encode()).question.options == ("bed", "sofa")
