"""SPAR's questions: told from other conversations, with raw frames out of its names, counted where they name none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.annotations.bundle import gather
from gapdata.annotations.recognition import recognise
from gapdata.annotations.spar import read_spar, read_spar_bench
from tests.support.annotation_records import detection, write_json
from tests.support.benchmark_records import spar_line, write_lines, write_parquet

SCENE = "scene0000_00"


def test_spar_is_told_from_conversations_that_look_alike(tmp_path: Path) -> None:
    box = ("chair", [0, 0, 1, 1, 1, 1, 0.1, 0.2, 0.3])
    assert recognise(write_lines(tmp_path / "fill_1.jsonl", [spar_line()])) == "spar"
    assert recognise(write_json(tmp_path / "det.json", [detection([box], (1, 31))])) == "conversations"


def test_a_line_names_raw_frames_and_its_text_follows_them(tmp_path: Path) -> None:
    video = [f"spar/scannet/images/{SCENE}/video_color/frame{place}_{35 * place}.jpg" for place in range(12)]
    asked = [{"from": "human", "value": "<video>\nHow many chairs are there?"}, {"from": "gpt", "value": "3"}]
    rows = [spar_line((543,)), spar_line((30, 3)), spar_line(image=video, type="obj_count", conversations=asked)]
    one, two, many = read_spar(write_lines(tmp_path / "select_9.jsonl", rows)).scenes[SCENE]
    moved = "How does the camera move from the first image to the second?"
    assert (one.frame_ids, one.question) == ((543,), f"<image>\n{moved}")
    assert (two.frame_ids, two.question) == ((30, 3), f"<image>\n<image>\n{moved}")
    assert two.answer == "move_right:0.3,move_forward:0.5,rotate_left:10"
    assert (two.benchmark, two.question_type, two.id) == ("spar-7m", "view_change_infer", f"{SCENE}_16")
    assert many.frame_ids == tuple(range(0, 385 + 1, 35))
    assert many.question.startswith("Frame-1: <image>\nFrame-2: <image>\n")
    assert many.question.endswith("Frame-12: <image>\nHow many chairs are there?")


def test_the_selection_of_vg_llm_has_its_type_in_a_text(tmp_path: Path) -> None:
    row = spar_line((30, 3))
    row = {"id": row["id"], "conversations": row["conversations"], "images": row["image"]}
    said = [{"from": "human", "value": "<image>\n<image>\nHow?"}, {"from": "gpt", "value": "A"}]
    rows = [
        {**row, "conversations": said, "spar_info": json.dumps({"type": "camera_motion_infer"})},
        {**row, "spar_info": "{"},
        {**row, "spar_info": "[" * 100_000},
        {**row, "spar_info": json.dumps({"type": "unheard_of"})},
    ]
    found = read_spar(write_json(tmp_path / "spar_234k.json", rows))
    (item,) = found.scenes[SCENE]
    assert (item.question, item.question_type) == ("<image>\n<image>\nHow?", "camera_motion_infer")
    assert found.report.ignored == {"spar_info_is_not_an_object": 2, "unknown_question_type": 1}


def test_what_cannot_be_asked_of_a_scans_frames_is_counted(tmp_path: Path) -> None:
    turns = spar_line()["conversations"]
    rows: list[Any] = [
        *(spar_line(image=["../../etc/passwd"]), spar_line(image=[]), spar_line(image=None), spar_line(image=[3])),
        *(spar_line(image=["5a269ba6fe/image_color/12.jpg"]), spar_line((1, 1)), spar_line(image=["x"] * 65)),
        spar_line(image=[f"{SCENE}/image_color/1.jpg", "scene0001_00/image_color/1.jpg"]),
        *(spar_line(conversations=turns[::-1]), spar_line(conversations=turns[:1]), spar_line(conversations=None)),
        *(spar_line(id=None), spar_line((999_999,)), spar_line(), spar_line(), spar_line((5,), "scene0009_00"), None),
        spar_line(conversations=[{"from": "human", "value": "What is <image>?"}, turns[1]]),
        spar_line(conversations=[turns[0], {"from": "gpt", "value": ""}]),
    ]
    report = read_spar(write_lines(tmp_path / "a.jsonl", rows), {SCENE}).report
    assert report.ignored == {
        "answer_is_not_text": 1,
        "frames_of_another_data_set_than_scannet": 1,
        "image_named_twice": 1,
        "image_path_without_scene_and_frame": 3,
        "images_of_several_scenes": 1,
        "no_images": 3,
        "not_an_object": 1,
        "not_one_question_and_one_answer": 3,
        "question_holds_an_image_placeholder": 1,
        "question_without_id": 1,
        "repeated_question": 1,
        "scene_not_in_data_set": 1,
    }
    assert (report.taken, report.items) == (1, len(rows))


RED, BLUE, GREEN = [[100, 200]], [[300, 400]], [[1000, 0]]
BOXES = {"red_bbox": [[1, 2, 30, 40]], "blue_bbox": [[5, 6, 70, 80]], "green_bbox": [[9, 10, 110, 120]]}


@pytest.mark.parametrize(
    ("kind", "images", "facts", "drawn"),
    [
        ("depth_prediction_oc", 1, {"red_point": RED, "blue_point": BLUE}, {"red": 0, "blue": 0}),
        (
            "depth_prediction_oo_mv",
            3,
            {"red_point": RED, "blue_point": BLUE, "green_point": GREEN, "point_img_idx": [[0, 2, 1]]},
            {"red": 0, "blue": 2, "green": 1},
        ),
        (
            "distance_infer_center_oo_mv",
            3,
            {"red_point": RED, "blue_point": BLUE, "green_point": GREEN, "point_img_idx": [[0, 2, 1]]},
            {"red": 0, "green": 2, "blue": 1},
        ),
        ("spatial_imagination_oc_mv", 3, {**BOXES, "bbox_img_idx": [[0, 1, 2]]}, {"green": 0, "blue": 1, "red": 2}),
        (
            "obj_spatial_relation_oo_mv",
            3,
            {"blue_bbox": BOXES["blue_bbox"], "green_bbox": BOXES["green_bbox"], "bbox_img_idx": [[2, 1]]},
            {"blue": 2, "green": 1},
        ),
        ("obj_spatial_relation_oc_mv", 2, {"red_bbox": BOXES["red_bbox"], "bbox_img_idx": [[1]]}, {"red": 1}),
        ("position_matching", 2, {"red_bbox": BOXES["red_bbox"], "bbox_img_idx": [[0, 1]]}, {"red": 0}),
        ("camera_motion_infer", 2, {}, {}),
    ],
)
def test_marks_are_on_the_images_on_which_spars_program_draws_them(
    tmp_path: Path, kind: str, images: int, facts: dict[str, Any], drawn: dict[str, int]
) -> None:
    file = write_lines(tmp_path / "a.jsonl", [{**spar_line(range(images)), "type": kind, **facts}])
    (item,) = read_spar(file).scenes[SCENE]
    assert {color: frame for frame, color, _ in item.marks} == drawn
    for _, color, place in item.marks:
        shape = "bbox" if len(place) == 4 else "point"
        assert list(place) == facts[f"{color}_{shape}"][0]


def test_a_question_without_its_marks_cannot_be_asked(tmp_path: Path) -> None:
    marked = {"type": "depth_prediction_oc_mv", "red_point": RED, "blue_point": BLUE, "point_img_idx": [[0, 1]]}
    changes: list[dict[str, Any]] = [
        *({"blue_point": None}, {"blue_point": [[1, 1001]]}, {"red_point": [[1]]}, {"red_point": "x"}),
        *({"point_img_idx": [[0, 2]]}, {"point_img_idx": None}, {"point_img_idx": [[0]]}, {"red_point": [[-1, 2]]}),
        *({"type": "spatial_imagination_oo_video"}, {"type": "position_matching", "red_bbox": [[5, 5, 5, 9]]}),
    ]
    rows = [{**spar_line((place, place + 1)), **marked, **change} for place, change in enumerate(changes)]
    assert read_spar(write_lines(tmp_path / "a.jsonl", rows)).report.ignored == {
        "mark_is_an_empty_box": 1,
        "mark_outside_the_image": 4,
        "mark_without_an_image": 3,
        "marks_with_names_beside_them": 1,
        "question_without_its_marks": 1,
    }


def bench(number: int, task: str, image: list[Any]) -> dict[str, Any]:
    asked = {"question": "How far is the chair?", "answer": "1.5"}
    return {
        "id": number,
        "img_type": "single",
        "format_type": "fill",
        "task": task,
        "source": "scannet",
        "image": image,
    } | asked


def test_the_benchmark_is_asked_only_where_its_images_have_names(tmp_path: Path) -> None:
    drawn, named = {"bytes": b"jpg", "path": None}, {"bytes": b"jpg", "path": f"{SCENE}/image_color/30.jpg"}
    rows = [
        bench(1, "distance_prediction_oc", [drawn]),
        bench(2, "distance_prediction_oc", [named]),
        bench(3, "position_matching", [named]),
        bench(4, "view_change_infer", [named]),
        bench(5, "spatial_imagination_oo", [{"bytes": b"jpg", "path": "image0.jpg"}]),
    ]
    file = write_parquet(tmp_path / "test-00000-of-00004.parquet", rows)
    assert recognise(file) == "spar-bench"
    found = read_spar_bench(file)
    asked = [item.question for item in found.scenes[SCENE]]
    letter = "Answer with the option's letter from the given choices directly."
    assert asked[0] == "<image>\nHow far is the chair?\nPlease answer the question using a single word or phrase."
    assert asked[1].startswith("<image>\nHow far is the chair?\nThe values represent the bounding box coordinates")
    assert asked[1].endswith(f"of the image.\n{letter}")
    assert asked[2] == "<image>\nHow far is the chair?\n\n"
    assert found.report.ignored == {
        "image_path_without_scene_and_frame": 1,
        "images_are_in_the_file_and_name_no_frame": 1,
    }


def test_whole_images_are_never_read_from_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapdata.files.parquet_rows.MAX_BATCH_BYTES", 100_000)
    rows = [bench(n, "nav", [{"bytes": bytes(1 << 20), "path": None}]) for n in range(2)]
    report = read_spar_bench(write_parquet(tmp_path / "test.parquet", rows, compression="none")).report
    assert report.ignored == {"images_are_in_the_file_and_name_no_frame": 2}


VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
NESTED = VALUES | st.lists(VALUES | st.dictionaries(st.sampled_from(["from", "value"]), VALUES), max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.dictionaries(st.sampled_from([*spar_line(), "spar_info", "images", "red_point"]), NESTED, max_size=4))
def test_any_value_is_taken_or_counted(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_text(json.dumps({**spar_line(), **changes}) + "\n" + json.dumps(spar_line()), "utf-8", "surrogatepass")
    (report,) = gather([path]).report.files
    assert report.items == 2 == report.taken + sum(report.ignored.values())
