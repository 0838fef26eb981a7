"""VSI-Bench's questions in each form that the Hub has: worded as the harness does it, or left out for a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.annotations.benchmark import BenchmarkQuestion
from gapdata.annotations.bundle import gather
from gapdata.annotations.recognition import recognise
from gapdata.annotations.vsi_bench import LETTER_TYPES, NUMBER_TYPES, read_vsi_bench
from gapdata.errors import FileError, UsageError
from tests.support.annotation_records import write_json
from tests.support.benchmark_records import vsi_choice, vsi_row, write_lines, write_parquet

ROWS = [
    vsi_row(0),
    vsi_choice(1),
    vsi_row(2, "47334103", dataset="arkitscenes", question_type="room_size_estimation", ground_truth="25.5"),
    vsi_row(3, "c50d2d1d42", dataset="scannetpp", question_type="object_counting", ground_truth="3"),
]


@pytest.fixture(params=["jsonl", "json", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "parquet":
        return write_parquet(tmp_path / "test-00000-of-00001.parquet", ROWS)
    if request.param == "json":
        return write_json(tmp_path / "test_debiased.json", ROWS)
    return write_lines(tmp_path / "test.jsonl", ROWS)


def test_a_question_is_worded_as_the_harness_words_it(file: Path) -> None:
    assert recognise(file) == "vsi-bench"
    found = read_vsi_bench(file)
    number, choice = found.scenes["scene0000_00"]
    assert number == BenchmarkQuestion(
        scene_id="scene0000_00",
        benchmark="vsi-bench",
        question="These are frames of a video.\n"
        "What is the distance between the table and the sofa (in meters)?\n"
        "Please answer the question using a single word or phrase.",
        answer="1.4",
        answers=("1.4",),
        question_type="object_abs_distance",
        id="0",
        source=file.name,
        index=0,
    )
    assert choice.question == (
        "These are frames of a video.\n"
        "If I am standing by the table and facing the sofa, is the lamp to my left or my right?\n"
        "Options:\nA. left\nB. right\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert (choice.answer, choice.options) == ("B", ("A. left", "B. right"))
    assert sorted(found.scenes) == ["47334103", "c50d2d1d42", "scene0000_00"]
    assert found.report.notes == {"questions by data set": "arkitscenes 1, scannet 2, scannetpp 1"}


def test_every_question_is_what_another_reading_of_the_file_says(tmp_path: Path) -> None:
    rows = [vsi_row(number, question_type=kind) for number, kind in enumerate(sorted(NUMBER_TYPES))]
    rows += [vsi_choice(number + 10, question_type=kind) for number, kind in enumerate(sorted(LETTER_TYPES))]
    file = write_lines(tmp_path / "test.jsonl", rows)
    expected = {
        (str(row["id"]), row["question_type"], row["ground_truth"], tuple(row["options"] or ()))
        for row in map(json.loads, file.read_text().splitlines())
    }
    (found,) = read_vsi_bench(file).scenes.values()
    assert {(item.id, item.question_type, item.answer, item.options) for item in found} == expected


def test_questions_about_scenes_of_other_data_sets_are_counted(file: Path) -> None:
    report = read_vsi_bench(file, {"scene0000_00"}).report
    assert (report.items, report.taken, report.ignored) == (4, 2, {"scene_not_in_data_set": 2})
    assert report.split == "test"


def test_a_question_that_cannot_be_scored_is_left_out_for_a_reason(tmp_path: Path) -> None:
    rows: list[Any] = [
        "no row",
        vsi_row(1, scene_name="../x"),
        vsi_row(2, question_type="object_colour"),
        vsi_row(3, question_type=["object_counting"]),
        vsi_row(4, question=" "),
        vsi_row(5, question="<image>What?"),
        vsi_row(6, ground_truth="about 2"),
        vsi_row(7, ground_truth="nan"),
        vsi_row(8, ground_truth="1e400"),
        vsi_row(9, ground_truth=10**30),
        vsi_row(10, ground_truth=True),
        vsi_choice(11, ground_truth="C"),
        vsi_choice(12, ground_truth="right"),
        vsi_choice(13, options=None),
        vsi_choice(14, options=["A. left", 3]),
        vsi_choice(15, options=["A. x"] * 27),
        vsi_row(None),  # type: ignore[arg-type]
        vsi_row(17),
        vsi_row(17, question="Another question with this id?"),
        vsi_row(18, ground_truth=2.5),
    ]
    found = read_vsi_bench(write_lines(tmp_path / "test.jsonl", rows))
    assert found.report.ignored == {
        "no_scene_name": 1,
        "not_an_object": 1,
        "options_are_not_texts": 3,
        "question_holds_an_image_placeholder": 1,
        "question_is_not_text": 1,
        "question_without_id": 1,
        "repeated_question": 1,
        "true_answer_is_not_a_number": 5,
        "true_answer_is_not_an_option": 2,
        "unknown_question_type": 2,
    }
    assert [(item.id, item.answer) for item in found.scenes["scene0000_00"]] == [("17", "1.4"), ("18", "2.5")]
    assert found.report.items == len(rows) == found.report.taken + sum(found.report.ignored.values())
    json.dumps(found.report.to_dict(), allow_nan=False)


def test_the_pruned_file_beside_the_whole_one_adds_nothing(tmp_path: Path) -> None:
    whole, pruned = write_lines(tmp_path / "test.jsonl", ROWS), write_lines(tmp_path / "test_pruned.jsonl", ROWS[1:])
    found = gather([whole, pruned])
    assert sum(len(scene.questions) for scene in found.scenes.values()) == 4
    assert found.report.conflicts == {"question_of_two_files": 3}


def test_a_test_may_be_of_validation_scenes_and_not_of_training_scenes(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "test.jsonl", ROWS[:2])
    found = gather([file], ["scene0000_00"], scene_splits={"scene0000_00": "val"})
    assert found.report.contradictions == ()
    (leak,) = gather([file], ["scene0000_00"], scene_splits={"scene0000_00": "train"}).report.contradictions
    assert isinstance(leak, UsageError)
    renamed = file.rename(tmp_path / "vsi.jsonl")
    found = gather([renamed], ["scene0000_00"], scene_splits={"scene0000_00": "val"})
    assert found.scenes["scene0000_00"].provenance[0].split == "val"


# Parquet


def damage(data: bytes, change: str) -> bytes:
    if change == "cut":
        return data[: len(data) // 2]
    if change == "footer":
        return data[:-8] + b"\xff\xff\xff\x7f" + data[-4:]
    return data[:4] + bytes(len(data) - 40) + data[-36:]


@pytest.mark.parametrize("change", ["cut", "footer", "zeros"])
def test_a_damaged_parquet_file_is_one_clear_error(tmp_path: Path, change: str) -> None:
    file = write_parquet(tmp_path / "test.parquet", ROWS)
    file.write_bytes(damage(file.read_bytes(), change))
    with pytest.raises(FileError, match=r"test\.parquet: is not a sound Parquet file"):
        gather([file])


def test_parquet_with_other_columns_is_not_known_and_with_other_types_is_counted(tmp_path: Path) -> None:
    other = write_parquet(tmp_path / "other.parquet", [{"id": 1, "text": "x"}])
    with pytest.raises(FileError, match="is not an annotation file of a known kind"):
        gather([other])
    odd = [vsi_row(0, ground_truth=1.5, question={"text": "How far?"}, options=[{"a": 1}])]
    report = read_vsi_bench(write_parquet(tmp_path / "test.parquet", odd)).report
    assert report.ignored == {"question_is_not_text": 1}


def test_parquet_that_states_gigabytes_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gapdata.files.parquet_rows.MAX_GROUP_BYTES", 100)
    with pytest.raises(FileError, match=r"rows, and up to [0-9]+ bytes in a group"):
        read_vsi_bench(write_parquet(tmp_path / "test.parquet", ROWS))
    monkeypatch.undo()
    monkeypatch.setattr("gapdata.files.parquet_rows.MAX_BATCH_BYTES", 100)
    with pytest.raises(FileError, match=r"has 256 rows of [0-9]+ bytes"):
        read_vsi_bench(tmp_path / "test.parquet")


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
changes = st.dictionaries(st.sampled_from(sorted(vsi_row())), VALUES | st.lists(VALUES, max_size=3), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([vsi_row, vsi_choice]), changes), max_size=4))
def test_any_value_is_taken_or_counted(
    tmp_path: Path, items: list[tuple[Callable[..., dict[str, Any]], dict[str, Any]]]
) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(json.dumps(make(**change)) for make, change in items), "utf-8", "surrogatepass")
    report = read_vsi_bench(path).report
    assert report.items == len(items) == report.taken + sum(report.ignored.values())
