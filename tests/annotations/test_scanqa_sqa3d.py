"""ScanQA's and SQA3D's questions: verbatim, with every accepted answer; SQA3D's two files come together by id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.annotations.bundle import gather
from gapdata.annotations.recognition import recognise
from gapdata.annotations.scanqa import read_scanqa
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.annotations.sqa3d import read_answers, read_sqa3d
from gapdata.errors import FileError, UsageError
from tests.support.annotation_records import write_json
from tests.support.benchmark_records import (
    scanqa_row,
    situated_answer,
    situation,
    sqa3d_release,
    write_lines,
    write_parquet,
)

SCENE = "scene0000_00"
TRAIN = "v1_balanced_{}_train_scannetv2.json"


def test_a_question_of_scanqa_keeps_its_answers_and_objects(tmp_path: Path) -> None:
    rows = [scanqa_row(0), scanqa_row(1, object_ids=[]), scanqa_row(2, "scene0001_00")]
    for file in (
        write_json(tmp_path / "ScanQA_v1.0_train.json", rows),
        write_parquet(tmp_path / "train-00000.parquet", rows),
    ):
        assert recognise(file) == "scanqa"
        found = read_scanqa(file, {SCENE})
        first, second = found.scenes[SCENE]
        expected = "What is in the right corner of room by curtains? Answer the question using a single word or phrase."
        assert first.question == expected
        assert first.answers == ("brown cabinet with tv sitting in it", "cabinet")
        assert (first.answer, first.benchmark, first.id) == (first.answers[0], "scanqa", "train-scene0000-0")
        assert (first.object_ids, second.object_ids) == ((8,), ())
        assert (found.report.split, found.report.ignored) == ("train", {"scene_not_in_data_set": 1})


def test_what_scanqa_cannot_tell_is_counted(tmp_path: Path) -> None:
    without = {key: value for key, value in scanqa_row(1).items() if key != "answers"}
    rows: list[Any] = [
        *(without, scanqa_row(2, answers=[]), scanqa_row(3, answers="cabinet"), scanqa_row(4, answers=["a", None])),
        *(scanqa_row(5, answers=["a"] * 101), scanqa_row(6, object_ids=["x"]), scanqa_row(7, object_ids=[2**40])),
        *(scanqa_row(8, scene_id=None), scanqa_row(9, question=None), scanqa_row(0), scanqa_row(0), 7),
    ]
    report = read_scanqa(write_json(tmp_path / "a.json", rows)).report
    assert report.ignored == {
        "answers_are_not_texts": 3,
        "no_scene_id": 1,
        "not_an_object": 1,
        "object_ids_are_not_integers": 2,
        "question_is_not_text": 1,
        "question_without_answer": 2,
        "repeated_question": 1,
    }
    assert report.items == len(rows) == report.taken + sum(report.ignored.values())


def release(tmp_path: Path, questions: list[Any], answers: list[Any], split: str = "train") -> list[Path]:
    asked, answered = sqa3d_release(questions, answers)
    return [
        write_json(tmp_path / f"v1_balanced_questions_{split}_scannetv2.json", asked),
        write_json(tmp_path / f"v1_balanced_sqa_annotations_{split}_scannetv2.json", answered),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_the_two_files_of_sqa3d_come_together_in_any_order(tmp_path: Path, turned: bool) -> None:
    several = [{"answer": "brown"}, {"answer": "dark brown"}]
    files = release(
        tmp_path,
        [situation(1), situation(2, question="Can I see the door?"), situation(3), situation(4, "scene0009_00")],
        [situated_answer(4), situated_answer(2), situated_answer(1, answers=several), situated_answer(8)],
    )
    assert [recognise(file) for file in files] == ["sqa3d questions", "sqa3d answers"]
    found = gather(files[::-1] if turned else files, [SCENE], scene_splits={SCENE: "train"})
    first, second = found.scenes[SCENE].questions
    assert first.question == (
        "I am facing a window and there is a desk on my right. What color is the desk to my right? "
        "Answer the question using a single word or phrase."
    )
    assert (first.answer, first.answers, first.question_type, first.id) == (
        "brown",
        ("brown", "dark brown"),
        "what",
        "1",
    )
    assert second.question_type == "can"
    asked, answered = found.report.files
    assert (asked.taken, asked.ignored) == (2, {"question_without_answer": 1, "scene_not_in_data_set": 1})
    assert (answered.taken, answered.ignored) == (2, {"answer_without_a_question_that_is_taken": 2})
    assert [item.source for item in found.scenes[SCENE].provenance] == [files[0].name]
    json.dumps(found.report.to_dict(), allow_nan=False)


def test_one_of_the_two_files_alone_is_refused_with_the_name_of_the_other(tmp_path: Path) -> None:
    questions, answers = release(tmp_path, [situation()], [situated_answer()])
    with pytest.raises(UsageError, match=r"questions only.*name v1_balanced_sqa_annotations_\*\.json"):
        gather([questions])
    with pytest.raises(UsageError, match=r"annotations only.*name v1_balanced_questions_\*\.json"):
        gather([answers])


def test_several_splits_share_their_answers(tmp_path: Path) -> None:
    train = release(tmp_path, [situation(1)], [situated_answer(1)])
    val = release(tmp_path, [situation(2, "scene0001_00")], [situated_answer(2, "scene0001_00")], "val")
    found = gather([*train, *val], scene_splits={SCENE: "train", "scene0001_00": "val"})
    assert {scene: len(item.questions) for scene, item in found.scenes.items()} == {SCENE: 1, "scene0001_00": 1}


@pytest.mark.parametrize("write", [write_json, write_lines, write_parquet])
def test_the_merged_form_has_both_in_a_row(tmp_path: Path, write: Callable[[Path, list[Any]], Path]) -> None:
    rows = [{**situation(1), "answers": [{"answer": "brown"}]}, {**situation(2), "answers": [{"answer": "left"}]}]
    path = tmp_path / "SQA3D_val"
    assert recognise(write(path, rows)) == "sqa3d"
    assert [item.answers for item in read_sqa3d(path).scenes[SCENE]] == [("brown",), ("left",)]
    if write is not write_parquet:
        write(path, [{**situation(1), "answers": ["brown", "tan"]}, {**situation(2), "answers": "left"}])
        assert [item.answers for item in read_sqa3d(path).scenes[SCENE]] == [("brown", "tan"), ("left",)]


@pytest.mark.parametrize(
    ("question", "kind"),
    [("What is it?", "what"), ("Is it?", "is"), ("Isn't it?", "is"), (" How many?", "how"), ("Can I?", "can"),
     ("Which way?", "which"), ("Where am I?", "others"), ("Am I?", "others")],
)  # fmt: skip
def test_questions_have_the_types_by_which_scores_are_divided(tmp_path: Path, question: str, kind: str) -> None:
    file = write_json(tmp_path / "a.json", [{**situation(question=question), "answers": ["x"]}])
    assert [item.question_type for item in read_sqa3d(file).scenes[SCENE]] == [kind]


def test_what_sqa3d_cannot_tell_is_counted(tmp_path: Path) -> None:
    questions = [
        *(situation(1, situation=""), situation(2, question=4), situation(3, scene_id="a/b"), situation(4)),
        *(situation(5), situation(5), {"question": "x"}, None),
    ]
    answers = [situated_answer(n) for n in (1, 2, 3, 5, 5)]
    answers += [situated_answer(4, answers=[{"answer": 3}]), situated_answer(6, answers=[]), situated_answer(-1), []]  # type: ignore[list-item]
    found = gather(release(tmp_path, questions, answers))
    asked, answered = found.report.files
    assert asked.ignored == {
        "no_scene_id": 1,
        "not_an_object": 1,
        "question_is_not_text": 1,
        "question_without_answer": 1,
        "repeated_question": 1,
        "situation_is_not_text": 2,
    }
    assert answered.ignored == {
        "answer_without_a_question_that_is_taken": 3,
        "answers_are_not_texts": 1,
        "not_an_object": 1,
        "question_without_answer": 1,
        "question_without_id": 1,
        "repeated_question": 1,
    }
    for report in (asked, answered):
        assert report.items == report.taken + sum(report.ignored.values())


def test_a_file_of_another_shape_is_one_clear_error(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", {"annotations": {"0": situated_answer()}})
    with pytest.raises(FileError, match=r"a\.json: lacks the list annotations"):
        read_answers(file)
    with pytest.raises(FileError, match="is not an annotation file of a known kind"):
        gather([file])
    whole = write_json(tmp_path / "b.json", sqa3d_release([situation()], [])[0])
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(FileError, match=r"b\.json: item 0 is not JSON"):
        gather([whole])


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
NESTED = VALUES | st.lists(VALUES | st.fixed_dictionaries({"answer": VALUES}), max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted({*scanqa_row(), *situation(), "answers"})), NESTED, max_size=5))
def test_any_value_is_taken_or_counted_and_survives_the_way_to_a_worker(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "any.json"
    for row, read in ((scanqa_row(), read_scanqa), ({**situation(), "answers": ["x"]}, read_sqa3d)):
        path.write_text(json.dumps([{**row, **changes}, row]), "utf-8", "surrogatepass")
        found = read(path)
        assert found.report.items == 2 == found.report.taken + sum(found.report.ignored.values())
        for scene_id, items in found.scenes.items():
            scene = SceneAnnotations(scene_id=scene_id, questions=items)
            assert SceneAnnotations.from_json(scene.to_json()).questions == items
