"""Multi3DRefer's and ReferIt3D's sentences become descriptions of one object; the others are counted by reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.annotations.bundle import gather
from gapdata.annotations.multi3drefer import read_multi3drefer
from gapdata.annotations.recognition import recognise
from gapdata.annotations.referit3d import read_referit3d
from gapdata.annotations.scanrefer import Description
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.errors import FileError, GapDataError
from tests.support.annotation_records import sentence, write_json
from tests.support.benchmark_records import NR3D_COLUMNS, SR3D_COLUMNS, nr3d_row, several, sr3d_row, write_csv

SCENE = "scene0000_00"


def test_sentences_about_one_object_are_taken_and_others_counted(tmp_path: Path) -> None:
    items = [
        *(several([3], 0), several([3, 7], 1), several([], 2), several(["3"], 3), several([3.0], 4), several([-1], 5)),
        *(several([5], 6, scene_id="x/y"), several([5], None), several([5], 7, object_name=""), several([5], "8")),
        *(several([5], 9, description=["a"]), several([0], 10), several([3], 0), several([2**40], 11), "x"),
    ]
    file = write_json(tmp_path / "multi3drefer_train.json", items)
    assert recognise(file) == "multi3drefer"
    found = read_multi3drefer(file)
    assert [(item.object_id, item.ann_id) for item in found.scenes[SCENE]] == [
        (3, "multi3drefer-0"),
        (5, "multi3drefer-8"),
        (0, "multi3drefer-10"),
    ]
    assert found.report.ignored == {
        "describes_no_object": 1,
        "describes_several_objects": 1,
        "no_ann_id": 1,
        "no_object_name": 1,
        "no_scene_id": 1,
        "no_text": 1,
        "not_an_object": 1,
        "object_ids_are_not_integers": 4,
        "repeated_annotation": 1,
    }
    assert found.report.items == len(items) == found.report.taken + sum(found.report.ignored.values())
    assert found.report.split == "train"


def test_scanrefer_beside_it_keeps_its_own_sentences(tmp_path: Path) -> None:
    one = write_json(tmp_path / "ScanRefer_filtered_train.json", [sentence(ann_id="0")])
    other = write_json(tmp_path / "multi3drefer_train.json", [several([3], 0)])
    nr3d = write_csv(tmp_path / "nr3d.csv", [nr3d_row()])
    found = gather([one, other, nr3d]).scenes[SCENE].descriptions
    assert [(item.ann_id, item.data_set) for item in found] == [
        ("0", "ScanRefer"),
        ("multi3drefer-0", "Multi3DRefer"),
        ("nr3d-1", "Nr3D"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_csv_is_read_whatever_wrote_it(tmp_path: Path, encoding: str, newline: str) -> None:
    text = "it is next to\nthe »big« table, isn't it"
    file = write_csv(tmp_path / "nr3d.csv", [nr3d_row(1), nr3d_row(2, utterance=text)], encoding=encoding)
    file.write_bytes(file.read_bytes().decode(encoding).replace("\n", newline).encode(encoding))
    assert recognise(file) == "referit3d"
    assert read_referit3d(file).scenes[SCENE] == tuple(
        Description(
            scene_id=SCENE, object_id=3, object_name="office chair", ann_id=f"nr3d-{number}", text=said, data_set="Nr3D"
        )
        for number, said in ((1, 'The chair, closest to the "big" door'), (2, text))
    )


def test_only_sentences_that_the_authors_keep_are_taken(tmp_path: Path) -> None:
    rows = [
        *(nr3d_row(1), nr3d_row(2, correct_guess=False), nr3d_row(3, mentions_target_class=False)),
        *(nr3d_row(4, correct_guess="maybe"), nr3d_row(5, scan_id=""), nr3d_row(6, target_id="3.5")),
        *(nr3d_row(7, target_id=10**20), nr3d_row(8, utterance=" "), nr3d_row(9, instance_type="")),
        *(nr3d_row(10, dataset="other"), nr3d_row(1), nr3d_row(11, scan_id="scene0009_00")),
    ]
    file = write_csv(tmp_path / "nr3d_train.csv", rows)
    with open(file, "a") as more:
        more.write("1,2,3\n")
    report = read_referit3d(file, {SCENE}).report
    assert report.ignored == {
        "a_listener_guessed_wrong": 1,
        "another_number_of_fields_than_the_header": 1,
        "correct_guess_is_neither_true_nor_false": 1,
        "does_not_say_the_class": 1,
        "no_object_name": 1,
        "no_scene_id": 1,
        "no_text": 1,
        "object_id_is_not_an_integer": 2,
        "repeated_annotation": 1,
        "scene_not_in_data_set": 1,
        "unknown_data_set": 1,
    }
    assert (report.taken, report.items) == (1, 13)


def test_a_row_of_sr3d_without_a_number_is_numbered_by_its_place(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "sr3d.csv", [sr3d_row(), sr3d_row(utterance="the other chair")], SR3D_COLUMNS)
    assert [(item.ann_id, item.data_set) for item in read_referit3d(file).scenes[SCENE]] == [
        ("sr3d-0", "Sr3D"),
        ("sr3d-1", "Sr3D"),
    ]


def test_each_sentence_is_what_another_reading_of_the_file_says(tmp_path: Path) -> None:
    rows = [nr3d_row(n, utterance=f'chair "{n}", {"x" * n}\nhere', target_id=n % 4) for n in range(1, 30)]
    file = write_csv(tmp_path / "nr3d.csv", rows)
    expected = [
        (int(row["target_id"]), row["utterance"]) for row in csv.DictReader(io.StringIO(file.read_text(), newline=""))
    ]
    assert [(item.object_id, item.text) for item in read_referit3d(file).scenes[SCENE]] == expected


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (b'"never closed\n' + b"x,\n" * 60_000, "is not a sound CSV file: field larger than field limit"),
        (b'1,"a"b,c\n', "is not a sound CSV file: ',' expected after '\"'"),
        (b"\xff\xfe\xfa\n", "is not UTF-8"),
        (b"x" * (2 << 20), "has a line of more than"),
    ],
)
def test_a_damaged_csv_is_one_clear_error(tmp_path: Path, tail: bytes, problem: str) -> None:
    file = write_csv(tmp_path / "nr3d.csv", [nr3d_row()])
    file.write_bytes(file.read_bytes() + tail)
    with pytest.raises(FileError) as caught:
        gather([file])
    assert f"nr3d.csv: {problem}" in str(caught.value)


def test_a_csv_of_another_kind_is_not_known(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [{"a": 1, "b": 2}], ("a", "b"))
    with pytest.raises(FileError):
        gather([file])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.dictionaries(st.sampled_from(NR3D_COLUMNS), st.text(max_size=12), max_size=5), st.binary(max_size=20))
def test_any_csv_is_taken_counted_or_refused(tmp_path: Path, changes: dict[str, str], tail: bytes) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, NR3D_COLUMNS)
    writer.writeheader()
    writer.writerow({**nr3d_row(), **changes})
    path = tmp_path / "any.csv"
    path.write_bytes(buffer.getvalue().encode("utf-8", "surrogatepass") + tail)
    try:
        found = gather([path])
    except GapDataError:
        return
    (report,) = found.report.files
    assert report.items == report.taken + sum(report.ignored.values())
    for scene in found.scenes.values():
        assert SceneAnnotations.from_json(scene.to_json()).descriptions == scene.descriptions


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted(several())), VALUES | st.lists(VALUES, max_size=3), max_size=4))
def test_any_item_is_taken_or_counted(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps([{**several(), **changes}]), "utf-8", "surrogatepass")
    report = read_multi3drefer(path).report
    assert report.items == 1 == report.taken + sum(report.ignored.values())
