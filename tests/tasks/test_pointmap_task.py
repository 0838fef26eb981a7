"""Stage 1: one mark and several, their questions, and the trip of their answers through text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.errors import ShardError, UsageError
from gapdata.tasks import pointmap
from gapdata.tasks.chat import Mark
from gapdata.tasks.pointmap import MarkedPoints, PointmapAnswer
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import RECORDS, make_object, make_prompt, make_record, random_record

labels = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
points = st.tuples(*[st.floats(-20, 20)] * 3)
answers = st.builds(lambda point, label: PointmapAnswer(point=point, label=label), points, st.none() | labels)


def rounded(answer: PointmapAnswer) -> PointmapAnswer:
    x, y, z = (round(value, 2) for value in answer.point)
    return PointmapAnswer(point=(x, y, z), label=answer.label)


def test_a_pointmap_question_marks_the_pixel_and_rounds_to_centimetres() -> None:
    question = pointmap.render(make_record(), make_prompt("chair"))
    assert question.text.startswith("<image><image>What")
    assert question.marks == (Mark(frame=1, pixel=(10, 20), number=0),)
    assert question.mark == question.marks[0]
    assert question.answer == '```json\n{"label": "chair", "pointmap": [1.26, -0.0, 3.0]}\n```'


def test_a_prompt_without_label_asks_for_the_point_alone() -> None:
    question = pointmap.render(make_record(), make_prompt(None))
    assert '"label"' not in question.text
    assert question.answer == '```json\n{"pointmap": [1.26, -0.0, 3.0]}\n```'
    assert pointmap.parse(question.answer) == PointmapAnswer(point=(1.26, -0.0, 3.0), label=None)


def test_several_prompts_are_numbered_in_their_order_and_answered_by_number() -> None:
    prompts = [make_prompt("chair"), make_prompt("bed", 7, frame=0, pixel=(3, 4), point=(0.0, 1.0, 2.0))]
    question = pointmap.render_several(make_record(), prompts)
    assert question.marks == (Mark(frame=1, pixel=(10, 20), number=1), Mark(frame=0, pixel=(3, 4), number=2))
    assert question.mark is None
    assert "each of the 2 numbered crosses" in question.text
    assert question.answer == (
        '```json\n[\n\t{"mark": 1, "label": "chair", "pointmap": [1.26, -0.0, 3.0]},\n'
        '\t{"mark": 2, "label": "bed", "pointmap": [0.0, 1.0, 2.0]}\n]```'
    )


def test_a_single_prompt_among_several_is_asked_with_the_authors_cross() -> None:
    record, prompt = make_record(), make_prompt("chair")
    assert pointmap.render_several(record, [prompt]) == pointmap.render(record, prompt)


def test_labels_are_asked_for_only_where_every_mark_has_one() -> None:
    question = pointmap.render_several(make_record(), [make_prompt("chair"), make_prompt(None, 2)])
    assert '"label"' not in question.text + question.answer


def test_the_taxonomy_renames_what_the_mark_shows() -> None:
    record = make_record((make_object(4, "office chair", (1, 1), labels={"nyu40": "chair"}),))
    prompt = make_prompt("office chair")
    assert '"chair"' in pointmap.render(record, prompt, QuestionOptions(taxonomy="nyu40")).answer
    assert '"office chair"' in pointmap.render(record, prompt, QuestionOptions(taxonomy="scannet20")).answer
    assert (
        '"label"'
        not in pointmap.render(record, prompt, QuestionOptions(taxonomy="scannet20", missing_label="drop")).text
    )


def test_more_marks_than_can_be_told_apart_and_frames_that_are_not_there_are_refused() -> None:
    record = make_record()
    with pytest.raises(UsageError, match=r"a question has 10 marks, it can have 1 to 9; lower data\.marks"):
        pointmap.render_several(record, [make_prompt("chair", index) for index in range(1, 11)])
    with pytest.raises(ShardError, match="record room-clip-00000: prompt 1 is in frame 2, the view has 2 frames"):
        pointmap.render(record, make_prompt("chair", frame=2))


@given(answers)
def test_a_pointmap_answer_survives_the_trip_through_text(answer: PointmapAnswer) -> None:
    assert pointmap.parse(pointmap.answer_text(answer)) == rounded(answer)


@given(st.dictionaries(st.integers(1, 9), answers, min_size=1))
def test_an_answer_about_several_marks_survives_the_trip_through_text(written: dict[int, PointmapAnswer]) -> None:
    expected = MarkedPoints(points={number: rounded(answer) for number, answer in written.items()})
    assert pointmap.parse_several(pointmap.several_answer_text(written)) == expected


def test_an_answer_gives_back_the_points_of_a_thousand_records_to_its_rounding() -> None:
    rng = np.random.default_rng(1)
    for _ in range(RECORDS):
        record = random_record(rng)
        for prompt in record.prompts:
            truth = rounded(PointmapAnswer(point=prompt.point, label=prompt.label))
            assert pointmap.parse(pointmap.render(record, prompt).answer) == truth
        chosen = record.prompts[:9]
        if len(chosen) > 1:
            read = pointmap.parse_several(pointmap.render_several(record, chosen).answer)
            assert isinstance(read, MarkedPoints)
            labelled = all(prompt.label is not None for prompt in chosen)
            assert read.points == {
                number: rounded(PointmapAnswer(point=prompt.point, label=prompt.label if labelled else None))
                for number, prompt in enumerate(chosen, start=1)
            }


def test_a_cut_off_answer_keeps_its_complete_marks_and_counts_what_is_no_answer() -> None:
    good, flat, again = (
        {"mark": mark, "pointmap": point} for mark, point in ((1, [1, 2, 3]), ("2", [1, 2]), (1, [9] * 3))
    )
    read = pointmap.parse_several(json.dumps([good, flat, again])[:-1] + ', {"mark": 3, "poi')
    assert read == MarkedPoints(points={1: PointmapAnswer(point=(1, 2, 3), label=None)}, rejected=2)
